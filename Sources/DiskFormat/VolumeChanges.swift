/// What a commit changes in one volume.
///
///     volume id (16) · name counted · epoch u64 · sequence u64 · next inode (variable)
///     root            u8 (0 none, 1: name (32) follows, this is a checkpoint of the volume,
///                     2: the volume ends with this commit, and nothing but zeros follows,
///                     3: as 1, and behind the name a Beginning)
///     inodes          count · (u8 1 put: InodeImage │ u8 0 gone: inode variable) each
///     names           count · NameChange each
///     extents         count · ExtentChange each
///
/// A commit in which an inode becomes `isLinked` has its first name among `names` too, unchanged: what
/// the name's directory says of it is different from now on.
public struct VolumeChanges: Equatable, Sendable {
    public enum InodeChange: Equatable, Sendable {
        case put(InodeImage)
        case gone(UInt64)
    }

    /// Of a volume that begins as what a snapshot has: its first section's root has that snapshot's
    /// trees. What an index needs to know without reading them.
    ///
    ///     snapshot id (16) · files, directories, others, logical bytes (variable each)
    public struct Beginning: Equatable, Sendable {
        public var snapshot: UniqueID
        public var statistics: RootImage.Statistics

        public init(snapshot: UniqueID, statistics: RootImage.Statistics) {
            self.snapshot = snapshot
            self.statistics = statistics
        }

        func write(to writer: inout ByteWriter) {
            snapshot.write(to: &writer)
            statistics.write(to: &writer)
        }

        init(from reader: inout ByteReader) throws(FormatError) {
            snapshot = try UniqueID(from: &reader, "snapshot id")
            statistics = try RootImage.Statistics(from: &reader)
        }
    }

    public var volumeID: UniqueID
    public var volumeName: String
    public var epoch: UInt64
    public var sequence: UInt64
    public var nextInode: UInt64
    /// The volume's root, where this is a checkpoint.
    public var root: ChunkName?
    /// Only beside a root.
    public var beginning: Beginning?
    /// The volume is no more: in checkpoints only, in place of a root, and with no other change.
    public var isRemoved = false
    public var inodes: [InodeChange] = []
    public var names: [NameChange] = []
    public var extents: [ExtentChange] = []

    public init(
        volumeID: UniqueID, volumeName: String, epoch: UInt64, sequence: UInt64,
        nextInode: UInt64
    ) {
        self.volumeID = volumeID
        self.volumeName = volumeName
        self.epoch = epoch
        self.sequence = sequence
        self.nextInode = nextInode
    }

    func write(to writer: inout ByteWriter) {
        volumeID.write(to: &writer)
        writer.counted(Array(volumeName.utf8))
        writer.u64(epoch)
        writer.u64(sequence)
        writer.variable(nextInode)
        writer.u8(isRemoved ? 2 : root == nil ? 0 : beginning == nil ? 1 : 3)
        if let root {
            writer.name(root)
            beginning?.write(to: &writer)
        }
        writer.variable(UInt64(inodes.count))
        for change in inodes {
            switch change {
            case .put(let image):
                writer.u8(1)
                image.write(to: &writer)
            case .gone(let inode):
                writer.u8(0)
                writer.variable(inode)
            }
        }
        writer.variable(UInt64(names.count))
        for name in names { name.write(to: &writer) }
        writer.variable(UInt64(extents.count))
        for extent in extents { extent.write(to: &writer) }
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        volumeID = try UniqueID(from: &reader, "volume id")
        volumeName = try ObjectName.read(&reader)
        epoch = try reader.u64("volume epoch")
        sequence = try reader.u64("volume sequence")
        nextInode = try reader.variable("next inode")
        guard nextInode <= DiskFormat.inodeLimit else { throw reader.bad("next inode") }
        switch try reader.u8("root") {
        case 0: root = nil
        case 1: root = try reader.name("root")
        case 2: isRemoved = true
        case 3:
            root = try reader.name("root")
            beginning = try Beginning(from: &reader)
        default: throw reader.bad("root")
        }
        for _ in 0..<(try reader.itemCount(itemBytes: 2, "inodes")) {
            inodes.append(try VolumeChanges.readInode(&reader))
        }
        for _ in 0..<(try reader.itemCount(itemBytes: 4, "names")) {
            names.append(try NameChange(from: &reader))
        }
        for _ in 0..<(try reader.itemCount(itemBytes: 4, "extents")) {
            extents.append(try ExtentChange(from: &reader))
        }
        guard !isRemoved || (inodes.isEmpty && names.isEmpty && extents.isEmpty) else {
            throw reader.bad("changes of a removed volume")
        }
    }

    private static func readInode(_ reader: inout ByteReader) throws(FormatError) -> InodeChange {
        switch try reader.u8("inode change") {
        case 1: return .put(try InodeImage(from: &reader))
        case 0:
            let inode = try reader.variable("inode")
            guard inode > 0, inode < DiskFormat.inodeLimit else { throw reader.bad("inode") }
            return .gone(inode)
        default: throw reader.bad("inode change")
        }
    }
}

/// What a name in a directory now means. parent (variable) · name counted · collision u8 ·
/// u8 0 gone │ 1 · inode (variable) · kind u8 (d_type)
public struct NameChange: Equatable, Sendable {
    public struct Target: Equatable, Sendable {
        public var inode: UInt64
        public var kind: UInt8

        public init(inode: UInt64, kind: UInt8) {
            self.inode = inode
            self.kind = kind
        }
    }

    public var parent: UInt64
    public var name: [UInt8]
    public var collision: UInt8
    /// nil: the name is gone.
    public var target: Target?

    public init(parent: UInt64, name: [UInt8], collision: UInt8, target: Target?) {
        self.parent = parent
        self.name = name
        self.collision = collision
        self.target = target
    }

    func write(to writer: inout ByteWriter) {
        writer.variable(parent)
        writer.counted(name)
        writer.u8(collision)
        writer.u8(target == nil ? 0 : 1)
        if let target {
            writer.variable(target.inode)
            writer.u8(target.kind)
        }
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        parent = try reader.variable("parent")
        name = try reader.counted(limit: DiskFormat.nameBytesMax, "name")
        collision = try reader.u8("collision")
        guard parent > 0, parent < DiskFormat.inodeLimit, DirectoryEntry.isAcceptable(name) else {
            throw reader.bad("name")
        }
        switch try reader.u8("name change") {
        case 0: target = nil
        case 1:
            let inode = try reader.variable("inode")
            let kind = try reader.u8("kind")
            guard inode > 0, inode < DiskFormat.inodeLimit,
                [1, 2, 4, 6, 8, 10, 12].contains(kind)
            else { throw reader.bad("name target") }
            target = Target(inode: inode, kind: kind)
        default: throw reader.bad("name change")
        }
    }
}

/// What a range of a file consists of now, on top of the content that the inode's key names: the
/// state of small and random writes until a checkpoint folds them into a recipe.
///
///     inode · from · to (variable each; to = 2^63 − 1: all behind) · pieces: count ·
///       (at (variable, distance from the piece before's end) · kind u8 (1 data, 2 hole, 3 zeros) ·
///        length (variable) [· name (32) · chunk bytes u32 · offset in the chunk u32]) each
///
/// Where no piece lies within the range the key's content shows. Pieces lie on a chunk or a recipe of
/// the file's size: a file that grows gets a new key.
public struct ExtentChange: Equatable, Sendable {
    public struct Piece: Equatable, Sendable {
        public enum Source: Equatable, Sendable {
            case data(ChunkName, chunkBytes: UInt32, offset: UInt32)
            case hole
            case zeros
        }
        public var offset: UInt64
        public var length: UInt64
        public var source: Source

        public init(offset: UInt64, length: UInt64, source: Source) {
            self.offset = offset
            self.length = length
            self.source = source
        }
    }

    public static let endOfFile = UInt64(Int64.max)

    public var inode: UInt64
    public var range: Range<UInt64>
    /// Ascending, apart, within `range`.
    public var pieces: [Piece]

    public init(inode: UInt64, range: Range<UInt64>, pieces: [Piece]) {
        self.inode = inode
        self.range = range
        self.pieces = pieces
    }

    func write(to writer: inout ByteWriter) {
        writer.variable(inode)
        writer.variable(range.lowerBound)
        writer.variable(range.upperBound)
        writer.variable(UInt64(pieces.count))
        var end = range.lowerBound
        for piece in pieces {
            writer.variable(piece.offset - end)
            switch piece.source {
            case .data: writer.u8(1)
            case .hole: writer.u8(2)
            case .zeros: writer.u8(3)
            }
            writer.variable(piece.length)
            if case .data(let name, let chunkBytes, let offset) = piece.source {
                writer.name(name)
                writer.u32(chunkBytes)
                writer.u32(offset)
            }
            end = piece.offset + piece.length
        }
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        inode = try reader.variable("inode")
        let from = try reader.variable("range start")
        let to = try reader.variable("range end")
        guard inode > 0, inode < DiskFormat.inodeLimit, from < to, to <= ExtentChange.endOfFile
        else { throw reader.bad("range") }
        range = from..<to
        pieces = []
        var end = from
        for _ in 0..<(try reader.itemCount(itemBytes: 3, "pieces")) {
            let piece = try ExtentChange.readPiece(&reader, after: end, before: to)
            pieces.append(piece)
            end = piece.offset + piece.length
        }
    }

    private static func readPiece(
        _ reader: inout ByteReader, after end: UInt64, before limit: UInt64
    ) throws(FormatError) -> Piece {
        let gap = try reader.variable("piece position")
        let kind = try reader.u8("piece kind")
        let length = try reader.variable("piece length")
        guard gap <= limit - end, length > 0, length <= limit - end - gap else {
            throw reader.bad("piece position")
        }
        let offset = end + gap
        switch kind {
        case 1:
            let name = try reader.name("piece chunk")
            let chunkBytes = try reader.u32("piece chunk bytes")
            let within = try reader.u32("piece offset")
            guard chunkBytes <= ChunkerParameters.maximumBytesLimit,
                UInt64(within) + length <= UInt64(chunkBytes)
            else { throw reader.bad("piece chunk") }
            return Piece(
                offset: offset, length: length,
                source: .data(name, chunkBytes: chunkBytes, offset: within))
        case 2: return Piece(offset: offset, length: length, source: .hole)
        case 3: return Piece(offset: offset, length: length, source: .zeros)
        default: throw reader.bad("piece kind")
        }
    }
}
