import DiskFormat

/// What the index knows of a pack: which one it is, how far it is vouched for, what is alive in it.
///
///     offset  size
///          0    16  PackID: writer u64, sequence u64
///         16     8  valid bytes: past the last record that a commit vouches for, or that is one
///         24     8  stored bytes: of the super-chunks' records, headers and padding included
///         32     8  super-chunks
///         40     8  raw bytes: of all chunks laid in it, each copy counted
///         48     8  living bytes: of those that the index still has a place of in this pack
///         56     1  flags: 1 sealed, 2 condemned (to be deleted), 4 holds second copies of metadata
///
/// Little-endian.
public struct PackRecord: Equatable, Sendable {
    public var id: PackID
    public var validBytes: UInt64 = 0
    public var storedBytes: UInt64 = 0
    public var superChunks: UInt64 = 0
    public var rawBytes: UInt64 = 0
    public var livingBytes: UInt64 = 0
    public var isSealed = false
    /// A durable commit has said that the pack is about to be deleted.
    public var isCondemned = false
    public var holdsCopies = false

    public init(id: PackID) {
        self.id = id
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 57)
        writer.u64(id.writer)
        writer.u64(id.sequence)
        writer.u64(validBytes)
        writer.u64(storedBytes)
        writer.u64(superChunks)
        writer.u64(rawBytes)
        writer.u64(livingBytes)
        writer.u8((isSealed ? 1 : 0) | (isCondemned ? 2 : 0) | (holdsCopies ? 4 : 0))
        return writer.bytes
    }

    /// From an index's value. An error means that the index is to be rebuilt.
    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "pack record")
        let writer = try reader.u64("writer")
        id = PackID(writer: writer, sequence: try reader.u64("sequence"))
        validBytes = try reader.u64("valid bytes")
        storedBytes = try reader.u64("stored bytes")
        superChunks = try reader.u64("super-chunks")
        rawBytes = try reader.u64("raw bytes")
        livingBytes = try reader.u64("living bytes")
        let flags = try reader.u8("flags")
        guard flags & ~7 == 0 else { throw reader.bad("flags") }
        isSealed = flags & 1 != 0
        isCondemned = flags & 2 != 0
        holdsCopies = flags & 4 != 0
        try reader.expectEnd()
    }
}

extension IndexKey {
    /// The number in a pack's key; nil for other keys.
    public static func packNumber(_ key: UnsafeRawBufferPointer) -> UInt32? {
        guard key.count == 5, key[0] == packPrefix else { return nil }
        return UInt32(bigEndian: key.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
    }
}
