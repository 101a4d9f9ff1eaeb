// Making a store smaller than its writers have time to, while the volumes are in use.
//
//     packs with enough that was never recompressed ─▶ lots, as there is room ─▶ laid anew, densely
//                                                                       ─▶ checkpoints ─▶ deleted
//
// The steps of a reclaiming (LiveStore+Reclaiming.swift), and never together with one.
import FileModel
import Pipeline
import Platform

/// How hard to try, and how fast.
public struct OptimizeOptions: Equatable, Sendable {
    public var recompression = Recompression()
    /// Raw bytes read in a second; nil: as fast as it goes.
    public var bytesPerSecond: UInt64?
    /// Ends early when somebody else wants to reclaim or optimize, with `interrupted`.
    public var givesWay = false

    public init() {}
}

/// What an optimizing did.
public struct OptimizeReport: Equatable, Sendable {
    /// What the packs took before and afterwards, in bytes.
    public var bytesBefore: UInt64 = 0
    public var bytesAfter: UInt64 = 0
    public var rewrittenPacks: UInt64 = 0
    /// Raw bytes that were laid anew.
    public var movedBytes: UInt64 = 0
    /// Packs that ought to be rewritten and stay: for want of space, or since a chunk in them is in
    /// use and unreadable.
    public var keptPacks: UInt64 = 0

    public init() {}
}

extension LiveStore {
    /// Living raw bytes that are laid anew together: what resembles each other is found among them.
    private static let lotBytesMax: UInt64 = 2 << 30
    /// A pack is rewritten when at least a part of 1 / so many of its data was never recompressed.
    private static let plainShareDivisor: UInt64 = 4

    /// Recompresses what was not yet. Any thread; volumes go on.
    ///
    /// One that gives way, and a reclaiming that does, is waited for until it has ended.
    ///
    /// - Throws: `busy` while it or a reclaiming runs, `interrupted` where `isCancelled` said so, and
    ///   errors of writing. Want of space is no error: what cannot be moved stays.
    public func optimize(
        _ options: OptimizeOptions = OptimizeOptions(),
        progress: (ReclaimProgress) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws(FileError) -> OptimizeReport {
        guard !store.isReadOnly, !self.options.isReadOnly else { throw .readOnly }
        try spaceTurn.take(givesWay: options.givesWay, isCancelled)
        defer { spaceTurn.end() }
        let isCancelled = { isCancelled() || options.givesWay && self.spaceTurn.isAwaited }
        var report = OptimizeReport()
        report.bytesBefore = try packBytes()
        var reclaimed = ReclaimReport()
        // Nobody recompresses what is to be given up.
        try settleSnapshots(isCancelled)
        try condemnDead(&reclaimed, isCancelled)
        var waiting = try optimizable()
        let total = waiting.reduce(UInt64(0)) { $0 + $1.validBytes }
        var done: UInt64 = 0
        while !waiting.isEmpty {
            progress(ReclaimProgress(doneBytes: done, totalBytes: total))
            let lot = try nextLot(of: waiting, livingBytesMax: Self.lotBytesMax)
            guard !lot.isEmpty, try optimize(lot, options, &report, isCancelled) else { break }
            waiting.removeFirst(lot.count)
            done += lot.reduce(0) { $0 + $1.validBytes }
        }
        report.keptPacks += UInt64(waiting.count)
        report.bytesAfter = try packBytes()
        return report
    }

    /// Packs of which enough was never recompressed, the oldest first: those are cold, and what came
    /// together resembles each other.
    private func optimizable() throws(FileError) -> [PackUse] {
        do throws(StoreError) {
            var packs: [PackUse] = []
            for pack in try store.packUse()
            where pack.isSealed && !pack.isCondemned && !pack.holdsCopies && pack.livingBytes > 0
                && !keptPacks.withLock({ $0.contains(pack.id) })
            {
                let data = try store.dataBytes(of: pack.id)
                if data.plain > 0, data.plain >= data.all / Self.plainShareDivisor {
                    packs.append(pack)
                }
            }
            return packs
        } catch {
            throw posixError(error)
        }
    }

    /// False where there was no room after all.
    private func optimize(
        _ lot: [PackUse], _ options: OptimizeOptions, _ report: inout OptimizeReport,
        _ isCancelled: () -> Bool
    ) throws(FileError) -> Bool {
        let pause = options.bytesPerSecond.map {
            UInt64(store.parameters.superChunkBytes) * 1_000_000_000 / max(1, $0)
        }
        let vacated: Vacated?
        do throws(StoreError) {
            vacated = try store.recompress(
                lot.map(\.id), options.recompression,
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
        var settled = ReclaimReport()
        try settle(lot, &settled)
        report.rewrittenPacks += settled.rewrittenPacks
        report.keptPacks += settled.keptPacks
        return true
    }
}
