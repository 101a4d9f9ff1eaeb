// Snapshots whose trees come from elsewhere, made by whoever has the store: its daemon, or this process.
import Backends
import Checking
import Console
import Control
import DiskFormat
import FileModel
import Glibc
import NamespaceIndex
import Pipeline
import Platform
import Streams
import Trees
import Volume

/// A directory to be scanned into a store, a file to be imported, or a difference to be applied to a
/// snapshot; as it goes over the socket.
struct StreamJob: Codable, Sendable {
    static let command = "stream-job"

    /// What is scanned, and how. Paths are absolute; what is opened must be the same directory.
    struct Scan: Codable, Sendable {
        var source: String
        var device: UInt64
        var inode: UInt64
        var arguments: ScanArguments.Sent
        /// What an earlier snapshot of the directory has.
        var sourceTag: String
    }

    var volume: String
    /// Of the snapshot.
    var name: String
    var description = ""
    var tags: [String] = []
    var isPinned = false
    /// One of these.
    var scan: Scan?
    var file: String?
    var difference: SnapshotApply?

    var draft: SnapshotDraft {
        var draft = SnapshotDraft(name: name)
        draft.description = description
        draft.tags = tags
        draft.isPinned = isPinned
        return draft
    }

    /// What came of it.
    struct Outcome: Codable, Sendable {
        var snapshot: ListedSnapshot
        var counts: ScanCounts
        /// What the packs have grown by, with what others have written meanwhile.
        var storedBytes: UInt64
    }

    /// What is told on the way.
    struct Events: Sendable {
        var onProgress: @Sendable (ScanCounts, _ path: [UInt8]) -> Void = { _, _ in }
        var onProblem: @Sendable (String) -> Void = { _ in }
        var isCancelled: @Sendable () -> Bool = { false }
    }

    // MARK: doing it

    /// Makes the snapshot. Volumes may be in use meanwhile; the caller has the dead kept
    /// (`ChunkStore.keepDead`), since nobody owns what is put before the snapshot does.
    func perform(in live: LiveStore, at path: String, _ events: Events) throws -> Outcome {
        guard let known = try live.store.volumes().map(\.record).first(where: { $0.name == volume })
        else { throw CommandFailure(SnapshotError.noVolume(volume), live) }
        do throws(SnapshotError) {
            try live.checkCanMake(draft, of: volume)
        } catch {
            throw CommandFailure(error, live)
        }
        let before = try Self.packBytes(live)
        do {
            let root: RootImage
            let counts: ScanCounts
            if let scan {
                (root, counts) = try perform(scan, in: live, at: path, known, events)
            } else if let difference {
                (root, counts) = try difference.perform(
                    in: live, at: path, volume: volume,
                    moreInodes: Self.moreInodes(of: volume, live), isCancelled: events.isCancelled,
                    onProgress: { events.onProgress($0, []) })
            } else {
                (root, counts) = try importFile(in: live, known, events)
            }
            let image: SnapshotImage
            do throws(SnapshotError) {
                image = try live.addSnapshot(draft, of: volume, root: root)
            } catch {
                throw CommandFailure(error, live)
            }
            let after = try Self.packBytes(live)
            return Outcome(
                snapshot: ListedSnapshot(image, volume: volume), counts: counts,
                storedBytes: after - min(before, after))
        } catch {
            // The first failure is the one to tell.
            try? live.keepChunks()
            throw error
        }
    }

    private func perform(
        _ scan: Scan, in live: LiveStore, at path: String, _ known: VolumeRecord, _ events: Events
    ) throws -> (RootImage, ScanCounts) {
        let shown = DisplayText.escaped(scan.source.utf8)
        let directory: OpenDirectory
        let facts: FileFacts
        do throws(Errno) {
            directory = try OpenDirectory(path: scan.source)
            facts = try directory.facts()
        } catch {
            throw CommandFailure(error, "cannot open \(shown)")
        }
        guard facts.device == scan.device, facts.inode == scan.inode else {
            throw CommandFailure(
                .system, "\(shown) is another directory for the process that has the store",
                advice: "It lives in another mount namespace: unmount the store first.")
        }
        var options = try scan.arguments.options()
        // Neither the store nor what is mounted of it is a part of the source.
        let mounts = try MountProgram.mounts().volumes(ofStore: path).map(\.mountpoint)
        for place in [path] + mounts {
            guard let facts = try? OpenDirectory(path: place).facts() else { continue }
            options.omitted.insert(FileIdentity(facts))
        }
        guard !options.omitted.contains(FileIdentity(facts)) else {
            throw CommandFailure(
                .usage, "\(shown) is the store itself, or a mount of it",
                advice: "Snapshots of its volumes are made without --source.")
        }
        var scanEvents = DirectoryScan.Events()
        scanEvents.onProgress = events.onProgress
        scanEvents.onProblem = { events.onProblem($0.text) }
        scanEvents.keep = { () throws(StreamError) in try Self.keep(live) }
        let work = try DirectoryScan(
            into: live.store, nextInode: try Self.nextInode(of: volume, live),
            moreInodes: Self.moreInodes(of: volume, live),
            base: try Self.base(scan.sourceTag, of: volume, in: live), options: options,
            events: scanEvents, isCancelled: events.isCancelled)
        let root = try work.run(directory, volumeID: known.volumeID, volumeName: known.name)
        return (root, work.counts)
    }

    private func importFile(
        in live: LiveStore, _ known: VolumeRecord, _ events: Events
    ) throws -> (RootImage, ScanCounts) {
        let source = try SnapshotImportCommand.open(file ?? "").volume
        let tag = tags.first { $0.hasPrefix(SourceScan.tagPrefix) }
        var work = try SnapshotImport(
            source, into: live.store, nextInode: try Self.nextInode(of: volume, live),
            moreInodes: Self.moreInodes(of: volume, live),
            base: try tag.flatMap { try Self.base($0, of: volume, in: live) })
        let root = try work.run(
            volumeID: known.volumeID, volumeName: known.name, isCancelled: events.isCancelled,
            keep: { () throws(StreamError) in try Self.keep(live) },
            onProgress: { events.onProgress($0, []) })
        return (root, work.counts)
    }

    // MARK: what is asked of the store

    /// Makes durable what was put until now.
    static func keep(_ live: LiveStore) throws(StreamError) {
        do throws(FileError) { try live.keepChunks() } catch { throw .commit(error) }
    }

    static func nextInode(of volume: String, _ live: LiveStore) throws(CommandFailure) -> UInt64 {
        do throws(SnapshotError) {
            return try live.nextInode(of: volume)
        } catch {
            throw CommandFailure(error, live)
        }
    }

    /// Numbers that the volume gives nobody else.
    private static func moreInodes(
        of volume: String, _ live: LiveStore
    ) -> (UInt64) -> Range<UInt64> {
        { live.takeInodes($0, of: volume) }
    }

    /// The newest snapshot of the same directory.
    static func base(
        _ tag: String, of volume: String, in live: LiveStore
    ) throws(CommandFailure) -> ScanBase? {
        let snapshots: [SnapshotImage]
        do throws(SnapshotError) {
            snapshots = try live.snapshots(of: volume)
        } catch {
            throw CommandFailure(error, live)
        }
        guard let known = snapshots.last(where: { $0.tags.contains(tag) }) else { return nil }
        // Without it all is read: slower, and as good.
        guard let bytes = try? live.store.bytes(of: known.root, domain: .tree),
            let root = try? bytes.withUnsafeBytes({ try RootImage($0) })
        else { return nil }
        return ScanBase(root, in: live.store)
    }

    private static func packBytes(_ live: LiveStore) throws -> UInt64 {
        try live.store.backend.list(prefix: "packs/").reduce(0) { $0 + $1.size }
    }
}

// MARK: who does it

extension StreamJob {
    /// Asks the daemon of the store, or opens the store and does it.
    func run(onStoreAt path: String, _ events: Events) throws -> Outcome {
        let client = ControlClient(storePath: path)
        if try client.isAnswered() { return try ask(client, events) }
        Interruption.catchSignals()
        let writable = try Self.open(path)
        // To the end, so that the next run finds what this one has put.
        writable.live.store.keepDead()
        do {
            let outcome = try perform(in: writable.live, at: path, events)
            try writable.close()
            return outcome
        } catch {
            // The first failure is the one to tell.
            try? writable.close()
            throw Self.failure(error, path)
        }
    }

    private static func open(_ path: String) throws -> WritableStore {
        do {
            return try WritableStore.streaming(path)
        } catch let failure as CommandFailure where failure.kind == .busy {
            throw CommandFailure(
                .busy, failure.message,
                advice:
                    "Whoever has it does not take snapshots from elsewhere: where it is mounted "
                    + "read-only, unmount it first.")
        }
    }

    /// A signal ends this process, and the daemon stops when it sees that.
    private func ask(_ client: ControlClient, _ events: Events) throws -> Outcome {
        let answer = try client.call(
            Self.command, ["job": try JSONValue(encoding: self)], silenceNanoseconds: nil
        ) { told in
            if let problem = told["problem"]?.text { events.onProblem(problem) }
            guard let sent = told["counts"], let counts = try? sent.decoded(as: ScanCounts.self)
            else { return }
            events.onProgress(counts, Array((told["path"]?.text ?? "").utf8))
        }
        return try answer.decoded(as: Outcome.self)
    }

    static func failure(_ error: any Error, _ path: String) -> any Error {
        guard let error = error as? StreamError else { return error }
        guard case .cancelled = error else { return CommandFailure(error, store: path) }
        return CommandFailure(
            .interrupted, "ended by a signal: no snapshot was made",
            advice: "What was read is kept in the store; the same command finds it there.")
    }
}

/// What the daemon of a store answers about such work.
struct StreamJobHandlers {
    /// Between two lines about how far it has come.
    private static let intervalNanoseconds: UInt64 = 100_000_000

    let live: LiveStore
    let path: String

    var handlers: [String: ControlHandler] {
        let (live, path) = (live, path)
        return [
            StreamJob.command: { request throws(ControlError) in
                guard let sent = request.arguments["job"] else {
                    throw .refused(code: FailureKind.usage.rawValue, message: "no job is given")
                }
                let job = try sent.decoded(as: StreamJob.self)
                live.store.keepDead()
                defer { live.store.letDeadGo() }
                do {
                    let outcome = try job.perform(
                        in: live, at: path, Self.events(telling: request))
                    return try JSONValue(encoding: outcome)
                } catch let error as ControlError {
                    throw error
                } catch {
                    let failure = StreamJob.failure(error, path)
                    throw CommandFailure(anyError: failure).answer
                }
            }
        ]
    }

    private static func events(telling request: ControlRequest) -> StreamJob.Events {
        let last = ConditionMutex<UInt64>(0)
        var events = StreamJob.Events()
        events.isCancelled = { request.isAbandoned }
        events.onProblem = { request.progress(.object(["problem": .text($0)])) }
        events.onProgress = { counts, path in
            let now = monotonicNanoseconds()
            let isDue = last.withLock { last in
                guard now - last >= intervalNanoseconds else { return false }
                last = now
                return true
            }
            guard isDue, let sent = try? JSONValue(encoding: counts) else { return }
            let shown = DisplayText.escaped(path)
            request.progress(.object(["counts": sent, "path": .text(shown)]))
        }
        return events
    }
}
