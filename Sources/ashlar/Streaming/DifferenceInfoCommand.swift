// `ashlar diff-info`: what a `.snap` or `.diff` file is.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Platform
import Queries
import Streams
import Trees

/// `ashlar diff-info FILE`.
struct DifferenceInfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff-info", abstract: "Tell what a .snap or .diff file is and has.",
        discussion: """
            Reads its head, its tables and its root; with --verify all of it, compared with its \
            checksums. For instance:

              ashlar diff-info --verify www.snap

            Exit codes: 3 where something in it is damaged.
            """)

    @Argument(help: "The file.")
    var file: String

    @Flag(help: "Compare all bytes with their checksums.")
    var verify = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let found: Report
        do throws(StreamFileError) {
            let stream = try StreamFile(path: file, kind: nil)
            if verify {
                Interruption.catchSignals()
                let progress = Progress("verifying", on: output)
                let total = stream.backend.byteCount
                try stream.backend.verify(
                    isCancelled: { Interruption.signal != nil },
                    onProgress: { progress.update(doneBytes: $0, totalBytes: total) })
                progress.finish()
            }
            var report = head(of: stream)
            report.fields += try contents(of: stream).fields
            if verify { report.add("verified", .flag(true)) }
            found = report
        } catch {
            throw CommandFailure(error, file: file)
        }
        try output.report(found, asJSON: json)
        try output.flush()
    }

    private func head(of stream: StreamFile) -> Report {
        let parameters = stream.state.inventory.parameters
        return [
            "file": .name(Array(file.utf8)),
            "kind": .text(stream.head.kind == .snapshot ? "snapshot" : "difference"),
            "made": .time(stream.head.time.seconds, stream.head.time.nanoseconds),
            "size": .bytes(stream.backend.byteCount),
            "content": .flag(stream.head.flags.contains(.content)),
            "hash": .text(parameters.hash.label), "chunker": .text(parameters.chunker.label),
        ]
    }

    private func contents(of stream: StreamFile) throws(StreamFileError) -> Report {
        if stream.head.kind == .difference { return try differences(of: stream) }
        let image = try stream.image(StreamFile.snapshotName)
        let statistics = try stream.volume(StreamFile.snapshotName).root.statistics
        return [
            "description": .text(image.description),
            "time": .time(image.time.seconds, image.time.nanoseconds),
            "root": .text(image.root.hexadecimal), "files": .number(statistics.files),
            "directories": .number(statistics.directories), "others": .number(statistics.others),
            "data_size": .bytes(statistics.logicalBytes),
        ]
    }

    private func differences(of stream: StreamFile) throws(StreamFileError) -> Report {
        let old = try stream.volume(StreamFile.baseName)
        let new = try stream.volume(StreamFile.targetName)
        var counts: [UInt64] = [0, 0, 0]
        do throws(TreeError) {
            var difference = try VolumeDifference(from: old, to: new)
            while let found = try difference.next() {
                counts[found.old == nil ? 0 : found.new == nil ? 1 : 2] += 1
            }
        } catch {
            throw .tree(error)
        }
        return [
            "one_way": .flag(stream.head.flags.contains(.oneWay)), "added": .number(counts[0]),
            "deleted": .number(counts[1]), "modified": .number(counts[2]),
        ]
    }
}
