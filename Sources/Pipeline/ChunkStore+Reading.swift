// Reading: from what is on its way, otherwise from packs through the cache.
import ChunkIndex
import DiskFormat
import SuperChunks
import Trees

extension ChunkStore {
    /// Where a chunk is to be had.
    private enum Source {
        case open(SuperChunkBuilder)
        case places([ChunkPlace])
        case unknown
    }

    /// Fills `buffer` with the chunk's bytes from `offset` on; all of it must lie within the chunk.
    ///
    /// Every byte was verified by its frame's checksum, and the frame's table has the name. Throws
    /// `missingChunk`, or `damagedChunk` where no copy verifies: it is then stored anew by the next
    /// put of it.
    public func read(
        _ name: ChunkName, domain: ChunkDomain, from offset: Int,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        try withBytes(of: name, domain: domain) { (bytes) throws(StoreError) in
            guard offset >= 0, buffer.count <= bytes.count - min(offset, bytes.count) else {
                throw .outOfRange(name)
            }
            let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + buffer.count])
            buffer.copyMemory(from: part)
        }
    }

    /// All bytes of the chunk. As `read`.
    public func bytes(
        of name: ChunkName, domain: ChunkDomain
    ) throws(StoreError) -> [UInt8] {
        try withBytes(of: name, domain: domain) { (bytes) throws(StoreError) in Array(bytes) }
    }

    private func withBytes<Result>(
        of name: ChunkName, domain: ChunkDomain,
        _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        if let (frame, entry) = reader.recent.find(name, domain) {
            return try frame.withBytes(of: entry, body)
        }
        var places: [ChunkPlace]
        switch source(of: name) {
        case .open(let builder):
            // Others may append to it: its chunks are copied out under their lock.
            if let copy = laying.withLock({ _ in builder.copy(of: name) }) {
                return try copy.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                    try body(UnsafeRawBufferPointer(buffer))
                }
            }
            places = []
        case .places(let fresh): places = fresh
        case .unknown: places = []
        }
        if let record = try chunkRecord(name) { places.append(contentsOf: record.places) }
        do throws(StoreError) {
            return try reader.withBytes(
                of: name, at: places, domain: domain,
                move: { if domain == .data { readAhead(behind: $0) } }, body)
        } catch {
            if error.isDamageOfChunk {
                var damaged = [name]
                if domain == .data { damaged += sharers(of: places) }
                laying.withLock { state in state.damaged.formUnion(damaged) }
            }
            throw error
        }
    }

    /// The chunks that have no copy but in these frames, which do not verify: whoever reads one of
    /// them stops there, and so nobody would learn that the others are to be stored anew.
    private func sharers(of places: [ChunkPlace]) -> [ChunkName] {
        var names: [ChunkName] = []
        for place in places {
            for name in reader.names(inFrameOf: place) {
                guard let record = try? chunkRecord(name), !record.isDamaged else { continue }
                let isElsewhere = record.places.contains { other in
                    !places.contains {
                        $0.pack == other.pack && $0.recordOffset == other.recordOffset
                            && $0.frame == other.frame
                    }
                }
                if !isElsewhere { names.append(name) }
            }
        }
        return names
    }

    private func source(of name: ChunkName) -> Source {
        laying.withLock { state in
            if let builder = state.open[name] { return .open(builder) }
            if let fresh = state.fresh[name] { return .places(fresh.places) }
            return .unknown
        }
    }

    /// Loads the frames of these chunks into the cache, on other threads: a hint that never blocks.
    /// What exceeds `prefetchChunksMax`, or what the queue has no room for, is left out.
    public func prefetch(_ names: [ChunkName]) {
        let wanted = Array(names.prefix(ChunkStore.prefetchChunksMax))
        guard !wanted.isEmpty else { return }
        _ = readAhead.trySubmit { [self] in
            for name in wanted { load(name) }
        }
    }

    /// Most chunks of one call of `prefetch`: a few super-chunks.
    public static let prefetchChunksMax = 256

    /// Errors are left to the reader who wants the chunk.
    private func load(_ name: ChunkName) {
        guard case .unknown = source(of: name), let record = try? index.chunk(name),
            let place = record.places.first
        else { return }
        _ = try? reader.frame(place)
    }

    // MARK: nodes of lists

    /// The verified bytes of a node of a recipe or tree.
    public var leaves: RecipeLeaves? { recipeLeaves }

    public func readNode(
        _ name: ChunkName, domain: ChunkDomain
    ) throws(TreeError) -> [UInt8] {
        do throws(StoreError) {
            return try bytes(of: name, domain: domain)
        } catch {
            if case .missingChunk = error { throw .missing(name) }
            throw .storage(node: name)
        }
    }

    /// Puts a node; one that is known is not stored again.
    public func writeNode(
        _ bytes: [UInt8], domain: ChunkDomain
    ) throws(TreeError) -> ChunkName {
        do throws(StoreError) {
            return try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                try put(UnsafeRawBufferPointer(buffer), domain: domain)
            }
        } catch {
            throw .storage(node: nil)
        }
    }
}
