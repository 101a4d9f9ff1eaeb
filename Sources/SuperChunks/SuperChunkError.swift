// The errors of this module, of reading and of closing.
import DiskFormat

/// What can be wrong with a super-chunk that is read, or with one that is about to be written.
public enum SuperChunkError: Error, Equatable, Sendable {
    /// Header or prefix are not those of a super-chunk, or contradict each other or the body.
    case format(FormatError)
    /// The stored bytes of frame `frame` are not those that were written.
    case checksum(frame: Int)
    /// The codec did not restore frame `frame`; on closing with verification also: it restored
    /// other bytes than were compressed.
    case codec(frame: Int, FrameCodecError)
    /// Asked for a frame that the super-chunk does not have.
    case noSuchFrame(Int)
    /// Closed without a chunk in it.
    case empty
}
