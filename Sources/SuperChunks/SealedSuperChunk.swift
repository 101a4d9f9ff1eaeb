// What a builder hands to the writer of packs.
import DiskFormat
import Platform

/// A super-chunk ready to be appended to a pack: the fields of its header, and its body in pieces
/// for one gathered write. Immutable; any thread. Holds its buffers until its last reference goes.
public final class SealedSuperChunk: @unchecked Sendable {
    /// Where a run of the body's bytes lies.
    enum Segment {
        /// In the buffer of the raw chunks.
        case raw(Range<Int>)
        /// In the buffer that the codec wrote.
        case compressed(Range<Int>)
    }

    /// Kind, flags, lengths, counts and checksum; the place in a pack comes with its encoding.
    public let header: RecordHeader
    /// Frame directory and chunk table.
    public let prefix: SuperChunkPrefix
    /// `prefix`, encoded.
    private let head: PooledBuffer
    private let segments: [Segment]
    private let raw: PooledBuffer
    private let compressed: PooledBuffer

    init(
        prefix: SuperChunkPrefix, flags: RecordHeader.Flags, segments: [Segment],
        raw: PooledBuffer, compressed: PooledBuffer
    ) {
        self.prefix = prefix
        self.raw = raw
        self.compressed = compressed
        self.segments = SealedSuperChunk.joined(segments)
        let prefixBytes = prefix.encoded()
        let head = BufferPool(capacityBytes: prefixBytes.count, keptBytesMax: 0).take()
        prefixBytes.withUnsafeBytes { head.mutableBytes.copyMemory(from: $0) }
        head.count = prefixBytes.count
        self.head = head
        let stored = prefix.frames.reduce(prefixBytes.count) { $0 + Int($1.storedBytes) }
        let rawBytes = prefix.frames.reduce(0) { $0 + Int($1.rawBytes) }
        // 64 MiB of chunks and 2^16 entries of prefix are far below it.
        assert(stored <= DiskFormat.bodyBytesMax)
        header = RecordHeader(
            kind: .superChunk, flags: flags, storedBytes: UInt32(stored),
            rawBytes: UInt32(rawBytes), frameCount: UInt16(prefix.frames.count),
            itemCount: UInt32(prefix.chunks.count),
            bodyChecksum: BodyChecksum(of: head.bytes))
    }

    /// Neighbours in the same buffer become one piece of the gathered write.
    private static func joined(_ segments: [Segment]) -> [Segment] {
        var result: [Segment] = []
        for segment in segments {
            switch (result.last, segment) {
            case (.raw(let before), .raw(let next)) where before.upperBound == next.lowerBound:
                result[result.count - 1] = .raw(before.lowerBound..<next.upperBound)
            case (.compressed(let before), .compressed(let next)):
                result[result.count - 1] = .compressed(before.lowerBound..<next.upperBound)
            default:
                result.append(segment)
            }
        }
        return result
    }

    /// Calls `body` with the pieces of the record's body in order, the prefix first; their bytes add
    /// up to `header.storedBytes`. They are valid during the call.
    public func withPieces<Result, Failure: Error>(
        _ body: ([UnsafeRawBufferPointer]) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(self) {} }
        var pieces = [head.bytes]
        for segment in segments {
            switch segment {
            case .raw(let range):
                pieces.append(UnsafeRawBufferPointer(rebasing: raw.bytes[range]))
            case .compressed(let range):
                pieces.append(UnsafeRawBufferPointer(rebasing: compressed.bytes[range]))
            }
        }
        return try body(pieces)
    }
}
