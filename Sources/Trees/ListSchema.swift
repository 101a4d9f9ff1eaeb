import DiskFormat

/// A decoded node of any list.
public enum ListNode<Entry> {
    case leaf([Entry])
    case inner(level: UInt8, [InnerEntry])

    public var level: UInt8 {
        switch self {
        case .leaf: 0
        case .inner(let level, _): level
        }
    }
}

/// What kind of list: how its entries are written, measured and ordered.
public protocol ListSchema {
    associatedtype Entry: Equatable & Sendable
    static var kind: NodeHead.Kind { get }
    static var domain: ChunkDomain { get }
    static func write(_ entry: Entry, to writer: inout ByteWriter)
    /// What an entry adds to its ancestors' measures.
    static func measure(_ entry: Entry) -> UInt64
    static func decode(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> ListNode<Entry>
    /// The entry's key as unsigned bytes; empty in lists ordered by position.
    static func key(_ entry: Entry) -> [UInt8]
}

/// A schema whose entries are in ascending order of their keys, none twice.
///
/// What is done for each of many entries is a requirement, of whole leaves: in the witness of a
/// schema it is concrete code, which other modules cannot make of what is generic.
public protocol KeyedSchema: ListSchema {
    /// How many entries of a leaf, from `start` on, are equal to those of another from `otherStart` on.
    static func equalCount(
        _ entries: [Entry], from start: Int, _ others: [Entry], from otherStart: Int
    ) -> Int
    /// Whether the keys rise, the first one above `last`.
    static func isAscending(_ entries: [Entry], behind last: [UInt8]?) -> Bool
    /// The entries of a leaf as they lie there, each of measure 1; their keys rise.
    static func encodedEntries(
        _ leaf: UnsafeRawBufferPointer
    ) throws(FormatError) -> [EncodedEntry]
}

extension KeyedSchema {
    public static func equalCount(
        _ entries: [Entry], from start: Int, _ others: [Entry], from otherStart: Int
    ) -> Int {
        let most = min(entries.count - start, others.count - otherStart)
        var count = 0
        while count < most, entries[start + count] == others[otherStart + count] { count += 1 }
        return count
    }

    public static func isAscending(_ entries: [Entry], behind last: [UInt8]?) -> Bool {
        var last = last
        for entry in entries {
            let key = key(entry)
            if let last, !last.lexicographicallyPrecedes(key) { return false }
            last = key
        }
        return true
    }
}

/// The extents of a file, in its order; measured in bytes.
public enum RecipeSchema: ListSchema {
    public static let kind = NodeHead.Kind.recipe
    public static let domain = ChunkDomain.recipe

    public static func write(_ entry: Extent, to writer: inout ByteWriter) {
        entry.write(to: &writer)
    }
    public static func measure(_ entry: Extent) -> UInt64 { entry.length }
    public static func key(_ entry: Extent) -> [UInt8] { [] }

    public static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) throws(FormatError) -> ListNode<Extent> {
        switch try RecipeNode(bytes) {
        case .leaf(let extents): .leaf(extents)
        case .inner(let level, let entries): .inner(level: level, entries)
        }
    }
}

/// The names of a directory; measured in entries.
public enum DirectorySchema: KeyedSchema {
    public static let kind = NodeHead.Kind.directory
    public static let domain = ChunkDomain.tree

    public static func write(_ entry: DirectoryEntry, to writer: inout ByteWriter) {
        entry.write(to: &writer)
    }
    public static func measure(_ entry: DirectoryEntry) -> UInt64 { 1 }
    public static func key(_ entry: DirectoryEntry) -> [UInt8] { entry.name }

    public static func encodedEntries(
        _ leaf: UnsafeRawBufferPointer
    ) throws(FormatError) -> [EncodedEntry] { try DirectoryNode.encodedEntries(leaf) }

    public static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) throws(FormatError) -> ListNode<DirectoryEntry> {
        switch try DirectoryNode(bytes) {
        case .leaf(let entries): .leaf(entries)
        case .inner(let level, let entries): .inner(level: level, entries)
        }
    }
}

/// A root's inodes with several names, by number (big-endian, so that bytes order as numbers do).
public enum LinkedInodesSchema: KeyedSchema {
    public static let kind = NodeHead.Kind.linkedInodes
    public static let domain = ChunkDomain.tree

    public static func write(_ entry: InodeImage, to writer: inout ByteWriter) {
        entry.write(to: &writer)
    }
    public static func measure(_ entry: InodeImage) -> UInt64 { 1 }

    public static func key(_ entry: InodeImage) -> [UInt8] { key(inode: entry.inode) }

    public static func encodedEntries(
        _ leaf: UnsafeRawBufferPointer
    ) throws(FormatError) -> [EncodedEntry] {
        try LinkedInodesNode.encodedEntries(leaf) { key(inode: $0) }
    }

    public static func key(inode: UInt64) -> [UInt8] {
        withUnsafeBytes(of: inode.bigEndian) { Array($0) }
    }

    public static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) throws(FormatError) -> ListNode<InodeImage> {
        switch try LinkedInodesNode(bytes) {
        case .leaf(let images): .leaf(images)
        case .inner(let level, let entries): .inner(level: level, entries)
        }
    }
}
