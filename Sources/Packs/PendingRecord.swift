// What a writer is handed: a body in parts, and what its header says of it. Borrowed, not copied.
import DiskFormat

/// A record about to be appended. Borrows its body: valid as long as the buffers of `parts` are.
public struct PendingRecord {
    /// What the body is.
    public var kind: RecordHeader.Kind
    /// As in the record's header.
    public var flags: RecordHeader.Flags
    /// Codec of a commit's body; 0 for super-chunks.
    public var codec: UInt8
    /// The body, in parts that lie one behind the other.
    public var parts: [UnsafeRawBufferPointer]
    /// Bytes of all chunks together, or of the commit before compression.
    public var rawBytes: UInt32
    /// Frames of a super-chunk, otherwise 0.
    public var frameCount: UInt16
    /// Chunks in a super-chunk, records in a pack table, otherwise 0.
    public var itemCount: UInt32
    /// Of a super-chunk's prefix; of the whole body of every other kind.
    public var checksum: BodyChecksum

    /// A record of these parts; `checksum` is computed by the caller, on its own threads.
    public init(
        kind: RecordHeader.Kind, flags: RecordHeader.Flags = [], codec: UInt8 = 0,
        parts: [UnsafeRawBufferPointer], rawBytes: UInt32, frameCount: UInt16 = 0,
        itemCount: UInt32 = 0, checksum: BodyChecksum
    ) {
        self.kind = kind
        self.flags = flags
        self.codec = codec
        self.parts = parts
        self.rawBytes = rawBytes
        self.frameCount = frameCount
        self.itemCount = itemCount
        self.checksum = checksum
    }

    /// Bytes of the body as stored, padding excluded.
    public var storedBytes: UInt64 {
        parts.reduce(0) { $0 + UInt64($1.count) }
    }

    /// The record's header; nil where the body is longer than the format allows.
    func header() -> RecordHeader? {
        let stored = storedBytes
        guard stored <= UInt64(DiskFormat.bodyBytesMax) else { return nil }
        return RecordHeader(
            kind: kind, flags: flags, codec: codec, storedBytes: UInt32(stored),
            rawBytes: rawBytes, frameCount: frameCount, itemCount: itemCount,
            bodyChecksum: checksum)
    }
}
