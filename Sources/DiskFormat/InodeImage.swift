/// A moment on disk: signed seconds since 1970 and nanoseconds below 1e9.
public struct DiskTime: Hashable, Comparable, Sendable {
    public var seconds: Int64
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static let zero = DiskTime(seconds: 0, nanoseconds: 0)

    public static func < (a: DiskTime, b: DiskTime) -> Bool {
        (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
    }

    func write(to writer: inout ByteWriter) {
        writer.signedVariable(seconds)
        writer.u32(nanoseconds)
    }

    init(from reader: inout ByteReader, _ what: StaticString) throws(FormatError) {
        seconds = try reader.signedVariable(what)
        nanoseconds = try reader.u32(what)
        guard nanoseconds < 1_000_000_000 else { throw reader.bad(what) }
    }
}

/// The root node of a Merkle list: its name and its level (0: a leaf).
public struct NodeReference: Hashable, Sendable {
    public var name: ChunkName
    public var level: UInt8

    /// More levels than any list of 2^63 entries needs.
    public static let levelMax: UInt8 = 12

    public init(name: ChunkName, level: UInt8) {
        self.name = name
        self.level = level
    }

    func write(to writer: inout ByteWriter) {
        writer.name(name)
        writer.u8(level)
    }

    init(from reader: inout ByteReader, _ what: StaticString) throws(FormatError) {
        name = try reader.name(what)
        level = try reader.u8(what)
        guard level <= NodeReference.levelMax else { throw reader.bad(what) }
    }
}

/// A file's backing-storage key: where its content is. Equal files have equal keys.
public enum ContentKey: Hashable, Sendable {
    /// No bytes at all: an empty file, an empty directory, a device.
    case none
    /// The whole file is this one chunk of data; its length is the file's size.
    case chunk(ChunkName)
    /// Several extents, holes or zeros: a recipe.
    case recipe(NodeReference)
    /// A directory's entries.
    case directory(NodeReference)
    /// A symlink's target, in place.
    case target([UInt8])

    func write(to writer: inout ByteWriter) {
        switch self {
        case .none:
            writer.u8(0)
        case .chunk(let name):
            writer.u8(1)
            writer.name(name)
        case .recipe(let node):
            writer.u8(2)
            node.write(to: &writer)
        case .directory(let node):
            writer.u8(3)
            node.write(to: &writer)
        case .target(let bytes):
            writer.u8(4)
            writer.counted(bytes)
        }
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        switch try reader.u8("content kind") {
        case 0: self = .none
        case 1: self = .chunk(try reader.name("content chunk"))
        case 2: self = .recipe(try NodeReference(from: &reader, "recipe"))
        case 3: self = .directory(try NodeReference(from: &reader, "directory"))
        case 4:
            self = .target(
                try reader.counted(limit: DiskFormat.symbolicLinkBytesMax, "symlink target"))
        default: throw reader.bad("content kind")
        }
    }
}

/// A file's extended attributes: in place when small, otherwise one chunk of data that holds the
/// same bytes (see `AttributeSet`).
public enum AttributeStorage: Hashable, Sendable {
    case none
    case inline([UInt8])
    case chunk(ChunkName, byteCount: UInt32)

    func write(to writer: inout ByteWriter) {
        switch self {
        case .none:
            writer.u8(0)
        case .inline(let bytes):
            writer.u8(1)
            writer.counted(bytes)
        case .chunk(let name, let byteCount):
            writer.u8(2)
            writer.name(name)
            writer.u32(byteCount)
        }
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        switch try reader.u8("attribute storage") {
        case 0: self = .none
        case 1:
            let bytes = try reader.counted(
                limit: DiskFormat.inlineAttributeBytesMax, "inline attributes")
            guard !bytes.isEmpty else { throw reader.bad("inline attributes") }
            self = .inline(bytes)
        case 2:
            let name = try reader.name("attribute chunk")
            let count = try reader.u32("attribute bytes")
            guard count > DiskFormat.inlineAttributeBytesMax,
                count <= DiskFormat.attributeBytesMax
            else { throw reader.bad("attribute bytes") }
            self = .chunk(name, byteCount: count)
        default: throw reader.bad("attribute storage")
        }
    }
}

/// Everything about a file but its name: what stat(2) tells, and the key of its content.
///
///     inode           variable, 1 ..< 2^48
///     generation      variable
///     mode            u32: kind and permissions as in st_mode
///     link count      variable
///     owner, group    u32 each
///     flags           u8: 1 has, or had, several names (lies in the table of linked inodes)
///                         2 has a device number   4 has a parent
///     device          major u32, minor u32                              (flag 2)
///     parent          variable: the directory's inode                   (flag 4)
///     size            variable: bytes; a chunk or recipe makes as many, pieces on top or not
///     allocated       variable: bytes that are not holes
///     times           modification, change, access, birth: seconds variable, nanoseconds u32
///     content         ContentKey
///     attributes      AttributeStorage
public struct InodeImage: Hashable, Sendable {
    public var inode: UInt64
    public var generation: UInt64
    public var mode: UInt32
    public var linkCount: UInt64
    public var owner: UInt32
    public var group: UInt32
    /// Sticky: once a file has had a second name, its image lies in the root's table of linked
    /// inodes and its names refer to it by number, even when one name is left.
    public var isLinked: Bool
    /// Major and minor, of device files only.
    public var device: (major: UInt32, minor: UInt32)? {
        get { deviceNumbers.map { (UInt32($0 >> 32), UInt32(truncatingIfNeeded: $0)) } }
        set { deviceNumbers = newValue.map { UInt64($0.major) << 32 | UInt64($0.minor) } }
    }
    var deviceNumbers: UInt64?
    /// The directory that holds the only name; nil for linked inodes, orphans and the root.
    public var parent: UInt64?
    public var size: UInt64
    public var allocatedBytes: UInt64
    public var modificationTime: DiskTime
    public var changeTime: DiskTime
    public var accessTime: DiskTime
    public var birthTime: DiskTime
    public var content: ContentKey
    public var attributes: AttributeStorage

    public init(
        inode: UInt64, generation: UInt64, mode: UInt32, linkCount: UInt64 = 1, owner: UInt32 = 0,
        group: UInt32 = 0, isLinked: Bool = false, parent: UInt64? = nil, size: UInt64 = 0,
        allocatedBytes: UInt64 = 0, modificationTime: DiskTime = .zero,
        changeTime: DiskTime = .zero, accessTime: DiskTime = .zero, birthTime: DiskTime = .zero,
        content: ContentKey = .none, attributes: AttributeStorage = .none
    ) {
        self.inode = inode
        self.generation = generation
        self.mode = mode
        self.linkCount = linkCount
        self.owner = owner
        self.group = group
        self.isLinked = isLinked
        self.parent = parent
        self.size = size
        self.allocatedBytes = allocatedBytes
        self.modificationTime = modificationTime
        self.changeTime = changeTime
        self.accessTime = accessTime
        self.birthTime = birthTime
        self.content = content
        self.attributes = attributes
    }

    /// Fewest bytes an image can have: what a count of images is checked against.
    static let encodedBytesMin = 36

    public func write(to writer: inout ByteWriter) {
        writer.variable(inode)
        writer.variable(generation)
        writer.u32(mode)
        writer.variable(linkCount)
        writer.u32(owner)
        writer.u32(group)
        writer.u8((isLinked ? 1 : 0) | (deviceNumbers != nil ? 2 : 0) | (parent != nil ? 4 : 0))
        if let deviceNumbers {
            writer.u32(UInt32(deviceNumbers >> 32))
            writer.u32(UInt32(truncatingIfNeeded: deviceNumbers))
        }
        if let parent { writer.variable(parent) }
        writer.variable(size)
        writer.variable(allocatedBytes)
        modificationTime.write(to: &writer)
        changeTime.write(to: &writer)
        accessTime.write(to: &writer)
        birthTime.write(to: &writer)
        content.write(to: &writer)
        attributes.write(to: &writer)
    }

    public init(from reader: inout ByteReader) throws(FormatError) {
        inode = try reader.variable("inode")
        guard inode > 0, inode < DiskFormat.inodeLimit else { throw reader.bad("inode") }
        generation = try reader.variable("generation")
        mode = try reader.u32("mode")
        guard [1, 2, 4, 6, 8, 10, 12].contains(mode >> 12) else { throw reader.bad("mode") }
        linkCount = try reader.variable("link count")
        owner = try reader.u32("owner")
        group = try reader.u32("group")
        let flags = try reader.u8("inode flags")
        guard flags & ~7 == 0 else { throw reader.bad("inode flags") }
        isLinked = flags & 1 != 0
        deviceNumbers = nil
        if flags & 2 != 0 {
            let major = try reader.u32("device")
            deviceNumbers = UInt64(major) << 32 | UInt64(try reader.u32("device"))
        }
        parent = flags & 4 != 0 ? try reader.variable("parent") : nil
        size = try reader.variable("size")
        allocatedBytes = try reader.variable("allocated bytes")
        guard size <= UInt64(Int64.max), allocatedBytes <= UInt64(Int64.max) else {
            throw reader.bad("size")
        }
        modificationTime = try DiskTime(from: &reader, "modification time")
        changeTime = try DiskTime(from: &reader, "change time")
        accessTime = try DiskTime(from: &reader, "access time")
        birthTime = try DiskTime(from: &reader, "birth time")
        content = try ContentKey(from: &reader)
        attributes = try AttributeStorage(from: &reader)
        try check(reader)
    }

    /// Content must suit the kind of file.
    private func check(_ reader: borrowing ByteReader) throws(FormatError) {
        let kind = mode >> 12
        let suits =
            switch content {
            case .none: kind != 10
            case .chunk, .recipe: kind == 8
            case .directory: kind == 4
            case .target(let bytes): kind == 10 && UInt64(bytes.count) == size && size > 0
            }
        guard suits, (deviceNumbers != nil) == (kind == 2 || kind == 6),
            parent.map({ $0 > 0 && $0 < DiskFormat.inodeLimit }) ?? true
        else { throw reader.bad("content does not suit the kind of file") }
    }
}
