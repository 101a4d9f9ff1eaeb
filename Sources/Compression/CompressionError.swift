/// Why bytes could not be compressed or restored. All but `outOfMemory` say that the frame, which
/// comes from outside, is not what it should be.
public enum CompressionError: Error, Equatable {
    case outOfMemory
    /// Not a zstd frame, or one of an older format than RFC 8878's.
    case notAFrame
    /// Ends early, or goes on behind the frame: `frameBytes` is the frame's own length where that
    /// can be told.
    case wrongFrameLength(sourceBytes: Int, frameBytes: Int?)
    /// A dictionary is named, and none is in use.
    case dictionaryNeeded(id: UInt32)
    /// More history is asked for than any writer of this format uses.
    case windowTooLarge(windowBytes: UInt64)
    /// The frame holds, or says that it holds, another number of bytes than the caller knows.
    case wrongContentLength(expected: Int, found: UInt64)
    /// The frame's inside is damaged.
    case corrupt
}
