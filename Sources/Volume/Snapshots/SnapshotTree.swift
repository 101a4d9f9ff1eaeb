// A snapshot as a mount shows it: one root, read-only, straight from its tree.
import DiskFormat
import FileModel
import Folding
import Pipeline
import Platform
import Trees

/// An inode of a snapshot that the kernel knows.
struct SnapshotNode {
    var image: InodeImage
    /// By which name it was found: what the kernel is asked to let go of.
    var parent: UInt64
    var name: [UInt8]
    var lookups: UInt64
    /// The place in its recipe where the last reader was.
    var cursor: RecipeCursor?
}

/// One snapshot in use. Any thread.
///
/// Only the inodes that the kernel knows are in memory; the root always is. Numbers are the inodes'
/// own, with `base` in their upper bits.
final class SnapshotTree: Sendable {
    let snapshot: SnapshotImage
    let root: RootImage
    let store: ChunkStore
    let base: UInt64
    /// Inodes kept in memory before the kernel is asked to let go of some.
    let nodesMax: Int
    let nodes: ConditionMutex<Nodes>
    private let notifier = ConditionMutex<(any KernelNotifier)?>(nil)

    /// What the kernel knows.
    struct Nodes {
        var known: [UInt64: SnapshotNode] = [:]
        /// From how many on the kernel is asked again.
        var askedFrom: Int
    }

    /// - Parameter base: 0 where the snapshot is mounted by itself.
    init(
        _ snapshot: SnapshotImage, store: ChunkStore, base: UInt64, nodesMax: Int
    ) throws(FileError) {
        self.snapshot = snapshot
        self.store = store
        self.base = base
        self.nodesMax = nodesMax
        nodes = ConditionMutex(Nodes(askedFrom: nodesMax))
        let access = StoreAccess(store)
        do throws(TreeError) {
            let bytes = try access.readNode(snapshot.root, domain: .tree)
            var image: RootImage
            do throws(FormatError) {
                image = try bytes.borrowing { (raw) throws(FormatError) in try RootImage(raw) }
            } catch {
                throw TreeError.format(error, node: snapshot.root)
            }
            image.orphans = []
            root = image
        } catch {
            throw access.fileError(error)
        }
    }

    func setNotifier(_ notifier: (any KernelNotifier)?) {
        self.notifier.withLock { $0 = notifier }
    }

    // MARK: inodes

    /// The inode's own number.
    private func own(_ inode: InodeNumber) -> UInt64 { inode & (DiskFormat.inodeLimit - 1) }

    func image(of inode: InodeNumber) throws(FileError) -> InodeImage {
        let number = own(inode)
        if number == RootImage.rootInode { return root.directory }
        if let image = nodes.withLock({ $0.known[number]?.image }) { return image }
        // Of files with several names it can be found, for NFS handles; of others only the way to
        // them is known.
        guard let image = try linked(number) else { throw .stale }
        return image
    }

    func linked(_ number: UInt64) throws(FileError) -> InodeImage? {
        try reading { (access) throws(TreeError) in
            try ListReader<LinkedInodesSchema, StoreAccess>(store: access)
                .find(LinkedInodesSchema.key(inode: number), in: root.linkedInodes)
        }
    }

    func attributes(_ image: InodeImage) -> FileAttributes {
        var attributes = FileAttributes(image)
        attributes.inode = base | image.inode
        return attributes
    }

    func attributes(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        attributes(try image(of: inode))
    }

    /// Counts an entry that the kernel is given.
    func give(_ image: InodeImage, _ name: [UInt8], in parent: UInt64) -> FileAttributes {
        guard image.inode != RootImage.rootInode else { return attributes(image) }
        let tooMany = nodes.withLock { nodes -> [(parent: InodeNumber, name: [UInt8])] in
            nodes.known[
                image.inode,
                default: SnapshotNode(image: image, parent: parent, name: name, lookups: 0)
            ].lookups += 1
            return excess(&nodes)
        }
        if !tooMany.isEmpty, let notifier = notifier.withLock({ $0 }) {
            for (parent, name) in tooMany { notifier.invalidateEntry(name, in: parent) }
        }
        return attributes(image)
    }

    /// Names of which the kernel is asked to let go, when more inodes are known than there should be.
    private func excess(_ nodes: inout Nodes) -> [(parent: InodeNumber, name: [UInt8])] {
        guard nodes.known.count > nodes.askedFrom else { return [] }
        let step = max(64, nodesMax / 16)
        nodes.askedFrom = nodes.known.count + step
        // Directories stay: what is below them goes first.
        return nodes.known.values.lazy.filter { $0.image.mode >> 12 != 4 && !$0.name.isEmpty }
            .prefix(nodes.known.count - nodesMax + step).map { (base | $0.parent, $0.name) }
    }

    func forget(_ inode: InodeNumber, count: UInt64) {
        let number = own(inode)
        nodes.withLock { nodes in
            guard let node = nodes.known[number] else { return }
            if node.lookups <= count {
                nodes.known[number] = nil
                if nodes.known.count <= nodesMax { nodes.askedFrom = nodesMax }
            } else {
                nodes.known[number]?.lookups -= count
            }
        }
    }

    // MARK: reading

    func reading<Result>(
        _ body: (StoreAccess) throws(TreeError) -> Result
    ) throws(FileError) -> Result {
        let access = StoreAccess(store)
        do throws(TreeError) {
            return try body(access)
        } catch {
            throw access.fileError(error)
        }
    }
}
