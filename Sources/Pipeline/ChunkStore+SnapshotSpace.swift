// What deleting a snapshot would give back, played through on an index of its own.
import ChunkIndex
import DiskFormat
import Metadata
import Packs

/// What only one snapshot owns.
public struct SnapshotSpace: Equatable, Sendable {
    public var chunks: UInt64 = 0
    /// Before compression, each chunk once.
    public var rawBytes: UInt64 = 0
    /// In packs: all copies, each with its share of the super-chunk in which it lies.
    public var storedBytes: UInt64 = 0

    public init() {}
}

extension ChunkStore {
    /// What nobody would own any more if this snapshot were deleted. Nothing is changed.
    ///
    /// Memory in proportion to that. Nobody may commit meanwhile.
    ///
    /// - Throws: errors of the index, and of reading nodes that are not damaged.
    public func space(ofSnapshot id: UniqueID) throws(StoreError) -> SnapshotSpace {
        let now = published.withLock { $0 }
        let overlay = IndexOverlay(over: index)
        var play = SnapshotPlay(
            index: overlay, shelf: shelf, reader: reader, secret: parameters.secret, now: now)
        try play.settle()
        let before = try play.dead()
        try play.delete(id)
        try play.settle()
        let died = try play.dead().subtracting(before)
        return try play.space(of: died)
    }
}

/// One play on an index that is thrown away. One thread.
private struct SnapshotPlay {
    let index: IndexOverlay
    let shelf: PackShelf
    let reader: ChunkReader
    let secret: StoreSecret
    var now: Published
    /// Super-chunks that were looked at: stored bytes of the record, raw bytes of its chunks.
    private var records: [RecordPlace: (stored: UInt64, raw: UInt64)] = [:]

    init(
        index: IndexOverlay, shelf: PackShelf, reader: ChunkReader, secret: StoreSecret,
        now: Published
    ) {
        self.index = index
        self.shelf = shelf
        self.reader = reader
        self.secret = secret
        self.now = now
    }

    private func applier() -> CommitApplier {
        CommitApplier(
            index: index, shelf: shelf, secret: secret, state: now.state, volumes: now.volumes,
            snapshots: now.snapshots
        ) { [reader] (name, places) throws(StoreError) in
            try reader.children(of: name, at: places)
        }
    }

    mutating func settle() throws(StoreError) {
        var settling = SnapshotSettling()
        while true {
            var applier = applier()
            guard try settling.step(&applier, with: reader) != nil else { return }
            now.state = applier.state
        }
    }

    mutating func delete(_ id: UniqueID) throws(StoreError) {
        var commit = Commit(
            epoch: now.state.epoch, sequence: now.state.sequence + 1, previous: now.state.hash,
            time: .zero)
        commit.snapshots = [.gone(id)]
        var applier = applier()
        let applied = AppliedCommit(
            commit: commit, hash: now.state.hash, position: now.state.position)
        try index.apply(try applier.apply(applied))
        now.state = applier.state
        now.snapshots = applier.snapshots
    }

    /// All that nobody owns.
    func dead() throws(StoreError) -> Set<ChunkName> {
        var names: Set<ChunkName> = []
        try index.visit([IndexKey.deadPrefix]) { (key, _) throws(FormatError) in
            guard let dead = IndexKey.deadChunk(key) else { throw .badValue("dead key") }
            names.insert(dead.name)
            return true
        }
        return names
    }

    /// Recipe nodes among the dead let go what they own when they are given up.
    mutating func space(of died: Set<ChunkName>) throws(StoreError) -> SnapshotSpace {
        var result = SnapshotSpace()
        var pending = died.sorted()
        var left: [ChunkName: UInt32] = [:]
        while let name = pending.popLast() {
            guard let record = try index.chunk(name) else { continue }
            result.chunks += 1
            result.rawBytes += UInt64(record.rawBytes)
            for place in record.places {
                result.storedBytes += try stored(record.rawBytes, at: place)
            }
            guard record.domain == .recipe else { continue }
            let children: [ChunkName]
            do throws(StoreError) {
                children = try reader.children(of: name, at: record.places)
            } catch {
                guard error.isDamageOfChunk else { throw error }
                continue
            }
            for child in children {
                if left[child] == nil { left[child] = try index.chunk(child)?.count }
                guard let owners = left[child], owners > 0 else { continue }
                left[child] = owners - 1
                if owners == 1 { pending.append(child) }
            }
        }
        return result
    }

    private mutating func stored(
        _ rawBytes: UInt32, at place: ChunkPlace
    ) throws(StoreError) -> UInt64 {
        let key = RecordPlace(pack: place.pack, offset: place.recordOffset)
        if records[key] == nil {
            var figures: (stored: UInt64, raw: UInt64) = (0, 0)
            do throws(StoreError) {
                let pack = try shelf.reader(place.pack)
                let header = try readingPack { () throws(PackError) in
                    try pack.readPrefix(at: place.recordOffset).header
                }
                figures.stored = DiskFormat.aligned(UInt64(place.recordBytes))
                figures.raw = UInt64(header.rawBytes)
            } catch {
                guard error.judgement != .failed else { throw error }
            }
            records[key] = figures
        }
        guard let figures = records[key], figures.raw > 0 else { return 0 }
        return figures.stored * UInt64(rawBytes) / figures.raw
    }
}
