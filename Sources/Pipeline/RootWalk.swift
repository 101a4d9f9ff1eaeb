// Walking the roots of a checkpoint into an index: names, inodes, and what they own.
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex
import Trees

/// Writes volumes into an index that has the places of all chunks. One thread.
struct RootWalk {
    /// Changes of counts that wait in memory before they go to the index.
    static let pendingCountsMax = 1 << 17
    /// Directories of one directory that wait at a time; the rest is come back to.
    static let directoriesMax = 1024

    /// A directory that is being read.
    private struct OpenDirectory {
        var inode: UInt64
        var node: NodeReference
        /// Entries before this are done.
        var position: UInt64 = 0
        var isRead = false
        /// Its directories that are still to be read.
        var pending: [(inode: UInt64, node: NodeReference)] = []
    }

    let index: any MetadataStore
    let reader: ChunkReader
    let secret: StoreSecret
    let tell: (@Sendable (StoreEvent) -> Void)?
    /// Chunks that the checkpoint lists as lost.
    let knownLost: Set<ChunkName>
    /// Nodes that could not be read: what was below them is not in the index.
    private(set) var losses = 0
    private var counts: [ChunkName: (count: Int64, domain: ChunkDomain)] = [:]
    private var batch: [(key: [UInt8], value: [UInt8])] = []
    private var batchBytes = 0
    /// Directories in the batch: not in the index yet.
    private var directoriesInBatch: Set<UInt64> = []

    init(
        index: any MetadataStore, reader: ChunkReader, secret: StoreSecret,
        knownLost: [ChunkName], tell: (@Sendable (StoreEvent) -> Void)?
    ) {
        self.index = index
        self.knownLost = Set(knownLost)
        self.reader = reader
        self.secret = secret
        self.tell = tell
    }

    /// Takes a volume of the checkpoint. Its root chunk must be readable.
    mutating func take(_ section: VolumeChanges, number: UInt32) throws(StoreError) {
        guard let rootName = section.root else { throw .noCommit }
        // What is in the batch is told by inode alone: of one volume.
        try writeBatch()
        let bytes = try NodeReader(index: index, reader: reader).bytes(rootName, .tree)
        let root: RootImage
        do throws(FormatError) {
            root = try bytes.withUnsafeBufferPointer { (buffer) throws(FormatError) in
                try RootImage(UnsafeRawBufferPointer(buffer))
            }
        } catch {
            throw .damagedChunk(rootName)
        }
        try count(rootName, .tree)
        var record = VolumeRecord(
            volumeID: section.volumeID, name: section.volumeName, epoch: section.epoch,
            sequence: section.sequence, nextInode: max(section.nextInode, root.nextInode),
            root: rootName, statistics: RootImage.Statistics())
        try take(root.directory, cookie: 0, volume: number, &record.statistics)
        for orphan in root.orphans {
            try take(orphan, cookie: 0, volume: number, &record.statistics)
            try put(NamespaceKey.orphan(number, orphan.inode), [])
        }
        try takeLinked(root.linkedInodes, volume: number, &record.statistics)
        try takeDirectories(root.directory, volume: number, &record.statistics)
        try take(section.extents, volume: number)
        try put(NamespaceKey.volume(number), record.encoded())
    }

    /// Writes what waits in memory.
    mutating func finish() throws(StoreError) {
        while !counts.isEmpty { try writeCounts() }
        try writeBatch()
    }

    // MARK: inodes

    /// Pieces that lie on top of what the root says, since they could not be folded.
    private mutating func take(
        _ extents: [ExtentChange], volume: UInt32
    ) throws(StoreError) {
        guard !extents.isEmpty else { return }
        try writeBatch()
        var pieces: [UInt64: [ExtentChange.Piece]] = [:]
        for extent in extents {
            pieces[extent.inode] = NamespaceStage.replacing(pieces[extent.inode] ?? [], extent)
        }
        for (inode, pieces) in pieces.sorted(by: { $0.key < $1.key }) {
            guard var record = try index.inode(volume, inode) else { continue }
            record.pieceCount = UInt64(pieces.count)
            try put(NamespaceKey.inode(volume, inode), record.encoded())
            for piece in pieces {
                if let name = piece.chunk { try count(name, .data) }
                try put(
                    NamespaceKey.piece(volume, inode: inode, offset: piece.offset),
                    PieceRecord(piece).encoded())
            }
        }
    }

    private mutating func take(
        _ image: InodeImage, cookie: UInt64, volume: UInt32,
        _ statistics: inout RootImage.Statistics
    ) throws(StoreError) {
        statistics.add(image)
        for owned in OwnedChunk.of(image) { try count(owned.name, owned.domain) }
        try put(
            NamespaceKey.inode(volume, image.inode),
            InodeRecord(cookie: cookie, image: image).encoded())
    }

    private mutating func takeLinked(
        _ root: NodeReference?, volume: UInt32, _ statistics: inout RootImage.Statistics
    ) throws(StoreError) {
        let list = ListReader<LinkedInodesSchema, NodeReader>(
            store: NodeReader(index: index, reader: reader))
        try takeNodes(of: root, list)
        var failure: StoreError?
        var errors: [TreeError] = []
        list.forEachReadable(of: root) { error, _ in
            errors.append(error)
        } _: { (_, image) in
            do throws(StoreError) {
                try take(image, cookie: 0, volume: volume, &statistics)
                return true
            } catch {
                failure = error
                return false
            }
        }
        for error in errors { lose(error) }
        if let failure { throw failure }
    }

    // MARK: directories

    /// Depth first, without recursion: a path is as deep as its maker wanted.
    private mutating func takeDirectories(
        _ root: InodeImage, volume: UInt32, _ statistics: inout RootImage.Statistics
    ) throws(StoreError) {
        guard case .directory(let node) = root.content else { return }
        var path = [OpenDirectory(inode: root.inode, node: node)]
        while var directory = path.popLast() {
            if let next = directory.pending.popLast() {
                path.append(directory)
                path.append(OpenDirectory(inode: next.inode, node: next.node))
            } else if !directory.isRead {
                try read(&directory, volume: volume, &statistics)
                path.append(directory)
            }
        }
    }

    /// Takes entries until the directory ends or enough directories wait.
    private mutating func read(
        _ directory: inout OpenDirectory, volume: UInt32,
        _ statistics: inout RootImage.Statistics
    ) throws(StoreError) {
        let list = ListReader<DirectorySchema, NodeReader>(
            store: NodeReader(index: index, reader: reader))
        if directory.position == 0 { try takeNodes(of: directory.node, list) }
        directory.isRead = true
        var failure: StoreError?
        var errors: [TreeError] = []
        list.forEachReadable(of: directory.node, from: directory.position) { error, _ in
            errors.append(error)
        } _: { (position, entry) in
            if directory.pending.count >= RootWalk.directoriesMax {
                directory.isRead = false
                return false
            }
            directory.position = position + 1
            do throws(StoreError) {
                try take(entry, in: &directory, volume: volume, &statistics)
                return true
            } catch {
                failure = error
                return false
            }
        }
        for error in errors { lose(error) }
        if let failure { throw failure }
    }

    private mutating func take(
        _ entry: DirectoryEntry, in directory: inout OpenDirectory, volume: UInt32,
        _ statistics: inout RootImage.Statistics
    ) throws(StoreError) {
        let cookie = entry.name.withUnsafeBytes {
            DirectoryCookie.cookie(of: $0, collision: entry.collision, secret: secret)
        }
        let kind: UInt8
        switch entry.target {
        case .linked(_, let linkedKind): kind = linkedKind
        case .only(let image):
            kind = UInt8(image.mode >> 12)
            if case .directory(let node) = image.content {
                // Names are not hashed here: nodes of a hostile store may lead back to themselves.
                guard try isNew(image.inode, volume: volume) else {
                    losses += 1
                    tell?(.damagedChunk(node.name, "directory \(image.inode) is in two places"))
                    return
                }
                directory.pending.append((image.inode, node))
            }
            try take(image, cookie: cookie, volume: volume, &statistics)
        }
        try put(
            NamespaceKey.name(volume, parent: directory.inode, cookie: cookie),
            NameRecord.entry(name: entry.name, inode: entry.inode, kind: kind).encoded())
        if entry.collision > 0 { try fillChain(below: cookie, in: directory.inode, volume) }
    }

    /// Directories keep no tombstones: where a chain of collisions has gaps they are made anew.
    private mutating func fillChain(
        below cookie: UInt64, in directory: UInt64, _ volume: UInt32
    ) throws(StoreError) {
        try writeBatch()
        for offset in 1...UInt64(DirectoryCookie.collision(of: cookie)) {
            let key = NamespaceKey.name(volume, parent: directory, cookie: cookie - offset)
            if try index.value(of: key, { (_) throws(FormatError) in true }) != nil { continue }
            try put(key, NameRecord.tombstone.encoded())
        }
    }

    /// Whether the directory is met for the first time.
    private mutating func isNew(_ inode: UInt64, volume: UInt32) throws(StoreError) -> Bool {
        guard directoriesInBatch.insert(inode).inserted, inode != RootImage.rootInode else {
            return false
        }
        return try index.inode(volume, inode) == nil
    }

    /// Counts all nodes of a list, once each.
    private mutating func takeNodes<Schema: ListSchema>(
        of root: NodeReference?, _ list: ListReader<Schema, NodeReader>
    ) throws(StoreError) {
        var failure: StoreError?
        do throws(TreeError) {
            try list.forEachNode(of: root) { node in
                do throws(StoreError) {
                    try count(node.name, .tree)
                    return true
                } catch {
                    failure = error
                    return false
                }
            }
        } catch {
            // Told when the entries are read.
        }
        if let failure { throw failure }
    }

    private mutating func lose(_ error: TreeError) {
        switch error {
        case .missing(let name), .format(_, let name), .storage(.some(let name)):
            lose(name, "\(error)")
        default: losses += 1
        }
    }

    /// What is known to be lost is no reason to refuse writing.
    private mutating func lose(_ name: ChunkName, _ why: String) {
        if !knownLost.contains(name) { losses += 1 }
        tell?(.damagedChunk(name, why))
    }

    // MARK: counts

    private mutating func count(
        _ name: ChunkName, _ domain: ChunkDomain
    ) throws(StoreError) {
        counts[name, default: (0, domain)].count += 1
        if counts.count >= RootWalk.pendingCountsMax { try writeCounts() }
    }

    /// Adds the counts to the index, in the order of names; recipe nodes that get their first owner
    /// leave their children's counts to the next round.
    private mutating func writeCounts() throws(StoreError) {
        let pending = counts.sorted { $0.key < $1.key }
        counts = [:]
        for (name, change) in pending {
            var record =
                try index.chunk(name)
                ?? ChunkRecord(count: 0, rawBytes: 0, domain: change.domain, places: [])
            let isFirst = record.count == 0
            record.count = UInt32(clamping: Int64(record.count) + change.count)
            try put(IndexKey.chunk(name), record.encoded())
            guard isFirst, record.domain == .recipe, !record.places.isEmpty else { continue }
            do throws(StoreError) {
                for child in try reader.children(of: name, at: record.places) {
                    counts[child, default: (0, .data)].count += 1
                }
            } catch {
                guard error.isDamageOfChunk else { throw error }
                lose(name, "\(error)")
                // As in `CommitApplier.countOne`: its children are still to be counted.
                record.places = []
                try put(IndexKey.chunk(name), record.encoded())
            }
        }
        // The next round reads what this one wrote.
        try writeBatch()
    }

    private mutating func put(_ key: [UInt8], _ value: [UInt8]) throws(StoreError) {
        batch.append((key, value))
        batchBytes += key.count + value.count
        if batchBytes >= IndexRebuilding.batchBytesMax { try writeBatch() }
    }

    private mutating func writeBatch() throws(StoreError) {
        var packed = MetadataBatch(reservingBytes: batchBytes + 9 * batch.count)
        for (key, value) in batch { packed.put(key, value) }
        batch = []
        batchBytes = 0
        directoriesInBatch = []
        try index.apply(packed)
    }
}

/// Nodes by the places that an index has of them.
struct NodeReader: NodeStore {
    let index: any MetadataStore
    let reader: ChunkReader

    func bytes(_ name: ChunkName, _ domain: ChunkDomain) throws(StoreError) -> [UInt8] {
        let record = try index.chunk(name)
        return try reader.withBytes(of: name, at: record?.places ?? [], domain: domain) {
            Array($0)
        }
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        do throws(StoreError) {
            return try bytes(name, domain)
        } catch {
            if case .missingChunk = error { throw .missing(name) }
            throw .storage(node: name)
        }
    }

    /// Nothing is written on the way back to what was.
    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        throw .storage(node: nil)
    }
}
