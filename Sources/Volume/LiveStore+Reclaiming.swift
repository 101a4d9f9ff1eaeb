// Giving space back to the medium while the volumes are in use.
//
//     deleted ─▶ dead ─(two checkpoints)─▶ condemned ─▶ packs without anything living are deleted
//                                                   └─▶ mostly dead packs: what lives in them is laid
//                                                       anew, in bounded steps, and they are deleted
//
// Every step is a checkpoint, so that a reclaiming that is cut off has done what it did. Writers wait
// for no more than they do for any checkpoint; reading what is moved is limited by a rate.
import DiskFormat
import FileModel
import Pipeline
import Platform

/// How thorough a reclaiming is, and how fast.
public struct ReclaimOptions: Equatable, Sendable {
    /// Packs of which at least this part is dead are rewritten: 0 ... 1.
    public var deadShareMin = 0.5
    /// Raw bytes looked at for moving in a second; nil: as fast as it goes.
    public var bytesPerSecond: UInt64?
    /// Ends early when somebody else wants to reclaim or optimize, with `interrupted`.
    public var givesWay = false

    public init() {}
}

/// What a reclaiming did.
public struct ReclaimReport: Equatable, Sendable {
    /// What the packs took before and afterwards, in bytes.
    public var bytesBefore: UInt64 = 0
    public var bytesAfter: UInt64 = 0
    /// Chunks that nothing owned any more.
    public var removedChunks: UInt64 = 0
    public var rewrittenPacks: UInt64 = 0
    /// Raw bytes that were laid anew.
    public var movedBytes: UInt64 = 0
    /// Packs that ought to be rewritten and stay: for want of space, or since a chunk in them is in
    /// use and unreadable.
    public var keptPacks: UInt64 = 0

    public var freedBytes: UInt64 { bytesBefore - min(bytesBefore, bytesAfter) }

    public init() {}
}

/// How far a reclaiming has come: pack bytes that were looked at, of those to be looked at.
public struct ReclaimProgress: Equatable, Sendable {
    public var doneBytes: UInt64
    public var totalBytes: UInt64
}

extension LiveStore {
    /// Rounds of checkpoints in which nothing more becomes free, before the dead are left alone.
    private static let idleRoundsMax = 3
    /// Living bytes that are moved between two checkpoints.
    static let bytesPerCheckpoint: UInt64 = 256 << 20
    /// What a pack's move takes beside what lives in it, for commits and the index: as a part of it,
    /// and at least so many bytes.
    private static let spareDivisor: UInt64 = 8
    private static let spareBytesMin: UInt64 = 128 << 10

    /// Gives back what is dead. Any thread; volumes go on.
    ///
    /// One that gives way is waited for until it has ended.
    ///
    /// - Throws: `busy` while another one runs, `interrupted` where `isCancelled` said so, and errors
    ///   of writing. Want of space is no error: what cannot be moved stays.
    public func reclaim(
        _ options: ReclaimOptions = ReclaimOptions(),
        progress: (ReclaimProgress) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws(FileError) -> ReclaimReport {
        guard !store.isReadOnly, !self.options.isReadOnly else { throw .readOnly }
        try spaceTurn.take(givesWay: options.givesWay, isCancelled)
        defer { spaceTurn.end() }
        let isCancelled = { isCancelled() || options.givesWay && self.spaceTurn.isAwaited }
        var report = ReclaimReport()
        report.bytesBefore = try packBytes()
        try settleSnapshots(isCancelled)
        try loadClones(isCancelled)
        try settleSnapshots(isCancelled)
        try condemnDead(&report, isCancelled)
        try sealDead(options)
        try rewrite(options, &report, progress, isCancelled)
        report.bytesAfter = try packBytes()
        return report
    }

    /// Whether something waits to be given back: for who looks from time to time.
    func hasReclaimable(
        _ options: ReclaimOptions, deadBytesMin: UInt64
    ) throws(FileError) -> Bool {
        do throws(StoreError) {
            if try store.statistics().deadBytes >= max(1, deadBytesMin) { return true }
            return try store.packUse().contains {
                !$0.isCondemned && $0.isSealed
                    && ($0.livingBytes == 0 || isWorthRewriting($0, options))
            }
        } catch {
            throw posixError(error)
        }
    }

    func packBytes() throws(FileError) -> UInt64 {
        do throws(StoreError) {
            return try store.packUse().reduce(0) { $0 + $1.validBytes }
        } catch {
            throw posixError(error)
        }
    }

    /// Content that finds no room is no hindrance: room is what is looked for.
    func forcedCheckpoint() throws(FileError) {
        try committer.commit { () throws(FileError) in try checkpointVolumes(isForced: true) }
    }

    /// Nothing is given up before what snapshots own is counted.
    func settleSnapshots(_ isCancelled: () -> Bool) throws(FileError) {
        while !isCancelled() {
            do throws(StoreError) {
                guard try store.settleSnapshots() != nil else { return }
            } catch {
                throw posixError(error)
            }
        }
        throw .interrupted
    }

    /// Checkpoints until nothing that is dead now is left: what dies with a condemned node takes two
    /// more, level by level, and packs without anything living one more.
    func condemnDead(
        _ report: inout ReclaimReport, _ isCancelled: () -> Bool
    ) throws(FileError) {
        var idle = 0
        var last = try dead()
        while last.chunks > 0 || last.hasEmptyPacks, idle < Self.idleRoundsMax {
            if isCancelled() { throw .interrupted }
            try forcedCheckpoint()
            let now = try dead()
            report.removedChunks += last.all - min(last.all, now.all)
            idle = now.chunks < last.chunks || now.all < last.all ? 0 : idle + 1
            last = now
        }
    }

    private func dead() throws(FileError) -> (chunks: UInt64, all: UInt64, hasEmptyPacks: Bool) {
        do throws(StoreError) {
            let figures = try store.statistics()
            let isEmpty = try store.packUse().contains { $0.isSealed && $0.livingBytes == 0 }
            return (figures.deadChunks, figures.chunks, isEmpty)
        } catch {
            throw posixError(error)
        }
    }

    // MARK: rewriting

    /// Open packs of less than this much that is dead are left alone.
    private static let openDeadBytesMin: UInt64 = 1 << 20

    /// Ends the packs that are open where enough in them is dead: only sealed ones are rewritten.
    private func sealDead(_ options: ReclaimOptions) throws(FileError) {
        do throws(StoreError) {
            let isWorthIt = try store.packUse().contains { pack in
                !pack.isSealed && pack.deadShare >= options.deadShareMin
                    && pack.rawBytes >= pack.livingBytes + Self.openDeadBytesMin
            }
            guard isWorthIt else { return }
            try store.endOpenPacks()
        } catch {
            throw posixError(error)
        }
        try forcedCheckpoint()
    }

    private func isWorthRewriting(_ pack: PackUse, _ options: ReclaimOptions) -> Bool {
        pack.isSealed && !pack.isCondemned && pack.livingBytes > 0
            && pack.rawBytes > pack.livingBytes && pack.deadShare >= options.deadShareMin
            && !keptPacks.withLock { $0.contains(pack.id) }
    }

    /// Rewrites packs in lots, as many at a time as there is room for: what one lot gives back is room
    /// for the next.
    private func rewrite(
        _ options: ReclaimOptions, _ report: inout ReclaimReport,
        _ progress: (ReclaimProgress) -> Void, _ isCancelled: () -> Bool
    ) throws(FileError) {
        var waiting: [PackUse] = []
        do throws(StoreError) {
            waiting = try store.packUse().filter { isWorthRewriting($0, options) }
        } catch {
            throw posixError(error)
        }
        // What gives back most for what it costs comes first.
        waiting.sort { $0.deadShare > $1.deadShare }
        let total = waiting.reduce(UInt64(0)) { $0 + $1.validBytes }
        var done: UInt64 = 0
        while !waiting.isEmpty {
            progress(ReclaimProgress(doneBytes: done, totalBytes: total))
            let lot = try nextLot(of: waiting)
            guard !lot.isEmpty, try rewrite(lot, options, &report, isCancelled) else { break }
            waiting.removeFirst(lot.count)
            done += lot.reduce(0) { $0 + $1.validBytes }
        }
        report.keptPacks += UInt64(waiting.count)
    }

    /// Moves what lives in these packs; checkpoints, the second of which condemns the packs and the
    /// third deletes them. False where there was no room after all.
    private func rewrite(
        _ lot: [PackUse], _ options: ReclaimOptions, _ report: inout ReclaimReport,
        _ isCancelled: () -> Bool
    ) throws(FileError) -> Bool {
        let pause = options.bytesPerSecond.map {
            UInt64(store.parameters.superChunkBytes) * 1_000_000_000 / max(1, $0)
        }
        let vacated: Vacated?
        do throws(StoreError) {
            vacated = try store.vacate(
                lot.map(\.id), findsStragglers: false,
                isCancelled: {
                    if let pause { sleepNanoseconds(pause) }
                    return isCancelled()
                })
        } catch {
            // What was laid until then is of no harm.
            guard case .noSpace = error else { throw posixError(error) }
            return false
        }
        guard let vacated else { throw .interrupted }
        report.movedBytes += vacated.movedBytes
        for _ in 0..<3 { try forcedCheckpoint() }
        try settle(lot, &report)
        return true
    }

    /// The first packs for which there is room. Half of the reserve may be used: what is moved gives
    /// back more than it takes.
    func nextLot(
        of waiting: [PackUse], livingBytesMax: UInt64 = bytesPerCheckpoint
    ) throws(FileError) -> [PackUse] {
        var room: UInt64
        do throws(StoreError) {
            let kept = try store.reserveBytes() / 2
            let available = try store.space().availableBytes
            room = available - min(available, kept)
        } catch {
            throw posixError(error)
        }
        var lot: [PackUse] = []
        var living: UInt64 = 0
        for pack in waiting where living < livingBytesMax {
            // Stored, not raw bytes: what lives is at most all that was stored.
            let stored = min(pack.livingBytes, pack.validBytes)
            let need = stored + max(stored / Self.spareDivisor, Self.spareBytesMin)
            guard need <= room else { break }
            room -= need
            living += pack.livingBytes
            lot.append(pack)
        }
        return lot
    }

    /// Packs in which something is left, which cannot be read, are not tried again by this process.
    func settle(_ packs: [PackUse], _ report: inout ReclaimReport) throws(FileError) {
        do throws(StoreError) {
            let left = Set(try store.packUse().filter { $0.livingBytes > 0 }.map(\.id))
            for pack in packs {
                if left.contains(pack.id) {
                    report.keptPacks += 1
                    keptPacks.withLock { _ = $0.insert(pack.id) }
                } else {
                    report.rewrittenPacks += 1
                }
            }
        } catch {
            throw posixError(error)
        }
    }
}
