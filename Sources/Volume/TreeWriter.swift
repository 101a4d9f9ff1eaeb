// One checkpoint's work on one volume's trees.
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline
import Platform
import Trees

/// Brings a volume's trees up to what the index says, at the cost of what changed.
///
/// Belongs to one thread; nobody commits meanwhile.
struct TreeWriter {
    private let volume: Volume
    private let access: StoreAccess
    /// How the counts of tree nodes change.
    private(set) var counts: [ChunkName: Int64]
    /// Which names of which directories may differ from the tree's.
    private var names: [UInt64: Set<[UInt8]>] = [:]
    private var linked: Set<UInt64> = []
    /// Inodes that are gone, or may have left the table of linked ones.
    private var unlinked: Set<UInt64> = []
    /// Directories as the index has them; with new trees once they are written.
    private var directories: [UInt64: InodeImage] = [:]

    init(volume: Volume, counts: [ChunkName: Int64]) {
        self.volume = volume
        access = StoreAccess(volume.store)
        self.counts = counts
    }

    // MARK: what has to be written

    mutating func collect(_ changed: ChangedSet) throws(FileError) {
        for name in changed.names { names[name.parent, default: []].insert(name.name) }
        for inode in changed.inodes { try collect(inode) }
        // A directory's entry has the name of its tree: with it, all above change.
        var pending = Array(names.keys)
        if directories[RootImage.rootInode] == nil { pending.append(RootImage.rootInode) }
        var seen = Set(pending)
        while let inode = pending.popLast() {
            guard let record = try volume.storedInode(inode) else {
                names[inode] = nil
                continue
            }
            directories[inode] = record.image
            guard let parent = record.image.parent else { continue }
            guard let name = try volume.storedName(at: record.cookie, in: parent) else {
                throw .damaged
            }
            names[parent, default: []].insert(name)
            if seen.insert(parent).inserted { pending.append(parent) }
        }
    }

    private mutating func collect(_ inode: UInt64) throws(FileError) {
        guard let record = try volume.storedInode(inode) else {
            unlinked.insert(inode)
            return
        }
        let image = record.image
        if image.isLinked {
            if image.linkCount > 0 { linked.insert(inode) } else { unlinked.insert(inode) }
        } else if let parent = image.parent {
            guard let name = try volume.storedName(at: record.cookie, in: parent) else {
                throw .damaged
            }
            names[parent, default: []].insert(name)
        }
        if image.mode >> 12 == 4, names[inode] == nil { names[inode] = [] }
    }

    // MARK: directories

    /// Writes what changed, deepest first and those of one depth on the workers together; returns the
    /// directories with new trees.
    mutating func writeDirectories() throws(FileError) -> [InodeImage] {
        var written: [InodeImage] = []
        for level in try levels() {
            for (image, nodes) in try writeLevel(level) {
                count(nodes)
                guard directories[image.inode]?.content != image.content else { continue }
                directories[image.inode] = image
                written.append(image)
            }
        }
        return written
    }

    /// Directories none of which lies in another. Their trees name those of deeper ones, which are there.
    private func writeLevel(_ level: [UInt64]) throws(FileError) -> [DirectoryWriter.Written] {
        let writer = DirectoryWriter(volume: volume, names: names, directories: directories)
        let results = ConditionMutex<[Int: Result<DirectoryWriter.Written, FileError>]>([:])
        let jobs = stride(from: 0, to: level.count, by: TreeWriter.directoriesPerJob).map { start in
            { @Sendable () -> Void in
                for place in start..<min(start + TreeWriter.directoriesPerJob, level.count) {
                    let result = Result { () throws(FileError) in try writer.write(level[place]) }
                    results.withLock { $0[place] = result }
                }
            }
        }
        volume.drains.runAll(jobs)
        let written = results.withLock { $0 }.sorted { $0.key < $1.key }
        return try written.map { (_, result) throws(FileError) in try result.get() }
    }

    /// Few enough that two workers have something to do for 100 directories, and as many that handing
    /// them over costs nothing beside their trees.
    private static let directoriesPerJob = 8

    /// The directories in which names changed, by how deep they lie, deepest first.
    private func levels() throws(FileError) -> [[UInt64]] {
        var depths: [Int: [UInt64]] = [:]
        for inode in directories.keys where !(names[inode]?.isEmpty ?? true) {
            var depth = 0
            var next = directories[inode]?.parent
            while let parent = next {
                depth += 1
                // No chain of parents is longer than there are directories in it.
                guard depth <= directories.count else { throw .damaged }
                next = directories[parent]?.parent
            }
            depths[depth, default: []].append(inode)
        }
        return depths.sorted { $0.key > $1.key }.map { $0.value.sorted() }
    }

    private mutating func count(_ result: ListEditResult) {
        for name in result.taken { counts[name, default: 0] += 1 }
        for name in result.left { counts[name, default: 0] -= 1 }
    }

    // MARK: the root

    /// Writes the root; call after `writeDirectories`.
    mutating func writeRoot(
        _ record: VolumeRecord, name: String, nextInode: UInt64
    ) throws(FileError) -> ChunkName {
        guard let directory = directories[RootImage.rootInode] else { throw .damaged }
        var linkedRoot: NodeReference?
        if let old = record.root {
            linkedRoot = try volume.decodedRoot(old).linkedInodes
            counts[old, default: 0] -= 1
        }
        let table = try writeLinked(linkedRoot)
        try releaseTrees()
        let image = RootImage(
            volumeID: volume.volumeID, volumeName: name, time: Volume.now(),
            nextInode: nextInode, directory: directory, linkedInodes: table,
            orphans: try orphans(), statistics: record.statistics)
        do throws(TreeError) {
            let name = try access.writeNode(image.encoded(), domain: .tree)
            counts[name, default: 0] += 1
            return name
        } catch {
            throw access.fileError(error)
        }
    }

    private mutating func writeLinked(
        _ root: NodeReference?
    ) throws(FileError) -> NodeReference? {
        var edits: [KeyedEdit<LinkedInodesSchema, StoreAccess>.Change] = []
        for inode in linked.union(unlinked).sorted() {
            let key = LinkedInodesSchema.key(inode: inode)
            if linked.contains(inode), let record = try volume.storedInode(inode) {
                edits.append((key, record.image))
            } else if try isListed(key, in: root) {
                edits.append((key, nil))
            }
        }
        guard !edits.isEmpty else { return root }
        do throws(TreeError) {
            let result = try KeyedEdit<LinkedInodesSchema, StoreAccess>.apply(
                edits, to: root, in: access)
            count(result)
            return result.root
        } catch {
            throw access.fileError(error)
        }
    }

    private func isListed(_ key: [UInt8], in root: NodeReference?) throws(FileError) -> Bool {
        guard let root else { return false }
        do throws(TreeError) {
            let reader = ListReader<LinkedInodesSchema, StoreAccess>(store: access)
            return try reader.find(key, in: root) != nil
        } catch {
            throw access.fileError(error)
        }
    }

    /// The trees of directories that ended are let go.
    private mutating func releaseTrees() throws(FileError) {
        var released: [NodeReference] = []
        var failure: FormatError?
        try volume.scanIndex(
            prefix: NamespaceKey.prefix(.released, volume.number)
        ) { _, value in
            do throws(FormatError) {
                released.append(try ReleasedTreeRecord(value).root)
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw volume.fileError(.indexDamaged(failure)) }
        let reader = ListReader<DirectorySchema, StoreAccess>(store: access)
        var names: [ChunkName] = []
        do throws(TreeError) {
            for root in released {
                try reader.forEachNode(of: root) { node in
                    names.append(node.name)
                    return true
                }
            }
        } catch {
            throw access.fileError(error)
        }
        for name in names { counts[name, default: 0] -= 1 }
    }

    private func orphans() throws(FileError) -> [InodeImage] {
        var inodes: [UInt64] = []
        try volume.scanIndex(
            prefix: NamespaceKey.prefix(.orphan, volume.number)
        ) { key, _ in
            if let inode = NamespaceKey.inodeNumber(key) { inodes.append(inode) }
            return true
        }
        var images: [InodeImage] = []
        for inode in inodes {
            guard let record = try volume.storedInode(inode) else { throw .damaged }
            images.append(directories[inode] ?? record.image)
        }
        return images
    }
}

/// Writes trees of directories. Any number of threads.
private struct DirectoryWriter: Sendable {
    typealias Written = (image: InodeImage, nodes: ListEditResult)

    let volume: Volume
    /// Which names of which directories may differ from the tree's.
    let names: [UInt64: Set<[UInt8]>]
    /// Directories as the index has them, and with new trees where those are written.
    let directories: [UInt64: InodeImage]

    func write(_ inode: UInt64) throws(FileError) -> Written {
        guard var image = directories[inode], let changes = names[inode] else { throw .damaged }
        var root: NodeReference?
        if case .directory(let node) = image.content { root = node }
        var edits: [KeyedEdit<DirectorySchema, StoreAccess>.Change] = []
        edits.reserveCapacity(changes.count)
        let sorted = changes.sorted { $0.lexicographicallyPrecedes($1) }
        for name in sorted { edits.append((name, try entry(name, in: inode))) }
        let access = StoreAccess(volume.store)
        do throws(TreeError) {
            let nodes = try KeyedEdit<DirectorySchema, StoreAccess>.apply(
                edits, to: root, in: access)
            image.content = nodes.root.map { .directory($0) } ?? .none
            return (image, nodes)
        } catch {
            throw access.fileError(error)
        }
    }

    /// What the index says of a name, as a directory keeps it.
    private func entry(
        _ name: [UInt8], in parent: UInt64
    ) throws(FileError) -> DirectoryEntry? {
        let dentry = try volume.storedName(name, in: parent)
        guard dentry.isPresent else { return nil }
        let collision = DirectoryCookie.collision(of: dentry.cookie)
        if let directory = directories[dentry.inode] {
            return DirectoryEntry(name: name, collision: collision, target: .only(directory))
        }
        guard let record = try volume.storedInode(dentry.inode) else { throw .damaged }
        let target: DirectoryEntry.Target =
            record.image.isLinked
            ? .linked(inode: dentry.inode, kind: dentry.kind) : .only(record.image)
        return DirectoryEntry(name: name, collision: collision, target: target)
    }
}
