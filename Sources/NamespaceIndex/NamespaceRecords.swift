import DiskFormat

/// An inode: its image, the cookie of its only name, by which the name is found in its parent (0 for
/// linked inodes, orphans and the root), and how many pieces lie on top of its content.
///
///     cookie u64 · pieces (variable) · InodeImage
public struct InodeRecord: Equatable, Sendable {
    public var cookie: UInt64
    /// 0: the content is what the image's key says, and no piece need be looked for.
    public var pieceCount: UInt64
    public var image: InodeImage

    public init(cookie: UInt64, pieceCount: UInt64 = 0, image: InodeImage) {
        self.cookie = cookie
        self.pieceCount = pieceCount
        self.image = image
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 160)
        writer.u64(cookie)
        writer.variable(pieceCount)
        image.write(to: &writer)
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "inode record")
        cookie = try reader.u64("cookie")
        pieceCount = try reader.variable("pieces")
        image = try InodeImage(from: &reader)
        try reader.expectEnd()
    }

    /// What lies under the key of an inode.
    ///
    /// - Throws: also where it is another inode's.
    public init(_ bytes: UnsafeRawBufferPointer, of inode: UInt64) throws(FormatError) {
        try self.init(bytes)
        guard image.inode == inode else { throw .badValue("inode record: another inode's") }
    }
}

/// An entry of a directory, or the tombstone that keeps a chain of collisions whole.
///
///     kind u8 (d_type; 0 tombstone: nothing follows) · inode (variable) · name
public enum NameRecord: Equatable, Sendable {
    case entry(name: [UInt8], inode: UInt64, kind: UInt8)
    case tombstone

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 32)
        switch self {
        case .tombstone: writer.u8(0)
        case .entry(let name, let inode, let kind):
            writer.u8(kind)
            writer.variable(inode)
            writer.raw(name)
        }
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "name record")
        let kind = try reader.u8("kind")
        if kind == 0 {
            self = .tombstone
            try reader.expectEnd()
            return
        }
        let inode = try reader.variable("inode")
        let name = Array(try reader.raw(reader.remaining, "name"))
        guard DirectoryEntry.isAcceptable(name), inode > 0, inode < DiskFormat.inodeLimit,
            [1, 2, 4, 6, 8, 10, 12].contains(kind)
        else { throw reader.bad("entry") }
        self = .entry(name: name, inode: inode, kind: kind)
    }
}

/// A piece on top of an inode's content; its offset is in the key.
///
///     kind u8 (1 data, 2 hole, 3 zeros) · length (variable) [· name (32) · chunk bytes u32 ·
///     offset in the chunk u32]
public struct PieceRecord: Equatable, Sendable {
    public var length: UInt64
    public var source: ExtentChange.Piece.Source

    public init(_ piece: ExtentChange.Piece) {
        length = piece.length
        source = piece.source
    }

    public func piece(at offset: UInt64) -> ExtentChange.Piece {
        ExtentChange.Piece(offset: offset, length: length, source: source)
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 48)
        switch source {
        case .data(let name, let chunkBytes, let offset):
            writer.u8(1)
            writer.variable(length)
            writer.name(name)
            writer.u32(chunkBytes)
            writer.u32(offset)
        case .hole:
            writer.u8(2)
            writer.variable(length)
        case .zeros:
            writer.u8(3)
            writer.variable(length)
        }
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "piece record")
        let kind = try reader.u8("kind")
        length = try reader.variable("length")
        guard length > 0, length <= UInt64(Int64.max) else { throw reader.bad("length") }
        switch kind {
        case 1:
            let name = try reader.name("chunk")
            let chunkBytes = try reader.u32("chunk bytes")
            let offset = try reader.u32("offset in the chunk")
            guard length <= UInt64(chunkBytes), UInt64(offset) <= UInt64(chunkBytes) - length
            else { throw reader.bad("range in the chunk") }
            source = .data(name, chunkBytes: chunkBytes, offset: offset)
        case 2: source = .hole
        case 3: source = .zeros
        default: throw reader.bad("kind")
        }
        try reader.expectEnd()
    }
}

/// A volume as of the last commit that the index holds.
///
///     volume id (16) · name counted · epoch u64 · sequence u64 · next inode u64 · root (32, zero
///     before the first checkpoint) · files, directories, others, logical bytes u64 each
///     · VolumeRules, where they say anything
public struct VolumeRecord: Equatable, Sendable {
    public var volumeID: UniqueID
    public var name: String
    public var epoch: UInt64
    public var sequence: UInt64
    public var nextInode: UInt64
    public var root: ChunkName?
    public var statistics: RootImage.Statistics
    public var rules: VolumeRules

    public init(
        volumeID: UniqueID, name: String, epoch: UInt64, sequence: UInt64, nextInode: UInt64,
        root: ChunkName?, statistics: RootImage.Statistics
    ) {
        self.volumeID = volumeID
        self.name = name
        self.epoch = epoch
        self.sequence = sequence
        self.nextInode = nextInode
        self.root = root
        self.statistics = statistics
        rules = VolumeRules(volumeID: volumeID)
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 160)
        writer.u64(volumeID.high)
        writer.u64(volumeID.low)
        writer.counted(Array(name.utf8))
        writer.u64(epoch)
        writer.u64(sequence)
        writer.u64(nextInode)
        writer.name(root ?? .zero)
        writer.u64(statistics.files)
        writer.u64(statistics.directories)
        writer.u64(statistics.others)
        writer.u64(statistics.logicalBytes)
        if !rules.isEmpty { rules.write(to: &writer) }
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "volume record")
        let high = try reader.u64("volume id")
        volumeID = UniqueID(high: high, low: try reader.u64("volume id"))
        name = String(
            decoding: try reader.counted(limit: ObjectName.bytesMax, "name"), as: UTF8.self)
        guard ObjectName.isAcceptable(name) else { throw reader.bad("name") }
        epoch = try reader.u64("epoch")
        sequence = try reader.u64("sequence")
        nextInode = try reader.u64("next inode")
        let stored = try reader.name("root")
        root = stored.isZero ? nil : stored
        statistics = RootImage.Statistics()
        statistics.files = try reader.u64("files")
        statistics.directories = try reader.u64("directories")
        statistics.others = try reader.u64("others")
        statistics.logicalBytes = try reader.u64("logical bytes")
        rules = VolumeRules(volumeID: volumeID)
        if !reader.isAtEnd {
            rules = try VolumeRules(from: &reader)
            guard rules.volumeID == volumeID, !rules.isEmpty else { throw reader.bad("rules") }
        }
        try reader.expectEnd()
    }
}

/// The tree of a directory that ended since the newest checkpoint: what the next one lets go.
///
///     level u8 · node (32)
public struct ReleasedTreeRecord: Equatable, Sendable {
    public var root: NodeReference

    public init(root: NodeReference) {
        self.root = root
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 33)
        writer.u8(root.level)
        writer.name(root.name)
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "released tree record")
        let level = try reader.u8("level")
        guard level <= NodeReference.levelMax else { throw reader.bad("level") }
        root = NodeReference(name: try reader.name("node"), level: level)
        try reader.expectEnd()
    }
}
