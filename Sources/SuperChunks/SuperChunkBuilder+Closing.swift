// From gathered chunks to the body of a record: one frame after the other is compressed.
import DiskFormat
import Glibc
import Platform

extension SuperChunkBuilder {
    /// Compresses what was gathered. Changes nothing: the chunks can be copied until the record is
    /// written, and closing again gives an equal super-chunk.
    ///
    /// A frame that `codec` does not make shorter is stored as it is, without being copied.
    /// Takes as long as the codec does; any thread, after the last `append`.
    ///
    /// Throws `empty`, and with `verifies` also `codec`.
    public func close(using codec: some FrameCodec) throws(SuperChunkError) -> SealedSuperChunk {
        guard let raw, !isEmpty else { throw .empty }
        // Every frame is stored in fewer bytes than it has, or not in here at all.
        let compressed = pool.takeFitting(raw.count)
        var frames: [SuperChunkPrefix.Frame] = []
        var segments: [SealedSuperChunk.Segment] = []
        for range in frameRanges {
            let frame = UnsafeRawBufferPointer(rebasing: raw.bytes[range])
            let begin = compressed.count
            let free = UnsafeMutableRawBufferPointer(
                rebasing: compressed.freeBytes[0..<frame.count - 1])
            let stored: UnsafeRawBufferPointer
            let codecByte: UInt8
            if let count = codec.compress(frame, into: free), count > 0, count < frame.count {
                compressed.count = begin + count
                stored = UnsafeRawBufferPointer(rebasing: compressed.bytes[begin..<begin + count])
                codecByte = 1
                segments.append(.compressed(begin..<begin + count))
                if verifies { try verify(stored, isOf: frame, index: frames.count, codec) }
            } else {
                stored = frame
                codecByte = 0
                segments.append(.raw(range))
            }
            frames.append(
                .init(
                    storedBytes: UInt32(stored.count), rawBytes: UInt32(frame.count),
                    codec: codecByte, checksum: BodyChecksum(of: stored)))
        }
        return SealedSuperChunk(
            prefix: SuperChunkPrefix(frames: frames, chunks: chunks),
            flags: domainIsMetadata ? .metadata : [], segments: segments, raw: raw,
            compressed: compressed)
    }

    private func verify(
        _ stored: UnsafeRawBufferPointer, isOf frame: UnsafeRawBufferPointer, index: Int,
        _ codec: some FrameCodec
    ) throws(SuperChunkError) {
        let scratch = pool.takeFitting(frame.count)
        defer { withExtendedLifetime(scratch) {} }
        let target = UnsafeMutableRawBufferPointer(rebasing: scratch.mutableBytes[0..<frame.count])
        do {
            try codec.decompress(stored, into: target)
        } catch {
            throw .codec(frame: index, error)
        }
        guard let restored = target.baseAddress, let source = frame.baseAddress,
            memcmp(restored, source, frame.count) == 0
        else { throw .codec(frame: index, .damaged) }
    }
}
