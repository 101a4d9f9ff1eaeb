// Giving up what is dead: chunks at a checkpoint, their packs at a later one.
//
// A chunk that died before the checkpoint before last is in no state that recovery may come back to.
// It is *condemned* by a checkpoint's commit: listed in it, and out of the index with the batch of
// that commit. A pack in which nothing is left, and which lies before the last two checkpoints, is
// condemned by a later one, and its file removed when that is durable and the index has been flushed:
// until then an older state of the index might still point into it.
import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Packs
import Platform
import SuperChunks

/// What a checkpoint gives up.
struct Condemned {
    var chunks: [ChunkName]
    var packs: [PackID]
    /// Hits on dead chunks that the choice has aged by one checkpoint.
    var agedHits: Set<ChunkName> = []
}

extension ChunkStore {
    /// Most chunks of one commit: 2 MiB of names.
    static let condemnedChunksMax = 1 << 16

    /// Chooses what the checkpoint after `state` condemns; from now on none of it is hit.
    ///
    /// A draft that names a chunk keeps it, though its caller should have put it again by now.
    func chooseCondemned(
        _ state: StateRecord, notNamedBy draft: CommitDraft
    ) throws(StoreError) -> Condemned {
        var candidates: [ChunkName] = []
        let keepsDead = laying.withLock { $0.deadKeepers > 0 }
        if !keepsDead, let second = state.second, try mayCondemn(draft) {
            try index.visit([IndexKey.deadPrefix]) { (key, _) throws(FormatError) in
                guard let dead = IndexKey.deadChunk(key) else { throw .badValue("dead key") }
                guard dead.checkpoint <= second.sequence else { return false }
                candidates.append(dead.name)
                return candidates.count < ChunkStore.condemnedChunksMax
            }
        }
        if !candidates.isEmpty {
            let named = Set(draft.namedChunks)
            candidates.removeAll { named.contains($0) }
        }
        let packs = try emptyPacks(state)
        return laying.withLock { laying in
            let hits = laying.hitsOnDead.union(laying.earlierHitsOnDead)
            let chosen = candidates.filter { !hits.contains($0) }
            laying.condemning = Set(chosen)
            laying.condemnRound += 1
            let aged = laying.earlierHitsOnDead
            laying.earlierHitsOnDead = laying.hitsOnDead
            laying.hitsOnDead = []
            return Condemned(chunks: chosen, packs: packs, agedHits: aged)
        }
    }

    /// From now on no checkpoint gives up what nobody owns, until `letDeadGo` was called as often: for
    /// who puts for longer than from one checkpoint to the next before anything names it.
    public func keepDead() { laying.withLock { $0.deadKeepers += 1 } }

    public func letDeadGo() { laying.withLock { $0.deadKeepers -= 1 } }

    /// Whether all that snapshots own is counted. What fsck has accepted as lost does not hinder.
    private func mayCondemn(_ draft: CommitDraft) throws(StoreError) -> Bool {
        let makesSnapshot = draft.snapshots.contains { if case .put = $0 { true } else { false } }
        if makesSnapshot { return false }
        let unsettled = try index.unsettled(behind: nil, limit: ChunkStore.lostChunksMax)
        if unsettled.isEmpty { return true }
        let lost = Set(try index.lostChunks())
        return unsettled.count < ChunkStore.lostChunksMax
            && unsettled.allSatisfy { lost.contains($0) }
    }

    /// Sealed packs without living chunks that lie before the newest checkpoint, which is the last
    /// but one when this one is durable.
    private func emptyPacks(_ state: StateRecord) throws(StoreError) -> [PackID] {
        guard let newest = state.newest, state.second != nil else { return [] }
        return try index.packs().filter { _, pack in
            pack.isSealed && !pack.isCondemned && pack.livingBytes == 0
                && pack.id.writer == newest.pack.writer
                && pack.id.sequence < newest.pack.sequence
        }.map(\.record.id)
    }

    /// The commit is durable and in the index: the condemned are new when they are put again.
    func dropCondemned() {
        laying.withLock { laying in
            guard !laying.condemning.isEmpty else { return }
            laying.condemning = []
            laying.condemnRound += 1
        }
    }

    /// The commit failed: nothing was given up.
    func keepCondemned(_ condemned: Condemned) {
        laying.withLock { laying in
            laying.condemning = []
            laying.condemnRound += 1
            laying.earlierHitsOnDead.formUnion(condemned.agedHits)
        }
    }

    /// All packs that live on, with how far they are vouched for when `commit` is durable.
    func livingPacks(_ commit: Commit) throws(StoreError) -> [PackState] {
        var ends: [PackID: UInt64] = [:]
        for (_, pack) in try index.packs() where !pack.isCondemned {
            ends[pack.id] = pack.validBytes
        }
        for span in commit.spans {
            ends[span.pack] = max(ends[span.pack] ?? 0, span.range.upperBound)
        }
        for pack in commit.condemnedPacks { ends[pack] = nil }
        return ends.map { PackState(pack: $0.key, byteCount: $0.value) }
            .sorted { $0.pack < $1.pack }
    }

    /// Removes the files of condemned packs, after the index is durable with what condemned them.
    func deleteCondemned(_ committing: inout CommittingState) throws(StoreError) {
        do throws(StoreError) {
            try index.makeDurable()
        } catch {
            // On a full medium: what is condemned is deleted after a later checkpoint.
            guard case .index(.noSpace) = error else { throw error }
            return
        }
        let packs = try index.packs().filter(\.record.isCondemned)
        guard !packs.isEmpty else { return }
        CrashPoint.condemnedIndexed.pass()
        for (number, pack) in packs where !committing.deleted.contains(number) {
            do throws(BackendError) {
                try backend.removeFile(pack.id.fileName)
            } catch {
                guard case .noSuchFile = error else { throw .backend(error) }
            }
            CrashPoint.packRemoved.pass()
            shelf.remove(number)
            reader.frames.remove(pack: number)
            committing.deleted.append(number)
            tell(.deletedPack(pack.id))
        }
        do throws(BackendError) {
            try backend.synchronizeNames()
        } catch {
            throw .backend(error)
        }
    }

    // MARK: second copies

    /// Appends second copies of all metadata records that have none, to packs of their own.
    func copyMetadata() throws(StoreError) {
        try appending.withLock { (appending) throws(StoreError) in
            let records = appending.uncopied
            for (done, record) in records.enumerated() {
                do throws(StoreError) {
                    try copy(record, &appending)
                } catch {
                    appending.uncopied.removeFirst(done)
                    throw error
                }
            }
            appending.uncopied = []
        }
    }

    private func copy(
        _ record: RecordPlace, _ appending: inout AppendingState
    ) throws(StoreError) {
        let header: RecordHeader
        let body: [UInt8]
        do throws(StoreError) {
            let pack = try shelf.reader(record.pack)
            (header, body) = try readingPack { () throws(PackError) in
                try pack.readRecord(at: record.offset)
            }
        } catch {
            // Too late for a copy of what is damaged; the chunks are laid anew when they are put.
            guard error.judgement != .failed else { throw error }
            return
        }
        let copied = try body.withUnsafeBufferPointer { (buffer) throws(StoreError) in
            try appendCopy(of: UnsafeRawBufferPointer(buffer), header, &appending)
        }
        // Damaged in a frame: as above.
        guard let (prefix, place) = copied else { return }
        let copy = RecordPlace(pack: shelf.number(of: place.pack), offset: place.offset)
        for (chunk, place) in zip(prefix.chunks, prefix.places(in: copy, header: header)) {
            appending.copied.append(
                NewChunk(
                    name: chunk.name, rawBytes: chunk.rawBytes, domain: chunk.domain,
                    places: [place]))
        }
    }

    /// Appends a body as it is; nil where a frame of it is damaged, and nothing was done.
    private func appendCopy(
        of body: UnsafeRawBufferPointer, _ header: RecordHeader,
        _ appending: inout AppendingState
    ) throws(StoreError) -> (SuperChunkPrefix, (pack: PackID, offset: UInt64))? {
        guard let opener = try? SuperChunkOpener(header: header, body: body),
            opener.framesAreIntact(in: body)
        else { return nil }
        let place = try readingPack { () throws(PackError) in
            try appending.copies.append(
                PendingRecord(
                    kind: .superChunk, flags: [.metadata, .copy], parts: [body],
                    rawBytes: header.rawBytes, frameCount: header.frameCount,
                    itemCount: header.itemCount, checksum: header.bodyChecksum))
        }
        return (opener.prefix, place)
    }
}
