// Writing, second half: a full super-chunk is compressed and appended to a pack.
import Backends
import ChunkIndex
import DiskFormat
import Packs
import SuperChunks

extension ChunkStore {
    /// Closes a super-chunk that is in `closing`, and appends it. Ends with its chunks fresh, or the
    /// super-chunk stuck for want of space, or the store failed.
    func layDown(_ builder: SuperChunkBuilder) {
        do throws(StoreError) {
            let sealed: SealedSuperChunk
            do throws(SuperChunkError) {
                sealed = try builder.close(using: codec)
            } catch {
                throw .superChunk(error)
            }
            try append(sealed, of: builder)
        } catch {
            if error.isNoSpace {
                gate.close()
                laying.withLock { state in
                    state.closing.remove(ObjectIdentifier(builder))
                    state.stuck.append(builder)
                }
            } else {
                laying.withLock { state in
                    _ = state.closing.remove(ObjectIdentifier(builder))
                }
                fail(error)
            }
        }
        laying.broadcast()
    }

    /// Appends a super-chunk, whose chunks are then fresh: the next commit vouches for them.
    func append(
        _ sealed: SealedSuperChunk, of builder: SuperChunkBuilder, flags: RecordHeader.Flags = []
    ) throws(StoreError) {
        try appending.withLock { (appending) throws(StoreError) in
            try checkWritable()
            let place = try sealed.withPieces { (pieces) throws(StoreError) in
                try readingPack { () throws(PackError) in
                    try appending.main.append(
                        PendingRecord(sealed, pieces, flags: sealed.header.flags.union(flags)))
                }
            }
            let record = RecordPlace(pack: shelf.number(of: place.pack), offset: place.offset)
            if sealed.header.flags.contains(.metadata), parameters.metadataCopies > 1 {
                appending.uncopied.append(record)
            }
            let generation = appending.generation
            let places = sealed.prefix.places(in: record, header: sealed.header)
            laying.withLock { state in
                for (chunk, place) in zip(sealed.prefix.chunks, places) {
                    var fresh =
                        state.fresh[chunk.name]
                        ?? FreshChunk(
                            rawBytes: chunk.rawBytes, domain: chunk.domain,
                            generation: generation)
                    if fresh.generation != generation { fresh.places = [] }
                    fresh.generation = generation
                    fresh.places.insert(place, at: 0)
                    fresh.children = state.openChildren[chunk.name] ?? []
                    state.fresh[chunk.name] = fresh
                    if state.open[chunk.name] === builder {
                        state.open[chunk.name] = nil
                        state.openChildren[chunk.name] = nil
                    }
                }
                state.closing.remove(ObjectIdentifier(builder))
            }
        }
        gate.note(bytes: Int(sealed.header.recordBytes))
    }
}

extension PendingRecord {
    init(
        _ sealed: SealedSuperChunk, _ pieces: [UnsafeRawBufferPointer],
        flags: RecordHeader.Flags? = nil
    ) {
        let header = sealed.header
        self.init(
            kind: .superChunk, flags: flags ?? header.flags, parts: pieces,
            rawBytes: header.rawBytes, frameCount: header.frameCount,
            itemCount: header.itemCount, checksum: header.bodyChecksum)
    }
}

extension SuperChunkPrefix {
    /// The end of what a place can name, in bytes of a pack.
    private static let placesEnd: UInt64 = 1 << 35

    /// Where each chunk lies when the super-chunk is this record; nowhere for one that lies further
    /// behind than any writer's packs are long.
    func places(in record: RecordPlace, header: RecordHeader) -> [ChunkPlace] {
        guard record.offset < SuperChunkPrefix.placesEnd else { return [] }
        return placements().map { place in
            ChunkPlace(
                pack: record.pack, recordOffset: record.offset,
                recordBytes: UInt32(RecordHeader.byteCount) + header.storedBytes,
                frame: UInt16(place.frame), frameOffset: UInt32(place.offset))
        }
    }
}
