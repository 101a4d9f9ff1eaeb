// Trees and roots: a volume as it stands in the index, written into the packs.
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline
import Trees

/// What a checkpoint says of a volume.
struct VolumeCheckpoint {
    var changes: VolumeChanges
    /// Directories whose trees are new.
    var directories: [(inode: UInt64, content: ContentKey)]
}

extension Volume {
    /// Names and inodes that the newest checkpoint does not have as they are.
    var changedCount: Int { namespace.withLock { $0.changed.count } }

    /// Marks the files that have pieces, so that the next commit folds them.
    func touchPieced() throws(FileError) {
        var inodes: [UInt64] = []
        try scanIndex(prefix: NamespaceKey.prefix(.piece, number)) { key, _ in
            if let (inode, _) = NamespaceKey.pair(key), inodes.last != inode {
                inodes.append(inode)
            }
            return true
        }
        for inode in inodes {
            do throws(FileError) {
                let (_, content) = try content(of: inode)
                try withNode(inode) { (space, node) throws(FileError) in
                    // Forgotten and read again in between, it has no content yet.
                    if node.content == nil { node.content = content }
                    space.markDirty(node)
                }
            } catch {
                // Ended, and not committed yet.
                guard error == .stale else { throw error }
            }
        }
    }

    /// Writes the trees of all directories that changed since the newest checkpoint, bottom-up, and
    /// a root. Reads the index only, which must hold every change that `changed` names. nil: nothing
    /// changed, the name neither.
    func writeTrees(
        counts: inout [ChunkName: Int64], newName: String? = nil
    ) throws(FileError) -> VolumeCheckpoint? {
        let (changed, reserved) = namespace.withLock { ($0.changed, $0.inodesReserved) }
        let record = try storedRecord()
        if changed.isEmpty, newName == nil, record.root != nil { return nil }
        let name = newName ?? name
        var writer = TreeWriter(volume: self, counts: counts)
        try writer.collect(changed)
        let directories = try writer.writeDirectories()
        let root = try writer.writeRoot(record, name: name, nextInode: reserved)
        counts = writer.counts
        var changes = VolumeChanges(
            volumeID: volumeID, volumeName: name, epoch: 0, sequence: 0,
            nextInode: reserved)
        changes.root = root
        changes.extents = try unfoldedPieces()
        changes.inodes = directories.map { .put($0) }
        return VolumeCheckpoint(
            changes: changes, directories: directories.map { ($0.inode, $0.content) })
    }

    /// What the index says of the volume as a whole.
    func storedRecord() throws(FileError) -> VolumeRecord {
        guard let bytes = try indexValue(NamespaceKey.volume(number)) else { throw .io }
        return try decoded { () throws(FormatError) in
            try bytes.borrowing { (raw) throws(FormatError) in try VolumeRecord(raw) }
        }
    }

    /// A root of the volume, by its name.
    func decodedRoot(_ name: ChunkName) throws(FileError) -> RootImage {
        let access = StoreAccess(store)
        do throws(TreeError) {
            let bytes = try access.readNode(name, domain: .tree)
            do throws(FormatError) {
                return try bytes.borrowing { (raw) throws(FormatError) in try RootImage(raw) }
            } catch {
                throw TreeError.format(error, node: name)
            }
        } catch {
            throw access.fileError(error)
        }
    }

    /// Whether anything lies on top of a file's content, in the index.
    func hasPieces() throws(FileError) -> Bool {
        var found = false
        try scanIndex(prefix: NamespaceKey.prefix(.piece, number)) { _, _ in
            found = true
            return false
        }
        return found
    }

    /// Pieces that were not folded, since nobody was to wait for that or for damage beside them: the trees
    /// know of none, so the checkpoint's commit repeats them.
    private func unfoldedPieces() throws(FileError) -> [ExtentChange] {
        var extents: [ExtentChange] = []
        var failure: FormatError?
        try scanIndex(prefix: NamespaceKey.prefix(.piece, number)) { key, value in
            guard let (inode, offset) = NamespaceKey.pair(key) else { return true }
            do throws(FormatError) {
                let piece = try PieceRecord(value).piece(at: offset)
                if extents.last?.inode == inode {
                    extents[extents.count - 1].pieces.append(piece)
                } else {
                    let all = 0..<ExtentChange.endOfFile
                    extents.append(ExtentChange(inode: inode, range: all, pieces: [piece]))
                }
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw fileError(.indexDamaged(failure)) }
        return extents
    }

    /// The checkpoint is durable.
    func settle(_ checkpoint: VolumeCheckpoint) {
        namespace.withLock { space in
            // Images read before this commit name trees that it lets go.
            space.forgettings += 1
            for (inode, content) in checkpoint.directories {
                space.nodes[inode]?.image.content = content
            }
            space.changed = ChangedSet()
        }
    }

    // MARK: orphans and the kernel's references

    /// Ends the inodes that a crash has left without a name. Returns how many there were.
    func endOrphans() throws(FileError) -> Int {
        var inodes: [UInt64] = []
        try scanIndex(prefix: NamespaceKey.prefix(.orphan, number)) { key, _ in
            if let inode = NamespaceKey.inodeNumber(key) { inodes.append(inode) }
            return true
        }
        // The index's statistics, which the count began with, know nothing of these.
        namespace.withLock { $0.inodeCount += UInt64(inodes.count) }
        for inode in inodes {
            try withNode(inode) { (space, node) throws(FileError) in
                if node.image.linkCount == 0, node.lookups == 0 { space.end(node) }
            }
        }
        return inodes.count
    }

    /// The mount is gone: nobody refers to anything any more.
    func forgetKernel() {
        namespace.withLock { space in
            for node in space.nodes.values where node.lookups > 0 {
                node.lookups = 0
                if node.image.linkCount == 0 { space.end(node) }
            }
        }
    }
}
