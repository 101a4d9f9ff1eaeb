/// A whole volume at one instant: what a checkpoint writes and a snapshot keeps. Stored as a chunk
/// of the tree domain; its name is in the checkpoint's commit.
///
///     head            NodeHead: kind 'V', level 0, 1 entry
///     volume id       16
///     volume name     counted, 1 ... 128 bytes
///     time            seconds variable, nanoseconds u32
///     next inode      variable: every inode number ever used is below it
///     root directory  InodeImage of inode 1
///     linked inodes   u8 (0 none, 1: NodeReference follows)
///     orphans         count (variable), InodeImage each: unlinked, but open when written;
///                     ascending by inode, none twice
///     statistics      files, directories, other inodes, logical bytes: variable each; the root
///                     directory is counted, orphans are not
public struct RootImage: Equatable, Sendable {
    /// Counts of what has a name: the root directory included, orphans not.
    public struct Statistics: Equatable, Sendable {
        public var files: UInt64 = 0
        public var directories: UInt64 = 0
        public var others: UInt64 = 0
        /// Sum of the sizes of regular files.
        public var logicalBytes: UInt64 = 0

        public init() {}

        func write(to writer: inout ByteWriter) {
            writer.variable(files)
            writer.variable(directories)
            writer.variable(others)
            writer.variable(logicalBytes)
        }

        init(from reader: inout ByteReader) throws(FormatError) {
            files = try reader.variable("files")
            directories = try reader.variable("directories")
            others = try reader.variable("others")
            logicalBytes = try reader.variable("logical bytes")
        }
    }

    public static let rootInode: UInt64 = 1

    public var volumeID: UniqueID
    public var volumeName: String
    public var time: DiskTime
    public var nextInode: UInt64
    public var directory: InodeImage
    public var linkedInodes: NodeReference?
    public var orphans: [InodeImage]
    public var statistics: Statistics

    public init(
        volumeID: UniqueID, volumeName: String, time: DiskTime, nextInode: UInt64,
        directory: InodeImage, linkedInodes: NodeReference? = nil, orphans: [InodeImage] = [],
        statistics: Statistics = Statistics()
    ) {
        self.volumeID = volumeID
        self.volumeName = volumeName
        self.time = time
        self.nextInode = nextInode
        self.directory = directory
        self.linkedInodes = linkedInodes
        self.orphans = orphans
        self.statistics = statistics
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        NodeHead(kind: .root, level: 0, entryCount: 1).write(to: &writer)
        volumeID.write(to: &writer)
        writer.counted(Array(volumeName.utf8))
        time.write(to: &writer)
        writer.variable(nextInode)
        directory.write(to: &writer)
        writer.u8(linkedInodes == nil ? 0 : 1)
        linkedInodes?.write(to: &writer)
        writer.variable(UInt64(orphans.count))
        for orphan in orphans { orphan.write(to: &writer) }
        statistics.write(to: &writer)
        return writer.bytes
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "volume root")
        let head = try NodeHead(from: &reader)
        guard head == NodeHead(kind: .root, level: 0, entryCount: 1) else {
            throw reader.bad("head")
        }
        volumeID = try UniqueID(from: &reader, "volume id")
        volumeName = try ObjectName.read(&reader)
        time = try DiskTime(from: &reader, "time")
        nextInode = try reader.variable("next inode")
        directory = try InodeImage(from: &reader)
        guard directory.inode == RootImage.rootInode, directory.mode >> 12 == 4,
            nextInode > RootImage.rootInode, nextInode <= DiskFormat.inodeLimit
        else { throw reader.bad("root directory") }
        switch try reader.u8("linked inodes") {
        case 0: linkedInodes = nil
        case 1: linkedInodes = try NodeReference(from: &reader, "linked inodes")
        default: throw reader.bad("linked inodes")
        }
        let count = try reader.itemCount(itemBytes: InodeImage.encodedBytesMin, "orphans")
        orphans = []
        for _ in 0..<count {
            let orphan = try InodeImage(from: &reader)
            guard orphans.last.map({ $0.inode < orphan.inode }) ?? true else {
                throw reader.bad("order of orphans")
            }
            orphans.append(orphan)
        }
        statistics = try Statistics(from: &reader)
        try reader.expectEnd()
    }
}

/// Names of volumes and snapshots: `[A-Za-z0-9._+-]{1,128}`, not beginning with a dot or dash.
public enum ObjectName {
    public static let bytesMax = 128

    public static func isAcceptable(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (1...bytesMax).contains(bytes.count), bytes[0] != 0x2e, bytes[0] != 0x2d else {
            return false
        }
        return bytes.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2e, 0x5f, 0x2b, 0x2d: true
            default: false
            }
        }
    }

    static func read(_ reader: inout ByteReader) throws(FormatError) -> String {
        let bytes = try reader.counted(limit: bytesMax, "name")
        let name = String(decoding: bytes, as: UTF8.self)
        guard isAcceptable(name) else { throw reader.bad("name") }
        return name
    }
}
