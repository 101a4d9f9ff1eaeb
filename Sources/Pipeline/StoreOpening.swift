// Opening: index and packs are brought to agree, and what an unclean end left is put in order.
//
// Invariants:
// 1. A read-only opening changes neither packs nor index.
// 2. Nothing is cut or removed while anything suggests that what lies there was durable once.
// 3. The index on disk knows the next pack sequence before a pack is removed, so that no name is
//    given twice.
import Backends
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex
import Packs
import Platform
import SuperChunks

extension ChunkStore {
    /// Opens a store: replays what the index does not hold, rebuilds the index where it is of no use,
    /// and seals what an unclean end left open.
    ///
    /// A store that has lost packs, or whose log is damaged, opens read-only at its last good state,
    /// with an event that says so.
    ///
    /// Throws `notAStore`, `noCommit`, `index(.busy)`, and what hinders reading altogether.
    public static func open(
        _ backend: any Backend, index provider: any IndexProvider, options: StoreOptions
    ) throws(StoreError) -> ChunkStore {
        let packs = try PackSet(
            backend, codec: { PooledFrameCodec($0, options) },
            keptBufferBytes: options.keptBufferBytes)
        packs.durableSequence = options.durableSequence
        var opening = StoreOpening(packs: packs, provider: provider, options: options)
        let parts = try opening.run()
        do throws(StoreError) {
            return try ChunkStore(parts, backend: backend, options: options)
        } catch {
            try? parts.index.close(flushing: false)
            throw error
        }
    }
}

/// One opening of a store. One thread.
struct StoreOpening {
    let packs: PackSet
    let provider: any IndexProvider
    let options: StoreOptions
    var shelf: PackShelf
    var reader: ChunkReader
    /// Why nothing may be written; the first reason counts.
    var readOnlyReason: String?

    init(packs: PackSet, provider: any IndexProvider, options: StoreOptions) {
        self.packs = packs
        self.provider = provider
        self.options = options
        shelf = PackShelf(backend: packs.backend, parameters: packs.parameters)
        reader = StoreOpening.makeReader(shelf, packs, options)
    }

    private static func makeReader(
        _ shelf: PackShelf, _ packs: PackSet, _ options: StoreOptions
    ) -> ChunkReader {
        ChunkReader(
            shelf: shelf, frameCacheBytes: options.frameCacheBytes, codec: packs.codec,
            buffers: packs.buffers, onEvent: options.onEvent)
    }

    func tell(_ event: StoreEvent) {
        options.onEvent?(event)
    }

    mutating func refuseWriting(_ reason: String) {
        guard readOnlyReason == nil else { return }
        readOnlyReason = reason
        tell(.becameReadOnly(reason))
    }

    /// Everything up to a store that can be used.
    mutating func run() throws(StoreError) -> ChunkStore.Parts {
        if options.isReadOnly { readOnlyReason = "opened for reading only" }
        try checkFeatures()
        if packs.backend.isReadOnly { refuseWriting("the medium is read-only") }
        let (index, known) = try openIndex()
        do throws(StoreError) {
            return try complete(index, known)
        } catch {
            // The first error is the one to report.
            try? index.close(flushing: false)
            guard known != nil, error.isDamageOfIndex else { throw error }
            tell(.rebuildingIndex(reason: "\(error)"))
        }
        return try complete(MemoryMetadataStore(), nil)
    }

    private mutating func checkFeatures() throws(StoreError) {
        do throws(FormatError) {
            if try !packs.parameters.features.check() {
                refuseWriting("the store has features that this program may only read")
            }
        } catch {
            throw .pack(.format(error, pack: packs.ids.last ?? .none, offset: 0))
        }
    }

    private mutating func complete(
        _ opened: any MetadataStore, _ known: StateRecord?
    ) throws(StoreError) -> ChunkStore.Parts {
        let (index, state, end) = try agree(opened, known)
        if state.isIncomplete, !options.acceptsLosses {
            refuseWriting("the index is incomplete: a part of the trees cannot be read")
        }
        if let damaged = end.damagedAt, !options.acceptsLosses {
            refuseWriting(
                "valid records lie behind damage in pack \(damaged.pack) at \(damaged.offset)")
        }
        let lost = try findLostPacks(index)
        var parts = ChunkStore.Parts(
            parameters: packs.parameters, index: index, shelf: shelf, reader: reader,
            codec: packs.codec, buffers: packs.buffers, state: state,
            volumes: try volumesByNumber(index), snapshots: try index.snapshots(),
            readOnlyReason: readOnlyReason)
        if readOnlyReason == nil {
            try forget(lost, &parts)
            try putInOrder(&parts)
        }
        return parts
    }

    /// Brings the index up to the end of the log, or makes it anew.
    private mutating func agree(
        _ opened: any MetadataStore, _ known: StateRecord?
    ) throws(StoreError) -> (any MetadataStore, StateRecord, LogEnd) {
        if let known {
            var state = known
            shelf.restore(
                try opened.packs().map { ($0.number, $0.record.id) },
                nextNumber: known.nextPackNumber)
            var contents = IndexContents(
                volumes: try volumesByNumber(opened), snapshots: try opened.snapshots())
            if let end = try replay(into: opened, &state, &contents) {
                if end.damagedAt == nil { return (opened, state, end) }
                guard try hasCheckpoint(behind: state) else { return (opened, state, end) }
            }
            tell(.rebuildingIndex(reason: "packs that it needs have been reclaimed since"))
            shelf = PackShelf(backend: packs.backend, parameters: packs.parameters)
            reader = StoreOpening.makeReader(shelf, packs, options)
        }
        var rebuilding = IndexRebuilding(
            packs: packs, shelf: shelf, reader: reader, tell: options.onEvent)
        let result = try rebuilding.run { () throws(StoreError) in
            try makeIndex(insteadOf: opened)
        }
        if let reason = rebuilding.lossReason, !options.acceptsLosses { refuseWriting(reason) }
        return result
    }

    /// Whether the newest checkpoint is newer than what the index holds.
    private func hasCheckpoint(behind state: StateRecord) throws(StoreError) -> Bool {
        var search = CheckpointSearch(packs: packs)
        guard let newest = try search.next() else { return false }
        return (newest.commit.epoch, newest.commit.sequence) > (state.epoch, state.sequence)
    }

    private func volumesByNumber(
        _ index: any MetadataStore
    ) throws(StoreError) -> [UInt32: VolumeRecord] {
        var result: [UInt32: VolumeRecord] = [:]
        for (number, record) in try index.volumes() { result[number] = record }
        return result
    }

    // MARK: the index

    /// The index that is there, and its state; nil where it has to be made anew.
    private mutating func openIndex() throws(StoreError) -> (any MetadataStore, StateRecord?) {
        let isReadOnly = readOnlyReason != nil
        var reason = "there is none"
        var found: (any MetadataStore)?
        do throws(MetadataError) {
            found = try provider.open(readOnly: isReadOnly, memoryBytes: options.indexBytes)
        } catch {
            guard case .damaged(let text) = error else { throw .index(error) }
            reason = text
        }
        if let found {
            do throws(StoreError) {
                if let state = try usableState(found, &reason) {
                    return (isReadOnly ? IndexOverlay(over: found) : found, state)
                }
            } catch {
                try? found.close(flushing: false)
                guard case .index(.damaged(let text)) = error else { throw error }
                reason = text
            }
            try? found.close(flushing: false)
        }
        tell(.rebuildingIndex(reason: reason))
        return (MemoryMetadataStore(), nil)
    }

    /// The state of an index whose last commit is in the packs where it says.
    private mutating func usableState(
        _ index: any MetadataStore, _ reason: inout String
    ) throws(StoreError) -> StateRecord? {
        let state: StateRecord?
        do throws(StoreError) {
            state = try index.state()
        } catch {
            guard case .indexDamaged(let format) = error else { throw error }
            reason = "\(format)"
            return nil
        }
        guard let state, !state.isBuilding else {
            reason = "it was never finished"
            return nil
        }
        let found = try packs.commit(in: state.position.pack, at: state.position.offset)
        guard let found, found.hash == state.hash else {
            reason = "its last commit is not in the packs"
            try refuseOlderPacks(index, state)
            return nil
        }
        return state
    }

    /// An empty index; in memory where nothing may be written.
    private func makeIndex(insteadOf old: any MetadataStore) throws(StoreError) -> any MetadataStore
    {
        if readOnlyReason != nil { return MemoryMetadataStore() }
        do throws(MetadataError) {
            try old.close(flushing: false)
            let fresh = try provider.create(memoryBytes: options.indexBytes)
            CrashPoint.indexEmptied.pass()
            return fresh
        } catch {
            throw .index(error)
        }
    }

    // MARK: the log

    /// Applies the valid commits behind `state`; nil where the index is too old for that.
    private func replay(
        into index: any MetadataStore, _ state: inout StateRecord,
        _ contents: inout IndexContents
    ) throws(StoreError) -> LogEnd? {
        var replay = Replay(packs: packs, shelf: shelf, reader: reader)
        let end = try replay.run(into: index, &state, &contents, isBuilding: false)
        if replay.isIndexTooOld { return nil }
        if replay.count > 0 { tell(.replayed(commits: replay.count)) }
        return end
    }

    /// Packs that the index knows and that are gone, or shorter than commits vouch for.
    private mutating func findLostPacks(
        _ index: any MetadataStore
    ) throws(StoreError) -> [PackID] {
        var lost: [PackID] = []
        for (_, pack) in try index.packs() where !pack.isCondemned {
            if (packs.sizes[pack.id] ?? 0) < pack.validBytes { lost.append(pack.id) }
        }
        guard !lost.isEmpty else { return [] }
        lost.sort()
        tell(.lostPacks(lost))
        if !options.acceptsLosses {
            refuseWriting("\(lost.count) packs are missing or too short, the first \(lost[0])")
        }
        return lost
    }
}

/// What of an index is in memory while commits are applied to it.
struct IndexContents {
    var volumes: [UInt32: VolumeRecord] = [:]
    var snapshots: [UniqueID: SnapshotImage] = [:]
}

/// Applies commits that are in the packs and not in the index.
struct Replay {
    let packs: PackSet
    let shelf: PackShelf
    let reader: ChunkReader
    private(set) var count = 0
    /// Packs were condemned and removed since: never so before the index was durable with the commit
    /// that condemned them, so this index is from an old backup, and what it knows of is gone.
    private(set) var isIndexTooOld = false

    init(packs: PackSet, shelf: PackShelf, reader: ChunkReader) {
        self.packs = packs
        self.shelf = shelf
        self.reader = reader
    }

    /// - Parameter isBuilding: whether the index stays of no use to others with what is written.
    mutating func run(
        into index: any MetadataStore, _ state: inout StateRecord,
        _ contents: inout IndexContents, isBuilding: Bool
    ) throws(StoreError) -> LogEnd {
        var follower = LogFollower(after: state, in: packs, shelf: shelf)
        while true {
            switch try follower.next() {
            case .end(let end): return end
            case .commit(let applied):
                let condemned = applied.commit.condemnedPacks
                if !isBuilding, condemned.contains(where: { packs.sizes[$0] == nil }) {
                    isIndexTooOld = true
                    return LogEnd(position: state.position)
                }
                var applier = CommitApplier(
                    index: index, shelf: shelf, secret: packs.parameters.secret, state: state,
                    volumes: contents.volumes, snapshots: contents.snapshots
                ) { [reader] (name, places) throws(StoreError) in
                    try reader.children(of: name, at: places)
                }
                let batch = try applier.apply(applied) { $0.isBuilding = isBuilding }
                try index.apply(batch)
                CrashPoint.commitReplayed.pass()
                state = applier.state
                contents = IndexContents(
                    volumes: applier.volumes, snapshots: applier.snapshots)
                count += 1
                if isBuilding { try loadBegun(by: applied.commit, into: index, &state, contents) }
            }
        }
    }

    /// An index that is made anew has all volumes whole: what begins in a commit is loaded behind it, since
    /// the next one may be about any part of it.
    private func loadBegun(
        by commit: Commit, into index: any MetadataStore, _ state: inout StateRecord,
        _ contents: IndexContents
    ) throws(StoreError) {
        for section in commit.volumes where section.beginning != nil {
            let known = contents.volumes.first { $0.value.volumeID == section.volumeID }
            guard let number = known?.key else { continue }
            while let list = try index.firstUnloaded(number) {
                var applier = CommitApplier(
                    index: index, shelf: shelf, secret: packs.parameters.secret, state: state,
                    volumes: contents.volumes, snapshots: contents.snapshots
                ) { [reader] (name, places) throws(StoreError) in
                    try reader.children(of: name, at: places)
                }
                var batch = MetadataBatch(reservingBytes: 1 << 16)
                guard
                    try applier.load(
                        list, of: number, with: reader, passesOver: true, to: &batch) != nil
                else { break }
                try index.apply(batch)
                state = applier.state
            }
        }
    }
}
