// Volumes that begin as snapshots, and the loading of their names.
//
// A clone begins with the trees of a snapshot, and costs one root and one commit: of its names and
// inodes the index has the root directory alone. A directory is *loaded* when somebody first asks for its
// names (or by and by, see below): they and their inodes are put into the index, and what they own is
// counted. Until then the index has a note for it (family 'U'), and the volume's first root is *kept* as
// a snapshot's root is, so that everything below has an owner. With the last note goes the keeping.
//
// Loading is done in steps, which are index batches of their own and no part of the log, as settling is
// (see CommitApplier+Snapshots): an index made anew has everything loaded, and makes the same state.
//
// Invariants:
// 1. Nothing in a directory changes before it is loaded; a commit that says so is applied to an index
//    that has lost the loading, which is of no use then. Therefore what was loaded is made durable before
//    the next commit is.
// 2. The table of linked inodes is loaded before any directory: names refer to it.
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex
import Trees

/// A step of loading.
struct LoadingStep {
    /// Entries of one step: a few thousand keys, so that no commit waits long behind it.
    static let entriesMax = 1024

    /// Whether the list is loaded now.
    var isComplete = false
    /// Entries that were put.
    var entries = 0
}

extension CommitApplier {
    // MARK: commits

    /// A new volume begins with the trees of its first root.
    mutating func begin(
        _ changes: VolumeChanges, as beginning: VolumeChanges.Beginning, number: UInt32,
        _ record: inout VolumeRecord, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        guard let root = changes.root else { return }
        // Those of its root directory alone would be wrong: what is below counts as if it were loaded.
        record.statistics = beginning.statistics
        var origin = OriginRecord(
            root: root, snapshot: beginning.snapshot, inodesEnd: changes.nextInode, unloaded: 1)
        batch.put(
            NamespaceKey.unloaded(number, UnloadedRecord.linkedInodes),
            UnloadedRecord(position: 0).encoded())
        for case .put(let image) in changes.inodes {
            guard case .directory = image.content else { continue }
            origin.unloaded += 1
            batch.put(
                NamespaceKey.unloaded(number, image.inode), UnloadedRecord(position: 0).encoded())
        }
        try keep(root, by: 1)
        batch.put(NamespaceKey.origin(number), origin.encoded())
    }

    /// A volume ends that was never loaded whole.
    mutating func endLoading(
        of number: UInt32, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        guard let origin = try index.origin(of: number) else { return }
        try keep(origin.root, by: -1)
        batch.delete(NamespaceKey.origin(number))
        try index.visit(NamespaceKey.prefix(.unloaded, number)) { key, _ in
            batch.delete([UInt8](key))
            return true
        }
    }

    // MARK: steps

    /// Loads the next entries of a directory, or of the table of linked inodes, by an empty batch; nil
    /// where it is loaded.
    ///
    /// - Parameter passesOver: leaves out what cannot be read; the index is incomplete then.
    /// - Throws: `damagedChunk` and `missingChunk` otherwise.
    mutating func load(
        _ inode: UInt64, of volume: UInt32, with reader: ChunkReader, passesOver: Bool = false,
        to batch: inout MetadataBatch
    ) throws(StoreError) -> LoadingStep? {
        guard let unloaded = try index.unloaded(volume, inode),
            let origin = try index.origin(of: volume)
        else { return nil }
        var loading = ListLoading(
            inode: inode, volume: volume, origin: origin, root: volumes[volume]?.root,
            position: unloaded.position, nodes: NodeReader(index: index, reader: reader),
            passesOver: passesOver)
        try loading.run(&self)
        let step = LoadingStep(isComplete: loading.isComplete, entries: loading.count)
        if loading.hasLosses { markIncomplete() }
        loading.finish(&batch)
        if loading.origin.unloaded == 0 { try keep(origin.root, by: -1) }
        let died = state.newestSequence
        try finishChunks(died: died, laid: died, &batch)
        finishKept(&batch)
        finishPacks(&batch)
        batch.put(StateRecord.key, state.encoded())
        return step
    }
}

/// One list on its way into the index. A step of it; one thread.
private struct ListLoading {
    let inode: UInt64
    let volume: UInt32
    var origin: OriginRecord
    /// The newest root, which has the table of linked inodes as the first one had it.
    private let root: ChunkName?
    private var position: UInt64
    private let nodes: NodeReader
    private let passesOver: Bool
    private(set) var isComplete = true
    private(set) var hasLosses = false
    private(set) var count = 0
    private var puts: [(key: [UInt8], value: [UInt8])] = []
    private var cookies: Set<UInt64> = []

    init(
        inode: UInt64, volume: UInt32, origin: OriginRecord, root: ChunkName?, position: UInt64,
        nodes: NodeReader, passesOver: Bool
    ) {
        self.inode = inode
        self.volume = volume
        self.origin = origin
        self.root = root
        self.position = position
        self.nodes = nodes
        self.passesOver = passesOver
    }

    mutating func run(_ applier: inout CommitApplier) throws(StoreError) {
        if inode == UnloadedRecord.linkedInodes {
            try runLinked(&applier)
        } else {
            try runDirectory(&applier)
        }
    }

    private mutating func runLinked(_ applier: inout CommitApplier) throws(StoreError) {
        let bytes: [UInt8]
        do throws(StoreError) {
            bytes = try readRoot()
        } catch {
            guard passesOver, error.isDamageOfChunk else { throw error }
            hasLosses = true
            return
        }
        guard let root = try? bytes.withUnsafeBytes({ try RootImage($0) }) else {
            throw .damagedChunk(origin.root)
        }
        for image in try entries(LinkedInodesSchema.self, of: root.linkedInodes, &applier) {
            try take(image, cookie: 0, &applier)
        }
    }

    /// The newest root; where it cannot be read, the first one.
    private func readRoot() throws(StoreError) -> [UInt8] {
        do throws(StoreError) {
            return try nodes.bytes(root ?? origin.root, .tree)
        } catch {
            guard error.isDamageOfChunk, root != origin.root else { throw error }
            return try nodes.bytes(origin.root, .tree)
        }
    }

    private mutating func runDirectory(_ applier: inout CommitApplier) throws(StoreError) {
        guard let record = try nodes.index.inode(volume, inode) else {
            throw .indexDamaged(.badValue("unloaded record: of no inode"))
        }
        guard case .directory(let root) = record.image.content else { return }
        for entry in try entries(DirectorySchema.self, of: root, &applier) {
            try take(entry, &applier)
        }
    }

    /// The next entries. With the first ones the list's nodes are counted.
    private mutating func entries<Schema: ListSchema>(
        _ schema: Schema.Type, of root: NodeReference?, _ applier: inout CommitApplier
    ) throws(StoreError) -> [Schema.Entry] {
        let list = ListReader<Schema, NodeReader>(store: nodes)
        var found: [Schema.Entry] = []
        var errors: [TreeError] = []
        let begin = position
        let isEnd = list.forEachReadable(of: root, from: position) { error, _ in
            errors.append(error)
        } _: { (place, entry) in
            guard found.count < LoadingStep.entriesMax, errors.isEmpty || passesOver else {
                return false
            }
            position = place + 1
            found.append(entry)
            return true
        }
        if let error = errors.first {
            guard passesOver else { throw storeError(error) }
            hasLosses = true
        }
        if begin == 0 { try countNodes(of: root, list, &applier) }
        isComplete = isEnd
        count = found.count
        return found
    }

    private mutating func countNodes<Schema: ListSchema>(
        of root: NodeReference?, _ list: ListReader<Schema, NodeReader>,
        _ applier: inout CommitApplier
    ) throws(StoreError) {
        var names: [ChunkName] = []
        do throws(TreeError) {
            try list.forEachNode(of: root) { node in
                names.append(node.name)
                return true
            }
        } catch {
            guard passesOver else { throw storeError(error) }
            hasLosses = true
        }
        for name in names { try applier.count(name, by: 1, domain: .tree) }
    }

    private func storeError(_ error: TreeError) -> StoreError {
        switch error {
        case .missing(let name): .missingChunk(name)
        case .format(_, let name), .storage(.some(let name)): .damagedChunk(name)
        case .storage(nil), .splitsChunk, .badEdit: .damagedChunk(origin.root)
        }
    }

    private mutating func take(
        _ image: InodeImage, cookie: UInt64, _ applier: inout CommitApplier
    ) throws(StoreError) {
        for owned in OwnedChunk.of(image) {
            try applier.count(owned.name, by: 1, domain: owned.domain)
        }
        puts.append(
            (
                NamespaceKey.inode(volume, image.inode),
                InodeRecord(cookie: cookie, image: image).encoded()
            ))
    }

    private mutating func take(
        _ entry: DirectoryEntry, _ applier: inout CommitApplier
    ) throws(StoreError) {
        let cookie = entry.name.withUnsafeBytes {
            DirectoryCookie.cookie(
                of: $0, collision: entry.collision, secret: applier.secret)
        }
        let kind: UInt8
        switch entry.target {
        case .linked(_, let linkedKind): kind = linkedKind
        case .only(let image):
            kind = UInt8(image.mode >> 12)
            if case .directory(let node) = image.content {
                // Nodes of a hostile store may lead back to themselves.
                guard try nodes.index.inode(volume, image.inode) == nil else {
                    guard passesOver else { throw .damagedChunk(node.name) }
                    hasLosses = true
                    return
                }
                origin.unloaded += 1
                puts.append(
                    (
                        NamespaceKey.unloaded(volume, image.inode),
                        UnloadedRecord(position: 0).encoded()
                    ))
            }
            try take(image, cookie: cookie, &applier)
        }
        cookies.insert(cookie)
        puts.append(
            (
                NamespaceKey.name(volume, parent: inode, cookie: cookie),
                NameRecord.entry(name: entry.name, inode: entry.inode, kind: kind).encoded()
            ))
        if entry.collision > 0 { try fillChain(below: cookie) }
    }

    /// Directories keep no tombstones: where a chain of collisions has gaps they are made anew. A name
    /// that comes later takes its place.
    private mutating func fillChain(below cookie: UInt64) throws(StoreError) {
        for offset in 1...UInt64(DirectoryCookie.collision(of: cookie)) {
            let key = NamespaceKey.name(volume, parent: inode, cookie: cookie - offset)
            if cookies.contains(cookie - offset) { continue }
            if try nodes.index.value(of: key, { (_) throws(FormatError) in true }) != nil {
                continue
            }
            puts.append((key, NameRecord.tombstone.encoded()))
        }
    }

    /// Puts everything into the batch, and how far the list is now.
    mutating func finish(_ batch: inout MetadataBatch) {
        let note = NamespaceKey.unloaded(volume, inode)
        if isComplete {
            origin.unloaded -= 1
            batch.delete(note)
        } else {
            batch.put(note, UnloadedRecord(position: position).encoded())
        }
        let key = NamespaceKey.origin(volume)
        if origin.unloaded > 0 {
            batch.put(key, origin.encoded())
        } else {
            batch.delete(key)
        }
        // In the order of keys: the index takes them up several times faster so. Of the same key the last
        // counts: the sort keeps their order.
        let sorted = puts.enumerated().sorted { a, b in
            a.element.key == b.element.key
                ? a.offset < b.offset
                : a.element.key.lexicographicallyPrecedes(b.element.key)
        }
        for (_, put) in sorted { batch.put(put.key, put.value) }
    }
}
