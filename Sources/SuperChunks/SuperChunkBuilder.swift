// Gathering chunks until there are enough for a super-chunk.
import DiskFormat
import Platform

/// Gathers chunks for one super-chunk.
///
/// Invariants:
/// 1. `raw` holds the chunks one behind the other, in the order of `chunks`, without gaps.
/// 2. `frameEnds` are ascending offsets in `raw`, each the end of a chunk; the last frame is open
///    and ends where the bytes do.
/// 3. No name is there twice.
///
/// Threads: `append` is for one thread at a time, and nobody else may call anything meanwhile.
/// Nothing else changes the builder, so after the last `append` any number of threads may copy
/// chunks out of it while one of them closes it. Safe to send by that promise of the caller.
public final class SuperChunkBuilder: @unchecked Sendable {
    /// Whether what is closed carries `RecordHeader.Flags.metadata`: goes to packs in two copies.
    public let domainIsMetadata: Bool
    public let rawBytesMax: Int
    public let frameBytesMax: Int

    let verifies: Bool
    let pool: BufferPool
    private(set) var raw: PooledBuffer?
    private(set) var chunks: [SuperChunkPrefix.Chunk] = []
    /// First byte of each chunk in `raw`.
    private var offsets: [Int] = []
    private var slots: [ChunkName: Int] = [:]
    private var frameEnds: [Int] = []
    private var frameBegin = 0

    /// - Parameters:
    ///   - domainIsMetadata: for recipes and trees, which have super-chunks of their own.
    ///   - rawBytesMax: 1...`DiskFormat.superChunkRawBytesMax`; when it is reached the builder is
    ///     full.
    ///   - frameBytesMax: raw bytes of a frame; `rawBytesMax` or more means one frame.
    ///   - pool: where buffers come from, best with `rawBytesMax` as the size of each.
    ///   - verifies: whether `close` restores every compressed frame and compares it. Off by
    ///     default: it decompresses all that is written, on the path of every writer, and what it
    ///     guards against, a fault in the codec or in memory, scrub finds too, later. For stores whose memory is not trusted, and for rewriting old data,
    ///     whose source is deleted afterwards, it is worth its price.
    public init(
        domainIsMetadata: Bool, rawBytesMax: Int, frameBytesMax: Int, pool: BufferPool,
        verifies: Bool = false
    ) {
        precondition(rawBytesMax > 0 && rawBytesMax <= DiskFormat.superChunkRawBytesMax)
        precondition(frameBytesMax > 0)
        self.domainIsMetadata = domainIsMetadata
        self.rawBytesMax = rawBytesMax
        self.frameBytesMax = frameBytesMax
        self.pool = pool
        self.verifies = verifies
    }

    /// Bytes of all chunks together.
    public var rawBytes: Int { raw?.count ?? 0 }
    public var chunkCount: Int { chunks.count }
    public var isEmpty: Bool { chunks.isEmpty }

    /// Takes a copy of the chunk `bytes`, whose slot is then `chunkCount - 1`. A chunk that is there
    /// already is not taken again; see `slot(of:)`.
    ///
    /// A chunk longer than `rawBytesMax` is taken into an empty builder only.
    ///
    /// - Parameter bytes: 1...`DiskFormat.superChunkRawBytesMax` bytes; borrowed for the call.
    /// - Returns: false when there is no room: close this one and append to another.
    public func append(
        _ name: ChunkName, domain: ChunkDomain, _ bytes: UnsafeRawBufferPointer
    ) -> Bool {
        precondition(!bytes.isEmpty && bytes.count <= DiskFormat.superChunkRawBytesMax)
        if slots[name] != nil { return true }
        let used = rawBytes
        guard isEmpty || used + bytes.count <= rawBytesMax, chunkCount < SuperChunks.chunksMax
        else { return false }
        let beginsFrame = used > frameBegin && used - frameBegin + bytes.count > frameBytesMax
        guard !beginsFrame || frameEnds.count + 2 <= SuperChunks.framesMax else { return false }
        if beginsFrame {
            frameEnds.append(used)
            frameBegin = used
        }
        let buffer = raw ?? newBuffer(for: bytes.count)
        buffer.freeBytes.copyMemory(from: bytes)
        buffer.count = used + bytes.count
        slots[name] = chunks.count
        offsets.append(used)
        chunks.append(.init(name: name, rawBytes: UInt32(bytes.count), domain: domain))
        return true
    }

    private func newBuffer(for firstBytes: Int) -> PooledBuffer {
        let buffer = pool.takeFitting(max(rawBytesMax, firstBytes))
        raw = buffer
        return buffer
    }

    /// The number of the chunk `name`; nil when it is not here.
    public func slot(of name: ChunkName) -> Int? { slots[name] }

    /// The bytes of the chunk in `slot`, copied; nil when there is none.
    public func copy(of slot: Int) -> [UInt8]? {
        guard let raw, chunks.indices.contains(slot) else { return nil }
        let begin = offsets[slot]
        return Array(raw.bytes[begin..<begin + Int(chunks[slot].rawBytes)])
    }

    /// The bytes of the chunk `name`, copied; nil when it is not here.
    public func copy(of name: ChunkName) -> [UInt8]? {
        slots[name].flatMap { copy(of: $0) }
    }

    /// The raw byte ranges of the frames, in order.
    var frameRanges: [Range<Int>] {
        var begin = 0
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(frameEnds.count + 1)
        for end in frameEnds + [rawBytes] {
            ranges.append(begin..<end)
            begin = end
        }
        return ranges
    }
}
