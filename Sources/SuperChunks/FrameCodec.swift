/// Why a codec could not restore a frame.
public enum FrameCodecError: Error, Equatable, Sendable {
    /// The stored bytes are no frame of the codec, or one of another length.
    case damaged
    /// Nothing is known about the bytes: there was no memory to look at them. Not damage.
    case outOfMemory
}

/// Compresses and restores frames of the format's codec 1; the caller adapts its compressor to it.
/// Codec 0, the bytes as they are, never reaches it. Called from any thread, from several at once.
public protocol FrameCodec: Sendable {
    /// Makes `raw` one frame at the beginning of `destination`, which does not overlap it and is
    /// shorter than it by a byte.
    ///
    /// - Returns: the frame's length in bytes; nil to store the bytes as they are.
    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int?

    /// Restores all of `raw` from the frame `stored`, which must have nothing else in it. What is in
    /// `raw` after an error is not specified.
    func decompress(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(FrameCodecError)
}
