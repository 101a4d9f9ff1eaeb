// `ashlar snapshot schedule`: snapshots that the daemon of a mounted volume makes by itself.
import ArgumentParser
import Console
import DiskFormat
import Retention

/// Sets, shows and clears schedules.
struct SnapshotScheduleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule",
        abstract: "Let snapshots be made by themselves, while the volume is mounted.",
        discussion: """
            The schedule is kept in the store. One that was missed is made up for, once. Snapshots made \
            so have the tag "scheduled"; after each of them those of them go that the volume's retention \
            does not keep ("ashlar retention set"); others are not touched. For instance:

              ashlar snapshot schedule set /srv/store --every 1h
              ashlar retention set /srv/store --keep-hourly 24 --keep-daily 14
            """,
        subcommands: [
            SnapshotScheduleSetCommand.self, SnapshotScheduleShowCommand.self,
            SnapshotScheduleClearCommand.self,
        ])
}

/// `ashlar snapshot schedule set STORE --every DURATION`.
struct SnapshotScheduleSetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Make a snapshot of a volume every so often.",
        discussion: """
            At whole multiples of the interval since 1970 UTC: every hour on the hour. For instance:

              ashlar snapshot schedule set /srv/store --every 15m --prefix quarter
            """)

    @Argument(help: "The store.")
    var store: String

    @Option(
        help: ArgumentHelp(
            "The interval: a number with s, m, h, d, w or y behind it.", valueName: "duration"))
    var every: String

    @Option(help: ArgumentHelp("What the snapshots' names begin with.", valueName: "name"))
    var prefix = "auto"

    @Option(
        name: .customLong("tag"), parsing: .singleValue,
        help: ArgumentHelp("A tag for them; may be repeated.", valueName: "tag"))
    var tags: [String] = []

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let schedule: SnapshotSchedule
        do throws(RetentionError) {
            schedule = try SnapshotSchedule(
                everySeconds: try RetentionPolicy.duration(every), prefix: prefix, tags: tags)
        } catch .badDuration {
            throw CommandFailure(
                .usage,
                "--every: \(DisplayText.escaped(every.utf8)) is not between 1s and 366d, a number "
                    + "with s, m, h, d, w or y behind it")
        } catch {
            throw CommandFailure(error)
        }
        try RulesOutput.perform(
            VolumeRulesAction(volume: volume, schedule: schedule.text), on: store, asJSON: json)
    }
}

/// `ashlar snapshot schedule show STORE`.
struct SnapshotScheduleShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the schedules and the retention of the volumes.")

    @OptionGroup var shown: ShownRules

    func run() throws { try shown.run() }
}

/// `ashlar snapshot schedule clear STORE`.
struct SnapshotScheduleClearCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear", abstract: "Let no more snapshots be made by themselves.")

    @Argument(help: "The store.")
    var store: String

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        try RulesOutput.perform(
            VolumeRulesAction(volume: volume, schedule: ""), on: store, asJSON: json)
    }
}

/// Of commands that show rules.
struct ShownRules: ParsableArguments {
    @Argument(help: "The store.")
    var store: String

    @Option(help: ArgumentHelp("Of this volume only.", valueName: "name"))
    var volume: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let all = try KeptRules.all(of: store, volume: volume)
        try output.report(
            [
                "volumes": .table(
                    ReportTable(columns: KeptRules.columns, rows: all.map(\.row)))
            ], asJSON: json)
        try output.flush()
    }
}

/// What is said of changed rules.
enum RulesOutput {
    static func perform(_ action: VolumeRulesAction, on store: String, asJSON json: Bool) throws {
        let output = Output(program: CommandRunner.programName)
        let rules = try action.perform(on: try StoreAddress(whole: store))
        try output.report(rules.report, asJSON: json)
        try output.flush()
    }
}
