// A volume's trees, written whole from what the index has, with everything in its place.
//
// Invariants of what is written, whatever the index says:
// 1. Every directory but the root has one name; every inode is reached by as many names as its link
//    count says; one that is reached by several is in the table of linked inodes.
// 2. What no name leads to is in lost+found, as `#<inode>`, with all that is below it.
// 3. An inode's parent is the directory in which its name is.
// 4. A node that cannot be read back is stored again, though its name is known.
//
// Directories wait on a list, not on the stack. Memory: a few bits for each inode, the images of
// linked inodes, and the entries of the directories on one path.
import DiskFormat
import Hashing
import Metadata
import NamespaceIndex
import Pipeline
import Trees

/// The new trees of one volume, not committed yet.
struct NewTrees {
    var changes: VolumeChanges
    /// All nodes, each as often as a list has it.
    var nodes: [ChunkName] = []
    /// Names in `lost+found` that are new.
    var recovered: [[UInt8]] = []
    /// Paths of names that led to nothing and are gone.
    var dropped: [[UInt8]] = []
    /// How many inodes have got another parent, link count, size or attributes.
    var corrected: UInt64 = 0
}

/// Writes the trees of one volume. One thread.
struct TreesAnew {
    static let lostName = Array("lost+found".utf8)

    /// A directory that is being written.
    private struct Open {
        var image: InodeImage
        var name: [UInt8]
        var collision: UInt8
        var path: [UInt8]
        var entries: [DirectoryEntry] = []
        /// Its directories that are still to be written.
        var pending: [VolumeIndex.Name] = []
        var directories: UInt64 = 0

        /// Adds a directory that is written.
        mutating func add(_ entry: DirectoryEntry) {
            entries.append(entry)
            directories += 1
        }
    }

    private let session: Session
    private let nodes: RepairedNodes
    private let source: VolumeIndex
    private let record: VolumeRecord
    /// Inodes whose sizes or attributes the check has found wrong.
    private let suspects: Suspects
    private var named = InodeBits()
    private var namedTwice = InodeBits()
    private var placed = InodeBits()
    /// By inode, with how many names were met.
    private var linked: [UInt64: (image: InodeImage, count: UInt64)] = [:]
    private var nextInode: UInt64
    private var statistics = RootImage.Statistics()
    private var done: UInt64 = 0
    private var result: NewTrees

    init(
        _ session: Session, _ store: ChunkStore, number: UInt32, record: VolumeRecord,
        suspects: Suspects
    ) {
        self.session = session
        self.record = record
        self.suspects = suspects
        nodes = RepairedNodes(store)
        source = VolumeIndex(index: store.index, number: number)
        nextInode = max(record.nextInode, RootImage.rootInode + 1)
        var changes = VolumeChanges(
            volumeID: record.volumeID, volumeName: record.name, epoch: 0, sequence: 0,
            nextInode: nextInode)
        changes.root = nil
        result = NewTrees(changes: changes)
    }

    /// Writes everything; nothing refers to it before the caller commits.
    mutating func write() throws(RepairError) -> NewTrees {
        try countNames()
        var root = Open(
            image: try rootDirectory(), name: [], collision: 0, path: [])
        placed.insert(RootImage.rootInode)
        let lost = try open(&root, keepsLostAndFound: true)
        try writeBelow(&root)
        try addLostAndFound(lost, to: &root)
        let directory = try finish(root)
        try writeRoot(directory)
        result.changes.extents = try remainingPieces()
        result.changes.nextInode = nextInode
        return result
    }

    private mutating func countNames() throws(RepairError) {
        var (once, twice) = (InodeBits(), InodeBits())
        try source.forEachNamed { inode in
            if !once.insert(inode) { twice.insert(inode) }
        }
        (named, namedTwice) = (once, twice)
        var highest: UInt64 = 0
        try source.forEachInode { highest = max(highest, $0.inode) }
        nextInode = max(nextInode, highest + 1)
    }

    /// The root directory; one of root's own where it was lost.
    private func rootDirectory() throws(RepairError) -> InodeImage {
        if let image = try source.inode(RootImage.rootInode), image.mode >> 12 == 4 { return image }
        return newDirectory(RootImage.rootInode, mode: 0o755, parent: nil)
    }

    private func newDirectory(_ inode: UInt64, mode: UInt32, parent: UInt64?) -> InodeImage {
        let now = Session.now()
        return InodeImage(
            inode: inode, generation: 1, mode: 0o040000 | mode, linkCount: 2, parent: parent,
            modificationTime: now, changeTime: now, accessTime: now, birthTime: now)
    }

    // MARK: directories

    /// Takes the names of a directory: entries of what is no directory, and what is still to be
    /// written. Returns `lost+found` where it is kept back.
    private mutating func open(
        _ directory: inout Open, keepsLostAndFound: Bool = false
    ) throws(RepairError) -> VolumeIndex.Name? {
        var kept: VolumeIndex.Name?
        for name in try source.names(in: directory.image.inode) {
            try step()
            let path = directory.path + [UInt8(ascii: "/")] + name.name
            guard let image = try source.inode(name.inode), name.inode != RootImage.rootInode else {
                result.dropped.append(path)
                continue
            }
            guard image.mode >> 12 == 4 else {
                if let entry = place(image, name.name, name.collision, in: directory.image.inode) {
                    directory.entries.append(entry)
                }
                continue
            }
            if keepsLostAndFound, name.name == TreesAnew.lostName {
                kept = name
                placed.insert(name.inode)
            } else if placed.insert(name.inode) {
                directory.pending.append(name)
            } else {
                result.dropped.append(path)
            }
        }
        return kept
    }

    private mutating func step() throws(RepairError) {
        done += 1
        if done % 1024 == 1 { try session.monitor.step(.writing, done, 0) }
    }

    /// The entry of an inode that is no directory.
    private mutating func place(
        _ image: InodeImage, _ name: [UInt8], _ collision: UInt8, in parent: UInt64
    ) -> DirectoryEntry? {
        let isFirst = placed.insert(image.inode)
        if image.isLinked || namedTwice.contains(image.inode) {
            linked[image.inode, default: (image, 0)].count += 1
            let kind = UInt8(image.mode >> 12 & 15)
            return DirectoryEntry(
                name: name, collision: collision, target: .linked(inode: image.inode, kind: kind))
        }
        guard isFirst else { return nil }
        var placed = corrected(image)
        placed.parent = parent
        placed.linkCount = 1
        if placed != image { result.corrected += 1 }
        statistics.count(placed)
        return DirectoryEntry(name: name, collision: collision, target: .only(placed))
    }

    private func corrected(_ image: InodeImage) -> InodeImage {
        var image = image
        if suspects.attributes.contains(image.inode) { image.attributes = .none }
        if suspects.sizes.contains(image.inode), let size = nodes.size(of: image) {
            (image.size, image.allocatedBytes) = size
        }
        return image
    }

    /// Writes all that waits below a directory.
    private mutating func writeBelow(_ top: inout Open) throws(RepairError) {
        var path = [top]
        while var directory = path.popLast() {
            if let next = directory.pending.popLast() {
                guard let image = try source.inode(next.inode) else { continue }
                var below = Open(
                    image: image, name: next.name, collision: next.collision,
                    path: directory.path + [UInt8(ascii: "/")] + next.name)
                path.append(directory)
                _ = try open(&below)
                path.append(below)
            } else if path.isEmpty {
                top = directory
            } else {
                path[path.count - 1].add(try entry(of: directory, in: path[path.count - 1]))
            }
        }
    }

    private mutating func entry(
        of directory: Open, in parent: Open
    ) throws(RepairError) -> DirectoryEntry {
        var image = try finish(directory)
        if image.parent != parent.image.inode { result.corrected += 1 }
        image.parent = parent.image.inode
        return DirectoryEntry(
            name: directory.name, collision: directory.collision, target: .only(image))
    }

    /// Writes a directory's own list; its image with it.
    private mutating func finish(_ directory: Open) throws(RepairError) -> InodeImage {
        var image = directory.image
        image.isLinked = false
        if suspects.attributes.contains(image.inode) { image.attributes = .none }
        if image.linkCount != 1 { image.linkCount = 2 + directory.directories }
        let entries = directory.entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        let (reference, written) = try nodes.write(entries, DirectorySchema.self)
        image.content = reference.map { .directory($0) } ?? .none
        result.nodes += written
        statistics.count(image)
        return image
    }

    // MARK: lost and found

    /// Puts what no name leads to into lost+found, and that into the root.
    private mutating func addLostAndFound(
        _ old: VolumeIndex.Name?, to root: inout Open
    ) throws(RepairError) {
        var folder: Open?
        if let old, let image = try source.inode(old.inode) {
            var known = Open(
                image: image, name: old.name, collision: old.collision,
                path: [UInt8(ascii: "/")] + old.name)
            _ = try open(&known)
            try writeBelow(&known)
            folder = known
        }
        // First those that begin a lost subtree; what is left then goes round in a circle.
        for takesAll in [false, true] {
            for inode in try unplaced(takesAll: takesAll) where !placed.contains(inode) {
                var into = folder ?? makeLostAndFound(in: root)
                try recover(inode, into: &into)
                folder = into
            }
        }
        guard let folder else { return }
        root.add(try entry(of: folder, in: root))
    }

    private mutating func makeLostAndFound(in root: Open) -> Open {
        var name = TreesAnew.lostName
        // Something else may have that name.
        while root.entries.contains(where: { $0.name == name }) { name.append(UInt8(ascii: "_")) }
        let inode = nextInode
        nextInode += 1
        placed.insert(inode)
        return Open(
            image: newDirectory(inode, mode: 0o700, parent: RootImage.rootInode), name: name,
            collision: 0, path: [UInt8(ascii: "/")] + name)
    }

    private func unplaced(takesAll: Bool) throws(RepairError) -> [UInt64] {
        var result: [UInt64] = []
        let (placed, named) = (placed, named)
        try source.forEachInode { image in
            // What was unlinked, and open when the store ended, ends now.
            let isEnded = image.linkCount == 0
            if isEnded || placed.contains(image.inode) { return }
            if takesAll || !named.contains(image.inode) { result.append(image.inode) }
        }
        return result
    }

    private mutating func recover(
        _ inode: UInt64, into folder: inout Open
    ) throws(RepairError) {
        guard let image = try source.inode(inode) else { return }
        var name = Array("#\(inode)".utf8)
        while folder.entries.contains(where: { $0.name == name }) { name.append(UInt8(ascii: "_")) }
        result.recovered.append(folder.path + [UInt8(ascii: "/")] + name)
        if image.mode >> 12 == 4 {
            placed.insert(inode)
            var directory = Open(
                image: image, name: name, collision: 0,
                path: folder.path + [UInt8(ascii: "/")] + name)
            _ = try open(&directory)
            try writeBelow(&directory)
            folder.add(try entry(of: directory, in: folder))
        } else if let entry = place(image, name, 0, in: folder.image.inode) {
            folder.entries.append(entry)
        }
    }

    // MARK: the root

    private mutating func writeRoot(_ directory: InodeImage) throws(RepairError) {
        var images: [InodeImage] = []
        for (inode, entry) in linked.sorted(by: { $0.key < $1.key }) {
            var image = corrected(entry.image)
            image.isLinked = true
            image.parent = nil
            image.linkCount = entry.count
            if image != entry.image { result.corrected += 1 }
            statistics.count(image)
            images.append(image)
            precondition(image.inode == inode, "an inode is found under its own number")
        }
        let (table, written) = try nodes.write(images, LinkedInodesSchema.self)
        result.nodes += written
        let root = RootImage(
            volumeID: record.volumeID, volumeName: record.name, time: Session.now(),
            nextInode: nextInode, directory: directory, linkedInodes: table,
            statistics: statistics)
        let name = try nodes.put(root.encoded(), .tree)
        result.nodes.append(name)
        result.changes.root = name
    }

    private func remainingPieces() throws(RepairError) -> [ExtentChange] {
        try source.pieces().filter { placed.contains($0.key) }.sorted { $0.key < $1.key }.map {
            ExtentChange(inode: $0.key, range: 0..<ExtentChange.endOfFile, pieces: $0.value)
        }
    }
}

extension RootImage.Statistics {
    /// Counts an inode.
    fileprivate mutating func count(_ image: InodeImage) {
        switch image.mode >> 12 {
        case 8:
            files += 1
            logicalBytes += image.size
        case 4: directories += 1
        default: others += 1
        }
    }
}

/// Inodes that a check found to contradict themselves, of one volume.
struct Suspects {
    var sizes: Set<UInt64> = []
    var attributes: Set<UInt64> = []
}
