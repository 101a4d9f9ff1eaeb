// Snapshots in the index, and what they own.
//
// A snapshot owns its root; a tree node with such an owner is *kept*, and owns what it lists: nodes
// below it, content and attributes of its inodes. So a new snapshot costs the nodes that no earlier
// one has: a node that is kept already gets one more owner and is not descended into; and deleting
// one costs the nodes that only it had.
//
// That may be much at once, so it is done in steps. A kept node (`KeptRecord`) is *settled* when its
// children are counted while it has owners, and only then; those that are not are listed (family 'Q').
// A commit changes the owners of roots only. A *step* settles some of what is listed, which may list
// their children; it is an index batch of its own, and no part of the log: what it does follows from
// the index alone. In whatever order commits and steps come, repeated or left out by a crash, the
// settled state is one and the same: the counts that the living snapshots' roots make.
//
// Invariants:
// 1. While anything is unsettled, checkpoints condemn nothing: what a snapshot is to own may not be
//    counted yet.
// 2. A node is never condemned while it has owners or its children are counted.
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex

/// A kept node that a batch touches.
struct StagedKept {
    let before: KeptRecord
    var now: KeptRecord
}

extension CommitApplier {
    // MARK: commits

    /// Takes what a commit says of snapshots. A checkpoint's list is whole.
    mutating func takeSnapshots(
        of commit: Commit, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        for change in commit.snapshots {
            switch change {
            case .put(let image): try put(image, &batch)
            case .gone(let id): try remove(id, &batch)
            }
        }
        guard commit.isCheckpoint else { return }
        let listed = Set(commit.snapshots.map(\.id))
        for id in snapshots.keys where !listed.contains(id) { try remove(id, &batch) }
    }

    private mutating func put(
        _ image: SnapshotImage, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        let known = snapshots[image.id]
        guard known != image else { return }
        if known?.root != image.root {
            try keep(image.root, by: 1)
            if let known { try keep(known.root, by: -1) }
        }
        snapshots[image.id] = image
        batch.put(NamespaceKey.snapshot(image.id), image.encoded())
    }

    private mutating func remove(
        _ id: UniqueID, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        guard let known = snapshots.removeValue(forKey: id) else { return }
        try keep(known.root, by: -1)
        batch.delete(NamespaceKey.snapshot(id))
    }

    // MARK: kept nodes

    private mutating func stageKept(_ name: ChunkName) throws(StoreError) -> StagedKept {
        if let staged = kept[name] { return staged }
        let record = try index.kept(name) ?? .none
        let staged = StagedKept(before: record, now: record)
        kept[name] = staged
        return staged
    }

    /// Changes the number of a node's owners among snapshots and kept nodes.
    mutating func keep(_ name: ChunkName, by change: Int64) throws(StoreError) {
        var staged = try stageKept(name)
        // As with other counts: one at its limit stays there.
        if staged.now.owners < UInt32.max {
            staged.now.owners = UInt32(
                clamping: max(0, Int64(staged.now.owners) + change))
        }
        kept[name] = staged
        try count(name, by: change, domain: .tree)
    }

    /// Whether snapshots own the node, or its children are still counted as owned by it.
    mutating func isKept(_ name: ChunkName) throws(StoreError) -> Bool {
        try stageKept(name).now != .none
    }

    func finishKept(_ batch: inout MetadataBatch) {
        for name in kept.keys.sorted() {
            guard let staged = kept[name], staged.before != staged.now else { continue }
            if staged.now == .none {
                batch.delete(IndexKey.kept(name))
            } else {
                batch.put(IndexKey.kept(name), staged.now.encoded())
            }
            guard staged.before.isSettled != staged.now.isSettled else { continue }
            if staged.now.isSettled {
                batch.delete(IndexKey.unsettled(name))
            } else {
                batch.put(IndexKey.unsettled(name), [])
            }
        }
    }

    // MARK: steps

    /// What a step has done.
    struct Settled {
        /// Nodes whose children were counted or let go.
        var nodes = 0
        /// Nodes with owners that cannot be read: they stay unsettled.
        var unreadable: [ChunkName] = []
        /// Whether one that nobody owns any more could not be read: what it owned stays counted.
        var hasAbandoned = false
    }

    /// Settles these nodes, as far as they can be read, by an empty batch.
    ///
    /// A node that nobody owns any more and that cannot be read leaves its children's counts as they
    /// are: space is lost until the index is rebuilt, never data.
    mutating func settle(
        _ names: [ChunkName], with reader: ChunkReader, to batch: inout MetadataBatch
    ) throws(StoreError) -> Settled {
        var settled = Settled()
        for name in names {
            let record = try stageKept(name).now
            guard !record.isSettled else { continue }
            let children: [OwnedChunk]
            do throws(StoreError) {
                children = try self.children(of: name, reader)
            } catch {
                guard error.isDamageOfChunk else { throw error }
                if record.owners > 0 {
                    settled.unreadable.append(name)
                } else {
                    kept[name]?.now = .none
                    settled.hasAbandoned = true
                }
                continue
            }
            let change: Int64 = record.owners > 0 ? 1 : -1
            for child in children {
                if child.domain == .tree {
                    try keep(child.name, by: change)
                } else {
                    try count(child.name, by: change, domain: child.domain)
                }
            }
            kept[name]?.now.ownsChildren = record.owners > 0
            settled.nodes += 1
        }
        let died = state.newestSequence
        try finishChunks(died: died, laid: died, &batch)
        finishKept(&batch)
        finishPacks(&batch)
        batch.put(StateRecord.key, state.encoded())
        return settled
    }

    private mutating func children(
        of name: ChunkName, _ reader: ChunkReader
    ) throws(StoreError) -> [OwnedChunk] {
        let places = try stagedPlaces(name) ?? []
        return try reader.withBytes(of: name, at: places, domain: .tree) {
            (bytes) throws(StoreError) in
            try KeptChildren.of(name, bytes)
        }
    }
}

extension MetadataStore {
    func kept(_ name: ChunkName) throws(StoreError) -> KeptRecord? {
        try value(of: IndexKey.kept(name)) { (bytes) throws(FormatError) in
            try KeptRecord(bytes)
        }
    }

    /// All snapshots.
    func snapshots() throws(StoreError) -> [UniqueID: SnapshotImage] {
        var result: [UniqueID: SnapshotImage] = [:]
        try visit(NamespaceKey.prefix(.snapshot)) { (_, value) throws(FormatError) in
            let image = try SnapshotImage(value)
            result[image.id] = image
            return true
        }
        return result
    }

    /// Kept nodes that are not settled, behind `last`, at most `limit` of them.
    func unsettled(
        behind last: ChunkName?, limit: Int, except: Set<ChunkName> = []
    ) throws(StoreError) -> [ChunkName] {
        var names: [ChunkName] = []
        let start = last.map { IndexKey.unsettled($0) + [0] } ?? [IndexKey.unsettledPrefix]
        try visit([IndexKey.unsettledPrefix], from: start) { (key, _) throws(FormatError) in
            guard let name = IndexKey.unsettledNode(key) else { throw .badValue("unsettled key") }
            if !except.contains(name) { names.append(name) }
            return names.count < limit
        }
        return names
    }
}
