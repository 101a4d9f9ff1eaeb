// `ashlar optimize`: what was stored in haste takes less afterwards.
import ArgumentParser
import Compression
import Console
import Control
import DiskFormat
import FileModel
import Pipeline
import Volume

/// Recompresses a store, also while volumes are mounted.
struct OptimizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "optimize",
        abstract: "Recompress what was stored, so that it takes less.",
        discussion: """
            Rewrites packs: chunks that resemble each other come side by side, in larger super-chunks, \
            which are compressed with more effort. What was done so already is left alone. Volumes may be \
            in use meanwhile; the daemon of a mounted store does it by itself when nothing is written \
            (mount option optimize=SECONDS). It needs room for what is under way, and may be interrupted \
            at any time. For instance, at night and with hardly any load:

              ashlar optimize --rate 20M /srv/store
            """)

    @Argument(help: "The store.")
    var store: String

    @Option(
        help: ArgumentHelp(
            "How hard zstd shall try, 1 to 19. Above 12 it takes long and wins little.",
            valueName: "level"))
    var level = Recompression().level

    @Option(
        help: ArgumentHelp(
            "Raw bytes compressed together, and decompressed by whoever reads one of them.",
            valueName: "size"))
    var superChunkSize = "4M"

    @Option(
        help: ArgumentHelp("Compress so many super-chunks at a time.", valueName: "number"))
    var threads = Recompression().threadCount

    @Option(
        help: ArgumentHelp("Read so many raw bytes in a second at most.", valueName: "size"))
    var rate: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let options = try self.options()
        let path = try StoreAddress(whole: store).path
        let progress = Progress("optimizing", on: output)
        let answer = try SpaceWork.answer(
            to: "optimize", options.arguments, storePath: path, progress,
            here: { (live) throws(FileError) in
                try live.optimize(
                    options, progress: { progress.update($0.text) },
                    isCancelled: { Interruption.signal != nil }
                ).answer
            }, failure: { CommandFailure(optimizing: $0) })
        progress.finish()
        try output.report(OptimizeReport(answer).report, asJSON: json)
        try output.flush()
    }

    private func options() throws(CommandFailure) -> OptimizeOptions {
        var options = OptimizeOptions()
        options.recompression.level = level
        options.recompression.threadCount = threads
        let size = ByteSize.parse(superChunkSize).flatMap { UInt32(exactly: $0) }
        guard let size, StoreParameters.superChunkBytesRange.contains(size) else {
            let range = StoreParameters.superChunkBytesRange
            throw CommandFailure(
                .usage,
                "--super-chunk-size: \(DisplayText.escaped(superChunkSize.utf8)) is not a size "
                    + "between \(ByteSize.exact(UInt64(range.lowerBound))) and "
                    + ByteSize.exact(UInt64(range.upperBound)))
        }
        options.recompression.superChunkBytes = size
        guard CompressionMethod.levels.contains(level) else {
            throw CommandFailure(.usage, "--level: \(level) is not between 1 and 19")
        }
        guard options.recompression.isSane else {
            throw CommandFailure(.usage, "--threads: \(threads) is not between 1 and 256")
        }
        options.bytesPerSecond = try SpaceWork.bytesPerSecond(rate)
        return options
    }
}

/// What the daemon of a store does about its size.
struct OptimizeHandlers {
    let live: LiveStore

    var handlers: [String: ControlHandler] {
        let live = live
        return [
            "optimize": { request throws(ControlError) in
                do throws(FileError) {
                    let report = try live.optimize(
                        OptimizeOptions(request.arguments),
                        progress: { request.progress(.object(["text": .text($0.text)])) },
                        isCancelled: { request.isAbandoned })
                    return report.answer
                } catch {
                    throw CommandFailure(optimizing: error).answer
                }
            }
        ]
    }
}

extension CommandFailure {
    init(optimizing error: FileError) {
        switch error {
        case .busy: self.init(.busy, "the store is being reclaimed or optimized already")
        case .interrupted:
            self.init(.interrupted, "ended early: what was rewritten until then stays so")
        case .readOnly: self.init(.busy, "the store is read-only")
        default: self.init(.system, "optimizing failed: \(error)")
        }
    }
}

extension OptimizeOptions {
    /// As the arguments of the control command.
    var arguments: [String: JSONValue] {
        var arguments: [String: JSONValue] = [
            "level": .integer(Int64(recompression.level)),
            "super_chunk_bytes": .integer(Int64(recompression.superChunkBytes)),
            "threads": .integer(Int64(recompression.threadCount)),
        ]
        if let bytesPerSecond {
            arguments["bytes_per_second"] = .integer(Int64(clamping: bytesPerSecond))
        }
        return arguments
    }

    /// What makes no sense stays at its default.
    init(_ arguments: JSONValue) {
        self.init()
        var wanted = recompression
        if let level = arguments["level"]?.integer { wanted.level = Int(clamping: level) }
        if let bytes = arguments["super_chunk_bytes"]?.integer {
            wanted.superChunkBytes = UInt32(clamping: bytes)
        }
        if let count = arguments["threads"]?.integer { wanted.threadCount = Int(clamping: count) }
        if wanted.isSane { recompression = wanted }
        if let rate = arguments["bytes_per_second"]?.integer, rate > 0 {
            bytesPerSecond = UInt64(rate)
        }
    }
}

extension OptimizeReport {
    private var figures: [(key: String, value: UInt64)] {
        [
            ("bytes_before", bytesBefore), ("bytes_after", bytesAfter),
            ("rewritten_packs", rewrittenPacks), ("moved_bytes", movedBytes),
            ("kept_packs", keptPacks),
        ]
    }

    var answer: JSONValue {
        .object(
            Dictionary(
                uniqueKeysWithValues: figures.map { ($0.key, .integer(Int64(clamping: $0.value))) }
            ))
    }

    init(_ answer: JSONValue) {
        self.init()
        func number(_ key: String) -> UInt64 { UInt64(clamping: answer[key]?.integer ?? 0) }
        bytesBefore = number("bytes_before")
        bytesAfter = number("bytes_after")
        rewrittenPacks = number("rewritten_packs")
        movedBytes = number("moved_bytes")
        keptPacks = number("kept_packs")
    }

    var report: Report {
        [
            "packs_before": .bytes(bytesBefore), "packs_after": .bytes(bytesAfter),
            "rewritten_packs": .number(rewrittenPacks), "moved_bytes": .bytes(movedBytes),
            "kept_packs": .number(keptPacks),
        ]
    }
}
