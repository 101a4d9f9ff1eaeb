// The index made anew from the packs alone.
//
// In order: the newest checkpoint whose roots can be read is found; the places of all chunks in the
// packs it lists are put into an empty index, with count 0; its volumes are walked, which writes
// names and inodes and counts what they own; so does its list of snapshots; the commits behind it are
// replayed; at last what nobody owns is taken out again, and the sums are made.
//
// Invariants:
// 1. Until the end the index says that it is being built: an opening that is cut off begins anew.
// 2. A recipe node's children are counted when it first gets an owner, as in a live index; so a
//    chunk indexed with its places alone has count 0 and is not dead (`StagedChunk.isUnwalked`).
// 3. Nothing is condemned before two more checkpoints: the rebuilt state knows one.
//
// Memory: one pack's table, the open directories of one path, and at most
// `pendingCountsMax` changes of counts (about 100 bytes each), which go to the index in sorted order.
import Backends
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex
import Packs
import Platform
import SuperChunks

/// One rebuild. One thread.
struct IndexRebuilding {
    /// Bytes of a batch before it is written.
    static let batchBytesMax = 4 << 20

    let packs: PackSet
    let shelf: PackShelf
    let reader: ChunkReader
    let tell: (@Sendable (StoreEvent) -> Void)?
    /// Why the rebuilt state must not be written on, where something of it could not be read.
    private(set) var lossReason: String?

    init(
        packs: PackSet, shelf: PackShelf, reader: ChunkReader,
        tell: (@Sendable (StoreEvent) -> Void)?
    ) {
        self.packs = packs
        self.shelf = shelf
        self.reader = reader
        self.tell = tell
    }

    /// The new index, its state, and how the log ends.
    ///
    /// - Parameter makeIndex: gives an empty index, in the place of any given before.
    /// - Throws: `noCommit` where no checkpoint can be read.
    mutating func run(
        _ makeIndex: () throws(StoreError) -> any MetadataStore
    ) throws(StoreError) -> (any MetadataStore, StateRecord, LogEnd) {
        var candidates = CheckpointSearch(packs: packs)
        while let checkpoint = try candidates.next() {
            let index = try makeIndex()
            do throws(StoreError) {
                try indexPlaces(of: checkpoint, index)
                guard try hasRoots(checkpoint, index) else {
                    try? index.close(flushing: false)
                    continue
                }
                let (state, end) = try rebuild(from: checkpoint, index)
                return (index, state, end)
            } catch {
                try? index.close(flushing: false)
                throw error
            }
        }
        throw .noCommit
    }

    private mutating func rebuild(
        from checkpoint: PackSet.FoundCommit, _ index: any MetadataStore
    ) throws(StoreError) -> (StateRecord, LogEnd) {
        var walk = RootWalk(
            index: index, reader: reader, secret: packs.parameters.secret,
            knownLost: checkpoint.commit.lostChunks, tell: tell)
        let living = checkpoint.commit.volumes.filter { !$0.isRemoved }
        for (position, section) in living.enumerated() {
            try walk.take(section, number: UInt32(position) + 1)
        }
        try walk.finish()
        CrashPoint.indexWalked.pass()
        if walk.losses > 0 {
            lossReason = "\(walk.losses) nodes of directories or recipes cannot be read"
        }
        var state = firstState(checkpoint)
        state.isIncomplete = walk.losses > 0
        var contents = IndexContents()
        for (number, record) in try index.volumes() { contents.volumes[number] = record }
        var replay = Replay(packs: packs, shelf: shelf, reader: reader)
        try takeRest(of: checkpoint, index, state, &contents)
        try settle(index, &state, contents)
        try noteLost(checkpoint.commit.lostChunks, index)
        let end = try replay.run(into: index, &state, &contents, isBuilding: true)
        try settle(index, &state, contents)
        state.totals = try sumUp(index)
        state.isBuilding = false
        state.nextPackNumber = shelf.nextNumber
        var batch = MetadataBatch()
        batch.put(StateRecord.key, state.encoded())
        try index.apply(batch)
        CrashPoint.indexRebuilt.pass()
        try index.makeDurable()
        tell?(.rebuilt(chunks: state.totals.chunks))
        return (state, end)
    }

    /// What a checkpoint has beside its roots: snapshots, rules, and, in its own sections, pieces that it
    /// could not fold, since what they lie upon cannot be read.
    private func takeRest(
        of checkpoint: PackSet.FoundCommit, _ index: any MetadataStore, _ state: StateRecord,
        _ contents: inout IndexContents
    ) throws(StoreError) {
        var commit = Commit(
            epoch: state.epoch, sequence: state.sequence, previous: state.hash,
            time: checkpoint.commit.time)
        commit.snapshots = checkpoint.commit.snapshots
        commit.rules = checkpoint.commit.rules
        for section in checkpoint.commit.volumes where !section.extents.isEmpty {
            var pieces = section
            pieces.inodes = []
            pieces.names = []
            commit.volumes.append(pieces)
        }
        guard !commit.volumes.isEmpty || !commit.snapshots.isEmpty || !commit.rules.isEmpty
        else { return }
        var applier = applier(index, state, contents)
        let applied = AppliedCommit(
            commit: commit, hash: checkpoint.hash, position: checkpoint.position)
        try index.apply(try applier.apply(applied) { $0 = state })
        contents = IndexContents(volumes: applier.volumes, snapshots: applier.snapshots)
    }

    private func applier(
        _ index: any MetadataStore, _ state: StateRecord, _ contents: IndexContents
    ) -> CommitApplier {
        CommitApplier(
            index: index, shelf: shelf, secret: packs.parameters.secret, state: state,
            volumes: contents.volumes, snapshots: contents.snapshots
        ) { [reader] (name, places) throws(StoreError) in
            try reader.children(of: name, at: places)
        }
    }

    /// Counts what snapshots own. What of them cannot be read stays unsettled, and is told.
    private func settle(
        _ index: any MetadataStore, _ state: inout StateRecord, _ contents: IndexContents
    ) throws(StoreError) {
        var settling = SnapshotSettling()
        while true {
            var applier = applier(index, state, contents)
            guard try settling.step(&applier, with: reader) != nil else { break }
            state = applier.state
        }
        for name in settling.unreadable.sorted() {
            tell?(.damagedChunk(name, "a tree node of a snapshot cannot be read"))
        }
    }

    /// Takes up what the checkpoint lists as lost: before the commits behind it, which may have laid
    /// some of it anew.
    private func noteLost(
        _ names: [ChunkName], _ index: any MetadataStore
    ) throws(StoreError) {
        var batch = MetadataBatch()
        for name in names {
            guard var record = try index.chunk(name), record.count > 0 else { continue }
            record.isDamaged = true
            batch.put(IndexKey.chunk(name), record.encoded())
            batch.put(IndexKey.lost(name), [])
        }
        try index.apply(batch)
    }

    private func firstState(_ checkpoint: PackSet.FoundCommit) -> StateRecord {
        var state = StateRecord(writer: checkpoint.position.pack.writer)
        state.isBuilding = true
        state.epoch = checkpoint.commit.epoch
        state.sequence = checkpoint.commit.sequence
        state.hash = checkpoint.hash
        state.position = checkpoint.position
        state.newest = CheckpointPlace(
            sequence: state.sequence, pack: state.position.pack, offset: state.position.offset)
        let last = packs.ids.last { $0.writer == state.writer }
        state.nextPackSequence = (last?.sequence ?? 0) + 1
        return state
    }

    // MARK: places

    /// Indexes all chunks of the packs that the checkpoint lists, up to where it vouches for them.
    private func indexPlaces(
        of checkpoint: PackSet.FoundCommit, _ index: any MetadataStore
    ) throws(StoreError) {
        for listed in checkpoint.commit.packs {
            let number = shelf.number(of: listed.pack)
            var record = PackRecord(id: listed.pack)
            record.validBytes = listed.byteCount
            if packs.sizes[listed.pack] != nil {
                try indexPlaces(of: &record, number: number, index)
            }
            var batch = MetadataBatch()
            batch.put(IndexKey.pack(number), record.encoded())
            try index.apply(batch)
        }
        let own = shelf.number(of: checkpoint.position.pack)
        var record =
            try index.pack(own) ?? PackRecord(id: checkpoint.position.pack)
        record.validBytes = max(record.validBytes, checkpoint.position.end)
        record.isSealed = try packs.isSealed(record.id)
        var batch = MetadataBatch()
        batch.put(IndexKey.pack(own), record.encoded())
        for pack in checkpoint.commit.condemnedPacks where packs.sizes[pack] != nil {
            var condemned = PackRecord(id: pack)
            condemned.isCondemned = true
            batch.put(IndexKey.pack(shelf.number(of: pack)), condemned.encoded())
        }
        try index.apply(batch)
    }

    private func indexPlaces(
        of record: inout PackRecord, number: UInt32, _ index: any MetadataStore
    ) throws(StoreError) {
        let reader: PackReader
        let contents: PackContents
        do throws(StoreError) {
            reader = try packs.reader(record.id)
            contents = try readingPack { () throws(PackError) in try reader.records() }
        } catch {
            guard error.judgement != .failed else { throw error }
            return
        }
        record.isSealed = contents.end.tail == .trailer
        // A header that is damaged tells no role.
        record.holdsCopies =
            reader.header.role == .copies || contents.entries.contains { $0.flags.contains(.copy) }
        var batch = ChunkBatch(index: index)
        for entry in contents.entries
        where entry.kindByte == RecordHeader.Kind.superChunk.rawValue {
            let bytes = DiskFormat.aligned(
                UInt64(RecordHeader.byteCount) + UInt64(entry.storedBytes))
            guard entry.offset + bytes <= record.validBytes else { break }
            let prefix: (header: RecordHeader, prefix: SuperChunkPrefix)
            do throws(PackError) {
                prefix = try reader.readPrefix(at: entry.offset)
            } catch {
                guard error.isDamage else { throw .pack(error) }
                continue
            }
            record.storedBytes += bytes
            record.superChunks += 1
            record.rawBytes += UInt64(prefix.header.rawBytes)
            let place = RecordPlace(pack: number, offset: entry.offset)
            let places = prefix.prefix.places(in: place, header: prefix.header)
            for (chunk, place) in zip(prefix.prefix.chunks, places) {
                try batch.add(chunk, place, isCopy: record.holdsCopies)
            }
        }
        try batch.write()
    }

    private func hasRoots(
        _ checkpoint: PackSet.FoundCommit, _ index: any MetadataStore
    ) throws(StoreError) -> Bool {
        for volume in checkpoint.commit.volumes where !volume.isRemoved {
            guard let root = volume.root, let record = try index.chunk(root) else { return false }
            do throws(StoreError) {
                _ = try reader.withBytes(of: root, at: record.places, domain: .tree) { $0.count }
            } catch {
                guard error.isDamageOfChunk else { throw error }
                return false
            }
        }
        return true
    }

    // MARK: the end

    /// Takes out what nobody owns and was not owned by any commit behind the checkpoint; sums up.
    private func sumUp(_ index: any MetadataStore) throws(StoreError) -> StoreTotals {
        var totals = StoreTotals()
        var living: [UInt32: UInt64] = [:]
        var from: [UInt8]? = [IndexKey.chunkPrefix]
        while let start = from {
            from = nil
            var batch = MetadataBatch()
            try index.visit([IndexKey.chunkPrefix], from: start) {
                (key, value) throws(FormatError) in
                if batch.bytes.count >= IndexRebuilding.batchBytesMax {
                    from = Array(key)
                    return false
                }
                let record = try ChunkRecord(value)
                if record.count == 0, record.deadSince == nil {
                    batch.delete(key: key)
                    return true
                }
                totals.add(record)
                for place in record.places {
                    living[place.pack, default: 0] += UInt64(record.rawBytes)
                }
                return true
            }
            try index.apply(batch)
        }
        var batch = MetadataBatch()
        for (number, pack) in try index.packs() {
            var record = pack
            record.livingBytes = living[number] ?? 0
            batch.put(IndexKey.pack(number), record.encoded())
            totals.storedBytes += pack.storedBytes
            totals.superChunks += pack.superChunks
        }
        try index.apply(batch)
        return totals
    }
}

/// Chunks on their way into an index that is being rebuilt: read, changed and written in batches.
private struct ChunkBatch {
    private static let chunksMax = 32768

    let index: any MetadataStore
    private var records: [ChunkName: ChunkRecord] = [:]

    init(index: any MetadataStore) {
        self.index = index
    }

    /// Packs come in the order of writing, so the last place is the newest; copies stand behind.
    mutating func add(
        _ chunk: SuperChunkPrefix.Chunk, _ place: ChunkPlace, isCopy: Bool
    ) throws(StoreError) {
        var record: ChunkRecord
        if let pending = records[chunk.name] {
            record = pending
        } else {
            record =
                try index.chunk(chunk.name)
                ?? ChunkRecord(
                    count: 0, rawBytes: chunk.rawBytes, domain: chunk.domain, places: [])
        }
        record.places.insert(place, at: isCopy ? record.places.count : 0)
        if record.places.count > ChunkRecord.placesMax { record.places.removeLast() }
        records[chunk.name] = record
        if records.count >= ChunkBatch.chunksMax { try write() }
    }

    mutating func write() throws(StoreError) {
        var batch = MetadataBatch()
        for (name, record) in records.sorted(by: { $0.key < $1.key }) {
            batch.put(IndexKey.chunk(name), record.encoded())
        }
        records = [:]
        try index.apply(batch)
    }
}

/// Finds checkpoints that a rebuild may begin with, newest first. One thread.
struct CheckpointSearch {
    let packs: PackSet
    private var queue: [PackID]
    private var found: [PackSet.FoundCommit] = []
    /// The highest sequence of an intact commit so far.
    private var newest: UInt64 = 0

    init(packs: PackSet) {
        self.packs = packs
        queue = packs.ids
    }

    mutating func next() throws(StoreError) -> PackSet.FoundCommit? {
        while true {
            while let candidate = found.popLast() {
                if try isDurable(candidate) { return candidate }
            }
            guard let pack = queue.popLast() else { return nil }
            try search(pack)
        }
    }

    /// All checkpoints of a pack, by rising sequence. Their bodies are read again when their turn
    /// comes: of a pack of 64 MiB that is little.
    private mutating func search(_ pack: PackID) throws(StoreError) {
        let contents: PackContents
        do throws(StoreError) {
            let reader = try packs.reader(pack)
            guard reader.header.role == .main else { return }
            contents = try readingPack { () throws(PackError) in try reader.records() }
        } catch {
            guard error.judgement != .failed else { throw error }
            return
        }
        for entry in contents.entries
        where entry.kindByte == RecordHeader.Kind.commit.rawValue {
            guard let commit = try packs.commit(in: pack, at: entry.offset) else { continue }
            newest = max(newest, commit.commit.sequence)
            if commit.commit.isCheckpoint { found.append(commit) }
        }
    }

    /// Whether the commit was durable once: its records verify, or something came after it.
    private func isDurable(_ candidate: PackSet.FoundCommit) throws(StoreError) -> Bool {
        if candidate.commit.sequence < newest { return true }
        if try packs.isSealed(candidate.position.pack) { return true }
        return try packs.verify(candidate.commit.spans) != nil
    }
}
