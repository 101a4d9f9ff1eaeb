import DiskFormat

/// What the index knows of a tree node (a root, a node of a directory or of a table of linked inodes)
/// that snapshots own, directly or through the nodes above it.
///
///     offset  size
///          0     4  owners u32: snapshots whose root it is, and kept nodes that list it, each once
///          4     1  flags: 1 its children are counted as owned by it
///
/// The node's `ChunkRecord` counts these owners too. A record without owners, and whose children are
/// not counted, is none: it is not in the index.
public struct KeptRecord: Equatable, Sendable {
    public var owners: UInt32
    public var ownsChildren: Bool

    public static let none = KeptRecord(owners: 0, ownsChildren: false)

    public init(owners: UInt32, ownsChildren: Bool) {
        self.owners = owners
        self.ownsChildren = ownsChildren
    }

    /// Whether its children are counted as they should be: while it has owners, and only then.
    public var isSettled: Bool { (owners > 0) == ownsChildren }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 5)
        writer.u32(owners)
        writer.u8(ownsChildren ? 1 : 0)
        return writer.bytes
    }

    /// From an index's value. An error means that the index is to be rebuilt.
    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "kept record")
        owners = try reader.u32("owners")
        let flags = try reader.u8("flags")
        guard flags & ~1 == 0 else { throw reader.bad("flags") }
        ownsChildren = flags == 1
        try reader.expectEnd()
    }
}
