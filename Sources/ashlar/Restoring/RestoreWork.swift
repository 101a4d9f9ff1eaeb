// A restore from its command to its exit code.
import Checking
import Console
import DiskFormat
import Glibc
import Platform
import Restoring
import Trees

/// Restores sources one after another.
struct RestoreWork {
    let sources: [RestoreSource]
    let destination: String
    let options: RestoreOptions
    let teller: RestoreTeller

    func run() throws {
        let isNew = try RestoreDestination.make(destination, isDryRun: options.isDryRun)
        var summaries: [RestoreSummary] = []
        var ending: RestoreError?
        for source in sources where ending == nil {
            do throws(RestoreError) {
                let restorer = try Restorer(
                    source.volume, into: destination, options: options, onEvent: teller.tell,
                    isCancelled: { Interruption.signal != nil })
                defer { summaries.append(restorer.summary) }
                try restorer.restore(
                    source.image, as: source.name, keepsAttributes: keeps(source, isNew))
                try restorer.finish()
            } catch {
                ending = error
            }
        }
        try teller.end(summaries, options, ending)
    }

    /// A directory that was there keeps its own attributes: it may be /tmp. One that an earlier run
    /// has made was given owner and mode by it, or nothing yet.
    private func keeps(_ source: RestoreSource, _ isNew: Bool) -> Bool {
        guard source.name == nil, !isNew else { return false }
        if sources.count > 1 { return true }
        var status = stat()
        guard stat(destination, &status) == 0 else { return false }
        let isUnfinished = status.st_mode & 0o7777 == 0o700 && status.st_uid == geteuid()
        let isEqual =
            status.st_uid == source.image.owner && status.st_gid == source.image.group
            && UInt32(status.st_mode) & 0o7777 == source.image.mode & 0o7777
        return !isUnfinished && !isEqual
    }
}

/// Says what a restore does, in lines or JSON.
final class RestoreTeller {
    private let output: Output
    private let destination: [UInt8]
    private let isVerbose: Bool
    private let isJSON: Bool
    private let totalBytes: UInt64?
    private let progress: Progress
    private let began = monotonicNanoseconds()
    private var names: UInt64 = 0
    private var bytes: UInt64 = 0

    init(
        output: Output, destination: String, isVerbose: Bool, isJSON: Bool, totalBytes: UInt64?
    ) {
        self.output = output
        self.destination = Array(destination.utf8)
        self.isVerbose = isVerbose
        self.isJSON = isJSON
        self.totalBytes = totalBytes
        progress = Progress("restoring", on: output)
    }

    private func full(_ path: [UInt8]) -> [UInt8] {
        if path.isEmpty { return destination }
        return destination + (destination.last == 0x2f ? [] : [0x2f]) + path
    }

    func tell(_ event: RestoreEvent) {
        switch event {
        case .done(let outcome, let path):
            names += 1
            if isVerbose, outcome != .same { line(outcome, path) }
        case .failed(let error, let path):
            let failure = CommandFailure(restoring: error, DisplayText.escaped(full(path)))
            guard isJSON else { return output.report(failure) }
            write([
                "message_type": .text("error"), "path": .name(full(path)),
                "message": .text(failure.message),
            ])
        case .progressed(let done):
            bytes = done
        }
        progress.update(
            doneBytes: bytes, totalBytes: totalBytes, detail: "\(names) names")
    }

    private func line(_ outcome: RestoreOutcome, _ path: [UInt8]) {
        guard isJSON else {
            output.bytes(Array("\(outcome.rawValue) ".utf8))
            output.name(full(path))
            return
        }
        write([
            "message_type": .text("name"), "outcome": .text(outcome.rawValue),
            "path": .name(full(path)),
        ])
    }

    private func write(_ report: Report) {
        // A closed standard output is told at the end.
        if let line = try? report.json(isCompact: true).line { output.bytes(line) }
    }

    /// The summary, and the failure that the exit code is made of.
    func end(
        _ summaries: [RestoreSummary], _ options: RestoreOptions, _ ending: RestoreError?
    ) throws {
        progress.finish()
        func sum(_ value: (RestoreSummary) -> UInt64) -> UInt64 {
            summaries.reduce(0) { $0 + value($1) }
        }
        var report: Report = isJSON ? ["message_type": .text("summary")] : [:]
        if options.isDryRun || isJSON { report.add("dry_run", .flag(options.isDryRun)) }
        for outcome in RestoreOutcome.allCases {
            report.add(outcome.rawValue, .number(sum { $0[outcome] }))
        }
        report.add("written_bytes", .bytes(sum(\.writtenBytes)))
        let failures = sum(\.failureCount)
        report.add("failed", .number(failures))
        for (key, value) in [
            ("with_another_owner", sum(\.otherOwnerCount)),
            ("links_copied", sum(\.copiedLinkCount)),
        ] where value > 0 || isJSON {
            report.add(key, .number(value))
        }
        let seconds = Double(monotonicNanoseconds() - began) / 1e9
        report.add("seconds", .ratio(seconds))
        if isJSON { write(report) } else { try output.report(report, asJSON: false) }
        try output.flush()
        if let ending { throw failure(ending) }
        guard failures > 0 else { return }
        let isDamaged = sum(\.damagedCount) > 0
        throw CommandFailure(
            isDamaged ? .damaged : .system, "\(failures) names could not be restored",
            advice: isDamaged
                ? "ashlar snapshot verify shows what is damaged, fsck.ashlar repairs."
                : "Put right what was told; run again, the command does only what is missing.")
    }

    private func failure(_ error: RestoreError) -> CommandFailure {
        var failure = CommandFailure(restoring: error, DisplayText.escaped(destination))
        if case .busy = error { return failure }
        failure.advice =
            "What was restored stays; run again, the command does only what is missing."
        return failure
    }
}

extension CommandFailure {
    /// Why something was not restored.
    /// Labelled: without that `CommandFailure(.busy, "…")` would mean this one, and call itself.
    init(restoring error: RestoreError, _ what: String) {
        switch error {
        case .source(let inner): self.init(tree: inner, what: what)
        case .system(let code, let call): self.init(code, "\(what): \(call)")
        case .inTheWay:
            self.init(
                .system, "\(what): something of another kind is in the way",
                advice: "Move it away; a directory and something else never replace each other.")
        case .notWhatWasWritten:
            self.init(.system, "\(what): the medium does not give back what was written")
        case .badName: self.init(.damaged, "\(what): not a name that a file can have")
        case .busy: self.init(.busy, "\(what): another restore into it is running")
        case .cancelled: self.init(.interrupted, "ended by a signal")
        }
    }
}
