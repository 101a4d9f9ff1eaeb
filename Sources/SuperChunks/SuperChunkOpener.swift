// Reading: from bytes nobody vouches for to verified frames.
import DiskFormat
import Platform

/// The verified table of a super-chunk, and the way from its stored frames to raw bytes.
///
/// Holds nothing of the body: frames are handed in as they are read, so that a reader of one chunk
/// fetches the prefix once and then only the frame it needs. A value; any thread.
public struct SuperChunkOpener: Sendable {
    public let header: RecordHeader
    public let prefix: SuperChunkPrefix
    /// The first slot of each frame, and the number of chunks behind the last.
    private let firstSlots: [Int]
    /// Where each frame begins in the body, and where the body ends.
    private let storedOffsets: [Int]

    /// - Parameters:
    ///   - header: verified by its own checksum; what it says is believed no further.
    ///   - body: the body's beginning, as far as the prefix at least; borrowed for the call.
    /// - Throws: `format` where this is no super-chunk, or header, prefix and its checksum disagree.
    public init(
        header: RecordHeader, body: UnsafeRawBufferPointer
    ) throws(SuperChunkError) {
        let prefix: SuperChunkPrefix
        do {
            prefix = try SuperChunkPrefix(body, header: header)
        } catch {
            throw .format(error)
        }
        try self.init(header: header, prefix: prefix)
    }

    /// - Parameters:
    ///   - header: as above.
    ///   - prefix: of this header's record, and verified as such.
    /// - Throws: `format` where this is no super-chunk.
    public init(header: RecordHeader, prefix: SuperChunkPrefix) throws(SuperChunkError) {
        guard header.kind == .superChunk, header.codec == 0 else {
            throw .format(.badValue("super-chunk header: kind"))
        }
        guard header.frameCount > 0, header.itemCount > 0,
            header.itemCount <= SuperChunks.chunksMax
        else { throw .format(.badValue("super-chunk header: counts")) }
        self.header = header
        self.prefix = prefix
        var firstSlots = [0]
        var slot = 0
        var storedOffsets = [prefix.byteCount]
        for frame in prefix.frames {
            var left = Int(frame.rawBytes)
            while left > 0 {
                left -= Int(prefix.chunks[slot].rawBytes)
                slot += 1
            }
            firstSlots.append(slot)
            storedOffsets.append(storedOffsets[storedOffsets.count - 1] + Int(frame.storedBytes))
        }
        self.firstSlots = firstSlots
        self.storedOffsets = storedOffsets
    }

    public var frameCount: Int { prefix.frames.count }
    public var chunkCount: Int { prefix.chunks.count }

    /// The bytes of frame `index` within the record's body; nil when there is no such frame.
    public func storedRange(ofFrame index: Int) -> Range<Int>? {
        guard prefix.frames.indices.contains(index) else { return nil }
        return storedOffsets[index]..<storedOffsets[index + 1]
    }

    /// Whether all frames of the whole body `body` have their checksums; nothing is restored.
    public func framesAreIntact(in body: UnsafeRawBufferPointer) -> Bool {
        prefix.frames.indices.allSatisfy { isIntact($0, in: body) }
    }

    /// Whether frame `index` has its checksum; false where there is no such frame.
    public func isIntact(_ index: Int, in body: UnsafeRawBufferPointer) -> Bool {
        guard let range = storedRange(ofFrame: index), range.upperBound <= body.count else {
            return false
        }
        return BodyChecksum(of: UnsafeRawBufferPointer(rebasing: body[range]))
            == prefix.frames[index].checksum
    }

    /// The frame in which the chunk of `slot` lies; nil when there is no such chunk.
    public func frame(ofSlot slot: Int) -> Int? {
        guard prefix.chunks.indices.contains(slot) else { return nil }
        var low = 0
        var high = frameCount
        while high - low > 1 {
            let middle = (low + high) / 2
            if firstSlots[middle] <= slot { low = middle } else { high = middle }
        }
        return low
    }

    /// The slot of the chunk `name`, by looking at all; nil when it is not here.
    public func slot(of name: ChunkName) -> Int? {
        prefix.chunks.firstIndex { $0.name == name }
    }

    /// Frame `index`, cut out of the whole body `body`, verified and restored.
    ///
    /// Throws `noSuchFrame`, `format` where the body is shorter than its header says, and as
    /// `frame(_:stored:using:pool:)`.
    public func frame(
        _ index: Int, body: UnsafeRawBufferPointer, using codec: some FrameCodec, pool: BufferPool
    ) throws(SuperChunkError) -> DecodedFrame {
        guard let range = storedRange(ofFrame: index) else { throw .noSuchFrame(index) }
        guard range.upperBound <= body.count else {
            throw .format(.truncated("super-chunk frame"))
        }
        let stored = UnsafeRawBufferPointer(rebasing: body[range])
        return try frame(index, stored: stored, using: codec, pool: pool)
    }

    /// Frame `index` from its stored bytes, verified and restored.
    ///
    /// - Parameters:
    ///   - stored: the bytes of `storedRange(ofFrame:)`; borrowed for the call.
    ///   - pool: where the buffer of the raw bytes comes from.
    /// - Throws: `noSuchFrame`; `checksum` where the bytes are not those that were written;
    ///   `codec` where they do not become what they should.
    public func frame(
        _ index: Int, stored: UnsafeRawBufferPointer, using codec: some FrameCodec,
        pool: BufferPool
    ) throws(SuperChunkError) -> DecodedFrame {
        guard prefix.frames.indices.contains(index) else { throw .noSuchFrame(index) }
        let entry = prefix.frames[index]
        guard stored.count == Int(entry.storedBytes), BodyChecksum(of: stored) == entry.checksum
        else { throw .checksum(frame: index) }
        let rawBytes = Int(entry.rawBytes)
        let buffer = pool.takeFitting(rawBytes)
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[0..<rawBytes])
        if entry.codec == 0 {
            target.copyMemory(from: stored)
        } else {
            do {
                try codec.decompress(stored, into: target)
            } catch {
                throw .codec(frame: index, error)
            }
        }
        buffer.count = rawBytes
        return DecodedFrame(
            index: index, firstSlot: firstSlots[index],
            chunks: prefix.chunks[firstSlots[index]..<firstSlots[index + 1]], buffer: buffer)
    }
}
