// `ashlar stream snapshot`: a directory of the machine as one file.
import ArgumentParser
import Checking
import Console
import DiskFormat
import FileModel
import Pipeline
import Platform
import Streams
import Trees
import Volume

/// `ashlar stream`.
struct StreamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream",
        abstract: "Snapshots of directories and differences of any two trees, as files.",
        discussion: """
            A .snap file is complete in itself, checksummed, and independent of any store. For instance:

              ashlar stream snapshot --source /srv/www --output www.snap --content
              ashlar snapshot import /srv/store www.snap www-1
              ashlar stream diff --base www.snap --target /srv/www --output www.diff
            """,
        subcommands: [StreamSnapshotCommand.self, StreamDifferenceCommand.self])
}

/// `ashlar stream snapshot --source DIR --output FILE.snap`.
struct StreamSnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Write a snapshot of a directory to a file.",
        discussion: """
            The file has the directory's tree and the keys of all content; with --content also the \
            content, so that any store can import it. Memory does not grow with the tree. It is made in \
            OUTPUT.partial, which is gone when the file is there; with --content what a signal leaves \
            there is found by the same command. For instance, at first and a day later:

              ashlar stream snapshot --source /srv/www --output monday.snap
              ashlar stream snapshot --source /srv/www --output tuesday.snap --base monday.snap

            Exit codes: 1 also where files could not be read, and are not in the snapshot.
            """)

    @Option(help: ArgumentHelp("The directory.", valueName: "directory"))
    var source: String

    @Option(help: ArgumentHelp("The file to be made.", valueName: "file"))
    var output: String

    @Flag(help: "Put content into the file, not its keys alone.")
    var content = false

    @Option(
        help: ArgumentHelp(
            "An earlier snapshot of the directory: what is unchanged is not read.",
            valueName: "file"))
    var base: String?

    @OptionGroup var scan: ScanArguments

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let console = Output(program: CommandRunner.programName)
        let partial = output + ".partial"
        var scan = try SourceScan(
            source, self.scan, omitting: [partial], files: [output], on: console)
        scan.keepsContent = content
        let previous = try openBase()
        Interruption.catchSignals()
        let work = try WorkStore(for: output, like: previous?.parameters)
        // It may lie in the source.
        if let facts = try? OpenDirectory(path: partial).facts() {
            scan.options.omitted.insert(FileIdentity(facts))
        }
        let counts: ScanCounts
        do {
            counts = try make(scan, in: work.live, previous)
        } catch {
            work.abandon(isKept: content)
            throw failure(error)
        }
        let head = StreamHead(
            kind: .snapshot, flags: content ? .content : [], time: WorkStore.now())
        let bytes = try work.finish(head)
        var report: Report = [
            "snapshot": .name(Array(output.utf8)), "source": .name(Array(source.utf8)),
            "content": .flag(content),
        ]
        report.fields += scan.statistics(counts, snapshotBytes: bytes).fields
        try console.report(report, asJSON: json)
        try console.flush()
        try scan.checkWhole(counts)
    }

    private func openBase() throws -> VolumeState? {
        guard let base else { return nil }
        do throws(StreamFileError) {
            return try StreamFile(path: base, kind: .snapshot).volume(StreamFile.snapshotName)
        } catch {
            throw CommandFailure(error, file: base)
        }
    }

    private func make(
        _ scan: SourceScan, in live: LiveStore, _ previous: VolumeState?
    ) throws -> ScanCounts {
        guard let volume = try live.store.volumes().first?.record else {
            throw CommandFailure(.internalError, "a store without a volume")
        }
        var base: ScanBase?
        if let previous {
            let carrier = try ChunkCarrier(from: previous, to: live.store, withData: content)
            base = ScanBase(previous.root, in: previous) { (image) throws(TreeError) in
                _ = try carrier.carry(image)
            }
        }
        let (root, counts) = try scan.run(
            into: live.store, volume: volume.volumeID, named: volume.name,
            nextInode: try live.nextInode(of: volume.name), base: base,
            keep: { () throws(StreamError) in try StreamJob.keep(live) })
        var draft = SnapshotDraft(name: StreamFile.snapshotName)
        draft.tags = [scan.tag]
        draft.description = scan.description
        _ = try live.addSnapshot(draft, of: volume.name, root: root)
        return counts
    }

    private func failure(_ error: any Error) -> any Error {
        guard let error = error as? StreamError else { return error }
        guard case .cancelled = error else { return CommandFailure(error, store: output) }
        let partial = DisplayText.escaped((output + ".partial").utf8)
        return CommandFailure(
            .interrupted, "ended by a signal: no snapshot was made",
            advice: content
                ? "What was read is kept in \(partial); the same command finds it there." : nil)
    }
}
