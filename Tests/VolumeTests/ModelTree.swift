// A volume as it should be: a value, so that copies remember commits.
import DiskFormat
import FileModel

struct ModelInode: Equatable {
    var inode: UInt64
    var kind: FileKind
    var permissions: UInt32
    var owner: UInt32
    var group: UInt32
    var linkCount: UInt32 = 1
    var file = ModelFile()
    var entries: [[UInt8]: UInt64] = [:]
    /// Of directories.
    var parent: UInt64 = 1
    var target: [UInt8] = []
    var attributes: [String: [UInt8]] = [:]
    var accessTime = Timestamp.zero
    var modificationTime = Timestamp.zero
    var changeTime = Timestamp.zero
    var birthTime = Timestamp.zero

    /// As stat(2) should tell.
    var size: Int {
        switch kind {
        case .regular: file.size
        case .symbolicLink: target.count
        default: 0
        }
    }
}

struct ModelTree: Equatable {
    var inodes: [UInt64: ModelInode] = [
        1: ModelInode(
            inode: 1, kind: .directory, permissions: 0o755, owner: 0, group: 0, linkCount: 2)
    ]
    /// How often the kernel knows each inode; the root is always known.
    var lookups: [UInt64: UInt64] = [:]

    subscript(inode: UInt64) -> ModelInode {
        get {
            inodes[inode] ?? ModelInode(inode: 0, kind: .fifo, permissions: 0, owner: 0, group: 0)
        }
        set { inodes[inode] = newValue }
    }

    func all(_ isWanted: (ModelInode) -> Bool) -> [UInt64] {
        inodes.values.filter(isWanted).map(\.inode).sorted()
    }

    func child(_ name: [UInt8], of directory: UInt64) -> ModelInode? {
        inodes[directory]?.entries[name].flatMap { inodes[$0] }
    }

    /// A way to an inode: names from the root; nil for orphans.
    func path(to inode: UInt64) -> [[UInt8]]? {
        if inode == 1 { return [] }
        for directory in inodes.values where directory.kind == .directory {
            let names = directory.entries.filter { $0.value == inode }.keys
            guard let name = names.min(by: { $0.lexicographicallyPrecedes($1) }) else { continue }
            return path(to: directory.inode).map { $0 + [name] }
        }
        return nil
    }

    /// Whether `inode` is `directory` or lies somewhere in it.
    func isWithin(_ inode: UInt64, _ directory: UInt64) -> Bool {
        var next = inode
        while next != 1 {
            if next == directory { return true }
            next = self[next].parent
        }
        return directory == 1
    }

    mutating func know(_ inode: UInt64) {
        lookups[inode, default: 0] += 1
    }

    mutating func forget(_ inode: UInt64, _ count: UInt64) {
        let left = (lookups[inode] ?? 0) - count
        lookups[inode] = left == 0 ? nil : left
        if left == 0, self[inode].linkCount == 0 { inodes[inode] = nil }
    }

    /// The kernel knows nothing any more.
    mutating func forgetAll() {
        for (inode, count) in lookups { forget(inode, count) }
    }

    /// A name is gone from its directory.
    mutating func drop(_ name: [UInt8], from directory: UInt64) {
        guard let inode = inodes[directory]?.entries.removeValue(forKey: name) else { return }
        if self[inode].kind == .directory {
            self[directory].linkCount -= 1
            self[inode].linkCount = 0
        } else {
            self[inode].linkCount -= 1
        }
        if self[inode].linkCount == 0, lookups[inode] == nil { inodes[inode] = nil }
    }
}
