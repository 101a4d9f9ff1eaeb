/// A root that has a name and is kept: what a volume was at one instant.
///
///     snapshot id (16) · number u16 · volume id (16) · name counted · root (32)
///     epoch u64 · sequence u64        of the commit that made it
///     time            seconds variable, nanoseconds u32: of its cut
///     flags           u8: 1 pinned
///     description     counted, UTF-8
///     tags            count · counted each: ascending, none twice
///     statistics      files, directories, other inodes, logical bytes: variable each
///
/// The orphans in the root's image are no part of a snapshot: nothing that a snapshot owns is theirs.
public struct SnapshotImage: Equatable, Sendable {
    /// Numbers are below this: 15 bits above an inode's 48 tell apart whose it is.
    public static let numberLimit: UInt16 = 0x7fff
    /// Most snapshots of a store together.
    public static let countMax = Int(numberLimit) - 1
    public static let descriptionBytesMax = 4096
    public static let tagsMax = 64

    public var id: UniqueID
    /// Unlike that of any other snapshot of the store at the same time: 1 ..< `numberLimit`.
    public var number: UInt16
    public var volumeID: UniqueID
    /// Unlike that of any other snapshot of the volume.
    public var name: String
    /// The chunk of its `RootImage`.
    public var root: ChunkName
    public var epoch: UInt64
    public var sequence: UInt64
    public var time: DiskTime
    /// Nothing but a person's word deletes it.
    public var isPinned = false
    public var description = ""
    public var tags: [String] = []
    public var statistics = RootImage.Statistics()

    /// A snapshot to be made: the store gives it its number, epoch and sequence.
    public init(id: UniqueID, volumeID: UniqueID, name: String, root: ChunkName, time: DiskTime) {
        self.id = id
        number = 0
        self.volumeID = volumeID
        self.name = name
        self.root = root
        epoch = 0
        sequence = 0
        self.time = time
    }

    /// Whether a text may describe a snapshot.
    public static func isAcceptable(description: String) -> Bool {
        description.utf8.count <= descriptionBytesMax
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 256)
        write(to: &writer)
        return writer.bytes
    }

    func write(to writer: inout ByteWriter) {
        id.write(to: &writer)
        writer.u16(number)
        volumeID.write(to: &writer)
        writer.counted(Array(name.utf8))
        writer.name(root)
        writer.u64(epoch)
        writer.u64(sequence)
        time.write(to: &writer)
        writer.u8(isPinned ? 1 : 0)
        writer.counted(Array(description.utf8))
        writer.variable(UInt64(tags.count))
        for tag in tags { writer.counted(Array(tag.utf8)) }
        statistics.write(to: &writer)
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "snapshot")
        try self.init(from: &reader)
        try reader.expectEnd()
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        id = try UniqueID(from: &reader, "snapshot id")
        number = try reader.u16("snapshot number")
        guard (1..<SnapshotImage.numberLimit).contains(number) else {
            throw reader.bad("snapshot number")
        }
        volumeID = try UniqueID(from: &reader, "volume id")
        name = try ObjectName.read(&reader)
        root = try reader.name("root")
        epoch = try reader.u64("epoch")
        sequence = try reader.u64("sequence")
        time = try DiskTime(from: &reader, "time")
        let flags = try reader.u8("snapshot flags")
        guard flags & ~1 == 0 else { throw reader.bad("snapshot flags") }
        isPinned = flags & 1 != 0
        let text = try reader.counted(
            limit: SnapshotImage.descriptionBytesMax, "description")
        guard let description = String(validating: text, as: UTF8.self) else {
            throw reader.bad("description")
        }
        self.description = description
        let count = try reader.itemCount(itemBytes: 2, "tags")
        guard count <= SnapshotImage.tagsMax else { throw reader.bad("tags") }
        for _ in 0..<count {
            let tag = try ObjectName.read(&reader)
            guard tags.last.map({ $0.utf8.lexicographicallyPrecedes(tag.utf8) }) ?? true else {
                throw reader.bad("order of tags")
            }
            tags.append(tag)
        }
        statistics = try RootImage.Statistics(from: &reader)
    }
}

/// What a commit says of a snapshot: u8 1 · SnapshotImage │ u8 0 gone · snapshot id (16)
public enum SnapshotChange: Equatable, Sendable {
    case put(SnapshotImage)
    case gone(UniqueID)

    public var id: UniqueID {
        switch self {
        case .put(let image): image.id
        case .gone(let id): id
        }
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .put(let image):
            writer.u8(1)
            image.write(to: &writer)
        case .gone(let id):
            writer.u8(0)
            id.write(to: &writer)
        }
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        switch try reader.u8("snapshot change") {
        case 1: self = .put(try SnapshotImage(from: &reader))
        case 0: self = .gone(try UniqueID(from: &reader, "snapshot id"))
        default: throw reader.bad("snapshot change")
        }
    }
}
