// What the namespace lock guards.
import DiskFormat
import FileModel

/// The names and inodes of a volume, as far as they are in memory.
struct Namespace {
    var nodes: [UInt64: Node] = [:]
    /// Changes now belong to this generation; the next cut ends it.
    var generation: UInt64 = 1
    /// Everything changed in this or an earlier generation is in the index.
    var appliedGeneration: UInt64 = 0
    /// Nodes changed in this generation, each once.
    var dirtyNodes: [Node] = []
    /// Names changed in this generation, each once.
    var dirtyNames: [(directory: Node, name: [UInt8])] = []
    /// Inodes that ended in this generation.
    var gone: [UInt64] = []
    /// Inodes that ended, and which the index still has.
    var unappliedGone: Set<UInt64> = []
    /// Raised when something clean is forgotten, and with each commit: what was read from the index
    /// before may be older than what it has now.
    var forgettings: UInt64 = 0
    /// The next inode number.
    var nextInode: UInt64
    /// Numbers below this may be used: a durable commit says so.
    var inodesReserved: UInt64
    /// Somebody waits for more numbers.
    var wantsInodes = false
    /// Nodes that the kernel does not know, oldest first; some may be known again.
    var idle: [UInt64] = []
    var idleHead = 0
    /// With how many idle ones some are forgotten.
    var idleLimit = Namespace.idleNodesMax + Namespace.idleLotNodes
    var inodeCount: UInt64
    /// Names that came into memory since the clean ones were last forgotten.
    var namesAdded = 0
    /// Changed since the last checkpoint: what the trees have to be told.
    var changed = ChangedSet()
    /// With so many nodes the store is told that there are too many; raised while the kernel keeps
    /// what it was asked for.
    var pressureLimit = Int.max
    /// Set by the first failure after which nothing is written any more.
    var isBroken = false

    init(nextInode: UInt64, statistics: RootImage.Statistics) {
        self.nextInode = nextInode
        inodesReserved = nextInode
        inodeCount = statistics.files + statistics.directories + statistics.others
    }

    /// Nodes that the kernel does not know and that are kept in case it asks again.
    static let idleNodesMax = 8192
    /// How many become idle before some are forgotten.
    private static let idleLotNodes = 4096

    // MARK: dirt

    mutating func markDirty(_ node: Node) {
        guard node.generation != generation else { return }
        node.generation = generation
        dirtyNodes.append(node)
    }

    func isClean(_ node: Node) -> Bool { node.generation <= appliedGeneration }

    /// Gives a name a meaning, or takes it away (inode 0).
    mutating func setName(_ name: [UInt8], in directory: Node, _ dentry: Dentry) {
        guard let cache = directory.directory else { return }
        var dentry = dentry
        dentry.generation = generation
        if cache.entries[name]?.generation != generation {
            dirtyNames.append((directory, name))
            cache.dirtyCount += 1
            namesAdded += 1
        }
        cache.set(name, dentry)
    }

    // MARK: what the kernel knows

    /// The kernel is given the inode once more.
    func addLookup(_ node: Node) {
        node.lookups += 1
    }

    /// The kernel gives back references; a node without name and reference ends.
    mutating func dropLookups(_ node: Node, _ count: UInt64) {
        node.lookups -= min(count, node.lookups)
        guard node.lookups == 0 else { return }
        if node.image.linkCount == 0 {
            end(node)
        } else {
            listIdle(node)
        }
    }

    /// An inode without a name that nobody uses: it is deleted with the next commit.
    mutating func end(_ node: Node) {
        guard nodes.removeValue(forKey: node.inode) != nil else { return }
        gone.append(node.inode)
        unappliedGone.insert(node.inode)
        inodeCount -= min(1, inodeCount)
    }

    mutating func listIdle(_ node: Node) {
        if !node.isIdleListed, node.inode != RootImage.rootInode {
            node.isIdleListed = true
            idle.append(node.inode)
        }
        // In lots: whoever loads something meanwhile has to begin again after each.
        if idle.count - idleHead > idleLimit {
            forgetIdle(downTo: Namespace.idleNodesMax)
            // Those that are left are dirty: the more there are, the less often they are looked at
            // again, so that looking costs a bounded number of visits for each node.
            let left = max(idle.count - idleHead, Namespace.idleNodesMax)
            idleLimit = left + max(Namespace.idleLotNodes, left / 4)
        }
    }

    /// Forgets the nodes that have been idle longest, those in use and the dirty ones excepted.
    mutating func forgetIdle(downTo limit: Int) {
        var looks = idle.count - idleHead
        forgettings += 1
        while idle.count - idleHead > limit, looks > 0 {
            looks -= 1
            let inode = idle[idleHead]
            idleHead += 1
            if idleHead > 4096, idleHead * 2 > idle.count {
                idle.removeFirst(idleHead)
                idleHead = 0
            }
            guard let node = nodes[inode], node.isIdleListed else { continue }
            guard node.lookups == 0 else {
                node.isIdleListed = false
                continue
            }
            // A clean file has nothing buffered: the commit that made it clean took all.
            if !isClean(node) || (node.directory?.dirtyCount ?? 0) > 0 {
                idle.append(inode)
                continue
            }
            nodes[inode] = nil
            node.isIdleListed = false
        }
    }

    /// Forgets the names that are in the index as well, when more than `limit` have come. Those by
    /// which the kernel knows an inode stay: it is asked by name to let go of it.
    mutating func boundNames(_ limit: Int, keepsKernels: Bool = true) {
        guard namesAdded > limit else { return }
        namesAdded = 0
        forgettings += 1
        for node in nodes.values {
            node.directory?.forgetClean(appliedGeneration: appliedGeneration) { dentry in
                keepsKernels && (nodes[dentry.inode]?.lookups ?? 0) > 0
            }
        }
    }

    /// Names of up to `limit` clean inodes, no directories, that the kernel may be asked to let go of.
    func evictable(_ limit: Int) -> [(parent: UInt64, name: [UInt8])] {
        var names: [(parent: UInt64, name: [UInt8])] = []
        for directory in nodes.values {
            guard let cache = directory.directory else { continue }
            for (name, dentry) in cache.entries where dentry.isPresent {
                guard dentry.generation <= appliedGeneration, let node = nodes[dentry.inode],
                    node.directory == nil, node.lookups > 0, isClean(node)
                else { continue }
                names.append((directory.inode, name))
                if names.count >= limit { return names }
            }
        }
        return names
    }

    // MARK: finding

    func node(_ inode: UInt64) throws(FileError) -> Node {
        guard let node = nodes[inode] else { throw .stale }
        return node
    }

    func directory(_ inode: UInt64) throws(FileError) -> (node: Node, cache: DirectoryCache) {
        let node = try node(inode)
        guard let cache = node.directory else { throw .notDirectory }
        return (node, cache)
    }
}

/// Names and inodes that the newest checkpoint's trees do not have as they are now.
struct ChangedSet: Sendable {
    struct Name: Hashable, Sendable {
        var parent: UInt64
        var name: [UInt8]
    }

    var names: Set<Name> = []
    var inodes: Set<UInt64> = []

    var isEmpty: Bool { names.isEmpty && inodes.isEmpty }
    var count: Int { names.count + inodes.count }

    mutating func add(_ changes: VolumeChanges) {
        for change in changes.names {
            names.insert(Name(parent: change.parent, name: change.name))
        }
        for change in changes.inodes {
            switch change {
            case .put(let image): inodes.insert(image.inode)
            case .gone(let inode): inodes.insert(inode)
            }
        }
        for extent in changes.extents { inodes.insert(extent.inode) }
    }
}
