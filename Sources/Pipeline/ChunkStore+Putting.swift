// Writing, first half: a chunk is named, looked up, and laid into an open super-chunk.
import ChunkIndex
import DiskFormat
import SuperChunks

extension ChunkStore {
    /// Raw bytes of a frame of metadata: a node is read without its whole super-chunk.
    static let metadataFrameBytes = 64 << 10
    /// Frames in a super-chunk of a large file's data: what is read is decompressed without the rest.
    /// (On a kernel image tree frames of 256 KiB take 2.6 % more than those of 1 MiB, of 128 KiB
    /// 7 %.)
    static let largeFileFrames = 4

    /// Stores a chunk unless it is known, and returns its name. The bytes are copied before it
    /// returns. They are durable with the next commit, and belong to nobody until one names them:
    /// that has to be before the second checkpoint from here, or the chunk may be given up. So a
    /// caller that makes checkpoints lets everybody name what was put before the one before.
    ///
    /// Waits while too many super-chunks are to be compressed.
    ///
    /// - Parameters:
    ///   - bytes: 1...`DiskFormat.superChunkRawBytesMax` bytes; borrowed for the call.
    ///   - isOfLargeFile: data that will be read and changed in places: see `SuperChunkUse`.
    /// - Throws: `noSpace` for new data while less than the reserve is free; `readOnly` or the
    ///   first failure when nothing is written any more; errors of the index.
    public func put(
        _ bytes: UnsafeRawBufferPointer, domain: ChunkDomain, isOfLargeFile: Bool = false
    ) throws(StoreError) -> ChunkName {
        try checkWritable()
        let name = try hashers.name(of: bytes, domain: domain)
        if try hits(name) { return name }
        var children: [ChunkName] = []
        if domain == .recipe { children = try RecipeChildren.names(bytes, of: name) }
        if domain == .data { try checkSpace(for: bytes.count) }
        let use = isOfLargeFile && domain == .data ? SuperChunkUse.largeFiles : domain.use
        let full = try lay(name, bytes, domain: domain, children: children, use: use)
        if let full, !workers.submit({ self.layDown(full) }) { layDown(full) }
        return name
    }

    /// Whether the chunk need not be laid again; a dead one that is hit is remembered.
    func hits(_ name: ChunkName) throws(StoreError) -> Bool {
        while true {
            let round = laying.withLock { $0.knows(name) ? nil : $0.condemnRound }
            guard let round else { return true }
            let record = try chunkRecord(name)
            let isUsable = record.map { !$0.isDamaged && !$0.places.isEmpty } ?? false
            let answer: Bool? = laying.withLock { state in
                if state.knows(name) { return true }
                // What the index said may be condemned by now: ask anew.
                if state.condemnRound != round { return nil }
                guard isUsable, !state.condemning.contains(name), !state.damaged.contains(name)
                else { return false }
                // While all the dead are kept, none is remembered.
                if record?.count == 0, state.deadKeepers == 0 { state.hitsOnDead.insert(name) }
                return true
            }
            if let answer { return answer }
        }
    }

    /// Whether a put of the chunk would store nothing. Only a hint: it may be given up at any time.
    public func isKnown(_ name: ChunkName) throws(StoreError) -> Bool {
        let isOnItsWay = laying.withLock { $0.knows(name) }
        if isOnItsWay { return true }
        guard let record = try chunkRecord(name), !record.isDamaged, !record.places.isEmpty else {
            return false
        }
        return laying.withLock { state in
            !state.condemning.contains(name) && !state.damaged.contains(name)
        }
    }

    /// Appends the chunk to the open super-chunk of its kind, unless another thread did meanwhile.
    /// Returns a super-chunk that is full and now the caller's to close.
    func lay(
        _ name: ChunkName, _ bytes: UnsafeRawBufferPointer, domain: ChunkDomain,
        children: [ChunkName], use: SuperChunkUse
    ) throws(StoreError) -> SuperChunkBuilder? {
        try laying.withLock { (state) throws(StoreError) in
            if let failure = state.failure { throw failure }
            if state.knows(name) { return nil }
            var full: SuperChunkBuilder?
            var builder = state.builders[use] ?? newBuilder(use)
            if !builder.append(name, domain: domain, bytes) {
                full = builder
                state.closing.insert(ObjectIdentifier(builder))
                builder = newBuilder(use)
                _ = builder.append(name, domain: domain, bytes)
            }
            state.builders[use] = builder
            state.open[name] = builder
            if !children.isEmpty { state.openChildren[name] = children }
            state.damaged.remove(name)
            return full
        }
    }

    private func newBuilder(_ use: SuperChunkUse) -> SuperChunkBuilder {
        let bytes = Int(parameters.superChunkBytes)
        let frameBytes =
            switch use {
            case .data: bytes
            case .largeFiles: bytes / ChunkStore.largeFileFrames
            case .metadata: ChunkStore.metadataFrameBytes
            }
        return SuperChunkBuilder(
            domainIsMetadata: use == .metadata, rawBytesMax: bytes, frameBytesMax: frameBytes,
            pool: buffers)
    }
}

extension ChunkDomain {
    /// Where a chunk goes of which nothing else is known.
    var use: SuperChunkUse { isMetadata ? .metadata : .data }
}
