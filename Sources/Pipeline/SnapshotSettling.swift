// Settling what snapshots own, step by step. See CommitApplier+Snapshots.
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex

/// Settles an index that nobody else changes meanwhile. One thread.
struct SnapshotSettling {
    /// Nodes of one step: a thousand counts, 25 ms of a large index, which a commit may have to wait for.
    static let nodesPerStep = 4

    /// Where the last step ended: nodes that cannot be read are passed over, not tried for ever.
    private var last: ChunkName?
    /// Nodes with owners that could not be read in this round.
    private(set) var unreadable: Set<ChunkName> = []
    /// Whether something stays counted that nobody owns, since what listed it could not be read.
    private(set) var hasAbandoned = false

    /// Settles some nodes. Returns how many; nil when nothing is left but what cannot be read.
    mutating func step(
        _ applier: inout CommitApplier, with reader: ChunkReader
    ) throws(StoreError) -> Int? {
        let index = applier.index
        var names: [ChunkName] = []
        while names.isEmpty {
            names = try index.unsettled(
                behind: last, limit: SnapshotSettling.nodesPerStep, except: unreadable)
            if names.isEmpty, last == nil { return nil }
            // A step lists children anywhere in the order: from the end it goes on at the beginning.
            last = names.last
        }
        var batch = MetadataBatch(reservingBytes: 1 << 16)
        let settled = try applier.settle(names, with: reader, to: &batch)
        try index.apply(batch)
        unreadable.formUnion(settled.unreadable)
        if settled.hasAbandoned { hasAbandoned = true }
        return settled.nodes
    }
}
