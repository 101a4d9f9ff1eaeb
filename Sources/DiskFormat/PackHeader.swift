import CKernels

/// What is fixed when a store is made and repeated in every pack.
public struct StoreParameters: Equatable, Sendable {
    public var storeID: UniqueID
    public var secret: StoreSecret
    public var features: FeatureSets
    public var hash: HashAlgorithm
    public var chunker: ChunkerParameters
    /// Raw bytes gathered in a super-chunk before it is closed.
    public var superChunkBytes: UInt32
    /// A pack is sealed when it has grown past this.
    public var packBytes: UInt64
    /// Copies of recipe and tree nodes, in different packs: 1 or 2.
    public var metadataCopies: UInt8
    /// The codec's id and level for new super-chunks (0 none, 1 zstd).
    public var codec: UInt8
    public var level: Int8

    public init(
        storeID: UniqueID, secret: StoreSecret, features: FeatureSets = FeatureSets(),
        hash: HashAlgorithm = .sha256, chunker: ChunkerParameters = .gear(meanBytes: 32768),
        superChunkBytes: UInt32 = 1 << 20, packBytes: UInt64 = 64 << 20, metadataCopies: UInt8 = 2,
        codec: UInt8 = 1, level: Int8 = 1
    ) {
        self.storeID = storeID
        self.secret = secret
        self.features = features
        self.hash = hash
        self.chunker = chunker
        self.superChunkBytes = superChunkBytes
        self.packBytes = packBytes
        self.metadataCopies = metadataCopies
        self.codec = codec
        self.level = level
    }

    public static let superChunkBytesRange: ClosedRange<UInt32> = (64 << 10)...(32 << 20)
    public static let packBytesRange: ClosedRange<UInt64> = (1 << 20)...(16 << 30)

    /// What a reader checks before it believes them.
    public var areSane: Bool {
        chunker.areSane && StoreParameters.superChunkBytesRange.contains(superChunkBytes)
            && StoreParameters.packBytesRange.contains(packBytes)
            && (1...2).contains(metadataCopies) && codec <= 1
    }
}

/// The first 4096 bytes of a pack.
///
///     offset  size
///          0     8  magic "ASHLARPK"
///          8     4  format version                ┐ these, the magic and the checksum's place
///         12     4  header bytes = 4096           │ never change: a newer pack is recognised
///         16     8  compatible features           │ as such by every older program
///         24     8  read-only compatible features │
///         32     8  incompatible features         ┘
///         40    16  store id
///         56    16  secret: key of the record headers' checksums
///         72     8  writer id        ┐ PackID
///         80     8  sequence         ┘
///         88     1  hash algorithm (1 sha256, 2 sha512-256)
///         89     1  chunker algorithm (1 gear, 2 fixed)
///         90     1  chunker table id
///         91     1  metadata copies
///         92    12  chunk bytes: minimum, mean, maximum (u32 each)
///        104     8  chunker seed
///        112    16  strict mask, loose mask
///        128     4  shortest zero run that is cut out
///        132     4  super-chunk raw bytes
///        136     8  pack bytes
///        144     1  codec (0 none, 1 zstd)
///        145     1  level (signed)
///        146     2  role of the pack (1 main, 2 copies of metadata)
///        148     4  zero
///        152    12  time of creation: seconds i64, nanoseconds u32
///        164  3928  zero
///       4092     4  CRC32C of bytes 0 ..< 4092 (not keyed: it tells the key)
///
/// What is zero here is zero in every accepted header: a field that is added later comes with a
/// feature bit that older programs refuse, or with a new version.
public struct PackHeader: Equatable, Sendable {
    public enum Role: UInt16, Sendable {
        /// Super-chunks and commits, in the order of writing.
        case main = 1
        /// Second copies of recipe and tree nodes; no commits.
        case copies = 2
    }

    public static let byteCount = 4096
    static let magic: UInt64 = 0x4b50_5241_4c48_5341  // "ASHLARPK"

    public var parameters: StoreParameters
    public var id: PackID
    public var role: Role
    public var createdSeconds: Int64
    public var createdNanoseconds: UInt32

    public init(
        parameters: StoreParameters, id: PackID, role: Role, createdSeconds: Int64,
        createdNanoseconds: UInt32
    ) {
        self.parameters = parameters
        self.id = id
        self.role = role
        self.createdSeconds = createdSeconds
        self.createdNanoseconds = createdNanoseconds
    }

    public func encoded() -> [UInt8] {
        let p = parameters
        var writer = ByteWriter(reservingBytes: PackHeader.byteCount)
        writer.u64(PackHeader.magic)
        writer.u32(DiskFormat.version)
        writer.u32(UInt32(PackHeader.byteCount))
        writer.u64(p.features.compatible)
        writer.u64(p.features.readOnlyCompatible)
        writer.u64(p.features.incompatible)
        p.storeID.write(to: &writer)
        writer.u64(p.secret.high)
        writer.u64(p.secret.low)
        id.write(to: &writer)
        writer.u8(p.hash.rawValue)
        writer.u8(p.chunker.algorithm.rawValue)
        writer.u8(p.chunker.tableID)
        writer.u8(p.metadataCopies)
        writer.u32(p.chunker.minimumBytes)
        writer.u32(p.chunker.meanBytes)
        writer.u32(p.chunker.maximumBytes)
        writer.u64(p.chunker.seed)
        writer.u64(p.chunker.strictMask)
        writer.u64(p.chunker.looseMask)
        writer.u32(p.chunker.zeroRunMinimumBytes)
        writer.u32(p.superChunkBytes)
        writer.u64(p.packBytes)
        writer.u8(p.codec)
        writer.u8(UInt8(bitPattern: p.level))
        writer.u16(role.rawValue)
        writer.u32(0)
        writer.i64(createdSeconds)
        writer.u32(createdNanoseconds)
        writer.zeros(PackHeader.byteCount - 4 - writer.count)
        let checksum = writer.bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
        writer.u32(checksum)
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "pack header")
        guard bytes.count >= 8 else { throw .truncated("pack header: magic") }
        guard try reader.u64("magic") == PackHeader.magic else { throw .notMagic("pack header") }
        guard bytes.count >= PackHeader.byteCount else { throw .truncated("pack header") }
        let version = try reader.u32("version")
        let stored = bytes.loadUnaligned(fromByteOffset: 4092, as: UInt32.self).littleEndian
        guard ashlar_crc32c(0, bytes.baseAddress, 4092) == stored else {
            throw .checksum("pack header")
        }
        if version > DiskFormat.version { throw .newerVersion(version) }
        guard version == DiskFormat.version, try reader.u32("size") == PackHeader.byteCount else {
            throw reader.bad("version or size")
        }
        var features = FeatureSets()
        features.compatible = try reader.u64("features")
        features.readOnlyCompatible = try reader.u64("features")
        features.incompatible = try reader.u64("features")
        _ = try features.check()
        let storeID = try UniqueID(from: &reader, "store id")
        let secret = StoreSecret(high: try reader.u64("secret"), low: try reader.u64("secret"))
        id = try PackID(from: &reader, "pack id")
        guard let hash = HashAlgorithm(rawValue: try reader.u8("hash")) else {
            throw reader.bad("hash algorithm")
        }
        let (chunker, copies) = try PackHeader.readChunker(&reader)
        let superChunkBytes = try reader.u32("super-chunk size")
        let packBytes = try reader.u64("pack size")
        let codec = try reader.u8("codec")
        let level = Int8(bitPattern: try reader.u8("level"))
        guard let role = Role(rawValue: try reader.u16("role")) else { throw reader.bad("role") }
        self.role = role
        try reader.expectZeros(4, "reserved")
        createdSeconds = try reader.i64("time")
        createdNanoseconds = try reader.u32("time")
        guard createdNanoseconds < 1_000_000_000 else { throw reader.bad("time") }
        try reader.expectZeros(PackHeader.byteCount - 4 - reader.position, "reserved")
        parameters = StoreParameters(
            storeID: storeID, secret: secret, features: features, hash: hash, chunker: chunker,
            superChunkBytes: superChunkBytes, packBytes: packBytes, metadataCopies: copies,
            codec: codec, level: level)
        guard parameters.areSane else { throw reader.bad("parameters") }
    }

    private static func readChunker(
        _ reader: inout ByteReader
    ) throws(FormatError) -> (ChunkerParameters, copies: UInt8) {
        guard
            let algorithm = ChunkerParameters.Algorithm(rawValue: try reader.u8("chunker"))
        else { throw reader.bad("chunker algorithm") }
        let table = try reader.u8("chunker table")
        let copies = try reader.u8("metadata copies")
        let minimum = try reader.u32("chunk minimum")
        let mean = try reader.u32("chunk mean")
        let maximum = try reader.u32("chunk maximum")
        let seed = try reader.u64("chunker seed")
        let strict = try reader.u64("strict mask")
        let loose = try reader.u64("loose mask")
        let zeroRun = try reader.u32("zero run")
        let chunker = ChunkerParameters(
            algorithm: algorithm, tableID: table, seed: seed, minimumBytes: minimum,
            meanBytes: mean, maximumBytes: maximum, strictMask: strict, looseMask: loose,
            zeroRunMinimumBytes: zeroRun)
        return (chunker, copies)
    }
}
