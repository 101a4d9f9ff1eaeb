// `ashlar retention`: which snapshots are kept, and the end of the others.
import ArgumentParser
import Console
import DiskFormat
import Retention

/// Applies rules to the snapshots of a store.
struct RetentionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retention",
        abstract: "Decide by rules which snapshots are kept, and delete the others.",
        discussion: """
            Rules are given with the command, or kept in the store, each volume's for itself: then they             are applied by "ashlar retention apply STORE" to all snapshots of the volume, and, to             those that a schedule has made, after each of these ("ashlar snapshot schedule").
            """,
        subcommands: [
            RetentionSetCommand.self, RetentionShowCommand.self, RetentionApplyCommand.self,
        ])
}

/// `ashlar retention set STORE RULES`.
struct RetentionSetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Keep rules of a volume in the store.",
        discussion: """
            In place of all that it had. Nothing is deleted by this. For instance:

              ashlar retention set /srv/store --keep-hourly 24 --keep-daily 7 --keep-tag release
              ashlar retention apply --dry-run /srv/store
            """)

    @Argument(help: "The store.")
    var store: String

    @OptionGroup var rules: RetentionRules

    @Flag(help: "Keep no rules any more.")
    var clear = false

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let policy = try rules.policy()
        guard policy.isEmpty == clear else {
            throw CommandFailure(
                .usage, clear ? "rules, or --clear, but not both" : "no rule is given",
                advice: "For instance: --keep-daily 7 --keep-weekly 4; --clear for none.")
        }
        try RulesOutput.perform(
            VolumeRulesAction(volume: volume, retention: policy.text), on: store, asJSON: json)
    }
}

/// `ashlar retention show STORE`.
struct RetentionShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the rules that the store keeps, and the schedules.")

    @OptionGroup var shown: ShownRules

    func run() throws { try shown.run() }
}

/// `ashlar retention apply STORE RULES`.
struct RetentionApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Delete the snapshots that no rule keeps.",
        discussion: """
            Rules add up: what any of them keeps stays. Pinned snapshots stay in any case. Each volume \
            counts for itself, and periods are those of the time zone (TZ). Every decision is told with \
            its reasons; with --dry-run that is all. Without rules those that the store keeps are \
            applied, to the volumes that have some. For instance:

              ashlar retention apply /srv/store --keep-daily 7 --keep-weekly 4 --keep-monthly 12
            """)

    @Argument(help: "The store.")
    var store: String

    @OptionGroup var rules: RetentionRules

    @Option(help: ArgumentHelp("Snapshots of this volume only.", valueName: "name"))
    var volume: String?

    @Flag(name: [.customShort("n"), .long], help: "Tell what would be done, and do nothing.")
    var dryRun = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let address = try StoreAddress(whole: store)
        let policies = try policies()
        let snapshots = try SnapshotListCommand.snapshots(of: address.path, volume)
        let volumes = Set(snapshots.map(\.volume)).sorted()
        let decisions = volumes.flatMap { name -> [RetentionDecision] in
            guard let policy = policies[name] ?? policies[""] else { return [] }
            return policy.decide(
                snapshots.filter { $0.volume == name }.map(\.retained),
                calendar: CalendarMoment.local)
        }
        if !dryRun {
            try SnapshotAction.perform(
                decisions.filter { !$0.isKept }.map {
                    SnapshotAction(.delete, $0.snapshot.name, of: $0.snapshot.volume)
                }, on: address)
        }
        try tell(decisions, output)
        try output.flush()
    }

    /// By volume; what was given is everybody's, under no name.
    private func policies() throws -> [String: RetentionPolicy] {
        let given = try rules.policy()
        if !given.isEmpty { return ["": given] }
        var policies: [String: RetentionPolicy] = [:]
        for kept in try KeptRules.all(of: store, volume: volume) where !kept.retention.isEmpty {
            do throws(RetentionError) {
                policies[kept.volume] = try RetentionPolicy(text: kept.retention)
            } catch {
                throw CommandFailure(error)
            }
        }
        guard !policies.isEmpty else {
            throw CommandFailure(
                .usage, "no rule is given, and the store keeps none: nothing would be deleted",
                advice: "For instance: --keep-daily 7 --keep-weekly 4; or see retention set.")
        }
        return policies
    }

    private func tell(
        _ decisions: [RetentionDecision], _ output: Output
    ) throws(CommandFailure) {
        if json {
            try output.report(
                [
                    "dry_run": .flag(dryRun),
                    "snapshots": .list(decisions.map { .object($0.report) }),
                ], asJSON: true)
            return
        }
        let verb = dryRun ? "would delete" : "deleted"
        for decision in decisions {
            let name = "\(decision.snapshot.volume)@\(decision.snapshot.name)"
            output.line(
                decision.isKept
                    ? "kept \(name): \(decision.reasons.joined(separator: ", "))"
                    : "\(verb) \(name): no rule keeps it")
        }
        let gone = decisions.count { !$0.isKept }
        output.line("\(decisions.count - gone) kept, \(gone) \(dryRun ? "to delete" : "deleted")")
    }
}

/// The rules, each an option.
struct RetentionRules: ParsableArguments {
    @Option(help: ArgumentHelp("The newest so many.", valueName: "number"))
    var keepLast: String?

    @Option(
        help: ArgumentHelp(
            "Those within so long before the newest: a number with s, m, h, d, w or y.",
            valueName: "duration"))
    var keepWithin: String?

    @Option(help: ArgumentHelp("The newest of each of so many hours.", valueName: "number"))
    var keepHourly: String?

    @Option(help: ArgumentHelp("The newest of each of so many days.", valueName: "number"))
    var keepDaily: String?

    @Option(
        help: ArgumentHelp("The newest of each of so many weeks (ISO 8601).", valueName: "number"))
    var keepWeekly: String?

    @Option(help: ArgumentHelp("The newest of each of so many months.", valueName: "number"))
    var keepMonthly: String?

    @Option(help: ArgumentHelp("The newest of each of so many years.", valueName: "number"))
    var keepYearly: String?

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Those with this tag; may be repeated.", valueName: "tag"))
    var keepTag: [String] = []

    func policy() throws(CommandFailure) -> RetentionPolicy {
        let rules: [(String, String?)] = [
            ("keep-last", keepLast), ("keep-within", keepWithin), ("keep-hourly", keepHourly),
            ("keep-daily", keepDaily), ("keep-weekly", keepWeekly),
            ("keep-monthly", keepMonthly), ("keep-yearly", keepYearly),
        ]
        var policy = RetentionPolicy()
        do throws(RetentionError) {
            for (rule, value) in rules {
                if let value { try policy.add(rule, value) }
            }
            for tag in keepTag { try policy.add("keep-tag", tag) }
        } catch {
            throw CommandFailure(error)
        }
        return policy
    }
}

extension RetentionDecision {
    var report: Report {
        [
            "name": .text(snapshot.name), "volume": .text(snapshot.volume),
            "time": .time(snapshot.time.seconds, snapshot.time.nanoseconds),
            "kept": .flag(isKept), "reasons": .list(reasons.map { .text($0) }),
        ]
    }
}

extension ListedSnapshot {
    /// As far as retention looks at it.
    var retained: RetainedSnapshot {
        RetainedSnapshot(
            volume: volume, name: name,
            time: DiskTime(seconds: seconds, nanoseconds: nanoseconds), tags: tags,
            isPinned: isPinned)
    }
}

extension CommandFailure {
    /// Why rules make no sense.
    init(_ error: RetentionError) {
        func shown(_ text: String) -> String { DisplayText.escaped(text.utf8) }
        switch error {
        case .unknownRule(let rule): self.init(.usage, "\(shown(rule)) is no rule")
        case .badCount(let rule, let value):
            self.init(.usage, "--\(rule): \(shown(value)) is not a number from 0 to 1000000")
        case .badDuration(let value):
            self.init(
                .usage,
                "--keep-within: \(shown(value)) is not a number with s, m, h, d, w or y behind it")
        case .badTag(let value): self.init(.usage, "\(shown(value)) is no tag")
        case .badPrefix(let value):
            self.init(.usage, "\(shown(value)) is no beginning of snapshots' names")
        }
    }
}
