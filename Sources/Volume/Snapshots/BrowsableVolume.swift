// A volume as it is mounted, with its snapshots in `.snapshots/NAME`.
//
// `.snapshots` in the volume's root is found by its name and not listed, so that copies of the volume
// do not hold all its past; a file that already has that name is what it is. Inode numbers are below
// 2^48, so the bits above say whose they are:
//
//     0            the volume's own
//     1 ..< 0x7fff   the snapshot of that number
//     0x7fff       `.snapshots` itself
//
// Everything in it is read-only. What is deleted while it is read answers ESTALE from then on.
import DiskFormat
import FileModel
import Pipeline
import Platform

/// One volume or one snapshot of it, as a mount serves it. Made by `LiveStore`. Any thread.
public final class BrowsableVolume: FilesystemOperations, Sendable {
    static let directoryName = Array(".snapshots".utf8)
    static let directoryInode = InodeNumber(SnapshotImage.numberLimit) << 48 | 1

    let volume: Volume
    private let store: ChunkStore
    private let trees = ConditionMutex<[UInt16: SnapshotTree]>([:])
    private let notifier = ConditionMutex<(any KernelNotifier)?>(nil)

    init(_ volume: Volume) {
        self.volume = volume
        store = volume.store
    }

    /// By whom the kernel is told to let go of names: after mounting.
    public func setNotifier(_ notifier: (any KernelNotifier)?) {
        self.notifier.withLock { $0 = notifier }
        volume.setNotifier(notifier)
        for tree in trees.withLock({ Array($0.values) }) { tree.setNotifier(notifier) }
    }

    public var isReadOnly: Bool { volume.isReadOnly }

    // MARK: whose an inode is

    /// What a request is about.
    enum Target {
        case live
        case directory
        case snapshot(SnapshotTree)
    }

    func target(_ inode: InodeNumber) throws(FileError) -> Target {
        let number = UInt16(truncatingIfNeeded: inode >> 48)
        if number == 0 { return .live }
        if number == SnapshotImage.numberLimit { return .directory }
        // A tree that was found stays as long as its snapshot.
        if let tree = trees.withLock({ $0[number] }) { return .snapshot(tree) }
        guard let snapshot = snapshots.first(where: { $0.number == number }) else { throw .stale }
        return .snapshot(try open(snapshot))
    }

    /// Of this volume, by number.
    var snapshots: [SnapshotImage] {
        store.snapshots.values.filter { $0.volumeID == volume.volumeID }
            .sorted { $0.number < $1.number }
    }

    func open(_ snapshot: SnapshotImage) throws(FileError) -> SnapshotTree {
        let known = trees.withLock { trees in
            trees[snapshot.number].flatMap { $0.snapshot.id == snapshot.id ? $0 : nil }
        }
        if let known { return known }
        let tree = try SnapshotTree(
            snapshot, store: store, base: InodeNumber(snapshot.number) << 48,
            nodesMax: volume.options.nodesMax / 4)
        tree.setNotifier(notifier.withLock { $0 })
        return trees.withLock { trees in
            if let known = trees[snapshot.number], known.snapshot.id == snapshot.id {
                return known
            }
            trees[snapshot.number] = tree
            return tree
        }
    }

    /// For what changes something: only the volume itself may be changed.
    func checkLive(_ inodes: InodeNumber...) throws(FileError) {
        for inode in inodes where inode >> 48 != 0 { throw .readOnly }
    }

    /// For what makes a name: `.snapshots` in the root is taken.
    func checkName(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) {
        try checkLive(parent)
        if isDirectoryName(name, in: parent) { throw .exists }
    }

    func isDirectoryName(_ name: UnsafeRawBufferPointer, in parent: InodeNumber) -> Bool {
        parent == RootImage.rootInode && name.elementsEqual(BrowsableVolume.directoryName)
    }

    var directoryAttributes: FileAttributes {
        var attributes = FileAttributes(
            inode: BrowsableVolume.directoryInode, generation: 1, kind: .directory,
            permissions: 0o555, linkCount: 2)
        if let root = try? volume.attributes(of: RootImage.rootInode) {
            attributes.owner = root.owner
            attributes.group = root.group
            attributes.birthTime = root.birthTime
        }
        let time = snapshots.map { Timestamp($0.time) }.max() ?? attributes.birthTime
        attributes.modificationTime = time
        attributes.changeTime = time
        attributes.accessTime = time
        return attributes
    }

    // MARK: changes of the list

    /// These snapshots were made, renamed, changed or deleted, and had, or have, these names.
    func snapshotsChanged(_ changed: [SnapshotImage]) {
        let own = changed.filter { $0.volumeID == volume.volumeID }
        guard !own.isEmpty else { return }
        let living = Set(store.snapshots.keys)
        trees.withLock { trees in
            for (number, tree) in trees where !living.contains(tree.snapshot.id) {
                trees[number] = nil
            }
        }
        guard let notifier = notifier.withLock({ $0 }) else { return }
        for snapshot in own {
            notifier.invalidateEntry(
                Array(snapshot.name.utf8), in: BrowsableVolume.directoryInode)
        }
        notifier.invalidateInode(BrowsableVolume.directoryInode, range: 0..<0)
    }
}
