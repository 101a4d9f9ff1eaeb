// The steps that all of this module's functions are made of: check, open, bring to a checkpoint.
import Backends
import Checking
import DiskFormat
import FileModel
import Metadata
import Pipeline
import Platform
import Volume

/// One call of one of this module's functions. One thread.
struct Session {
    /// The index's share of a check's memory: blocks that are read once.
    static let glanceBytes = 16 << 20

    let target: StoreToRepair
    let monitor: RepairMonitor
    /// Of the last commit that is known to have been durable. What is damaged of that which commits up
    /// to it vouch for is lost; behind it, such a commit is one that did not arrive.
    private(set) var durableSequence: UInt64 = 0

    init(target: StoreToRepair, monitor: RepairMonitor) {
        self.target = target
        self.monitor = monitor
    }

    mutating func noteDurable(upTo sequence: UInt64) {
        durableSequence = max(durableSequence, sequence)
    }

    // MARK: checking

    /// Checks the whole store, its index included.
    func check(_ depth: CheckDepth) throws(RepairError) -> CheckReport {
        // That it cannot even be opened is found by opening the store.
        let glance = try glance()
        defer { if let glance { try? glance.store.close(flushing: false) } }
        return try withChecking { () throws(CheckingError) in
            try StoreCheck.run(
                target.backend, options: checkOptions(depth),
                index: glance.map { IndexToCheck($0.store, lastCommit: $0.lastCommit) },
                monitor: checkMonitor)
        }
    }

    /// The index as it lies there; nil where there is none that can be read.
    private func glance() throws(RepairError) -> IndexGlance? {
        do throws(MetadataError) {
            return try target.index.glance(memoryBytes: Session.glanceBytes)
        } catch {
            guard case .damaged = error else { throw .index(error) }
            return nil
        }
    }

    /// The last commit that the index holds, which was durable before the index was told of it; nil
    /// where there is no index that says so.
    func indexedCommit() throws(RepairError) -> ChunkName? {
        guard let glance = try glance() else { return nil }
        // It was only read.
        try? glance.store.close(flushing: false)
        return glance.lastCommit.isZero ? nil : glance.lastCommit
    }

    private func checkOptions(_ depth: CheckDepth) -> CheckOptions {
        var options = CheckOptions(depth: depth)
        options.cacheBytes = target.memoryBytes / 4
        return options
    }

    var checkMonitor: CheckMonitor {
        let monitor = monitor
        return CheckMonitor(
            progress: { _, done, total in monitor.progress(.checking, done, total) },
            isCancelled: monitor.isCancelled)
    }

    func withChecking<Result>(
        _ body: () throws(CheckingError) -> Result
    ) throws(RepairError) -> Result {
        do throws(CheckingError) {
            return try body()
        } catch {
            if case .cancelled = error { throw .cancelled }
            throw .checking(error)
        }
    }

    // MARK: opening

    /// Whether there is an index that can be opened and says what it holds.
    func hasUsableIndex() throws(RepairError) -> Bool {
        try indexedCommit() != nil
    }

    /// Replaces the index by an empty one, which the next opening fills from the packs. Only where
    /// the packs have a state to fill it from: otherwise it may be all that is left.
    ///
    /// - Throws: `store(noCommit)` where they have not; the index is untouched then.
    mutating func dropIndex() throws(RepairError) {
        // With the index goes the proof that the commit was durable which it holds.
        let indexed = try indexedCommit()
        do throws(CheckingError) {
            let state = try State.open(target.backend, monitor: checkMonitor)
            if !state.unreadable.isEmpty { throw .noState }
            let durable = state.inventory.commits.last { $0.hash == indexed }
            noteDurable(upTo: durable?.sequence ?? 0)
        } catch {
            switch error {
            case .cancelled: throw .cancelled
            case .noState: throw .store(.noCommit)
            default: throw .checking(error)
            }
        }
        do throws(MetadataError) {
            try target.index.create(memoryBytes: Session.glanceBytes).close(flushing: true)
        } catch {
            throw .index(error)
        }
    }

    /// Opens the store for writing.
    func open(acceptsLosses: Bool = false) throws(RepairError) -> ChunkStore {
        try monitor.step(.opening, 0, 0)
        var options = StoreOptions()
        options.acceptsLosses = acceptsLosses
        options.durableSequence = durableSequence
        options.memoryBytes = target.memoryBytes
        options.onEvent = monitor.onEvent
        do throws(StoreError) {
            return try ChunkStore.open(target.backend, index: target.index, options: options)
        } catch {
            throw .store(error)
        }
    }

    /// Opens the store for writing, or says why it may only be read.
    func openWritable() throws(RepairError) -> ChunkStore {
        let store = try open()
        guard let failure = store.failure else { return store }
        // Nothing was written: closing has nothing to report that matters.
        try? store.close()
        if case .readOnly(let reason) = failure { throw .readOnly(reason: reason) }
        throw .store(failure)
    }

    func close(_ store: ChunkStore) throws(RepairError) {
        do throws(StoreError) {
            try store.close()
        } catch {
            throw .store(error)
        }
    }

    /// Runs `body` on the opened store and closes it, whatever happens.
    func withStore<Result>(
        _ body: (ChunkStore) throws(RepairError) -> Result
    ) throws(RepairError) -> Result {
        let store = try openWritable()
        let result: Result
        do throws(RepairError) {
            result = try body(store)
        } catch {
            // The first error is the one to report.
            try? store.close()
            throw error
        }
        try close(store)
        return result
    }

    // MARK: checkpoints

    /// Brings the store to a state in which the newest commit is a checkpoint: replays what waits,
    /// counts what snapshots own, ends inodes that an unclean end left without a name, folds, and writes the trees.
    ///
    /// - Returns: whether the index was made anew, since what a deleted snapshot owned could not be read any
    ///   more and would have stayed counted.
    @discardableResult
    mutating func settle() throws(RepairError) -> Bool {
        var store = try openSettled()
        var isAnew = false
        if store.hasAbandonedCounts {
            try close(store)
            isAnew = try dropIndexIfPossible()
            store = try openSettled()
        }
        if store.commitsSinceCheckpoint == 0 {
            try close(store)
            return isAnew
        }
        try fold(store)
        try withStore { (store) throws(RepairError) in
            // Commits that only keep inode numbers in reserve are no change of a volume.
            if store.commitsSinceCheckpoint > 0 { try repeatCheckpoint(store) }
        }
        return isAnew
    }

    /// As `dropIndex`; false where the index is all that has the state.
    private mutating func dropIndexIfPossible() throws(RepairError) -> Bool {
        do throws(RepairError) {
            try dropIndex()
            return true
        } catch {
            guard case .store(.noCommit) = error else { throw error }
            return false
        }
    }

    private func openSettled() throws(RepairError) -> ChunkStore {
        let store = try openWritable()
        do throws(RepairError) {
            try settleSnapshots(store)
        } catch {
            // The first error is the one to report.
            try? store.close()
            throw error
        }
        return store
    }

    /// Counts what snapshots own, and lets go what deleted ones owned: nothing is given up before.
    private func settleSnapshots(_ store: ChunkStore) throws(RepairError) {
        try settleKept(store)
        do throws(StoreError) {
            let volumes = try store.volumesToLoad()
            guard !volumes.isEmpty else { return }
            // Clones of snapshots that are gone hold on to everything that those had.
            for volume in volumes { _ = try store.loadEverything(of: volume) }
        } catch {
            throw .store(error)
        }
        try settleKept(store)
    }

    private func settleKept(_ store: ChunkStore) throws(RepairError) {
        var done: UInt64 = 0
        while true {
            try monitor.step(.opening, done, 0)
            do throws(StoreError) {
                guard let nodes = try store.settleSnapshots() else { return }
                done += UInt64(nodes)
            } catch {
                throw .store(error)
            }
        }
    }

    /// Uses the volumes of an open store as a mount does, and closes them and the store.
    private func fold(_ store: ChunkStore) throws(RepairError) {
        var timing = LiveStore.Timing()
        timing.commitSeconds = 3600
        let live: LiveStore
        do throws(StoreError) {
            live = try LiveStore(store, options: VolumeOptions(), timing: timing)
        } catch {
            try? store.close()
            throw .store(error)
        }
        do throws(FileError) {
            try live.close()
        } catch {
            throw .volume(error)
        }
    }

    /// A checkpoint of what the newest one has.
    @discardableResult
    func repeatCheckpoint(
        _ store: ChunkStore, lost: [ChunkName] = []
    ) throws(RepairError) -> CommitReceipt {
        do throws(StoreError) {
            return try store.repeatCheckpoint(time: Session.now(), lost: lost)
        } catch {
            throw .store(error)
        }
    }

    static func now() -> DiskTime {
        let (seconds, nanoseconds) = wallClock()
        return DiskTime(seconds: seconds, nanoseconds: nanoseconds)
    }

    // MARK: figures

    func packUse(_ store: ChunkStore) throws(RepairError) -> [PackUse] {
        do throws(StoreError) {
            return try store.packUse()
        } catch {
            throw .store(error)
        }
    }

    /// Number and bytes of the pack files that are there.
    func packFiles() throws(RepairError) -> PackFiles {
        do throws(BackendError) {
            let files = try target.backend.list(prefix: "packs/")
            return PackFiles(count: files.count, bytes: files.reduce(0) { $0 + $1.size })
        } catch {
            throw .backend(error)
        }
    }
}

/// How many pack files there are, and how many bytes they have together.
public struct PackFiles: Equatable, Sendable {
    public var count: Int
    public var bytes: UInt64
}
