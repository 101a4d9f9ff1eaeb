// Entries of directories whose nodes cannot be read, looked for in all nodes that can.
//
// Nodes do not say of which volume and directory they are, but images of inodes name their parent.
// So all leaves of directories in the packs are read, of whatever age, and all commits; an image
// counts when its inode is not in the index, and its parent is a directory that is lost itself or
// could not be read whole. Of several images the one that was changed last counts. What was deleted
// from such a directory before may come back with it; nothing that a sound directory has given up
// does.
//
// A lost directory that can be read whole has exactly the entries that it says. What has no place
// but in a directory with unreadable nodes is left without a name: `TreesAnew` puts it into
// lost+found.
//
// Memory: an image and a name for each inode that the index does not know.
import Backends
import Checking
import Compression
import DiskFormat
import NamespaceIndex
import Packs
import Pipeline
import Platform
import SuperChunks
import Trees

/// One search. One thread.
struct LostEntries {
    /// Inodes of one commit.
    private static let inodesPerCommit = 10_000

    private struct Candidate {
        var image: InodeImage
        var name: [UInt8]
        var collision: UInt8
    }

    private let session: Session
    private let store: ChunkStore
    /// All that lies in the packs: the index knows nothing that it could find no owner of.
    private let inventory: Inventory
    private let nodes: Checking.ChunkReader
    private let codec = StoredFrames()
    private let pool = BufferPool(capacityBytes: 1 << 20, keptBytesMax: 4 << 20)
    private var entries: [UInt64: Candidate] = [:]

    init(_ session: Session, _ store: ChunkStore) throws(RepairError) {
        self.session = session
        self.store = store
        let inventory = try session.withChecking { () throws(CheckingError) in
            try Inventory(session.target.backend, monitor: session.checkMonitor)
        }
        self.inventory = inventory
        nodes = Checking.ChunkReader(inventory, cacheBytes: 16 << 20)
    }

    // MARK: what there is

    /// Reads all leaves of directories, and of tables of linked inodes, and all commits.
    mutating func collect() throws(RepairError) {
        try collectFromNodes()
        try collectFromCommits()
    }

    /// Commits have images and names too; and they say what was deleted.
    private mutating func collectFromCommits() throws(RepairError) {
        let inventory = inventory
        let commits = try session.withChecking { () throws(CheckingError) in
            var commits: [Commit] = []
            for entry in inventory.commits { commits.append(try inventory.commit(entry)) }
            return commits
        }
        var gone: Set<UInt64> = []
        for volume in commits.flatMap(\.volumes) {
            var names: [UInt64: NameChange] = [:]
            for name in volume.names {
                if let target = name.target { names[target.inode] = name }
            }
            for change in volume.inodes {
                switch change {
                case .gone(let inode): gone.insert(inode)
                case .put(let image):
                    let name = names[image.inode]
                    take(
                        Candidate(
                            image: image, name: name?.name ?? [], collision: name?.collision ?? 0))
                }
            }
        }
        // Inode numbers are never used again.
        entries = entries.filter { !gone.contains($0.key) }
    }

    private mutating func take(_ candidate: Candidate) {
        let inode = candidate.image.inode
        guard let known = entries[inode] else {
            entries[inode] = candidate
            return
        }
        if known.image.changeTime.isBehind(candidate.image.changeTime) { return }
        var candidate = candidate
        if candidate.name.isEmpty {
            (candidate.name, candidate.collision) = (known.name, known.collision)
        }
        entries[inode] = candidate
    }

    private mutating func collectFromNodes() throws(RepairError) {
        let files: [(name: String, size: UInt64)]
        do throws(BackendError) {
            files = try session.target.backend.list(prefix: "packs/")
        } catch {
            throw .backend(error)
        }
        var done: UInt64 = 0
        for file in files {
            try session.monitor.step(.searching, done, 0)
            done += file.size
            guard let id = PackID(fileName: file.name),
                let reader = try? PackReader(
                    salvaging: id, in: session.target.backend, parameters: store.parameters),
                let contents = try? reader.records()
            else { continue }
            for entry in contents.entries
            where entry.kindByte == RecordHeader.Kind.superChunk.rawValue
                && entry.flags.contains(.metadata)
            {
                guard let (header, body) = try? reader.readRecord(at: entry.offset) else {
                    continue
                }
                read(header, body)
            }
        }
    }

    private mutating func read(_ header: RecordHeader, _ body: [UInt8]) {
        var found: [Candidate] = []
        body.withUnsafeBytes { bytes in
            guard let opener = try? SuperChunkOpener(header: header, body: bytes) else { return }
            for index in 0..<opener.frameCount {
                guard let frame = try? opener.frame(index, body: bytes, using: codec, pool: pool)
                else { continue }
                for entry in frame.entries where entry.domain == .tree {
                    frame.withBytes(of: entry) { found += LostEntries.candidates($0) }
                }
            }
        }
        for candidate in found { take(candidate) }
    }

    private static func candidates(_ node: UnsafeRawBufferPointer) -> [Candidate] {
        if case .leaf(let entries)? = try? DirectoryNode(node) {
            return entries.compactMap { entry in
                guard case .only(let image) = entry.target else { return nil }
                return Candidate(image: image, name: entry.name, collision: entry.collision)
            }
        }
        if case .leaf(let images)? = try? LinkedInodesNode(node) {
            return images.map { Candidate(image: $0, name: [], collision: 0) }
        }
        return []
    }

    // MARK: what is missing

    /// Commits that put the lost inodes of a volume into the index, with the names that are sure.
    mutating func changes(
        of number: UInt32, _ record: VolumeRecord
    ) throws(RepairError) -> [VolumeChanges] {
        let source = VolumeIndex(index: store.index, number: number)
        let partial = try partialDirectories(source)
        // What the index has, or had no reason to lose, is not lost.
        var lost: [UInt64: Candidate] = [:]
        for (inode, candidate) in entries {
            guard try source.inode(inode) == nil, inode < record.nextInode else { continue }
            lost[inode] = candidate
        }
        var chosen: Set<UInt64> = []
        var names: [NameChange] = []
        var pending = lost.values.filter { belongs($0, to: partial) }.map(\.image.inode).sorted()
        while let inode = pending.popLast() {
            guard let candidate = lost[inode], chosen.insert(inode).inserted else { continue }
            for child in children(of: candidate.image, in: lost) {
                names.append(child.change)
                pending.append(child.inode)
            }
        }
        entries = entries.filter { !chosen.contains($0.key) }
        return LostEntries.commits(chosen.sorted(), lost, names, record)
    }

    /// Directories of the index that cannot be read whole, and whether the linked inodes can.
    private func partialDirectories(_ source: VolumeIndex) throws(RepairError) -> Set<UInt64> {
        var directories: [(inode: UInt64, root: NodeReference)] = []
        try source.forEachInode { image in
            if case .directory(let root) = image.content { directories.append((image.inode, root)) }
        }
        var partial: Set<UInt64> = []
        let reader = ListReader<DirectorySchema, Checking.ChunkReader>(store: nodes)
        for (inode, root) in directories {
            var isWhole = true
            reader.forEachReadable(of: root) { _, _ in
                isWhole = false
            } _: { _, _ in
                true
            }
            if !isWhole { partial.insert(inode) }
        }
        return partial
    }

    /// Whether an image's place is one that was lost. Linked inodes have no parent: those that are
    /// not in the index were in a part of their table that is lost, or are deleted since.
    private func belongs(_ candidate: Candidate, to partial: Set<UInt64>) -> Bool {
        guard let parent = candidate.image.parent else { return candidate.image.linkCount > 0 }
        return partial.contains(parent)
    }

    /// Names in a lost directory: those it says, or, of what cannot be read, those that say it.
    private func children(
        of image: InodeImage, in lost: [UInt64: Candidate]
    ) -> [(inode: UInt64, change: NameChange)] {
        guard case .directory(let root) = image.content else { return [] }
        var result: [(inode: UInt64, change: NameChange)] = []
        func add(_ inode: UInt64, _ kind: UInt8, _ name: [UInt8], _ collision: UInt8) {
            let target = NameChange.Target(inode: inode, kind: kind)
            result.append(
                (
                    inode,
                    NameChange(
                        parent: image.inode, name: name, collision: collision, target: target)
                ))
        }
        var isWhole = true
        let reader = ListReader<DirectorySchema, Checking.ChunkReader>(store: nodes)
        reader.forEachReadable(of: root) { _, _ in
            isWhole = false
        } _: { _, entry in
            switch entry.target {
            case .only(let child):
                add(child.inode, UInt8(child.mode >> 12 & 15), entry.name, entry.collision)
            case .linked(let inode, let kind): add(inode, kind, entry.name, entry.collision)
            }
            return true
        }
        guard !isWhole else { return result }
        let known = Set(result.map(\.inode))
        for (inode, candidate) in lost
        where candidate.image.parent == image.inode && !known.contains(inode)
            && !candidate.name.isEmpty
        {
            add(inode, UInt8(candidate.image.mode >> 12 & 15), candidate.name, candidate.collision)
        }
        return result
    }

    /// The inodes first, then the names that lead to them.
    private static func commits(
        _ inodes: [UInt64], _ lost: [UInt64: Candidate], _ names: [NameChange],
        _ record: VolumeRecord
    ) -> [VolumeChanges] {
        let nothing = VolumeChanges(
            volumeID: record.volumeID, volumeName: record.name, epoch: 0, sequence: 0,
            nextInode: record.nextInode)
        let images = stride(from: 0, to: inodes.count, by: inodesPerCommit).map { start in
            var changes = nothing
            changes.inodes = inodes[start..<min(start + inodesPerCommit, inodes.count)]
                .compactMap { inode in lost[inode].map { .put($0.image) } }
            return changes
        }
        return images
            + stride(from: 0, to: names.count, by: inodesPerCommit).map { start in
                var changes = nothing
                changes.names = Array(names[start..<min(start + inodesPerCommit, names.count)])
                return changes
            }
    }
}

extension DiskTime {
    fileprivate func isBehind(_ other: DiskTime) -> Bool {
        (seconds, nanoseconds) > (other.seconds, other.nanoseconds)
    }
}
