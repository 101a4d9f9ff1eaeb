/// A name in a directory.
///
///     name length u8 · name · collision u8 · type u8
///     type 1: image length (variable) · InodeImage    the file's only name; never `isLinked`
///     type 2: inode (variable) · kind u8 (d_type)     a file with several names: see LinkedInodes
///
/// `collision` tells apart entries of one directory whose names hash alike: the readdir cookie is
/// `hash(name) >> 16 << 15 | collision`, so it survives a rebuild and every change beside it.
public struct DirectoryEntry: Hashable, Sendable {
    public enum Target: Hashable, Sendable {
        case only(InodeImage)
        case linked(inode: UInt64, kind: UInt8)
    }

    public var name: [UInt8]
    public var collision: UInt8
    public var target: Target

    public init(name: [UInt8], collision: UInt8 = 0, target: Target) {
        self.name = name
        self.collision = collision
        self.target = target
    }

    public var inode: UInt64 {
        switch target {
        case .only(let image): image.inode
        case .linked(let inode, _): inode
        }
    }

    public func write(to writer: inout ByteWriter) {
        writer.u8(UInt8(name.count))
        writer.raw(name)
        writer.u8(collision)
        switch target {
        case .only(let image):
            writer.u8(1)
            var inner = ByteWriter(reservingBytes: 128)
            image.write(to: &inner)
            writer.counted(inner.bytes)
        case .linked(let inode, let kind):
            writer.u8(2)
            writer.variable(inode)
            writer.u8(kind)
        }
    }

    public init(from reader: inout ByteReader) throws(FormatError) {
        let length = try reader.u8("name length")
        name = Array(try reader.raw(Int(length), "name"))
        guard DirectoryEntry.isAcceptable(name) else { throw reader.bad("name") }
        collision = try reader.u8("collision")
        switch try reader.u8("entry type") {
        case 1:
            let count = try reader.variable("image length")
            guard count <= UInt64(reader.remaining) else { throw reader.bad("image length") }
            var inner = ByteReader(try reader.raw(Int(count), "image"), "inode image")
            let image = try InodeImage(from: &inner)
            try inner.expectEnd()
            guard !image.isLinked else { throw reader.bad("a linked inode's image") }
            target = .only(image)
        case 2:
            let inode = try reader.variable("inode")
            let kind = try reader.u8("kind")
            guard inode > 0, inode < DiskFormat.inodeLimit, [1, 2, 6, 8, 10, 12].contains(kind)
            else { throw reader.bad("linked entry") }
            target = .linked(inode: inode, kind: kind)
        default: throw reader.bad("entry type")
        }
    }

    /// Whether a directory may have an entry of this name: what no reader of a hostile store, and
    /// no restore, may be made to write elsewhere with.
    public static func isAcceptable(_ name: [UInt8]) -> Bool {
        !name.isEmpty && name.count <= DiskFormat.nameBytesMax && !name.contains(0)
            && !name.contains(0x2f) && name != [0x2e] && name != [0x2e, 0x2e]
    }
}

/// An entry of a leaf as it lies there, for those who move it to another leaf.
public struct EncodedEntry: Equatable, Sendable {
    /// Where in the node.
    public var bytes: Range<Int>
    public var key: [UInt8]

    public init(bytes: Range<Int>, key: [UInt8]) {
        self.bytes = bytes
        self.key = key
    }
}

/// A node of a directory: entries in ascending order of their names as unsigned bytes.
public enum DirectoryNode: Equatable, Sendable {
    case leaf([DirectoryEntry])
    /// Children with the number of entries below each and the first name there.
    case inner(level: UInt8, [InnerEntry])

    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .leaf(let entries):
            NodeHead(kind: .directory, level: 0, entryCount: UInt32(entries.count))
                .write(to: &writer)
            for entry in entries { entry.write(to: &writer) }
        case .inner(let level, let entries):
            NodeHead(kind: .directory, level: level, entryCount: UInt32(entries.count))
                .write(to: &writer)
            for entry in entries { entry.write(to: &writer) }
        }
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "directory node")
        let head = try NodeHead(from: &reader)
        guard head.kind == .directory, head.entryCount > 0,
            Int(head.entryCount) <= reader.remaining / 4
        else { throw reader.bad("head") }
        if head.level == 0 {
            var entries: [DirectoryEntry] = []
            entries.reserveCapacity(Int(head.entryCount))
            for _ in 0..<head.entryCount {
                let entry = try DirectoryEntry(from: &reader)
                guard entries.last.map({ $0.name.lexicographicallyPrecedes(entry.name) }) ?? true
                else { throw reader.bad("order of names") }
                entries.append(entry)
            }
            self = .leaf(entries)
        } else {
            self = .inner(
                level: head.level, try InnerEntry.readOrdered(&reader, head.entryCount))
        }
        try reader.expectEnd()
    }

    /// The entries of a leaf, their names in order. What stands behind a name is not looked at: whoever
    /// reads it does.
    public static func encodedEntries(
        _ leaf: UnsafeRawBufferPointer
    ) throws(FormatError) -> [EncodedEntry] {
        var reader = ByteReader(leaf, "directory node")
        let head = try NodeHead(from: &reader)
        guard head.kind == .directory, head.level == 0, head.entryCount > 0,
            Int(head.entryCount) <= reader.remaining / 4
        else { throw reader.bad("head") }
        var entries: [EncodedEntry] = []
        entries.reserveCapacity(Int(head.entryCount))
        for _ in 0..<head.entryCount {
            let start = reader.position
            let name = Array(try reader.raw(Int(try reader.u8("name length")), "name"))
            guard entries.last.map({ $0.key.lexicographicallyPrecedes(name) }) ?? !name.isEmpty
            else { throw reader.bad("order of names") }
            _ = try reader.u8("collision")
            switch try reader.u8("entry type") {
            case 1:
                let count = try reader.variable("image length")
                guard count <= UInt64(reader.remaining) else { throw reader.bad("image length") }
                _ = try reader.raw(Int(count), "image")
            case 2:
                _ = try reader.variable("inode")
                _ = try reader.u8("kind")
            default: throw reader.bad("entry type")
            }
            entries.append(EncodedEntry(bytes: start..<reader.position, key: name))
        }
        try reader.expectEnd()
        return entries
    }
}

/// A node of a root's table of inodes that have, or have had, several names; ascending by inode.
public enum LinkedInodesNode: Equatable, Sendable {
    case leaf([InodeImage])
    case inner(level: UInt8, [InnerEntry])

    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .leaf(let images):
            NodeHead(kind: .linkedInodes, level: 0, entryCount: UInt32(images.count))
                .write(to: &writer)
            for image in images { image.write(to: &writer) }
        case .inner(let level, let entries):
            NodeHead(kind: .linkedInodes, level: level, entryCount: UInt32(entries.count))
                .write(to: &writer)
            for entry in entries { entry.write(to: &writer) }
        }
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "linked inodes node")
        let head = try LinkedInodesNode.head(&reader)
        if head.level == 0 {
            var images: [InodeImage] = []
            images.reserveCapacity(Int(head.entryCount))
            try LinkedInodesNode.forEachImage(&reader, head.entryCount) { image, _ in
                images.append(image)
            }
            self = .leaf(images)
        } else {
            self = .inner(
                level: head.level, try InnerEntry.readOrdered(&reader, head.entryCount))
        }
        try reader.expectEnd()
    }

    /// The images of a leaf as they lie there, with keys made of their inodes' numbers.
    public static func encodedEntries(
        _ leaf: UnsafeRawBufferPointer, key: (_ inode: UInt64) -> [UInt8]
    ) throws(FormatError) -> [EncodedEntry] {
        var reader = ByteReader(leaf, "linked inodes node")
        let head = try head(&reader)
        guard head.level == 0 else { throw reader.bad("level") }
        var entries: [EncodedEntry] = []
        entries.reserveCapacity(Int(head.entryCount))
        try forEachImage(&reader, head.entryCount) { image, bytes in
            entries.append(EncodedEntry(bytes: bytes, key: key(image.inode)))
        }
        try reader.expectEnd()
        return entries
    }

    private static func head(_ reader: inout ByteReader) throws(FormatError) -> NodeHead {
        let head = try NodeHead(from: &reader)
        guard head.kind == .linkedInodes, head.entryCount > 0,
            head.level > 0
                || Int(head.entryCount) <= reader.remaining / InodeImage.encodedBytesMin
        else { throw reader.bad("head") }
        return head
    }

    /// The images of a leaf, in order, and where they lie.
    private static func forEachImage(
        _ reader: inout ByteReader, _ count: UInt32, _ body: (InodeImage, Range<Int>) -> Void
    ) throws(FormatError) {
        var last: UInt64?
        for _ in 0..<count {
            let start = reader.position
            let image = try InodeImage(from: &reader)
            guard image.isLinked, last.map({ $0 < image.inode }) ?? true else {
                throw reader.bad("order of inodes")
            }
            last = image.inode
            body(image, start..<reader.position)
        }
    }
}

extension InnerEntry {
    /// Entries of an inner node whose lists have keys: strictly ascending.
    static func readOrdered(
        _ reader: inout ByteReader, _ count: UInt32
    ) throws(FormatError) -> [InnerEntry] {
        guard Int(count) <= reader.remaining / 34 else { throw reader.bad("entries") }
        var entries: [InnerEntry] = []
        entries.reserveCapacity(Int(count))
        for _ in 0..<count {
            let entry = try InnerEntry(from: &reader)
            guard !entry.firstKey.isEmpty, entry.measure > 0,
                entries.last.map({ $0.firstKey.lexicographicallyPrecedes(entry.firstKey) })
                    ?? true
            else { throw reader.bad("order of keys") }
            entries.append(entry)
        }
        return entries
    }
}
