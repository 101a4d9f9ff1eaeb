// `ashlar history`: the versions of one path. `ashlar find-changes`: what changed, snapshot by snapshot.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Queries
import Trees

/// The snapshots of a volume in the order of their making, and the volume as it is.
struct VolumeTimeline {
    struct Moment {
        /// nil: the volume as it is.
        var snapshot: SnapshotImage?
        var view: VolumeState

        var name: String { snapshot?.name ?? "now" }
        var nameReport: ReportValue { snapshot.map { .text($0.name) } ?? .none }
        var timeReport: ReportValue {
            snapshot.map { .time($0.time.seconds, $0.time.nanoseconds) } ?? .none
        }
    }

    let state: State
    let volume: VolumeState
    let snapshots: [SnapshotImage]

    init(_ store: String, volume: String?) throws {
        var place = try StorePlace(store, volume: volume)
        guard place.address.snapshot == nil else {
            throw CommandFailure(
                .usage, "\(DisplayText.escaped(store.utf8)): a store is wanted, not a snapshot")
        }
        place.address.snapshot = nil
        let (state, view) = try StoreView(place).volume()
        self.state = state
        self.volume = view
        snapshots = state.snapshots.filter { $0.volumeID == view.id }
    }

    /// One after another, so that no more than two are in memory.
    func moment(_ position: Int) throws(CommandFailure) -> Moment {
        guard position < snapshots.count else { return Moment(view: volume) }
        let snapshot = snapshots[position]
        do throws(TreeError) {
            return Moment(snapshot: snapshot, view: try VolumeState(snapshot, in: state))
        } catch {
            throw CommandFailure(tree: error, what: "the snapshot \(snapshot.name)")
        }
    }

    /// - Throws: `notFound` where there is no such snapshot.
    func position(of name: String) throws(CommandFailure) -> Int {
        guard let position = snapshots.firstIndex(where: { $0.name == name }) else {
            throw CommandFailure(
                .notFound, "there is no snapshot \(DisplayText.escaped(name.utf8))",
                advice: "ashlar snapshot list shows those that there are.")
        }
        return position
    }
}

/// `ashlar history STORE PATH`.
struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Show the versions of a path over all snapshots.",
        discussion: """
            A line for each version, from the oldest to the newest: the first and the last snapshot \
            that have it ("now": the volume as it is), what changed, its size, time and key. Nothing but \
            the path is looked at. For instance:

              ashlar history /srv/store /etc/fstab

            Exit codes: 0 it was there at some time, 1 it never was.
            """)

    @Argument(help: "The store or a mountpoint.")
    var store: String

    @Argument(help: "A path in the volume.")
    var path: String

    @Option(
        help: ArgumentHelp("The volume; main where nothing else is mounted.", valueName: "name"))
    var volume: String?

    @Flag(help: "Only other content makes another version.")
    var content = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let timeline = try VolumeTimeline(store, volume: volume)
        let history = try history(timeline)
        guard history.versions.contains(where: { $0.image != nil }) else {
            output.message("\(DisplayText.escaped(path.utf8)): in no snapshot, nor now")
            throw ExitCode(1)
        }
        var names: [String] = timeline.snapshots.map(\.name)
        names.append("now")
        let table = ReportTable(
            columns: ["first", "last", "change", "size", "modified", "key"],
            rows: history.versions.enumerated().compactMap { index, version in
                // Before it came there is nothing to tell.
                if index == 0, version.image == nil { return nil }
                return Self.row(version, names, isFirst: index == 0)
            })
        try output.report(
            json
                ? ["path": .name(Array(path.utf8)), "versions": .table(table)]
                : ["versions": .table(table)], asJSON: json)
        try output.flush()
    }

    private func history(_ timeline: VolumeTimeline) throws -> PathHistory {
        var history = PathHistory(wanted: content ? [.kind, .content] : .all)
        var before: (view: VolumeState, image: InodeImage?)?
        for position in 0...timeline.snapshots.count {
            let view = try timeline.moment(position).view
            do throws(TreeError) {
                let image = try view.resolve(path)
                var aspects: FileDifference.Aspects = []
                if let old = before?.image, let oldView = before?.view, let image {
                    aspects = try VolumeDifference.aspects(old, in: oldView, image, in: view)
                }
                history.take(image, aspects: aspects)
                before = (view, image)
            } catch {
                throw CommandFailure(tree: error, what: DisplayText.escaped(path.utf8))
            }
        }
        return history
    }

    private static func row(
        _ version: PathHistory.Version, _ names: [String], isFirst: Bool
    ) -> [ReportValue] {
        let change =
            version.image == nil
            ? "vanished"
            : version.aspects.isEmpty
                ? (isFirst ? "there" : "appeared")
                : DifferenceCommand.words(version.aspects).joined(separator: ", ")
        let image = version.image
        return [
            .text(names[version.snapshots.lowerBound]), .text(names[version.snapshots.upperBound]),
            .text(change), image.map { .bytes($0.size) } ?? .none,
            image.map { .time($0.modificationTime.seconds, $0.modificationTime.nanoseconds) }
                ?? .none,
            image.flatMap(FileReport.key).map { .text($0) } ?? .none,
        ]
    }
}

/// `ashlar find-changes STORE [PATH]`.
struct FindChangesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find-changes",
        abstract: "Show what changed from snapshot to snapshot.",
        discussion: """
            For each snapshot, from the oldest to the newest, and at last for the volume as it is ("now"): \
            what differs from the one before, as "ashlar diff" tells it. What is equal is not opened. For \
            instance, when modules came and went since Monday:

              ashlar find-changes /srv/store /lib --since monday --pattern '*.ko'

            Exit codes: 0 something changed, 1 nothing did.
            """)

    @Argument(help: "The store or a mountpoint.")
    var store: String

    @Argument(help: "A path in the volume: only what is at or below it.")
    var path = "/"

    @Option(
        help: ArgumentHelp("The volume; main where nothing else is mounted.", valueName: "name"))
    var volume: String?

    @Option(help: ArgumentHelp("Changes after this snapshot.", valueName: "snapshot"))
    var since: String?

    @Option(help: ArgumentHelp("Changes up to this snapshot.", valueName: "snapshot"))
    var until: String?

    @OptionGroup var form: DifferenceForm
    @OptionGroup var filter: DifferenceFilter
    @OptionGroup var excludes: ExcludeArguments

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let timeline = try VolumeTimeline(store, volume: volume)
        let first = try since.map { name throws(CommandFailure) in
            try timeline.position(of: name)
        }
        let last = try until.map { name throws(CommandFailure) in
            try timeline.position(of: name)
        }
        let start = first ?? 0
        let end = last ?? timeline.snapshots.count
        let rules = try excludes.rules()
        var writer = DifferenceWriter(output: output, form: try form.chosen())
        var count = 0
        var before = try timeline.moment(start)
        writer.begin(withMoments: true)
        for position in stride(from: start + 1, through: end, by: 1) {
            let moment = try timeline.moment(position)
            let old = before.view
            do throws(TreeError) {
                var difference = try filter.differences(
                    old, moment.view, below: [path], leavingOut: rules)
                while let found = try difference.next() {
                    count += 1
                    writer.write(found, moment: moment.snapshot?.name ?? "now")
                }
            } catch {
                throw CommandFailure(tree: error, what: moment.name)
            }
            before = moment
        }
        try output.flush()
        if count == 0 { throw ExitCode(1) }
    }
}
