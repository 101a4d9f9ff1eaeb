// From a chunk's places to its bytes: packs, frames, cache.
import Backends
import ChunkIndex
import DiskFormat
import Glibc
import Packs
import Platform
import SuperChunks

/// Reads chunks of which the places are known. Any thread.
final class ChunkReader: Sendable {
    let shelf: PackShelf
    let frames: FrameCache<StoreError>
    let recent = RecentFrames()
    private let codec: PooledFrameCodec
    private let buffers: BufferPool
    private let onEvent: (@Sendable (StoreEvent) -> Void)?

    init(
        shelf: PackShelf, frameCacheBytes: Int, codec: PooledFrameCodec, buffers: BufferPool,
        onEvent: (@Sendable (StoreEvent) -> Void)?
    ) {
        self.shelf = shelf
        frames = FrameCache(limitBytes: frameCacheBytes)
        self.codec = codec
        self.buffers = buffers
        self.onEvent = onEvent
    }

    /// Calls `body` with the chunk's bytes, of the first place whose frame verifies and has the name.
    ///
    /// Throws `damagedChunk` where none does, `missingChunk` where there is none to be read at all.
    ///
    /// - Parameter move: is told the place where another frame was read than before.
    func withBytes<Result>(
        of name: ChunkName, at places: [ChunkPlace], domain: ChunkDomain,
        move: (ChunkPlace) -> Void = { _ in },
        _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        var isDamaged = false
        for place in places {
            let frame: DecodedFrame
            do throws(StoreError) {
                frame = try self.frame(place)
            } catch {
                switch error.judgement {
                case .damaged:
                    isDamaged = true
                    onEvent?(.damagedChunk(name, "\(place): \(error)"))
                    continue
                case .absent: continue
                case .failed: throw error
                }
            }
            // An index that points to another chunk is a hint that was wrong.
            guard let entry = frame.find(name), entry.domain == domain else { continue }
            if recent.note(frame, isMetadata: domain.isMetadata) { move(place) }
            return try frame.withBytes(of: entry, body)
        }
        throw isDamaged ? .damagedChunk(name) : .missingChunk(name)
    }

    /// The frame of a place, from the cache or its pack.
    func frame(_ place: ChunkPlace) throws(StoreError) -> DecodedFrame {
        let key = FrameKey(pack: place.pack, offset: place.recordOffset, frame: place.frame)
        return try frames.frame(for: key) { () throws(StoreError) in try load(place) }
    }

    /// Reads the super-chunk's table, which begins in its header's page, and then the one frame.
    private func load(_ place: ChunkPlace) throws(StoreError) -> DecodedFrame {
        let pack = try shelf.reader(place.pack)
        let index = Int(place.frame)
        let (header, prefix) = try readingPack { () throws(PackError) in
            try pack.readPrefix(at: place.recordOffset)
        }
        guard prefix.frames.indices.contains(index) else {
            throw .superChunk(.noSuchFrame(index))
        }
        let stored = buffers.takeFitting(Int(prefix.frames[index].storedBytes))
        stored.count = try readingPack { () throws(PackError) in
            try pack.readUnverifiedFrame(
                at: place.recordOffset, prefix: prefix, frame: index,
                into: stored.mutableBytes)
        }
        return try opening { () throws(SuperChunkError) in
            let opener = try SuperChunkOpener(header: header, prefix: prefix)
            return try opener.frame(index, stored: stored.bytes, using: codec, pool: buffers)
        }
    }

    /// The chunks that lie in a place's frame, by the table of its super-chunk, which has a checksum
    /// of its own; empty where that cannot be read either.
    func names(inFrameOf place: ChunkPlace) -> [ChunkName] {
        guard let pack = try? shelf.reader(place.pack),
            let (_, prefix) = try? pack.readPrefix(at: place.recordOffset)
        else { return [] }
        var names: [ChunkName] = []
        var slot = 0
        for (index, frame) in prefix.frames.enumerated() {
            var left = Int(frame.rawBytes)
            while left > 0, slot < prefix.chunks.count {
                if index == Int(place.frame) { names.append(prefix.chunks[slot].name) }
                left -= Int(prefix.chunks[slot].rawBytes)
                slot += 1
            }
        }
        return names
    }

    /// The owned names of a recipe node: what its leaves name, or its children.
    func children(
        of name: ChunkName, at places: [ChunkPlace]
    ) throws(StoreError) -> [ChunkName] {
        try withBytes(of: name, at: places, domain: .recipe) { (bytes) throws(StoreError) in
            try RecipeChildren.names(bytes, of: name)
        }
    }
}

/// What a recipe node owns.
enum RecipeChildren {
    /// Each name once, however often it is listed: a node is one owner. A node that is none throws `damagedChunk`: its bytes
    /// have the name, so it was written so.
    static func names(
        _ bytes: UnsafeRawBufferPointer, of name: ChunkName
    ) throws(StoreError) -> [ChunkName] {
        let node: RecipeNode
        do throws(FormatError) {
            node = try RecipeNode(bytes)
        } catch {
            throw .damagedChunk(name)
        }
        switch node {
        case .inner(_, let entries): return Set(entries.map(\.child)).sorted()
        case .leaf(let extents):
            let names = extents.compactMap { extent -> ChunkName? in
                if case .data(let name, _) = extent { name } else { nil }
            }
            return Set(names).sorted()
        }
    }
}

/// Runs `body`, with errors as the store's.
func readingPack<Result>(
    _ body: () throws(PackError) -> Result
) throws(StoreError) -> Result {
    do throws(PackError) {
        return try body()
    } catch {
        throw .pack(error)
    }
}

private func opening<Result>(
    _ body: () throws(SuperChunkError) -> Result
) throws(StoreError) -> Result {
    do throws(SuperChunkError) {
        return try body()
    } catch {
        throw .superChunk(error)
    }
}

extension StoreError {
    /// What a failed read of one copy of a chunk means for that copy.
    enum Judgement {
        /// Its bytes are there and wrong, or the medium does not give them.
        case damaged
        /// There is nothing at the place.
        case absent
        /// Nothing is known about the copy.
        case failed
    }

    var judgement: Judgement {
        switch self {
        case .pack(let error):
            if error.isDamage { return .damaged }
            switch error {
            case .backend(.noSuchFile, _), .otherPack, .otherStore: return .absent
            default: return .failed
            }
        case .superChunk(.codec(_, .outOfMemory)): return .failed
        case .superChunk: return .damaged
        case .indexDamaged, .missingChunk: return .absent
        case .damagedChunk: return .damaged
        default: return .failed
        }
    }

    /// Whether it tells of one chunk that cannot be had, not of the whole store.
    var isDamageOfChunk: Bool {
        switch self {
        case .missingChunk, .damagedChunk: true
        default: false
        }
    }

    /// Whether the medium is full: nothing was promised, and it may go on later.
    var isNoSpace: Bool {
        switch self {
        case .noSpace, .backend(.noSpace), .pack(.backend(.noSpace, _)): true
        default: false
        }
    }
}
