/// # SuperChunks: chunks laid together, compressed, and found again
///
/// Purpose: between the dedup index and the packs. Going down, a `SuperChunkBuilder` gathers new
/// chunks and closes them into a `SealedSuperChunk`, the body of one record; going up, a
/// `SuperChunkOpener` checks such a body and gives its frames, which a `FrameCache` keeps. The
/// bytes are specified in DiskFormat's `SuperChunkPrefix`.
///
/// Words: a *frame* is a run of whole chunks that is compressed, checked and read on its own; a
/// *slot* is a chunk's number within its super-chunk, counted from 0 over all frames.
///
/// Invariants:
/// 1. No chunk spans two frames, and every frame has at least one chunk.
/// 2. A frame's bytes leave this module only after its checksum was verified and it decompressed to
///    exactly the length that its directory entry names.
/// 3. Bytes from a pack are hostile: they lead to a `SuperChunkError`, never to a trap, and memory
///    is taken only for lengths that a checked prefix names, at most
///    `DiskFormat.superChunkRawBytesMax` together.
/// 4. This module does not know any codec: it is handed one as a `FrameCodec`.
///
/// Threads: a builder belongs to one thread until it is closed; everything else is a value or
/// immutable, and `FrameCache` has a lock of its own.
public enum SuperChunks {
    /// Most chunks of a super-chunk, so that a slot fits 16 bits in an index.
    public static let chunksMax = 1 << 16
    /// Most frames of a super-chunk: their number has 16 bits in the record header.
    public static let framesMax = Int(UInt16.max)
}
