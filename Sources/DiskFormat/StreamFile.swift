import CKernels

/// A snapshot (`.snap`) or a difference (`.diff`) as one file: the packs of a small store of its own,
/// one behind the other, with a table that says where.
///
///     head, 64 bytes:
///          0     8  magic "ASHLARST"                 ┐ these, and the checksum's place, never
///          8     4  version = 1                      │ change: a newer file is recognised as such
///         12     2  kind (1 snapshot, 2 difference)  │ by every older program
///         14     2  flags: 1 has content · 2 one way ┘
///         16    24  features: compatible, read-only compatible, incompatible (u64 each)
///         40    12  time of making: seconds i64, nanoseconds u32
///         52     8  zero
///         60     4  CRC32C of bytes 0 ..< 60
///     packs: each at a multiple of 8, the first behind the head, each behind the one before; what lies
///          between is less than 8 zeros
///     table: sections × 64 bytes: pack id (16) · offset u64 · bytes u64 · SHA-256 of the pack (32)
///     trailer, the last 48 bytes:
///          0     8  magic "ASHLARSE"
///          8     8  offset of the table u64, right behind the last pack and its zeros
///         16     4  sections u32
///         20     8  zero
///         28    16  XXH3-128 of the head and the table
///         44     4  CRC32C of the trailer's bytes 0 ..< 44
///
/// The packs are sealed, and what they hold is as in any store: see PackHeader. Snapshots in them are
/// called `snapshot`, or `base` and `target`.
///
/// For whoever reads what nobody vouches for: a file without a valid trailer at its end is refused, so
/// one that was cut is; sections lie within the file, apart and in order, and no two have one id; and
/// the packs' own rules hold. Whether the packs are those of the table its digests tell.
public struct StreamHead: Equatable, Sendable {
    public enum Kind: UInt16, Sendable {
        case snapshot = 1
        case difference = 2
    }

    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        /// Chunks of data are there, not their names alone.
        public static let content = Flags(rawValue: 1)
        /// Of a difference: what only the base has is missing.
        public static let oneWay = Flags(rawValue: 2)
    }

    public static let byteCount = 64
    public static let version: UInt32 = 1
    static let magic: UInt64 = 0x5453_5241_4c48_5341  // "ASHLARST"

    public var kind: Kind
    public var flags: Flags
    public var features: FeatureSets
    public var time: DiskTime

    public init(
        kind: Kind, flags: Flags, features: FeatureSets = FeatureSets(), time: DiskTime
    ) {
        self.kind = kind
        self.flags = flags
        self.features = features
        self.time = time
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: StreamHead.byteCount)
        writer.u64(StreamHead.magic)
        writer.u32(StreamHead.version)
        writer.u16(kind.rawValue)
        writer.u16(flags.rawValue)
        writer.u64(features.compatible)
        writer.u64(features.readOnlyCompatible)
        writer.u64(features.incompatible)
        writer.i64(time.seconds)
        writer.u32(time.nanoseconds)
        writer.zeros(8)
        let checksum = writer.bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
        writer.u32(checksum)
        return writer.bytes
    }

    /// From the first bytes of a file.
    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "stream head")
        guard bytes.count >= 8 else { throw .truncated("stream head: magic") }
        guard try reader.u64("magic") == StreamHead.magic else { throw .notMagic("stream head") }
        guard bytes.count == StreamHead.byteCount else { throw .truncated("stream head") }
        let version = try reader.u32("version")
        let stored = bytes.loadUnaligned(fromByteOffset: 60, as: UInt32.self).littleEndian
        guard ashlar_crc32c(0, bytes.baseAddress, 60) == stored else {
            throw .checksum("stream head")
        }
        if version > StreamHead.version { throw .newerVersion(version) }
        guard version == StreamHead.version else { throw reader.bad("version") }
        let kind = Kind(rawValue: try reader.u16("kind"))
        flags = Flags(rawValue: try reader.u16("flags"))
        features = FeatureSets()
        features.compatible = try reader.u64("features")
        features.readOnlyCompatible = try reader.u64("features")
        features.incompatible = try reader.u64("features")
        _ = try features.check()
        guard let kind, flags.rawValue & ~3 == 0, kind == .difference || !flags.contains(.oneWay)
        else { throw reader.bad("kind or flags") }
        self.kind = kind
        time = DiskTime(seconds: try reader.i64("time"), nanoseconds: try reader.u32("time"))
        guard time.nanoseconds < 1_000_000_000 else { throw reader.bad("time") }
        try reader.expectZeros(8, "reserved")
    }
}

/// Where the packs of a stream file are: see `StreamHead`.
public struct StreamTable: Equatable, Sendable {
    public struct Section: Equatable, Sendable {
        public var pack: PackID
        /// Within the file.
        public var offset: UInt64
        public var byteCount: UInt64
        public var digest: ChunkName

        public init(pack: PackID, offset: UInt64, byteCount: UInt64, digest: ChunkName) {
            self.pack = pack
            self.offset = offset
            self.byteCount = byteCount
            self.digest = digest
        }
    }

    public static let sectionBytes = 64
    public static let trailerBytes = 48
    /// Packs of a file: 64 TiB of the default size.
    public static let sectionsMax = 1 << 20
    static let trailerMagic: UInt64 = 0x4553_5241_4c48_5341  // "ASHLARSE"

    public var sections: [Section]

    public init(sections: [Section]) {
        self.sections = sections
    }

    /// Behind the last pack and its zeros.
    public var offset: UInt64 {
        let end = sections.last.map { $0.offset + $0.byteCount }
        return DiskFormat.aligned(end ?? UInt64(StreamHead.byteCount))
    }

    private func encodedSections() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: sections.count * StreamTable.sectionBytes)
        for section in sections {
            section.pack.write(to: &writer)
            writer.u64(section.offset)
            writer.u64(section.byteCount)
            writer.name(section.digest)
        }
        return writer.bytes
    }

    /// The table with its trailer: the end of the file.
    public func encoded(head: [UInt8]) -> [UInt8] {
        encoded(head: head, claiming: offset)
    }

    /// - Parameter offset: where the trailer says that the table is: tests lie.
    func encoded(head: [UInt8], claiming offset: UInt64) -> [UInt8] {
        let table = encodedSections()
        var writer = ByteWriter(reservingBytes: table.count + StreamTable.trailerBytes)
        writer.raw(table)
        var trailer = ByteWriter(reservingBytes: StreamTable.trailerBytes)
        trailer.u64(StreamTable.trailerMagic)
        trailer.u64(offset)
        trailer.u32(UInt32(sections.count))
        trailer.zeros(8)
        (head + table).withUnsafeBytes { BodyChecksum(of: $0) }.write(to: &trailer)
        let checksum = trailer.bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
        trailer.u32(checksum)
        writer.raw(trailer.bytes)
        return writer.bytes
    }

    /// What a file's last bytes say of its table.
    public struct Trailer: Equatable, Sendable {
        public var tableOffset: UInt64
        public var sectionCount: Int
        var checksum: BodyChecksum

        /// Bytes of the table.
        public var tableBytes: Int { sectionCount * StreamTable.sectionBytes }

        /// - Parameter fileBytes: the length of the file.
        public init(
            _ bytes: UnsafeRawBufferPointer, fileBytes: UInt64
        ) throws(FormatError) {
            var reader = ByteReader(bytes, "stream trailer")
            guard bytes.count == StreamTable.trailerBytes else {
                throw .truncated("stream trailer")
            }
            guard try reader.u64("magic") == StreamTable.trailerMagic else {
                throw .truncated("stream trailer: the end of the file is missing")
            }
            let stored = bytes.loadUnaligned(fromByteOffset: 44, as: UInt32.self).littleEndian
            guard ashlar_crc32c(0, bytes.baseAddress, 44) == stored else {
                throw .checksum("stream trailer")
            }
            tableOffset = try reader.u64("table")
            let count = try reader.u32("sections")
            try reader.expectZeros(8, "reserved")
            checksum = BodyChecksum(
                low: try reader.u64("checksum"), high: try reader.u64("checksum"))
            guard count <= StreamTable.sectionsMax else { throw reader.bad("sections") }
            sectionCount = Int(count)
            let tail = UInt64(tableBytes + StreamTable.trailerBytes)
            guard tableOffset >= UInt64(StreamHead.byteCount), fileBytes >= tail,
                tableOffset == fileBytes - tail
            else { throw reader.bad("table") }
        }
    }

    /// From the head's and the table's bytes.
    public init(
        _ bytes: [UInt8], head: [UInt8], trailer: Trailer
    ) throws(FormatError) {
        guard bytes.count == trailer.tableBytes else { throw .truncated("stream table") }
        guard (head + bytes).withUnsafeBytes({ BodyChecksum(of: $0) }) == trailer.checksum else {
            throw .checksum("stream table")
        }
        sections = []
        var failure: FormatError?
        let read = bytes.withUnsafeBytes { raw -> [Section] in
            do throws(FormatError) {
                return try StreamTable.read(raw, trailer)
            } catch {
                failure = error
                return []
            }
        }
        if let failure { throw failure }
        sections = read
    }

    private static func read(
        _ raw: UnsafeRawBufferPointer, _ trailer: Trailer
    ) throws(FormatError) -> [Section] {
        var reader = ByteReader(raw, "stream table")
        var sections: [Section] = []
        var ids: Set<PackID> = []
        var end = UInt64(StreamHead.byteCount)
        for _ in 0..<trailer.sectionCount {
            let section = Section(
                pack: try PackID(from: &reader, "pack id"), offset: try reader.u64("offset"),
                byteCount: try reader.u64("bytes"), digest: try reader.name("digest"))
            guard section.offset == DiskFormat.aligned(end), section.byteCount > 0,
                section.offset < trailer.tableOffset,
                section.byteCount <= trailer.tableOffset - section.offset
            else { throw reader.bad("a pack's place") }
            guard ids.insert(section.pack).inserted else { throw reader.bad("a pack twice") }
            end = section.offset + section.byteCount
            sections.append(section)
        }
        guard trailer.tableOffset == DiskFormat.aligned(end) else { throw reader.bad("offset") }
        return sections
    }
}
