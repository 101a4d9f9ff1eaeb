// What the commits since the newest checkpoint have changed: what its trees do not know.
import DiskFormat
import Packs

extension ChunkStore {
    /// The sections of all commits behind the newest checkpoint, oldest first, as read from the
    /// packs. For whoever opens volumes: before the first commit.
    ///
    /// Memory in proportion to what those commits changed, which checkpoints bound.
    public func changesSinceCheckpoint() throws(StoreError) -> [VolumeChanges] {
        let state = published.withLock { $0.state }
        guard state.sequence > state.newestSequence, let newest = state.newest else { return [] }
        let codec = codec
        let packs = try PackSet(backend, codec: { _ in codec }, keptBufferBytes: 0)
        var places: [(pack: PackID, offset: UInt64)] = []
        for pack in packs.ids
        where pack.writer == newest.pack.writer && pack >= newest.pack
            && pack <= state.position.pack
        {
            let from = pack == newest.pack ? newest.offset : UInt64(PackHeader.byteCount)
            let offsets = try commitOffsets(in: try packs.reader(pack), from: from)
            places.append(contentsOf: offsets.map { (pack, $0) })
        }
        var changes: [VolumeChanges] = []
        for place in places {
            guard let found = try packs.commit(in: place.pack, at: place.offset),
                found.commit.sequence > state.newestSequence,
                found.commit.sequence <= state.sequence
            else { continue }
            changes.append(contentsOf: found.commit.volumes)
        }
        return changes
    }

    private func commitOffsets(
        in reader: PackReader, from start: UInt64
    ) throws(StoreError) -> [UInt64] {
        guard reader.header.role == .main else { return [] }
        return try readingPack { () throws(PackError) in
            var offsets: [UInt64] = []
            var scanner = try PackScanner(reader, from: start)
            while true {
                switch try scanner.next() {
                case .record(let offset, let header):
                    if header.kind == .commit { offsets.append(offset) }
                case .damaged: continue
                case .end: return offsets
                }
            }
        }
    }
}
