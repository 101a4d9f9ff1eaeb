import CKernels

/// The last record of a sealed pack: where its records are, so that an index is rebuilt without
/// reading what lies between. Then the trailer, the pack's last 32 bytes, which finds the table.
///
///     body:     records × 24 bytes: offset u64 · body bytes u32 · items u32 · kind u8 · flags u8 ·
///               zero u16 · frames u16 · zero u16
///     trailer:   0 magic "ASHLAREN" · 8 offset of the table's record u64 · 16 zero u64 · 24 zero u32
///               28 CRC32C over: secret, writer, sequence, bytes 0 ..< 28
///
/// The table lists every record before it, by ascending offsets: at multiples of 8, the first not
/// before 4096, none within the one before. It is a convenience: where it is damaged or missing, a
/// scan of the headers finds the same.
public struct PackTable: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public var offset: UInt64
        public var storedBytes: UInt32
        public var itemCount: UInt32
        public var kindByte: UInt8
        public var flags: RecordHeader.Flags
        public var frameCount: UInt16

        public init(offset: UInt64, header: RecordHeader) {
            self.offset = offset
            storedBytes = header.storedBytes
            itemCount = header.itemCount
            kindByte = header.kindByte
            flags = header.flags
            frameCount = header.frameCount
        }

        /// Where the record ends, its padding included. `offset` is far from overflowing in what a
        /// decoder accepts.
        var end: UInt64 {
            offset + DiskFormat.aligned(UInt64(RecordHeader.byteCount) + UInt64(storedBytes))
        }

        init(from reader: inout ByteReader) throws(FormatError) {
            offset = try reader.u64("offset")
            storedBytes = try reader.u32("body bytes")
            itemCount = try reader.u32("items")
            kindByte = try reader.u8("kind")
            flags = RecordHeader.Flags(rawValue: try reader.u8("flags"))
            try reader.expectZeros(2, "reserved")
            frameCount = try reader.u16("frames")
            try reader.expectZeros(2, "reserved")
        }
    }

    public static let entryBytes = 24
    public static let trailerBytes = 32
    static let trailerMagic: UInt64 = 0x4e45_5241_4c48_5341  // "ASHLAREN"

    public var entries: [Entry]

    public init(entries: [Entry]) {
        self.entries = entries
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: entries.count * PackTable.entryBytes)
        for entry in entries {
            writer.u64(entry.offset)
            writer.u32(entry.storedBytes)
            writer.u32(entry.itemCount)
            writer.u8(entry.kindByte)
            writer.u8(entry.flags.rawValue)
            writer.u16(0)
            writer.u16(entry.frameCount)
            writer.u16(0)
        }
        return writer.bytes
    }

    /// From the body of a table record whose header was verified. Whether the records end before the
    /// table does is for the caller, who knows where that lies.
    public init(_ body: UnsafeRawBufferPointer, header: RecordHeader) throws(FormatError) {
        guard BodyChecksum(of: body) == header.bodyChecksum else { throw .checksum("pack table") }
        guard body.count == Int(header.itemCount) * PackTable.entryBytes else {
            throw .badValue("pack table: length")
        }
        var reader = ByteReader(body, "pack table")
        entries = []
        entries.reserveCapacity(Int(header.itemCount))
        var free = UInt64(PackHeader.byteCount)
        for _ in 0..<header.itemCount {
            let entry = try Entry(from: &reader)
            guard entry.offset >= free, entry.offset <= UInt64(Int64.max),
                entry.offset % UInt64(DiskFormat.recordAlignmentBytes) == 0
            else { throw reader.bad("offset") }
            free = entry.end
            entries.append(entry)
        }
    }

    public static func encodedTrailer(
        tableOffset: UInt64, secret: StoreSecret, pack: PackID
    ) -> [UInt8] {
        var writer = ByteWriter(reservingBytes: trailerBytes)
        writer.u64(trailerMagic)
        writer.u64(tableOffset)
        writer.zeros(12)
        writer.u32(trailerChecksum(writer.bytes, secret: secret, pack: pack))
        return writer.bytes
    }

    /// The offset of the table's record, from a pack's last 32 bytes; nil where they are no trailer.
    public static func tableOffset(
        trailer: UnsafeRawBufferPointer, secret: StoreSecret, pack: PackID
    ) -> UInt64? {
        guard trailer.count == trailerBytes,
            trailer.loadUnaligned(as: UInt64.self).littleEndian == trailerMagic
        else { return nil }
        let stored = trailer.loadUnaligned(fromByteOffset: 28, as: UInt32.self).littleEndian
        guard trailerChecksum(Array(trailer[0..<28]), secret: secret, pack: pack) == stored else {
            return nil
        }
        return trailer.loadUnaligned(fromByteOffset: 8, as: UInt64.self).littleEndian
    }

    private static func trailerChecksum(
        _ bytes: [UInt8], secret: StoreSecret, pack: PackID
    ) -> UInt32 {
        let words = [secret.high, secret.low, pack.writer, pack.sequence].map(\.littleEndian)
        let base = words.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
        return bytes.withUnsafeBytes { ashlar_crc32c(base, $0.baseAddress, 28) }
    }
}
