// What nobody owns is removed, and its space given back to the medium.
import Backends
import DiskFormat
import Pipeline

/// How thorough a purge is.
public struct PurgeOptions: Sendable {
    /// Packs of which at least this part is dead are rewritten: 0 rewrites all that have anything
    /// dead, 1 only deletes what is wholly dead.
    public var deadShareMin = 0.25

    public init() {}
}

/// What a purge did.
public struct PurgeReport: Equatable, Sendable {
    public var before: PackFiles
    public var after: PackFiles
    /// Chunks that nobody owned and that were given up, and their raw bytes.
    public var removedChunks: UInt64 = 0
    public var removedBytes: UInt64 = 0
    /// Packs that were rewritten, and what lived in them: chunks, and their raw bytes.
    public var rewrittenPacks: [PackID] = []
    public var movedChunks: UInt64 = 0
    public var movedBytes: UInt64 = 0
    /// Packs that ought to be rewritten and stay, since chunks in them are in use and unreadable.
    public var keptPacks: [PackID] = []
    /// Packs that ought to be rewritten and stay for want of space.
    public var packsWithoutRoom: [PackID] = []

    /// Bytes that the medium got back.
    public var freedBytes: UInt64 { before.bytes - min(before.bytes, after.bytes) }
}

extension StoreRepair {
    /// Removes chunks that nothing owns: packs that are wholly dead are deleted, mostly dead ones
    /// are rewritten first, in the order of what they give back.
    ///
    /// Each step is a checkpoint: a purge that is cut off has done what it did.
    ///
    /// - Throws: `readOnly` where the store has to be repaired first, `cancelled`, and errors of
    ///   writing. Want of space is no error: what cannot be rewritten stays, and is named.
    public static func purge(
        _ target: StoreToRepair, options: PurgeOptions = PurgeOptions(),
        monitor: RepairMonitor = RepairMonitor()
    ) throws(RepairError) -> PurgeReport {
        var session = Session(target: target, monitor: monitor)
        let before = try session.packFiles()
        try session.settle()
        var report = PurgeReport(before: before, after: before)
        try session.withStore { (store) throws(RepairError) in
            var purge = Purge(session: session, store: store, report: report)
            defer { report = purge.report }
            try purge.condemnDead()
            try purge.rewrite(deadShareMin: options.deadShareMin)
        }
        report.after = try session.packFiles()
        return report
    }
}

/// One purge of an open store whose newest commit is a checkpoint. One thread.
struct Purge {
    /// Raw bytes of chunks that are laid anew between two checkpoints: bounds memory (100 bytes for
    /// each chunk of a pack) and what an interruption has to do again.
    static let bytesPerCheckpoint: UInt64 = 1 << 30
    /// Room left on the medium beside what is to be moved: for commits and the index.
    static let spareBytes: UInt64 = 8 << 20

    let session: Session
    let store: ChunkStore
    var report: PurgeReport

    init(session: Session, store: ChunkStore, report: PurgeReport) {
        self.session = session
        self.store = store
        self.report = report
    }

    // MARK: the dead

    /// Makes checkpoints until nothing is dead any more: what dies with a condemned node takes two
    /// more, level by level, and packs without anything living one more.
    mutating func condemnDead() throws(RepairError) {
        let begin = try statistics()
        var idle = 0
        var last = begin
        // The count is the index's word alone: what goes on without chunks becoming fewer ends.
        while last.deadChunks > 0, idle < 3 {
            try session.monitor.step(
                .moving, begin.deadChunks - min(begin.deadChunks, last.deadChunks),
                begin.deadChunks)
            try session.repeatCheckpoint(store)
            let now = try statistics()
            idle = now.chunks < last.chunks ? 0 : idle + 1
            last = now
        }
        try removeEmpty()
        let end = try statistics()
        report.removedChunks += begin.chunks - min(begin.chunks, end.chunks)
        report.removedBytes += begin.uniqueBytes - min(begin.uniqueBytes, end.uniqueBytes)
    }

    /// Checkpoints that delete what is empty, when anything is.
    mutating func removeEmpty() throws(RepairError) {
        // The first may lie in a pack that the second could delete, were it not the newest.
        for _ in 0..<2 where try hasEmptyPacks() { try session.repeatCheckpoint(store) }
    }

    private func hasEmptyPacks() throws(RepairError) -> Bool {
        try packUse().contains { $0.isSealed && $0.livingBytes == 0 }
    }

    // MARK: rewriting

    /// Rewrites packs of which enough is dead.
    mutating func rewrite(deadShareMin: Double) throws(RepairError) {
        let chosen = try packUse().filter {
            $0.isSealed && !$0.isCondemned && $0.livingBytes > 0 && $0.rawBytes > $0.livingBytes
                && $0.deadShare >= deadShareMin
        }
        try rewrite(
            chosen.sorted { $0.deadShare > $1.deadShare }, givesUpUnreadable: false)
    }

    /// Empties these packs and deletes those that are empty then.
    mutating func rewrite(
        _ packs: [PackUse], givesUpUnreadable: Bool
    ) throws(RepairError) {
        let total = packs.reduce(UInt64(0)) { $0 + $1.livingBytes }
        var done: UInt64 = 0
        var batch: [PackUse] = []
        for pack in packs {
            batch.append(pack)
            if batch.reduce(0, { $0 + $1.livingBytes }) < Purge.bytesPerCheckpoint { continue }
            try rewriteBatch(batch, givesUpUnreadable, done, total)
            done += batch.reduce(0) { $0 + $1.livingBytes }
            batch = []
        }
        if !batch.isEmpty { try rewriteBatch(batch, givesUpUnreadable, done, total) }
        guard !packs.isEmpty else { return }
        let left = Set(try packUse().filter { $0.livingBytes > 0 }.map(\.id))
        for pack in packs where !report.packsWithoutRoom.contains(pack.id) {
            if left.contains(pack.id) {
                report.keptPacks.append(pack.id)
            } else {
                report.rewrittenPacks.append(pack.id)
            }
        }
    }

    /// As many of the packs as there is room for; two checkpoints, the second of which deletes.
    private mutating func rewriteBatch(
        _ batch: [PackUse], _ givesUpUnreadable: Bool, _ done: UInt64, _ total: UInt64
    ) throws(RepairError) {
        var room = try availableBytes()
        var fitting: [PackUse] = []
        for pack in batch {
            // Stored, not raw bytes: what lives is at most all that was stored.
            let need = min(pack.livingBytes, pack.validBytes) + Purge.spareBytes
            if need > room {
                report.packsWithoutRoom.append(pack.id)
            } else {
                room -= need
                fitting.append(pack)
            }
        }
        guard !fitting.isEmpty else { return }
        try session.monitor.step(.moving, done, total)
        let monitor = session.monitor
        let vacated: Vacated?
        do throws(StoreError) {
            vacated = try store.vacate(
                fitting.map(\.id), givesUpUnreadable: givesUpUnreadable,
                isCancelled: monitor.isCancelled)
        } catch {
            throw .store(error)
        }
        guard let vacated else { throw .cancelled }
        report.movedChunks += vacated.movedChunks
        report.movedBytes += vacated.movedBytes
        try session.repeatCheckpoint(store)
        try removeEmpty()
    }

    // MARK: figures

    private func packUse() throws(RepairError) -> [PackUse] {
        try session.packUse(store)
    }

    private func statistics() throws(RepairError) -> StoreStatistics {
        do throws(StoreError) {
            return try store.statistics()
        } catch {
            throw .store(error)
        }
    }

    private func availableBytes() throws(RepairError) -> UInt64 {
        do throws(StoreError) {
            return try store.space().availableBytes
        } catch {
            throw .store(error)
        }
    }
}
