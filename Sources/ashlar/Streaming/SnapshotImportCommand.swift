// `ashlar snapshot import`: a `.snap` file becomes a snapshot of a store.
import ArgumentParser
import Checking
import Console
import Control
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
            The file has to have content. Chunks that the store has are not stored again; volumes of it \
            may be mounted. For instance:

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
        let (image, source) = try Self.open(file)
        guard let real = MountTable.realPath(file) else {
            throw CommandFailure(.notFound, "\(DisplayText.escaped(file.utf8)) is gone")
        }
        var job = StreamJob(volume: volume, name: name)
        job.tags = image.tags
        job.description = image.description
        job.file = real
        let progress = Progress("importing", on: output)
        let total = source.root.statistics.logicalBytes
        var events = StreamJob.Events()
        events.isCancelled = { Interruption.signal != nil }
        // The job tells on one thread.
        nonisolated(unsafe) let teller = progress
        events.onProgress = { counts, _ in
            teller.update(doneBytes: counts.logicalBytes, totalBytes: total)
        }
        let outcome = try job.run(onStoreAt: path, events)
        progress.finish()
        if json {
            try output.report(outcome.snapshot.report, asJSON: true)
        } else {
            output.line("made \(volume)@\(outcome.snapshot.name)")
        }
        try output.flush()
    }

    /// The snapshot in a file, which has content.
    static func open(
        _ file: String
    ) throws(CommandFailure) -> (image: SnapshotImage, volume: VolumeState) {
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
}
