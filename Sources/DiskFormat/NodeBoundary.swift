import CKernels

/// Where a Merkle list's nodes end: decided by the entries' own bytes, so that one changed entry
/// rewrites a few nodes and equal lists have equal nodes whatever their history.
///
/// The rule, for each level with its own salt: a node ends behind the entry with which it has at
/// least `minimumBytes` and for which `XXH3-64(entry, seed: salt) & mask == 0`; or behind the entry
/// with which it reaches `maximumBytes`; or with the list. So only the list's last nodes depend on
/// anything but their own entries. (The idea is that of content-defined chunking, applied to
/// entries: Noms' "prolly trees"; FastCDC's minimum and maximum.)
public enum NodeBoundary {
    /// Entries' bytes in a node, its 8-byte head excluded. A node exceeds the maximum by less than
    /// its last entry.
    public static let minimumBytes = 16 << 10
    public static let maximumBytes = 64 << 10
    /// One entry in 512 of ~36 bytes (recipes), in 128 of ~130 bytes (directories): nodes of about
    /// 32 KiB.
    static let recipeMask: UInt64 = 511
    static let treeMask: UInt64 = 127

    /// Whether `entry` (as encoded) ends a node of `entryBytes` bytes that it is the last of.
    public static func ends(
        _ entry: UnsafeRawBufferPointer, nodeBytes: Int, level: UInt8, domain: ChunkDomain
    ) -> Bool {
        guard nodeBytes >= minimumBytes else { return false }
        if nodeBytes >= maximumBytes { return true }
        let salt = 0x6173_686c_6172 << 16 | UInt64(domain.rawValue) << 8 | UInt64(level)
        let mask = domain == .recipe ? recipeMask : treeMask
        return ashlar_xxh3_64(entry.baseAddress, entry.count, salt) & mask == 0
    }
}

/// The 8 bytes that every node begins with.
///
///     0 kind: 'R' recipe, 'D' directory, 'L' linked inodes, 'V' volume root (u8)
///     1 level u8 (0 leaf) · 2 zero u16 · 4 entries u32
public struct NodeHead: Equatable, Sendable {
    public enum Kind: UInt8, Sendable {
        case recipe = 0x52
        case directory = 0x44
        case linkedInodes = 0x4c
        case root = 0x56
    }

    public static let byteCount = 8

    public var kind: Kind
    public var level: UInt8
    public var entryCount: UInt32

    public init(kind: Kind, level: UInt8, entryCount: UInt32) {
        self.kind = kind
        self.level = level
        self.entryCount = entryCount
    }

    public func write(to writer: inout ByteWriter) {
        writer.u8(kind.rawValue)
        writer.u8(level)
        writer.u16(0)
        writer.u32(entryCount)
    }

    public init(from reader: inout ByteReader) throws(FormatError) {
        guard let kind = Kind(rawValue: try reader.u8("node kind")) else {
            throw reader.bad("node kind")
        }
        self.kind = kind
        level = try reader.u8("node level")
        guard level <= NodeReference.levelMax else { throw reader.bad("node level") }
        try reader.expectZeros(2, "reserved")
        entryCount = try reader.u32("entries")
    }
}

/// An entry of an inner node, of any kind of list.
///
///     child's name (32) · measure (variable) · key length (variable) · key
///
/// `measure` is what the subtree holds: bytes of file for recipes, entries otherwise; never
/// offsets, so a change in front moves nothing. `key` is the first key below (the entry's name, or
/// the inode's number big-endian); empty for recipes.
public struct InnerEntry: Hashable, Sendable {
    public var child: ChunkName
    public var measure: UInt64
    public var firstKey: [UInt8]

    public init(child: ChunkName, measure: UInt64, firstKey: [UInt8]) {
        self.child = child
        self.measure = measure
        self.firstKey = firstKey
    }

    public func write(to writer: inout ByteWriter) {
        writer.name(child)
        writer.variable(measure)
        writer.counted(firstKey)
    }

    public init(from reader: inout ByteReader) throws(FormatError) {
        child = try reader.name("child")
        measure = try reader.variable("measure")
        firstKey = try reader.counted(limit: DiskFormat.nameBytesMax, "first key")
    }
}
