import DiskFormat
import Pipeline
import Trees

/// Makes a volume's trees from files that come in order: a directory, what is in it by the bytes of
/// its names, its end.
///
/// Memory: an open node for each level, eight bytes for each name of the directories that are open,
/// and the files of which a name is still to come. One thread.
public struct TreeAssembler {
    private struct Frame {
        var name: [UInt8]
        var image: InodeImage
        var entries: ListBuilder<DirectorySchema, NotingNodes>
        /// Of the names so far: those that hash alike are told apart.
        var hashes: Set<UInt64> = []
        var subdirectories: UInt64 = 0
    }

    private struct LinkedFile {
        var image: InodeImage
        var namesMet: UInt64
        let namesTotal: UInt64
    }

    private let secret: StoreSecret
    /// The store's; tells why that refused something.
    let nodes: NotingNodes
    /// The next inode number.
    public private(set) var nextInode: UInt64
    /// Of what was added so far.
    public private(set) var statistics = RootImage.Statistics()
    /// What is left of the numbers that were taken last ends here.
    private var inodesEnd: UInt64
    private let moreInodes: ((_ count: UInt64) -> Range<UInt64>)?
    private var frames: [Frame] = []
    private var root: InodeImage?
    private var linked: [FileIdentity: LinkedFile] = [:]
    /// Images of files all of whose names were met.
    private var complete: [InodeImage] = []
    private var table: NodeReference?
    private let completeMax = 4096

    /// Inode numbers that are taken at a time.
    private static let inodesAtOnce: UInt64 = 4096

    /// - Parameters:
    ///   - nextInode: above every number that a base has.
    ///   - moreInodes: gives numbers, from `nextInode` on, that nobody else is given; nil where all
    ///     from there on are free.
    public init(
        store: ChunkStore, nextInode: UInt64,
        moreInodes: ((_ count: UInt64) -> Range<UInt64>)? = nil
    ) {
        secret = store.parameters.secret
        nodes = NotingNodes(store)
        self.nextInode = max(nextInode, RootImage.rootInode + 1)
        self.moreInodes = moreInodes
        inodesEnd = moreInodes == nil ? .max : self.nextInode
    }

    /// How many directories are open.
    public var depth: Int { frames.count }

    /// Begins a directory; the first one is the root, whose name does not count.
    ///
    /// - Parameters:
    ///   - image: without number, parent and content.
    ///   - previous: what the base has there.
    public mutating func begin(_ name: [UInt8], _ image: InodeImage, previous: InodeImage?) {
        var image = image
        image.inode =
            frames.isEmpty ? RootImage.rootInode : number(of: image, previous: previous)
        image.parent = frames.last?.image.inode
        frames.append(Frame(name: name, image: image, entries: ListBuilder(store: nodes)))
    }

    /// Ends the directory that was begun last.
    public mutating func end() throws(TreeError) {
        guard var frame = frames.popLast() else { throw .badEdit }
        frame.image.content = try frame.entries.finish().map { .directory($0) } ?? .none
        frame.image.linkCount = 2 + frame.subdirectories
        statistics.directories += 1
        guard !frames.isEmpty else {
            root = frame.image
            return
        }
        frames[frames.count - 1].subdirectories += 1
        try append(frame.name, .only(frame.image))
    }

    /// Adds anything else with its one name.
    public mutating func add(
        _ name: [UInt8], _ image: InodeImage, previous: InodeImage?
    ) throws(TreeError) {
        var image = image
        image.inode = number(of: image, previous: previous)
        image.parent = frames.last?.image.inode
        image.linkCount = 1
        count(image)
        try append(name, .only(image))
    }

    /// Adds the first name of a file that has `namesTotal`, perhaps not all of them here.
    public mutating func add(
        _ name: [UInt8], _ image: InodeImage, previous: InodeImage?, link: FileIdentity,
        namesTotal: UInt64
    ) throws(TreeError) {
        var image = image
        image.inode = number(of: image, previous: previous)
        image.isLinked = true
        image.parent = nil
        linked[link] = LinkedFile(image: image, namesMet: 0, namesTotal: namesTotal)
        count(image)
        _ = try add(name, link: link)
    }

    /// Adds another name of a file. Returns false where that was never added.
    public mutating func add(_ name: [UInt8], link: FileIdentity) throws(TreeError) -> Bool {
        guard var file = linked[link] else { return false }
        file.namesMet += 1
        let kind = UInt8(file.image.mode >> 12 & 15)
        try append(name, .linked(inode: file.image.inode, kind: kind))
        if file.namesMet < file.namesTotal {
            linked[link] = file
            return true
        }
        linked[link] = nil
        file.image.linkCount = file.namesMet
        complete.append(file.image)
        if complete.count >= completeMax { try flushComplete() }
        return true
    }

    /// The root's image, when the root was ended.
    public mutating func finish(
        volumeID: UniqueID, volumeName: String, time: DiskTime
    ) throws(TreeError) -> RootImage {
        guard let root, frames.isEmpty else { throw .badEdit }
        for file in linked.values {
            var image = file.image
            image.linkCount = file.namesMet
            complete.append(image)
        }
        linked = [:]
        try flushComplete()
        return RootImage(
            volumeID: volumeID, volumeName: volumeName, time: time, nextInode: nextInode,
            directory: root, linkedInodes: table, statistics: statistics)
    }

    private mutating func flushComplete() throws(TreeError) {
        guard !complete.isEmpty else { return }
        complete.sort { $0.inode < $1.inode }
        let changes = complete.map { (key: LinkedInodesSchema.key($0), entry: Optional($0)) }
        complete = []
        table = try KeyedEdit<LinkedInodesSchema, NotingNodes>.apply(changes, to: table, in: nodes)
            .root
    }

    private mutating func append(
        _ name: [UInt8], _ target: DirectoryEntry.Target
    ) throws(TreeError) {
        guard !frames.isEmpty else { throw .badEdit }
        let last = frames.count - 1
        var collision: UInt8 = 0
        while true {
            let cookie = name.withUnsafeBytes {
                DirectoryCookie.cookie(of: $0, collision: collision, secret: secret)
            }
            if frames[last].hashes.insert(cookie).inserted { break }
            guard collision < UInt8.max else { throw .badEdit }
            collision += 1
        }
        try frames[last].entries.append(
            DirectoryEntry(name: name, collision: collision, target: target))
    }

    private mutating func count(_ image: InodeImage) {
        if image.mode >> 12 == 8 {
            statistics.files += 1
            statistics.logicalBytes &+= image.size
        } else {
            statistics.others += 1
        }
    }

    /// The number that the base gives the same path, where it is the same kind of file. Of files with
    /// several names only while it is the very same file: two of them may have parted.
    private mutating func number(of image: InodeImage, previous: InodeImage?) -> UInt64 {
        if let previous, previous.mode >> 12 == image.mode >> 12,
            !previous.isLinked || previous.generation == image.generation
        {
            return previous.inode
        }
        if nextInode == inodesEnd, let moreInodes {
            let taken = moreInodes(Self.inodesAtOnce)
            nextInode = max(nextInode, taken.lowerBound)
            inodesEnd = max(nextInode, taken.upperBound)
        }
        nextInode += 1
        return nextInode - 1
    }
}
