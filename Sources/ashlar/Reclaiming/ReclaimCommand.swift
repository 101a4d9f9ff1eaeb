// `ashlar reclaim`: space of what was deleted goes back to the medium.
import ArgumentParser
import Console
import Control
import FileModel
import Volume

/// Gives back what nothing needs any more, also while volumes are mounted.
struct ReclaimCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reclaim",
        abstract: "Give the space of what was deleted back to the medium.",
        discussion: """
            Removes chunks that nothing owns, deletes packs that hold nothing any more, and rewrites those \
            of which enough is dead. Volumes may be in use meanwhile; the daemon of a mounted store also \
            does it by itself (mount option reclaim=SECONDS), and at once when space runs short. For \
            instance, everything that can be had, at 50 MiB a second:

              ashlar reclaim --dead-share 0.1 --rate 50M /srv/store
            """)

    @Argument(help: "The store.")
    var store: String

    @Option(
        help: ArgumentHelp(
            "Rewrite packs of which at least this part is dead, 0.01 to 1.", valueName: "share"))
    var deadShare = 0.5

    @Option(
        help: ArgumentHelp(
            "Look at so many bytes in a second at most, when rewriting.", valueName: "size"))
    var rate: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let options = try self.options()
        let path = try StoreAddress(whole: store).path
        let progress = Progress("reclaiming", on: output)
        let answer = try SpaceWork.answer(
            to: "reclaim", options.arguments, storePath: path, progress,
            here: { (live) throws(FileError) in
                try live.reclaim(
                    options, progress: { progress.update($0.text) },
                    isCancelled: { Interruption.signal != nil }
                ).answer
            }, failure: { CommandFailure(reclaiming: $0) })
        progress.finish()
        try output.report(ReclaimReport(answer).report, asJSON: json)
        try output.flush()
    }

    private func options() throws(CommandFailure) -> ReclaimOptions {
        var options = ReclaimOptions()
        guard (0.01...1).contains(deadShare) else {
            throw CommandFailure(.usage, "--dead-share: \(deadShare) is not between 0.01 and 1")
        }
        options.deadShareMin = deadShare
        options.bytesPerSecond = try SpaceWork.bytesPerSecond(rate)
        return options
    }
}

/// What the daemon of a store answers about its space.
struct ReclaimHandlers {
    let live: LiveStore

    var handlers: [String: ControlHandler] {
        let live = live
        return [
            "reclaim": { request throws(ControlError) in
                do throws(FileError) {
                    let report = try live.reclaim(
                        ReclaimOptions(request.arguments),
                        progress: { request.progress(.object(["text": .text($0.text)])) },
                        isCancelled: { request.isAbandoned })
                    return report.answer
                } catch {
                    throw CommandFailure(reclaiming: error).answer
                }
            }
        ]
    }
}

extension CommandFailure {
    init(reclaiming error: FileError) {
        switch error {
        case .busy: self.init(.busy, "space is being reclaimed already")
        case .interrupted:
            self.init(.interrupted, "ended early: what was reclaimed until then stays so")
        case .readOnly: self.init(.busy, "the store is read-only")
        default: self.init(.system, "reclaiming failed: \(error)")
        }
    }
}

extension ReclaimProgress {
    var text: String { "\(ByteSize.text(doneBytes)) of \(ByteSize.text(totalBytes))" }
}

extension ReclaimOptions {
    /// As the arguments of the control command.
    var arguments: [String: JSONValue] {
        var arguments: [String: JSONValue] = ["dead_share": .number(deadShareMin)]
        if let bytesPerSecond {
            arguments["bytes_per_second"] = .integer(Int64(clamping: bytesPerSecond))
        }
        return arguments
    }

    init(_ arguments: JSONValue) {
        self.init()
        switch arguments["dead_share"] {
        case .number(let share): deadShareMin = min(1, max(0, share))
        case .integer(let share): deadShareMin = min(1, max(0, Double(share)))
        default: break
        }
        if let rate = arguments["bytes_per_second"]?.integer, rate > 0 {
            bytesPerSecond = UInt64(rate)
        }
    }
}

extension ReclaimReport {
    var answer: JSONValue {
        .object([
            "bytes_before": .integer(Int64(clamping: bytesBefore)),
            "bytes_after": .integer(Int64(clamping: bytesAfter)),
            "removed_chunks": .integer(Int64(clamping: removedChunks)),
            "rewritten_packs": .integer(Int64(clamping: rewrittenPacks)),
            "moved_bytes": .integer(Int64(clamping: movedBytes)),
            "kept_packs": .integer(Int64(clamping: keptPacks)),
        ])
    }

    init(_ answer: JSONValue) {
        self.init()
        func number(_ key: String) -> UInt64 { UInt64(clamping: answer[key]?.integer ?? 0) }
        bytesBefore = number("bytes_before")
        bytesAfter = number("bytes_after")
        removedChunks = number("removed_chunks")
        rewrittenPacks = number("rewritten_packs")
        movedBytes = number("moved_bytes")
        keptPacks = number("kept_packs")
    }

    var report: Report {
        [
            "freed_bytes": .bytes(freedBytes), "packs_before": .bytes(bytesBefore),
            "packs_after": .bytes(bytesAfter), "removed_chunks": .number(removedChunks),
            "rewritten_packs": .number(rewrittenPacks), "moved_bytes": .bytes(movedBytes),
            "kept_packs": .number(keptPacks),
        ]
    }
}
