// Chunks that are in use and known to be lost: listed by commits, kept in the index.
//
// A repair's commit adds names (`CommitDraft.lostChunks`); every checkpoint repeats all that are
// still lost, so that they outlive the index. A chunk that is laid anew leaves the list with the
// commit that vouches for it, one that is condemned with the commit that says so. What is listed
// counts as damaged: a hit on it stores it again.
import ChunkIndex
import DiskFormat
import Metadata

extension ChunkStore {
    /// Most names of one commit: 4 MiB. What is beyond stays lost, and is told as newly lost again.
    public static let lostChunksMax = 1 << 17

    /// The chunks that are known to be lost, as of the last commit, ascending.
    public func lostChunks() throws(StoreError) -> [ChunkName] {
        try index.lostChunks()
    }

    /// What a commit lists: what the draft adds, in a checkpoint also what is lost already. Nothing
    /// that the commit itself vouches for or condemns.
    func lostChunks(
        _ draft: CommitDraft, _ condemned: Condemned
    ) throws(StoreError) -> [ChunkName] {
        var names = Set(draft.lostChunks)
        if draft.isCheckpoint { names.formUnion(try index.lostChunks()) }
        guard !names.isEmpty else { return [] }
        names.subtract(condemned.chunks)
        let found = laying.withLock { state in names.filter { state.fresh[$0] != nil } }
        names.subtract(found)
        return Array(names.sorted().prefix(ChunkStore.lostChunksMax))
    }
}

extension CommitApplier {
    /// Notes what the commit lists; call when its new chunks have been taken.
    mutating func takeLost(
        _ names: [ChunkName], _ batch: inout MetadataBatch
    ) throws(StoreError) {
        for name in names {
            guard try stagedPlaces(name) != nil, chunks[name]?.isLaid == false else { continue }
            chunks[name]?.now?.isDamaged = true
            batch.put(IndexKey.lost(name), [])
        }
    }

    /// Takes those off the list that are laid anew or gone; call when all else is staged. All that
    /// are on it are marked as damaged.
    func dropFound(_ batch: inout MetadataBatch) {
        for (name, staged) in chunks
        where staged.before?.isDamaged == true && (staged.isLaid || staged.now == nil) {
            batch.delete(IndexKey.lost(name))
        }
    }
}

extension MetadataStore {
    /// The names of family 'L', ascending.
    func lostChunks() throws(StoreError) -> [ChunkName] {
        var names: [ChunkName] = []
        try visit([IndexKey.lostPrefix]) { (key, _) throws(FormatError) in
            guard let name = IndexKey.lostChunk(key) else { throw .badValue("lost key") }
            names.append(name)
            return true
        }
        return names
    }
}
