/// What a super-chunk's body begins with: which frames it has and which chunks lie in them.
///
///     ┌─────────────────────────────┬──────────────────────────────┬────────┬────────┬─ ─
///     │ frame directory             │ chunk table                  │ frame 0│ frame 1│
///     │ frames × 32 bytes           │ chunks × 36 bytes            │        │        │
///     └─────────────────────────────┴──────────────────────────────┴────────┴────────┴─ ─
///     frame:  0 stored bytes u32 · 4 raw bytes u32 · 8 codec u8 (0 none, 1 zstd) · 9 zero × 7
///            16 XXH3-128 of the stored bytes
///     chunk:  0 name (32) · 32 raw length in the low 28 bits, domain in the upper 4 (u32)
///
/// Chunks lie one behind the other in the order of the table; none spans two frames, so a frame can
/// be read, checked and decompressed without the others.
public struct SuperChunkPrefix: Equatable, Sendable {
    public struct Frame: Equatable, Sendable {
        public var storedBytes: UInt32
        public var rawBytes: UInt32
        public var codec: UInt8
        public var checksum: BodyChecksum

        public init(storedBytes: UInt32, rawBytes: UInt32, codec: UInt8, checksum: BodyChecksum) {
            self.storedBytes = storedBytes
            self.rawBytes = rawBytes
            self.codec = codec
            self.checksum = checksum
        }
    }

    public struct Chunk: Equatable, Sendable {
        public var name: ChunkName
        public var rawBytes: UInt32
        public var domain: ChunkDomain

        public init(name: ChunkName, rawBytes: UInt32, domain: ChunkDomain) {
            self.name = name
            self.rawBytes = rawBytes
            self.domain = domain
        }
    }

    public static let frameEntryBytes = 32
    public static let chunkEntryBytes = 36
    static let lengthMask: UInt32 = (1 << 28) - 1

    public var frames: [Frame]
    public var chunks: [Chunk]

    public init(frames: [Frame], chunks: [Chunk]) {
        self.frames = frames
        self.chunks = chunks
    }

    public static func byteCount(frames: Int, chunks: Int) -> Int {
        frames * frameEntryBytes + chunks * chunkEntryBytes
    }

    public var byteCount: Int {
        SuperChunkPrefix.byteCount(frames: frames.count, chunks: chunks.count)
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: byteCount)
        for frame in frames {
            writer.u32(frame.storedBytes)
            writer.u32(frame.rawBytes)
            writer.u8(frame.codec)
            writer.zeros(7)
            frame.checksum.write(to: &writer)
        }
        for chunk in chunks {
            writer.name(chunk.name)
            writer.u32(chunk.rawBytes | UInt32(chunk.domain.rawValue) << 28)
        }
        return writer.bytes
    }

    /// From the head of a body whose header was verified. Checks the prefix's checksum, and that
    /// frames and chunks add up to the header's numbers and to each other.
    public init(
        _ body: UnsafeRawBufferPointer, header: RecordHeader
    ) throws(FormatError) {
        let count = SuperChunkPrefix.byteCount(
            frames: Int(header.frameCount), chunks: Int(header.itemCount))
        guard count <= body.count, count <= Int(header.storedBytes) else {
            throw .truncated("super-chunk prefix")
        }
        let bytes = UnsafeRawBufferPointer(rebasing: body[0..<count])
        guard BodyChecksum(of: bytes) == header.bodyChecksum else {
            throw .checksum("super-chunk prefix")
        }
        var reader = ByteReader(bytes, "super-chunk prefix")
        frames = []
        chunks = []
        frames.reserveCapacity(Int(header.frameCount))
        chunks.reserveCapacity(Int(header.itemCount))
        var stored = UInt64(count)
        var raw: UInt64 = 0
        for _ in 0..<header.frameCount {
            let frame = try SuperChunkPrefix.readFrame(&reader)
            stored += UInt64(frame.storedBytes)
            raw += UInt64(frame.rawBytes)
            frames.append(frame)
        }
        for _ in 0..<header.itemCount {
            let name = try reader.name("chunk name")
            let packed = try reader.u32("chunk length")
            guard let domain = ChunkDomain(rawValue: UInt8(packed >> 28)) else {
                throw reader.bad("chunk domain")
            }
            chunks.append(
                Chunk(name: name, rawBytes: packed & SuperChunkPrefix.lengthMask, domain: domain))
        }
        guard stored == UInt64(header.storedBytes), raw == UInt64(header.rawBytes),
            raw <= DiskFormat.superChunkRawBytesMax
        else { throw reader.bad("lengths") }
        try checkThatChunksFillFrames()
    }

    private static func readFrame(_ reader: inout ByteReader) throws(FormatError) -> Frame {
        let stored = try reader.u32("frame bytes")
        let raw = try reader.u32("frame raw bytes")
        let codec = try reader.u8("frame codec")
        try reader.expectZeros(7, "reserved")
        let checksum = try BodyChecksum(from: &reader, "frame checksum")
        guard raw > 0, codec <= 1, codec != 0 || stored == raw else {
            throw reader.bad("frame codec")
        }
        return Frame(storedBytes: stored, rawBytes: raw, codec: codec, checksum: checksum)
    }

    private func checkThatChunksFillFrames() throws(FormatError) {
        var frame = 0
        var used: UInt64 = 0
        for chunk in chunks {
            while frame < frames.count && used == UInt64(frames[frame].rawBytes) {
                frame += 1
                used = 0
            }
            guard frame < frames.count, chunk.rawBytes > 0 else {
                throw .badValue("super-chunk prefix: chunks do not fill frames")
            }
            used += UInt64(chunk.rawBytes)
            guard used <= UInt64(frames[frame].rawBytes) else {
                throw .badValue("super-chunk prefix: chunk spans frames")
            }
        }
        guard frames.isEmpty || (frame == frames.count - 1 && used == frames[frame].rawBytes)
        else { throw .badValue("super-chunk prefix: chunks do not fill frames") }
    }

    /// Where each chunk lies: its frame, and its first byte within the raw frame.
    public func placements() -> [(frame: Int, offset: Int)] {
        var result: [(frame: Int, offset: Int)] = []
        result.reserveCapacity(chunks.count)
        var frame = 0
        var used = 0
        for chunk in chunks {
            if used == Int(frames[frame].rawBytes) {
                frame += 1
                used = 0
            }
            result.append((frame, used))
            used += Int(chunk.rawBytes)
        }
        return result
    }
}
