// The index, thrown away and made anew.
import Pipeline
import Platform

/// What a rebuild made.
public struct RebuildReport: Equatable, Sendable {
    /// Chunks that the new index knows, and their raw bytes.
    public var chunks: UInt64
    public var uniqueBytes: UInt64
    public var packs: PackFiles
    public var nanoseconds: UInt64
    /// Why the store may only be read: something that only `repair` may decide; nil where all is
    /// well.
    public var readOnlyReason: String?
}

extension StoreRepair {
    /// Throws the index away and makes it anew from the packs, as mounting does where there is
    /// none.
    ///
    /// Interrupted at any moment it leaves an index that the next opening makes anew; it is
    /// cancelled at its beginning only.
    ///
    /// - Throws: `store(notAStore)`, `store(noCommit)`, `index(busy)`, and what hinders reading.
    public static func rebuild(
        _ target: StoreToRepair, monitor: RepairMonitor = RepairMonitor()
    ) throws(RepairError) -> RebuildReport {
        var session = Session(target: target, monitor: monitor)
        let begin = monotonicNanoseconds()
        // A place without packs is refused before anything in it is touched.
        if try session.packFiles().count == 0 {
            throw .store(.notAStore(location: target.backend.location))
        }
        try monitor.step(.opening, 0, 0)
        try session.dropIndex()
        let store = try session.open()
        var reason: String?
        if case .readOnly(let why) = store.failure { reason = why }
        let statistics: StoreStatistics
        do throws(StoreError) {
            statistics = try store.statistics()
        } catch {
            try? store.close()
            throw .store(error)
        }
        try session.close(store)
        return RebuildReport(
            chunks: statistics.chunks, uniqueBytes: statistics.uniqueBytes,
            packs: try session.packFiles(), nanoseconds: monotonicNanoseconds() - begin,
            readOnlyReason: reason)
    }
}
