// From the index into memory: outside the lock, and then looked up again.
import DiskFormat
import FileModel
import Metadata
import NamespaceIndex
import Pipeline

extension Volume {
    /// What the index says of a name.
    struct LoadedName {
        var dentry: Dentry
        var node: Node?
    }

    /// What the index says of a name, and of the inode it means.
    private func loadName(_ name: [UInt8], in parent: UInt64) throws(FileError) -> LoadedName {
        let dentry = try storedName(name, in: parent)
        return LoadedName(
            dentry: dentry, node: dentry.isPresent ? try loadNode(dentry.inode) : nil)
    }

    /// What the index says of a name.
    func storedName(_ name: [UInt8], in parent: UInt64) throws(FileError) -> Dentry {
        try loadNames(of: parent)
        var taken: [UInt8] = []
        for collision in 0..<DirectoryCookie.collisionsMax {
            let cookie = cookie(of: name, collision: UInt8(collision))
            let key = NamespaceKey.name(number, parent: parent, cookie: cookie)
            guard let bytes = try indexValue(key) else { break }
            let record = try decoded { () throws(FormatError) in
                try bytes.borrowing { (raw) throws(FormatError) in try NameRecord(raw) }
            }
            switch record {
            case .tombstone:
                continue
            case .entry(let found, let inode, let kind):
                if found == name {
                    return Dentry(inode: inode, kind: kind, cookie: cookie)
                }
                taken.append(UInt8(collision))
            }
        }
        return Dentry(inode: 0, kind: 0, cookie: 0, takenCollisions: taken)
    }

    func cookie(of name: [UInt8], collision: UInt8) -> UInt64 {
        name.withUnsafeBytes {
            DirectoryCookie.cookie(
                of: $0, collision: collision, secret: store.parameters.secret)
        }
    }

    /// An inode of the index as a new node; nil: there is none of that number.
    func loadNode(_ inode: UInt64) throws(FileError) -> Node? {
        guard let record = try storedInode(inode) else { return nil }
        var pieces: [ExtentChange.Piece] = []
        if record.pieceCount > 0 { pieces = try loadPieces(inode) }
        return Node(image: record.image, cookie: record.cookie, pieces: pieces, isNew: false)
    }

    /// What the index says of an inode; nil: there is none of that number.
    func storedInode(_ inode: UInt64) throws(FileError) -> InodeRecord? {
        guard let bytes = try indexValue(NamespaceKey.inode(number, inode)) else { return nil }
        return try decoded { () throws(FormatError) in
            try bytes.borrowing { (raw) throws(FormatError) in
                try InodeRecord(raw, of: inode)
            }
        }
    }

    /// The name at a place of a directory, by the index.
    func storedName(at cookie: UInt64, in parent: UInt64) throws(FileError) -> [UInt8]? {
        try loadNames(of: parent)
        let key = NamespaceKey.name(number, parent: parent, cookie: cookie)
        guard let bytes = try indexValue(key) else { return nil }
        let record = try decoded { () throws(FormatError) in
            try bytes.borrowing { (raw) throws(FormatError) in try NameRecord(raw) }
        }
        guard case .entry(let name, _, _) = record else { return nil }
        return name
    }

    private func loadPieces(_ inode: UInt64) throws(FileError) -> [ExtentChange.Piece] {
        var pieces: [ExtentChange.Piece] = []
        var failure: FormatError?
        try scanIndex(prefix: NamespaceKey.pieces(number, inode: inode)) { key, value in
            guard let (_, offset) = NamespaceKey.pair(key) else { return true }
            do throws(FormatError) {
                pieces.append(try PieceRecord(value).piece(at: offset))
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw fileError(StoreError.indexDamaged(failure)) }
        return pieces
    }

    // MARK: volumes that began as snapshots

    /// Brings a directory's names into the index where they are not: before anybody asks it for them.
    func loadNames(of directory: UInt64) throws(FileError) {
        guard isLoading.load(ordering: .acquiring) else { return }
        do throws(StoreError) {
            while try !store.loadNames(of: directory, in: number) {}
            try noteLoaded()
        } catch {
            throw fileError(error)
        }
    }

    /// Brings all names into the index.
    func loadEverything() throws(FileError) {
        guard isLoading.load(ordering: .acquiring) else { return }
        do throws(StoreError) {
            if let failure = try store.loadEverything(of: number) { throw failure }
            try noteLoaded()
        } catch {
            throw fileError(error)
        }
    }

    /// Nothing need be looked for any more when all is loaded.
    func noteLoaded() throws(StoreError) {
        if try store.origin(of: number) == nil { isLoading.store(false, ordering: .releasing) }
    }

    // MARK: the index

    func indexValue(_ key: [UInt8]) throws(FileError) -> [UInt8]? {
        do throws(MetadataError) {
            return try store.index.get(key)
        } catch {
            throw fileError(StoreError.index(error))
        }
    }

    func scanIndex(
        prefix: [UInt8], from start: [UInt8]? = nil,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) throws(FileError) {
        do throws(MetadataError) {
            try store.index.scan(prefix: prefix, from: start ?? prefix, body)
        } catch {
            throw fileError(StoreError.index(error))
        }
    }

    func decoded<Value>(
        _ body: () throws(FormatError) -> Value
    ) throws(FileError) -> Value {
        do throws(FormatError) {
            return try body()
        } catch {
            throw fileError(StoreError.indexDamaged(error))
        }
    }

    // MARK: with what is needed in memory

    private enum Attempt<Result> {
        case done(Result)
        case needsName(UInt64)
        case needsNode(UInt64, UInt64)
    }

    /// Runs `body` under the namespace lock with the parent and what its name means, after loading
    /// what is not in memory. `node` is the inode's node where the name is present and `loadsNode`.
    func withName<Result>(
        _ name: [UInt8], in parent: UInt64, loadsNode: Bool,
        _ body: (
            _ namespace: inout Namespace, _ parent: Node, _ dentry: Dentry, _ node: Node?
        ) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        var misses = 0
        while true {
            let attempt = try namespace.withLock { (space) throws(FileError) -> Attempt<Result> in
                let (directory, cache) = try space.directory(parent)
                guard let dentry = cache.known(name) else { return .needsName(space.forgettings) }
                let node = dentry.isPresent ? space.nodes[dentry.inode] : nil
                if dentry.isPresent, loadsNode, node == nil {
                    return .needsNode(dentry.inode, space.forgettings)
                }
                return .done(try body(&space, directory, dentry, node))
            }
            switch attempt {
            case .done(let result): return result
            case .needsName(let forgettings):
                waitForMemory()
                let loaded = try loadName(name, in: parent)
                namespace.withLock { space in
                    guard space.forgettings == forgettings else { return }
                    take(loaded, as: name, in: parent, of: &space)
                }
            case .needsNode(let inode, let forgettings):
                // It may have ended between the two looks, but not again and again.
                if try !loadIntoMemory(inode, forgettings: forgettings) { misses += 1 }
                if misses > Volume.missesMax { throw .damaged }
            }
        }
    }

    /// How often a name may mean an inode that is not there before that counts as damage.
    private static let missesMax = 8

    /// Takes what the index says of a name; it was asked since anything was last let go of.
    func take(
        _ loaded: LoadedName, as name: [UInt8], in parent: UInt64, of space: inout Namespace
    ) {
        space.namesAdded += 1
        space.boundNames(nodesLimit)
        if let node = loaded.node { insert(node, into: &space) }
        guard let cache = space.nodes[parent]?.directory, cache.entries[name] == nil else { return }
        cache.set(name, loaded.dentry)
    }

    private func insert(_ node: Node, into space: inout Namespace) {
        guard space.nodes[node.inode] == nil, !space.unappliedGone.contains(node.inode) else {
            return
        }
        space.nodes[node.inode] = node
        space.listIdle(node)
        notePressure(in: &space)
    }

    /// Returns false where the index has no such inode.
    private func loadIntoMemory(
        _ inode: UInt64, forgettings: UInt64
    ) throws(FileError) -> Bool {
        waitForMemory()
        guard let node = try loadNode(inode) else { return false }
        namespace.withLock { space in
            if space.forgettings == forgettings { insert(node, into: &space) }
        }
        return true
    }

    /// Runs `body` under the namespace lock with an inode, after loading it when it is not in memory.
    func withNode<Result>(
        _ inode: UInt64,
        _ body: (_ namespace: inout Namespace, _ node: Node) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        while true {
            let attempt = try namespace.withLock { (space) throws(FileError) -> Attempt<Result> in
                if let node = space.nodes[inode] { return .done(try body(&space, node)) }
                if space.unappliedGone.contains(inode) { throw .stale }
                return .needsNode(inode, space.forgettings)
            }
            switch attempt {
            case .done(let result): return result
            case .needsName: continue
            case .needsNode(let inode, let forgettings):
                if try !loadIntoMemory(inode, forgettings: forgettings) { throw .stale }
            }
        }
    }
}
