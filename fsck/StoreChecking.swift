// One check: under the store's lock, or by the daemon that has it.
import Backends
import Checking
import Console
import Control
import Metadata
import Pipeline
import Platform

/// Runs what the command line asks for.
struct StoreChecking {
    let command: FsckCommand
    let output: Output

    /// What was found.
    ///
    /// - Throws: `busy` where the store is mounted and `-n` was not given; `interrupted`; and what
    ///   keeps the check from being done.
    func answer() throws(CommandFailure) -> CheckAnswer {
        let backend = try open()
        let lock: StoreLock
        do throws(StoreLockError) {
            lock = try StoreLock(storePath: command.store, mode: .shared)
        } catch {
            return try answerOfDaemon(CommandFailure(error, store: command.store))
        }
        defer { lock.release() }
        let notes = CheckNotes(storePath: command.store, isOutside: command.readOnly)
        var options = CheckOptions(depth: command.depth)
        if command.deep && !command.restart { options.resumeNote = notes.read() }
        let display = CheckDisplay(output, descriptor: command.progressDescriptor)
        let monitor = CheckMonitor(
            progress: { stage, done, total in display.show(stage, done, total) },
            isCancelled: { Interruption.signal != nil },
            note: { note in
                if let failure = notes.write(note) { output.detail(failure) }
            })
        let report: CheckReport
        let glance = indexGlance()
        defer { if let glance { try? glance.store.close(flushing: false) } }
        do throws(CheckingError) {
            report = try StoreCheck.run(
                backend, options: options,
                index: glance.map { IndexToCheck($0.store, lastCommit: $0.lastCommit) },
                monitor: monitor)
        } catch {
            display.finish()
            throw Self.failure(error, store: command.store)
        }
        display.finish()
        if command.deep { notes.remove() }
        return try CheckAnswer(report, isVerbose: command.verbose)
    }

    /// The index, to be compared with the packs; nil where there is none that can be opened, which is
    /// no error: the next mount makes it anew.
    private func indexGlance() -> IndexGlance? {
        try? RocksIndexProvider(path: command.store + "/index").glance(
            memoryBytes: Self.indexMemoryBytes)
    }

    private static let indexMemoryBytes = 64 << 20

    private func open() throws(CommandFailure) -> any Backend {
        let shown = DisplayText.escaped(command.store.utf8)
        let backend: DirectoryBackend
        let hasPacks: Bool
        do throws(BackendError) {
            backend = try DirectoryBackend(path: command.store, isReadOnly: true)
            hasPacks = try !backend.list(prefix: "packs/").isEmpty
        } catch {
            if case .noSuchFile = error {
                throw CommandFailure(.notFound, "\(shown): no such directory")
            }
            throw CommandFailure(error)
        }
        guard hasPacks else {
            throw CommandFailure(.notAStore, "\(shown) is not an Ashlar store: it has no packs")
        }
        return backend
    }

    static func failure(_ error: CheckingError, store: String) -> CommandFailure {
        let shown = DisplayText.escaped(store.utf8)
        return failure(error, shown)
    }

    private static func failure(_ error: CheckingError, _ store: String) -> CommandFailure {
        switch error {
        case .noStore:
            CommandFailure(
                .notAStore, "\(store) is not an Ashlar store: no pack of it is one")
        case .newerFormat:
            CommandFailure(
                .notAStore, "\(store) was made by a newer version of Ashlar",
                advice: "Check it with a program of that version.")
        case .noState:
            CommandFailure(.damaged, "\(store): no checkpoint can be read")
        case .cancelled:
            CommandFailure(
                .interrupted, "ended by a signal",
                advice: "With --deep the same command goes on where this one was.")
        case .backend(let inner): CommandFailure(inner)
        case .pack(let inner): CommandFailure(inner)
        case .hashing(let inner): CommandFailure(.system, "cannot hash: \(inner)")
        case .threads(let code): CommandFailure(.system, "no threads: errno \(code)")
        case .tree(let inner): CommandFailure(.system, "cannot read: \(inner)")
        }
    }

    // MARK: by the daemon

    /// - Parameter refusal: why this process may not check.
    private func answerOfDaemon(_ refusal: CommandFailure) throws(CommandFailure) -> CheckAnswer {
        guard refusal.kind == .busy else { throw refusal }
        guard command.readOnly else {
            var refusal = refusal
            refusal.advice = "With -n the daemon checks its store itself."
            throw refusal
        }
        let progress = Progress("checking", on: output)
        defer { progress.finish() }
        do throws(ControlError) {
            let arguments: [String: JSONValue] = [
                "depth": .text(command.depth.label), "verbose": .flag(command.verbose),
            ]
            let client = ControlClient(storePath: command.store)
            let result = try client.call("fsck", arguments, silenceNanoseconds: nil) { told in
                let done = told["done"]?.integer.flatMap { UInt64(exactly: $0) }
                let total = told["total"]?.integer.flatMap { UInt64(exactly: $0) }
                if let done { progress.update(doneBytes: done, totalBytes: total) }
            }
            return try result.decoded(as: CheckAnswer.self)
        } catch {
            throw CommandFailure(
                .system, "the store is mounted, and its daemon does not check it: \(error.words)")
        }
    }
}
