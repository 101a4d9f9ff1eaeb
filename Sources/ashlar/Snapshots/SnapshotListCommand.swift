// `ashlar snapshot list` and `show`.
import ArgumentParser
import Console
import Control

/// `ashlar snapshot list STORE`.
struct SnapshotListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the snapshots of a store.")

    @Argument(help: "The store.")
    var store: String

    @Option(help: ArgumentHelp("Those of this volume only.", valueName: "name"))
    var volume: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let snapshots = try Self.snapshots(of: try StoreAddress(whole: store).path, volume)
        if json {
            try output.report(
                ["snapshots": .list(snapshots.map { .object($0.report) })], asJSON: true)
        } else if !snapshots.isEmpty {
            let table = ReportTable(
                columns: ListedSnapshot.columns, rows: snapshots.map(\.row))
            try output.report(["snapshots": .table(table)], asJSON: false)
        }
        try output.flush()
    }

    /// From the daemon where one answers, else from the store's index.
    static func snapshots(of store: String, _ volume: String?) throws -> [ListedSnapshot] {
        let client = ControlClient(storePath: store)
        guard try client.isAnswered() else {
            let opened = try ReadOnlyStore.open(store)
            defer { try? opened.close() }
            return try ListedSnapshot.all(of: opened, volume: volume)
        }
        let arguments: [String: JSONValue] = volume.map { ["volume": .text($0)] } ?? [:]
        guard let list = try client.call("snapshot-list", arguments)["snapshots"] else {
            throw ControlError.badMessage("no list of snapshots")
        }
        return try list.decoded(as: [ListedSnapshot].self)
    }
}

/// `ashlar snapshot show STORE NAME`.
struct SnapshotShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show what is known of a snapshot.")

    @OptionGroup var arguments: SnapshotArguments

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let path = try StoreAddress(whole: arguments.store).path
        let all = try SnapshotListCommand.snapshots(of: path, arguments.volume)
        guard let snapshot = all.first(where: { $0.name == arguments.name }) else {
            throw CommandFailure(
                .notFound,
                "there is no snapshot \(DisplayText.escaped(arguments.name.utf8))",
                advice: "ashlar snapshot list shows those that there are.")
        }
        try output.report(snapshot.report, asJSON: arguments.json)
        try output.flush()
    }
}
