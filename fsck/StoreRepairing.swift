// One repair, under the store's lock.
import Backends
import Checking
import Console
import Control
import DiskFormat
import Glibc
import Pipeline
import Platform
import Repair

/// What is to be done to a store beyond looking at it.
enum RepairTask: Equatable {
    case repair
    case rebuild
    case purge
    case heal([String])
}

/// Runs what the command line asks for, alone with the store.
struct StoreRepairing {
    let command: FsckCommand
    let task: RepairTask
    let output: Output

    /// What was found and done.
    ///
    /// - Throws: `busy` where the store is in use; `interrupted`; and what keeps it from being done.
    func answer() throws(CommandFailure) -> CheckAnswer {
        let target = try open()
        let lock: StoreLock
        do throws(StoreLockError) {
            lock = try StoreLock(storePath: command.store, mode: .exclusive)
        } catch {
            throw CommandFailure(error, store: command.store)
        }
        defer { lock.release() }
        let display = RepairDisplay(output)
        defer { display.finish() }
        let output = output
        let monitor = RepairMonitor(
            progress: { display.show($0, $1, $2) },
            isCancelled: { Interruption.signal != nil },
            onEvent: { output.detail("\($0)") })
        let outcome: RepairOutcome
        do throws(RepairError) {
            outcome = try run(target, monitor)
        } catch {
            throw failure(error)
        }
        display.finish()
        return try RepairAnswers.answer(outcome, isVerbose: command.verbose)
    }

    private func run(
        _ target: StoreToRepair, _ monitor: RepairMonitor
    ) throws(RepairError) -> RepairOutcome {
        switch task {
        case .repair:
            .repaired(
                try StoreRepair.repair(
                    target, options: RepairOptions(depth: command.depth), monitor: monitor))
        case .rebuild: .rebuilt(try StoreRepair.rebuild(target, monitor: monitor))
        case .purge: .purged(try StoreRepair.purge(target, monitor: monitor))
        case .heal(let paths):
            .healed(
                try StoreRepair.heal(
                    target, from: paths, depth: command.depth, monitor: monitor))
        }
    }

    private func open() throws(CommandFailure) -> StoreToRepair {
        let shown = DisplayText.escaped(command.store.utf8)
        do throws(BackendError) {
            let backend = try DirectoryBackend(
                path: command.store, isReadOnly: false, create: false)
            guard try !backend.list(prefix: "packs/").isEmpty else {
                throw BackendError.noSuchFile(name: "packs")
            }
            let index = RocksIndexProvider(path: command.store + "/index")
            return StoreToRepair(backend: backend, index: index, path: command.store)
        } catch {
            if case .noSuchFile = error {
                throw CommandFailure(
                    .notAStore, "\(shown) is not an Ashlar store: it has no packs")
            }
            throw CommandFailure(error)
        }
    }

    private func failure(_ error: RepairError) -> CommandFailure {
        let shown = DisplayText.escaped(command.store.utf8)
        switch error {
        case .checking(let inner): return StoreChecking.failure(inner, store: command.store)
        case .backend(let inner): return CommandFailure(inner)
        case .cancelled:
            return CommandFailure(
                .interrupted, "ended by a signal",
                advice: "What was done up to then is done; run the same command again.")
        case .readOnly(let reason):
            return CommandFailure(
                .damaged, "\(shown) cannot be changed: \(reason)",
                advice: "Repair it first: fsck.ashlar -y \(shown)")
        case .store(let inner): return CommandFailure(.system, "\(shown): \(inner)")
        case .index(let inner): return CommandFailure(.system, "\(shown): the index: \(inner)")
        case .volume(let inner): return CommandFailure(.system, "\(shown): \(inner)")
        }
    }
}

/// What a repair came to.
enum RepairOutcome {
    case repaired(RepairReport)
    case rebuilt(RebuildReport)
    case purged(PurgeReport)
    case healed(HealReport)
}

/// Shows how far a repair has come. One thread.
final class RepairDisplay {
    private let progress: Progress

    init(_ output: Output) {
        progress = Progress("repairing", on: output)
    }

    func show(_ stage: RepairMonitor.Stage, _ done: UInt64, _ total: UInt64) {
        progress.update(
            doneBytes: done, totalBytes: total == 0 ? nil : total, detail: stage.rawValue)
    }

    func finish() { progress.finish() }
}

/// Reports of repairs as text, JSON and fsck(8)'s exit codes.
enum RepairAnswers {
    static func answer(
        _ outcome: RepairOutcome, isVerbose: Bool
    ) throws(CommandFailure) -> CheckAnswer {
        switch outcome {
        case .repaired(let report): try answer(report, isVerbose: isVerbose)
        case .rebuilt(let report): try answer(report)
        case .purged(let report): try answer(report)
        case .healed(let report): try answer(report, isVerbose: isVerbose)
        }
    }

    static func answer(
        _ report: RepairReport, isVerbose: Bool
    ) throws(CommandFailure) -> CheckAnswer {
        let after = try CheckAnswer(report.after, isVerbose: isVerbose)
        var lines: [String] = []
        for action in report.actions { lines += self.lines(action, isVerbose: isVerbose) }
        lines += after.lines
        var code = after.exitCode
        if report.hadErrors, !report.actions.isEmpty { code |= CheckExitCode.corrected.rawValue }
        let json: Report = [
            "exit_code": .number(UInt64(code)),
            "actions": .list(report.actions.map { .object(object($0)) }),
            "before": .object(CheckAnswer.report(report.before)),
            "after": .object(CheckAnswer.report(report.after)),
        ]
        return CheckAnswer(lines: lines, json: try json.json(), exitCode: code)
    }

    private static func lines(_ action: RepairAction, isVerbose: Bool) -> [String] {
        var lines = ["done: \(label(action.kind)): \(DisplayText.escaped(action.detail.utf8))"]
        let shown = isVerbose ? action.paths : Array(action.paths.prefix(CheckAnswer.pathsShown))
        lines += shown.map { "    \($0.volume):\(DisplayText.escaped($0.bytes))" }
        if action.paths.count > shown.count {
            lines.append("    and \(action.paths.count - shown.count) more")
        }
        return lines
    }

    /// `packsPutAside` as `packs-put-aside`.
    private static func label(_ kind: RepairAction.Kind) -> String {
        kind.rawValue.reduce(into: "") { text, character in
            if character.isUppercase { text.append("-") }
            text.append(character.lowercased())
        }
    }

    private static func object(_ action: RepairAction) -> Report {
        [
            "kind": .text(label(action.kind)), "detail": .text(action.detail),
            "count": .number(action.count),
            "packs": .list(action.packs.map { .text($0.description) }),
            "chunks": .list(action.chunks.map { .text($0.hexadecimal) }),
            "paths": .list(
                action.paths.map {
                    .object(["volume": .text($0.volume), "path": .name($0.bytes)])
                }),
        ]
    }

    static func answer(_ report: RebuildReport) throws(CommandFailure) -> CheckAnswer {
        let code = report.readOnlyReason == nil ? 0 : CheckExitCode.errorsLeft.rawValue
        var json: Report = [
            "exit_code": .number(UInt64(code)), "chunks": .number(report.chunks),
            "unique_bytes": .bytes(report.uniqueBytes),
            "packs": .number(UInt64(report.packs.count)),
            "pack_bytes": .bytes(report.packs.bytes),
            "seconds": .ratio(Double(report.nanoseconds) / 1e9),
        ]
        if let reason = report.readOnlyReason { json.add("read_only", .text(reason)) }
        return CheckAnswer(lines: json.textLines(), json: try json.json(), exitCode: code)
    }

    static func answer(_ report: PurgeReport) throws(CommandFailure) -> CheckAnswer {
        let json: Report = [
            "exit_code": .number(0), "freed_bytes": .bytes(report.freedBytes),
            "packs_before": .number(UInt64(report.before.count)),
            "packs_after": .number(UInt64(report.after.count)),
            "bytes_before": .bytes(report.before.bytes),
            "bytes_after": .bytes(report.after.bytes),
            "removed_chunks": .number(report.removedChunks),
            "removed_bytes": .bytes(report.removedBytes),
            "rewritten_packs": .number(UInt64(report.rewrittenPacks.count)),
            "moved_bytes": .bytes(report.movedBytes),
            "kept_packs": .list(report.keptPacks.map { .text($0.description) }),
            "packs_without_room": .list(
                report.packsWithoutRoom.map { .text($0.description) }),
        ]
        return CheckAnswer(lines: json.textLines(), json: try json.json(), exitCode: 0)
    }

    static func answer(
        _ report: HealReport, isVerbose: Bool
    ) throws(CommandFailure) -> CheckAnswer {
        let after = try CheckAnswer(report.after, isVerbose: isVerbose)
        var code = after.exitCode
        if !report.healed.isEmpty { code |= CheckExitCode.corrected.rawValue }
        let json: Report = [
            "exit_code": .number(UInt64(code)),
            "healed_chunks": .number(UInt64(report.healed.count)),
            "missing_chunks": .number(UInt64(report.missing.count)),
            "missing_paths": .list(
                report.missingPaths.map {
                    .object(["volume": .text($0.volume), "path": .name($0.bytes)])
                }),
            "searched_files": .number(report.searchedFiles),
            "searched_packs": .number(report.searchedPacks),
            "searched_bytes": .bytes(report.searchedBytes),
            "unreadable_sources": .number(report.unreadableCount),
            "after": .object(CheckAnswer.report(report.after)),
        ]
        var lines = [
            "healed \(report.healed.count) chunks; \(report.missing.count) are missing still",
            "searched \(report.searchedFiles) files and \(report.searchedPacks) packs, "
                + ByteSize.text(report.searchedBytes),
        ]
        lines += report.unreadable.map { source in
            "cannot read \(DisplayText.escaped(source.path.utf8)): "
                + CommandFailure.words(Errno(rawValue: source.code))
        }
        return CheckAnswer(
            lines: lines + after.lines, json: try json.json(), exitCode: code)
    }
}
