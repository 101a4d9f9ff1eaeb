// `ashlar snapshot import`: a `.snap` file becomes a snapshot of a store.
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

/// `ashlar snapshot import STORE FILE NAME`.
struct SnapshotImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a snapshot of a .snap file.",
        discussion: """
            The file has to have content, and the store must not be mounted. Chunks that the store has \
            are not stored again. For instance:

              ashlar snapshot import /srv/store www.snap www-1
            """)

    @Argument(help: "The store.")
    var store: String

    @Argument(help: "The file.")
    var file: String

    @Argument(help: "The snapshot's name.")
    var name: String

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let path = try StoreAddress(whole: store).path
        let (image, source) = try open()
        Interruption.catchSignals()
        let writable = try DirectorySnapshot.open(path)
        let made: SnapshotImage
        do {
            var draft = SnapshotDraft(name: name)
            draft.tags = image.tags
            draft.description = image.description
            made = try importing(source, draft, into: writable.live, output)
            try writable.close()
        } catch {
            // The first failure is the one to tell.
            try? writable.close()
            throw DirectorySnapshot.failure(error, path)
        }
        if json {
            try output.report(ListedSnapshot(made, volume: volume).report, asJSON: true)
        } else {
            output.line("made \(volume)@\(made.name)")
        }
        try output.flush()
    }

    private func open() throws -> (SnapshotImage, VolumeState) {
        do throws(StreamFileError) {
            let stream = try StreamFile(path: file, kind: .snapshot)
            guard stream.head.flags.contains(.content) else {
                throw StreamFileError.lacks("content")
            }
            return (
                try stream.image(StreamFile.snapshotName),
                try stream.volume(StreamFile.snapshotName)
            )
        } catch {
            if case .lacks("content") = error {
                throw CommandFailure(
                    .usage, "\(DisplayText.escaped(file.utf8)) has keys alone, and no content",
                    advice: "ashlar stream snapshot --content makes one that can be imported.")
            }
            throw CommandFailure(error, file: file)
        }
    }

    private func importing(
        _ source: VolumeState, _ draft: SnapshotDraft, into live: LiveStore, _ output: Output
    ) throws -> SnapshotImage {
        let snapshot = DirectorySnapshot(store: store, volume: volume, draft: draft)
        let known = try snapshot.prepare(live)
        let progress = Progress("importing", on: output)
        defer { progress.finish() }
        let tag = draft.tags.first { $0.hasPrefix(SourceScan.tagPrefix) }
        var work = try SnapshotImport(
            source, into: live.store, nextInode: try snapshot.nextInode(live),
            base: try tag.flatMap { try snapshot.base($0, in: live) })
        let total = source.root.statistics.logicalBytes
        do {
            let root = try work.run(
                volumeID: known.volumeID, volumeName: known.name,
                isCancelled: { Interruption.signal != nil },
                keep: { () throws(StreamError) in try DirectorySnapshot.keep(live) },
                onProgress: { counts in
                    progress.update(doneBytes: counts.logicalBytes, totalBytes: total)
                })
            return try snapshot.add(draft, root, to: live)
        } catch {
            try? DirectorySnapshot.keep(live)
            throw error
        }
    }
}
