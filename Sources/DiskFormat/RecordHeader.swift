import CKernels

/// A 128-bit XXH3 checksum, low word first.
public struct BodyChecksum: Hashable, Sendable {
    public var low: UInt64
    public var high: UInt64

    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// Of `bytes`.
    public init(of bytes: UnsafeRawBufferPointer) {
        var out: (UInt64, UInt64) = (0, 0)
        withUnsafeMutablePointer(to: &out) { pointer in
            pointer.withMemoryRebound(to: UInt64.self, capacity: 2) {
                ashlar_xxh3_128(bytes.baseAddress, bytes.count, $0)
            }
        }
        low = out.0
        high = out.1
    }

    func write(to writer: inout ByteWriter) {
        writer.u64(low)
        writer.u64(high)
    }

    init(from reader: inout ByteReader, _ what: StaticString) throws(FormatError) {
        low = try reader.u64(what)
        high = try reader.u64(what)
    }
}

/// The 48 bytes before every record's body. The body follows at once, then zeros up to the next
/// multiple of 8.
///
///     offset  size
///          0     4  magic "ASRC"
///          4     1  kind (RecordKind)
///          5     1  flags: 1 optional (an unknown kind is skipped by length), 2 metadata,
///                   4 second copy, 8 dense (compressed anew, with more effort: a hint)
///          6     1  codec of a commit's body (0 none, 1 zstd); 0 for super-chunks, whose frames
///                   have their own
///          7     1  id of the body checksum (1 XXH3-128)
///          8     4  body bytes as stored, padding excluded
///         12     4  raw bytes: of all chunks together, or of the commit before compression
///         16     2  frames of a super-chunk
///         18     1  transform (0 none; encryption has room here)
///         19     1  key slot (0)
///         20     4  dictionary id (0)
///         24    16  body checksum: of a super-chunk's prefix (which has one for each frame),
///                   of all stored body bytes otherwise
///         40     4  chunks in a super-chunk, records in a pack table
///         44     4  CRC32C over: secret (16), writer (8), sequence (8), offset in the pack (8),
///                   bytes 0 ..< 44 of this header
public struct RecordHeader: Equatable, Sendable {
    public static let byteCount = 48
    static let magic: UInt32 = 0x4352_5341  // "ASRC"

    public enum Kind: UInt8, Sendable {
        case superChunk = 1
        case commit = 2
        case packTable = 3
        /// Nothing of worth: fills a place up, or stands where a super-chunk was punched out.
        case filler = 4
    }

    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let optional = Flags(rawValue: 1)
        public static let metadata = Flags(rawValue: 2)
        public static let copy = Flags(rawValue: 4)
        public static let dense = Flags(rawValue: 8)
        static let known: Flags = [.optional, .metadata, .copy, .dense]
    }

    /// nil: a kind that this program does not know, allowed only with `.optional`; such a record is
    /// passed over by its length, and its other fields may mean anything.
    public var kind: Kind? { Kind(rawValue: kindByte) }
    public var kindByte: UInt8
    public var flags: Flags
    public var codec: UInt8
    public var storedBytes: UInt32
    public var rawBytes: UInt32
    public var frameCount: UInt16
    public var itemCount: UInt32
    public var bodyChecksum: BodyChecksum

    public init(
        kind: Kind, flags: Flags = [], codec: UInt8 = 0, storedBytes: UInt32, rawBytes: UInt32,
        frameCount: UInt16 = 0, itemCount: UInt32 = 0, bodyChecksum: BodyChecksum
    ) {
        kindByte = kind.rawValue
        self.flags = flags
        self.codec = codec
        self.storedBytes = storedBytes
        self.rawBytes = rawBytes
        self.frameCount = frameCount
        self.itemCount = itemCount
        self.bodyChecksum = bodyChecksum
    }

    /// Header, body and padding together.
    public var recordBytes: UInt64 {
        DiskFormat.aligned(UInt64(RecordHeader.byteCount) + UInt64(storedBytes))
    }

    /// The key that a header's checksum starts from; made once for each pack.
    public struct Key: Sendable {
        let base: UInt32

        public init(secret: StoreSecret, pack: PackID) {
            let words = [secret.high, secret.low, pack.writer, pack.sequence]
                .map(\.littleEndian)
            base = words.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
        }

        func checksum(offset: UInt64, _ header: UnsafeRawBufferPointer) -> UInt32 {
            var place = offset.littleEndian
            let seeded = ashlar_crc32c(base, &place, 8)
            return ashlar_crc32c(seeded, header.baseAddress, 44)
        }
    }

    public func encoded(key: Key, offset: UInt64) -> [UInt8] {
        var writer = ByteWriter(reservingBytes: RecordHeader.byteCount)
        writer.u32(RecordHeader.magic)
        writer.u8(kindByte)
        writer.u8(flags.rawValue)
        writer.u8(codec)
        writer.u8(1)
        writer.u32(storedBytes)
        writer.u32(rawBytes)
        writer.u16(frameCount)
        writer.u8(0)
        writer.u8(0)
        writer.u32(0)
        bodyChecksum.write(to: &writer)
        writer.u32(itemCount)
        writer.u32(writer.bytes.withUnsafeBytes { key.checksum(offset: offset, $0) })
        return writer.bytes
    }

    /// Whether the four bytes at `bytes` could begin a record: the cheap test of a scan.
    @inlinable
    public static func looksLikeHeader(_ bytes: UnsafeRawPointer) -> Bool {
        bytes.loadUnaligned(as: UInt32.self) == 0x4352_5341
    }

    public init(
        _ bytes: UnsafeRawBufferPointer, key: Key, offset: UInt64
    ) throws(FormatError) {
        guard bytes.count >= RecordHeader.byteCount else { throw .truncated("record header") }
        var reader = ByteReader(
            UnsafeRawBufferPointer(rebasing: bytes[0..<RecordHeader.byteCount]), "record header")
        guard try reader.u32("magic") == RecordHeader.magic else {
            throw .notMagic("record header")
        }
        let stored = bytes.loadUnaligned(fromByteOffset: 44, as: UInt32.self).littleEndian
        guard key.checksum(offset: offset, bytes) == stored else {
            throw .checksum("record header")
        }
        kindByte = try reader.u8("kind")
        flags = Flags(rawValue: try reader.u8("flags"))
        codec = try reader.u8("codec")
        let checksumID = try reader.u8("checksum id")
        storedBytes = try reader.u32("stored bytes")
        rawBytes = try reader.u32("raw bytes")
        frameCount = try reader.u16("frames")
        let transform = try reader.u8("transform")
        let keySlot = try reader.u8("key slot")
        let dictionary = try reader.u32("dictionary")
        bodyChecksum = try BodyChecksum(from: &reader, "body checksum")
        itemCount = try reader.u32("items")
        if Kind(rawValue: kindByte) == nil {
            guard flags.contains(.optional) else { throw .newerRecord(kindByte) }
            return
        }
        guard checksumID == 1, transform == 0, keySlot == 0, dictionary == 0, codec <= 1,
            flags.isSubset(of: .known)
        else { throw .newerRecord(kindByte) }
        guard storedBytes <= DiskFormat.bodyBytesMax else { throw reader.bad("stored bytes") }
    }
}
