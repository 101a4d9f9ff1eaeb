import DiskFormat

/// A volume that began as a snapshot, while parts of its trees are not loaded: their names and inodes
/// are not in the index. Until everything is, the root that the volume began with is kept as if a
/// snapshot had it, so that what is not loaded yet has an owner.
///
///     root (32) · snapshot id (16) · inodes end u64 · unloaded u64
public struct OriginRecord: Equatable, Sendable {
    /// The volume's first root.
    public var root: ChunkName
    /// Whose trees it has. While that snapshot is there, the root keeps nothing that would not be kept
    /// anyway.
    public var snapshot: UniqueID
    /// Inodes from here on are the volume's own.
    public var inodesEnd: UInt64
    /// How many lists are not loaded: directories whose inodes are in the index, and the table of
    /// linked inodes.
    public var unloaded: UInt64

    public init(root: ChunkName, snapshot: UniqueID, inodesEnd: UInt64, unloaded: UInt64) {
        self.root = root
        self.snapshot = snapshot
        self.inodesEnd = inodesEnd
        self.unloaded = unloaded
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 64)
        writer.name(root)
        writer.u64(snapshot.high)
        writer.u64(snapshot.low)
        writer.u64(inodesEnd)
        writer.u64(unloaded)
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "origin record")
        root = try reader.name("root")
        let high = try reader.u64("snapshot id")
        snapshot = UniqueID(high: high, low: try reader.u64("snapshot id"))
        inodesEnd = try reader.u64("inodes end")
        unloaded = try reader.u64("unloaded")
        guard unloaded > 0 else { throw reader.bad("nothing is unloaded") }
        try reader.expectEnd()
    }
}

/// How far a list is loaded. Its nodes are counted with its first entries.
///
///     position (variable)
public struct UnloadedRecord: Equatable, Sendable {
    /// The number of its entries, in the list's order, that are in the index.
    public var position: UInt64

    /// Stands for the table of linked inodes among the numbers of directories.
    public static let linkedInodes: UInt64 = 0

    public init(position: UInt64) {
        self.position = position
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 9)
        writer.variable(position)
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "unloaded record")
        position = try reader.variable("position")
        try reader.expectEnd()
    }
}
