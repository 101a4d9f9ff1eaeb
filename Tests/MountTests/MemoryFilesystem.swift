import FileModel
import Glibc
import Synchronization

/// A filesystem in memory, as exact as the kernel's own users need it: the volume's stand-in.
///
/// One lock over all: correctness is what is wanted of it.
final class MemoryFilesystem: FilesystemOperations, @unchecked Sendable {
    static let nameBytesMax = 255

    let isReadOnly: Bool
    /// Guards `nodes` and what they refer to.
    private let lock = Mutex(())
    private var nodes: [InodeNumber: MemoryNode] = [:]
    private var nextInode: InodeNumber = 2
    let synchronizations = Atomic<UInt64>(0)
    let fullSynchronizations = Atomic<UInt64>(0)
    /// Called by each fsync, which may wait in it.
    let onSynchronize = Mutex<(@Sendable () -> Void)?>(nil)

    init(isReadOnly: Bool = false) {
        self.isReadOnly = isReadOnly
        var root = FileAttributes(
            inode: 1, generation: 1, kind: .directory, permissions: 0o755, linkCount: 2)
        let now = Self.now()
        root.accessTime = now
        root.modificationTime = now
        root.changeTime = now
        root.birthTime = now
        nodes[1] = MemoryNode(attributes: root, parent: 1)
    }

    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }

    func locked<Result>(_ body: () throws(FileError) -> Result) throws(FileError) -> Result {
        try lock.withLock { _ throws(FileError) in try body() }
    }

    // MARK: for tests

    /// Inodes other than the root that the kernel knows.
    var knownInodes: [InodeNumber] {
        lock.withLock { _ in
            nodes.values.filter { $0.lookupCount > 0 && $0.attributes.inode != 1 }
                .map { $0.attributes.inode }
        }
    }

    /// Inodes stored, with and without a name.
    var inodeCount: Int { lock.withLock { _ in nodes.count } }

    /// Changes a file behind the kernel's back.
    func overwrite(_ inode: InodeNumber, with bytes: [UInt8]) {
        lock.withLock { _ in
            guard let node = nodes[inode] else { return }
            node.content.truncate(to: 0)
            bytes.withUnsafeBytes { node.content.write(at: 0, $0) }
            contentChanged(node)
        }
    }

    /// Adds an empty file to the root behind the kernel's back.
    func plant(_ name: [UInt8]) {
        lock.withLock { _ in
            let caller = Caller(user: 0, group: 0)
            guard let root = nodes[1] else { return }
            let node = add(name, to: root, kind: .regular, permissions: 0o644, caller: caller)
            node.lookupCount = 0
        }
    }

    // MARK: shared by the operations; under the lock

    func node(_ inode: InodeNumber) throws(FileError) -> MemoryNode {
        guard let node = nodes[inode] else { throw .stale }
        return node
    }

    func directory(_ inode: InodeNumber) throws(FileError) -> MemoryNode {
        let node = try node(inode)
        guard node.attributes.kind == .directory else { throw .notDirectory }
        return node
    }

    func child(
        _ name: [UInt8], of directory: MemoryNode
    ) throws(FileError) -> MemoryNode? {
        guard name.count <= Self.nameBytesMax else { throw .nameTooLong }
        guard let entry = directory.entries[name] else { return nil }
        return try node(entry.inode)
    }

    func touch(_ node: MemoryNode, modified: Bool) {
        let now = Self.now()
        if modified { node.attributes.modificationTime = now }
        node.attributes.changeTime = now
    }

    func contentChanged(_ node: MemoryNode) {
        node.attributes.size = node.content.size
        node.attributes.allocatedBytes = node.content.allocatedBytes
        touch(node, modified: true)
    }

    /// Makes a file with a name; its lookup count is one.
    func add(
        _ name: [UInt8], to directory: MemoryNode, kind: FileKind, permissions: UInt32,
        caller: Caller
    ) -> MemoryNode {
        let inode = nextInode
        nextInode += 1
        let parent = directory.attributes
        let inheritsGroup = parent.permissions & 0o2000 != 0
        var attributes = FileAttributes(
            inode: inode, generation: 7, kind: kind, permissions: permissions,
            linkCount: kind == .directory ? 2 : 1, owner: caller.user,
            group: inheritsGroup ? parent.group : caller.group)
        if inheritsGroup, kind == .directory { attributes.permissions |= 0o2000 }
        let now = Self.now()
        attributes.accessTime = now
        attributes.modificationTime = now
        attributes.changeTime = now
        attributes.birthTime = now
        let node = MemoryNode(attributes: attributes, parent: parent.inode)
        node.lookupCount = 1
        nodes[inode] = node
        directory.insert(name, inode)
        if kind == .directory { directory.attributes.linkCount += 1 }
        touch(directory, modified: true)
        return node
    }

    /// Takes a name away, and the file with the last one unless the kernel still knows it.
    func drop(_ name: [UInt8], from directory: MemoryNode, _ child: MemoryNode) {
        directory.remove(name)
        if child.attributes.kind == .directory {
            child.attributes.linkCount = 0
            directory.attributes.linkCount -= 1
        } else {
            child.attributes.linkCount -= 1
        }
        touch(child, modified: false)
        touch(directory, modified: true)
        release(child)
    }

    func release(_ node: MemoryNode) {
        if node.attributes.linkCount == 0, node.lookupCount == 0 {
            nodes[node.attributes.inode] = nil
        }
    }

    // MARK: counts

    func forget(_ inode: InodeNumber, count: UInt64) {
        lock.withLock { _ in
            guard inode != 1, let node = nodes[inode] else { return }
            precondition(node.lookupCount >= count, "more was forgotten than was looked up")
            node.lookupCount -= count
            release(node)
        }
    }

    func synchronize(_ inode: InodeNumber, dataOnly: Bool) throws(FileError) {
        synchronizations.wrappingAdd(1, ordering: .relaxed)
        onSynchronize.withLock { $0 }?()
    }

    func synchronizeAll() throws(FileError) {
        fullSynchronizations.wrappingAdd(1, ordering: .relaxed)
    }

    func usage() throws(FileError) -> FilesystemUsage {
        FilesystemUsage(
            blockBytes: 4096, totalBytes: 1 << 40, freeBytes: 1 << 39, availableBytes: 1 << 38,
            totalFiles: 1 << 30, freeFiles: 1 << 29, nameBytesMax: 255, identifier: 42)
    }
}
