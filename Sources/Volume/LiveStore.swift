// A store in use: its volumes, its commits, its checkpoints.
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline
import Platform

/// What a live store tells of itself, for logs.
public enum LiveStoreEvent: Sendable {
    /// A commit or checkpoint that nobody waited for has failed.
    case commitFailed(FileError)
    case checkpointFailed(FileError)
    /// What snapshots own could not be counted: no space is given back until it is.
    case settlingFailed(FileError)
    /// Inodes without a name that a crash has left were deleted.
    case orphansRemoved(count: Int, volume: String)
    /// Space that nothing needed any more was given back to the medium.
    case reclaimed(bytes: UInt64)
    case reclaimingFailed(FileError)
    /// Packs were recompressed, and take so much less.
    case optimized(bytes: UInt64)
}

/// An open store whose volumes are in use. Owns the store: `close` ends both.
///
/// Any thread.
public final class LiveStore: Sendable {
    /// When commits and checkpoints are due.
    public struct Timing: Sendable {
        /// Seconds between commits; what is written becomes durable after at most as long.
        public var commitSeconds: Double = 5
        /// A checkpoint is due after so many changed names and inodes, or bytes of commits.
        public var checkpointChanges = 200_000
        public var checkpointBytes: UInt64 = 256 << 20
        /// Seconds between two looks for space to give back; nil: only where somebody asks for it.
        public var reclaimSeconds: Double? = 60
        /// So many dead bytes are worth the checkpoints that it takes to give them back.
        public var reclaimBytesMin: UInt64 = 32 << 20
        /// After so many seconds in which nothing was written the store is optimized; nil: only where
        /// somebody asks for it.
        public var optimizeIdleSeconds: Double?

        public init() {}
    }

    public let store: ChunkStore
    let options: VolumeOptions
    let timing: Timing
    let committer: Committer
    let drains: DrainQueue
    let space: SpaceGuard
    let onEvent: @Sendable (LiveStoreEvent) -> Void
    let open: ConditionMutex<[Volume]>
    /// Held while volumes are made, renamed or removed: one at a time.
    let administration = ConditionMutex<Void>(())
    /// Whose turn it is to reclaim or optimize.
    let spaceTurn = SpaceTurn()
    /// Packs that a reclaiming could not empty.
    let keptPacks = ConditionMutex<Set<PackID>>([])
    /// Volumes of which something could not be loaded, by number.
    let damagedClones = ConditionMutex<Set<UInt32>>([])
    let reclaimer = Reclaimer()
    let idle = ConditionMutex(IdleTime())
    let memoryKeeper: MemoryKeeper?
    /// What is mounted of the volumes.
    let views: ConditionMutex<[WeakView]> = ConditionMutex([])
    let mountedSnapshots: ConditionMutex<[WeakSnapshot]> = ConditionMutex([])
    private let clock = ConditionMutex<Clock>(Clock())
    private let ticker: ConditionMutex<PlatformThread?> = ConditionMutex(nil)

    private struct Clock {
        var isStopping = false
        var hasEnded = false
        /// Too many inodes are in memory: a commit is due, which makes them clean.
        var isPressed = false
    }

    /// Takes over an open store. Nothing is mounted by it; `volume(named:)` gives what can be.
    public init(
        _ store: ChunkStore, options: VolumeOptions, timing: Timing = Timing(),
        onEvent: @escaping @Sendable (LiveStoreEvent) -> Void = { _ in }
    ) throws(StoreError) {
        self.store = store
        self.options = options
        self.timing = timing
        self.onEvent = onEvent
        space = SpaceGuard(store: store)
        committer = Committer(space: space)
        do throws(Errno) {
            drains = try DrainQueue(
                limitBytes: options.dirtyBytesMax, workerCount: store.options.workerCount)
        } catch {
            throw .threads(code: error.rawValue)
        }
        open = ConditionMutex([])
        memoryKeeper = options.residentBytesMax.map { MemoryKeeper(limitBytes: $0) }
        let volumes = try openVolumes()
        open.withLock { $0 = volumes }
        let drains = drains
        space.setBuffered { drains.bufferedBytes + store.unappendedBytes }
        committer.setWork { [weak self] (withCheckpoint) throws(FileError) in
            guard let self else { throw .readOnly }
            return try self.performCommit(withCheckpoint: withCheckpoint)
        }
        if !store.isReadOnly, !options.isReadOnly {
            try startTicker()
            try startReclaimer()
        }
        try keepMemory()
    }

    private func openVolumes() throws(StoreError) -> [Volume] {
        try store.volumes().map { number, record throws(StoreError) in
            try openVolume(number, record)
        }
    }

    func openVolume(
        _ number: UInt32, _ record: VolumeRecord
    ) throws(StoreError) -> Volume {
        let volume = Volume(
            number: number, record: record, store: store, options: options,
            committer: committer, drains: drains)
        volume.pressure.withLock { pressure in
            pressure = { [clock] in
                clock.withLock { $0.isPressed = true }
                clock.broadcast()
            }
        }
        volume.isLoading.store(try store.origin(of: number) != nil, ordering: .releasing)
        try prepare(volume)
        return volume
    }

    /// Brings into memory what a volume needs from the beginning: its root directory, what changed
    /// since the last checkpoint, and, where it may be written, the end of its orphans.
    private func prepare(_ volume: Volume) throws(StoreError) {
        do throws(FileError) {
            try volume.withNode(RootImage.rootInode) { (_, node) throws(FileError) in
                // The kernel knows the root from the mount on, and never gives it back.
                node.lookups += 1
            }
            guard !volume.isReadOnly else { return }
            let orphans = try volume.endOrphans()
            if orphans > 0 {
                onEvent(.orphansRemoved(count: orphans, volume: volume.name))
            }
        } catch {
            throw .indexDamaged(.badValue("volume \(volume.name): \(error)"))
        }
        let changes = try store.changesSinceCheckpoint()
        volume.namespace.withLock { space in
            for change in changes where change.volumeID == volume.volumeID {
                space.changed.add(change)
            }
        }
    }

    /// The volume of that name; nil when the store has none.
    public func volume(named name: String) -> Volume? {
        open.withLock { $0.first { $0.name == name } }
    }

    public var volumeNames: [String] { open.withLock { $0.map(\.name) } }

    /// Whether the store was opened so that nothing is written.
    public var isReadOnlyByChoice: Bool { options.isReadOnly }

    /// Nobody uses the volume any more, and others may go on: what the kernel knew of it is let go,
    /// what was received is made durable.
    public func release(_ volume: Volume) throws(FileError) {
        volume.setNotifier(nil)
        if !volume.isReadOnly { volume.forgetKernel() }
        try commit()
    }

    /// Makes everything received so far durable; throws also where that is true of all but some
    /// file's content, which found no room or lies beside damage.
    public func commit() throws(FileError) {
        if let leftOut = try committer.commit() { throw leftOut }
    }

    /// Makes everything received so far durable, as `commit` does, and writes new trees and roots, so
    /// that recovery needs no earlier commit; where nothing changed since the last checkpoint, nothing
    /// is written. Operations go on meanwhile.
    public func checkpoint() throws(FileError) {
        if let leftOut = try committer.commit(checkpoint: true) { throw leftOut }
    }

    // MARK: commits

    /// One commit of all volumes; on the committer's terms: never two at a time.
    private func performCommit(withCheckpoint: Bool) throws(FileError) -> FileError? {
        if store.isReadOnly {
            try refuseUnsaved()
            return nil
        }
        let leftOut = try commitVolumes(foldsAll: false)
        guard withCheckpoint || isCheckpointDue else { return leftOut.first }
        // It tries again what was left out. Who waits for a commit is not to wait for the folding of all
        // pieces: a checkpoint that nobody has asked for repeats them, as far as a commit has room for them.
        let foldsPieces = withCheckpoint ? true : try hasTooManyPieces()
        return try checkpointVolumes(foldsPieces: foldsPieces)
    }

    /// Whether there are more pieces, of all files together, than a commit is to repeat.
    private func hasTooManyPieces() throws(FileError) -> Bool {
        var left = options.piecesRepeatedMax
        for volume in open.withLock({ $0 }) {
            try volume.scanIndex(prefix: NamespaceKey.prefix(.piece, volume.number)) { _, _ in
                left -= 1
                return left >= 0
            }
        }
        return left < 0
    }

    /// After a failure for good, what was received and not committed will never be durable: whoever
    /// asks for that is told so, each time. Where nothing is missing there is nothing to be told.
    private func refuseUnsaved() throws(FileError) {
        if open.withLock({ $0 }).contains(where: \.hasUnsaved) { throw .io }
    }

    /// - Returns: whose content is not in it, as of when this began. It stays in memory, dirty, and the
    ///   next commit tries again.
    private func commitVolumes(foldsAll: Bool) throws(FileError) -> LeftOut {
        guard !store.isReadOnly else { throw .readOnly }
        let volumes = open.withLock { $0 }
        var sections: [(volume: Volume, cut: Cut, section: VolumeSection)] = []
        for volume in volumes {
            let needsInodes = volume.needsInodes
            let cut = volume.cut()
            if cut.isEmpty, !needsInodes {
                volume.settleEmpty(cut)
                continue
            }
            CrashPoint.volumesCut.pass()
            sections.append((volume, cut, volume.section(of: cut, foldsAll: foldsAll)))
        }
        guard !sections.isEmpty else { return LeftOut() }
        CrashPoint.contentsCaptured.pass()
        if let failure = sections.lazy.compactMap(\.section.failure).first {
            for (volume, cut, section) in sections { volume.reinstate(cut, section) }
            throw failure
        }
        let draft = CommitDraft(
            volumes: sections.map(\.section.changes), time: Volume.now())
        do throws(StoreError) {
            _ = try store.commit(draft)
        } catch {
            for (volume, cut, section) in sections { volume.reinstate(cut, section) }
            throw sections[0].volume.fileError(error)
        }
        for (volume, cut, section) in sections { volume.settle(cut, section) }
        drains.trim()
        return LeftOut(
            reasons: sections.compactMap { volume, _, section in
                section.leftOut.map { (volume.volumeID, $0) }
            })
    }

    // MARK: checkpoints

    private var isCheckpointDue: Bool {
        let changes = open.withLock { $0 }.reduce(0) { $0 + $1.changedCount }
        return changes >= timing.checkpointChanges
            || store.bytesSinceCheckpoint >= timing.checkpointBytes
    }

    /// Folds pieces and writes the trees and roots. The trees are made of the index, which no
    /// other commit changes meanwhile; operations go on. On the committer's terms.
    ///
    /// - Parameters:
    ///   - foldsPieces: false leaves pieces as they are, which the commit then repeats.
    ///   - amend: may add to the draft, which is no checkpoint where nothing has changed since the last one
    ///     and it is not forced; is told what is left out.
    /// - Returns: why some file's content is not in it; nil: all are.
    func checkpointVolumes(
        _ change: VolumeListChange? = nil, isForced: Bool = false, foldsPieces: Bool = true,
        amend: (inout CommitDraft, LeftOut) throws(FileError) -> Void = { _, _ in }
    ) throws(FileError) -> FileError? {
        let volumes = open.withLock { $0 }
        if foldsPieces { for volume in volumes { try volume.touchPieced() } }
        let leftOut = try commitVolumes(foldsAll: foldsPieces)
        CrashPoint.contentsFolded.pass()
        var draft = CommitDraft(volumes: [], time: Volume.now())
        var taken: [(volume: Volume, checkpoint: VolumeCheckpoint)] = []
        var counts: [ChunkName: Int64] = [:]
        for volume in volumes where !(change?.removes(volume) ?? false) {
            guard
                let checkpoint = try volume.writeTrees(
                    counts: &counts, newName: change?.newName(of: volume))
            else { continue }
            draft.volumes.append(checkpoint.changes)
            taken.append((volume, checkpoint))
        }
        if let section = try change?.section(in: store, at: draft.time, counts: &counts) {
            draft.volumes.append(section)
        }
        // Commits that changed nothing a tree has are still a log to be replayed.
        draft.isCheckpoint =
            isForced || !draft.volumes.isEmpty || store.commitsSinceCheckpoint > 0
        try amend(&draft, leftOut)
        guard draft.isCheckpoint || !draft.snapshots.isEmpty else { return leftOut.first }
        CrashPoint.treesWritten.pass()
        draft.nodeCounts = counts.filter { $0.value != 0 }.sorted { $0.key < $1.key }
            .map { CountChange(name: $0.key, change: $0.value) }
        do throws(StoreError) {
            _ = try store.commit(draft)
        } catch {
            throw posixError(error)
        }
        for (volume, checkpoint) in taken { volume.settle(checkpoint) }
        if let change { try settle(change) }
        return leftOut.first
    }

    // MARK: the clock

    private static let breathNanoseconds: UInt64 = 10_000_000

    private func startTicker() throws(StoreError) {
        do throws(Errno) {
            let thread = try PlatformThread(name: "commit") { [weak self, clock, timing] in
                let interval = UInt64(max(0.05, timing.commitSeconds) * 1e9)
                while true {
                    let isStopping = clock.wait(
                        deadlineNanoseconds: monotonicNanoseconds() + interval,
                        until: { $0.isStopping || $0.isPressed }
                    ) { state, _ in
                        state.isPressed = false
                        return state.isStopping
                    }
                    guard !isStopping, let self else { return }
                    self.tick()
                    self.settleSnapshots(until: monotonicNanoseconds() + interval)
                    self.loadClones(until: monotonicNanoseconds() + interval)
                    // Many small commits in a row would be no help.
                    sleepNanoseconds(LiveStore.breathNanoseconds)
                }
            }
            ticker.withLock { $0 = thread }
        } catch {
            throw .threads(code: error.rawValue)
        }
    }

    private func tick() {
        do throws(FileError) {
            try commit()
        } catch {
            onEvent(.commitFailed(error))
        }
        for volume in open.withLock({ $0 }) {
            volume.resumeReducing()
            volume.askKernelToForget()
        }
    }

    /// Counts what snapshots own, and lets go what deleted ones owned, until the next commit is due.
    private func settleSnapshots(until due: UInt64) {
        while monotonicNanoseconds() < due, !clock.withLock({ $0.isStopping || $0.isPressed }) {
            do throws(StoreError) {
                guard try store.settleSnapshots() != nil else { return }
            } catch {
                onEvent(.settlingFailed(posixError(error)))
                return
            }
        }
    }

    /// Loads what of clones still holds on to snapshots that are gone, until the next commit is due.
    private func loadClones(until due: UInt64) {
        do throws(FileError) {
            try loadClones {
                monotonicNanoseconds() >= due
                    || self.clock.withLock { $0.isStopping || $0.isPressed }
            }
        } catch {
            onEvent(.settlingFailed(error))
        }
    }

    private func stopTicker() {
        clock.withLock { $0.isStopping = true }
        clock.broadcast()
        let thread = ticker.withLock { $0.take() }
        thread?.join()
    }

    /// Settles what takes no time that anybody notices; the rest waits for the next use.
    private func settleSome() throws(FileError) {
        let due = monotonicNanoseconds() + LiveStore.settlingAtEndNanoseconds
        do throws(StoreError) {
            while monotonicNanoseconds() < due {
                guard try store.settleSnapshots() != nil else { return }
            }
        } catch {
            throw posixError(error)
        }
    }

    private static let settlingAtEndNanoseconds: UInt64 = 50_000_000

    /// The commit at the end: what it leaves out is lost. Space that somebody else took for a moment is
    /// therefore waited for.
    private func commitLast() throws(FileError) -> FileError? {
        var leftOut = try commitVolumes(foldsAll: false).first
        for _ in 0..<LiveStore.triesAtEndMax where leftOut == .noSpace {
            sleepNanoseconds(LiveStore.waitAtEndNanoseconds)
            leftOut = try commitVolumes(foldsAll: false).first
        }
        return leftOut
    }

    private static let triesAtEndMax = 8
    private static let waitAtEndNanoseconds: UInt64 = 250_000_000

    /// Ends the use: what was received is committed, a checkpoint is written where something changed
    /// since the last one, and the store is closed. Nobody may use the volumes any more. Idempotent.
    /// Throws where anything that was received is not durable, once all the rest is.
    public func close() throws(FileError) {
        guard
            !clock.withLock({ state in
                defer { state.hasEnded = true }
                return state.hasEnded
            })
        else { return }
        space.setShortage(nil)
        reclaimer.stop()
        stopTicker()
        memoryKeeper?.stop()
        var failure: FileError?
        if !store.isReadOnly, !options.isReadOnly {
            do throws(FileError) {
                for volume in open.withLock({ $0 }) { volume.forgetKernel() }
                failure = try commitLast()
                let changes = open.withLock { $0 }.reduce(0) { $0 + $1.changedCount }
                if changes > 0 || store.commitsSinceCheckpoint > 0 {
                    failure = try checkpointVolumes()
                }
                try settleSome()
            } catch {
                failure = error
            }
        } else if !options.isReadOnly {
            do throws(FileError) { try refuseUnsaved() } catch { failure = error }
        }
        committer.setWork(nil)
        drains.shutdown()
        do throws(StoreError) {
            try store.close()
        } catch {
            if failure == nil { failure = .io }
        }
        if let failure { throw failure }
    }
}
