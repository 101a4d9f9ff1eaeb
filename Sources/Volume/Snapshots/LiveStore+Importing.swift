// Snapshots whose trees somebody else has written: of a directory, or of another store.
//
// The caller puts chunks and nodes, makes them durable now and then, and hands over a root. Nobody
// owns them before that, so the caller has the dead kept meanwhile (`ChunkStore.keepDead`).
import DiskFormat
import FileModel
import Pipeline
import Platform

extension LiveStore.Timing {
    /// Nothing is done but what is asked for.
    public static var untouched: LiveStore.Timing {
        var timing = LiveStore.Timing()
        timing.commitSeconds = 3600
        timing.checkpointChanges = .max
        timing.checkpointBytes = .max
        timing.reclaimSeconds = nil
        return timing
    }
}

extension LiveStore {
    /// Above every inode number that the volume has given out, and every one of its snapshots' that
    /// was made of something else.
    public func nextInode(of volumeName: String) throws(SnapshotError) -> UInt64 {
        guard let volume = volume(named: volumeName) else { throw .noVolume(volumeName) }
        return volume.namespace.withLock { max($0.nextInode, $0.inodesReserved) }
    }

    /// Numbers of inodes for such a snapshot: the volume gives them to nobody else. Above all that
    /// `nextInode(of:)` told before.
    public func takeInodes(_ count: UInt64, of volumeName: String) -> Range<UInt64> {
        guard let volume = volume(named: volumeName) else { return 0..<count }
        return volume.namespace.withLock { space in
            let first = space.nextInode
            space.nextInode += count
            return first..<space.nextInode
        }
    }

    /// Makes durable what was put until now, though nobody owns it yet.
    public func keepChunks() throws(FileError) {
        var failure: FileError?
        committer.exclusively {
            do throws(StoreError) {
                _ = try store.commit(CommitDraft(time: Volume.now()))
            } catch {
                failure = posixError(error)
            }
        }
        if let failure { throw failure }
    }

    /// Throws what would keep such a snapshot from being made, before anybody works for it.
    public func checkCanMake(
        _ draft: SnapshotDraft, of volumeName: String
    ) throws(SnapshotError) {
        try draft.check()
        guard !store.isReadOnly, !options.isReadOnly else { throw .failed(.readOnly) }
        try checkIsFree(draft.name, volumeName)
    }

    /// Makes a snapshot of a tree that lies in the store, durable when this returns.
    ///
    /// - Parameter root: of the volume: its inode numbers are from `nextInode(of:)` on, or those of
    ///   the same files in an earlier snapshot of the volume.
    public func addSnapshot(
        _ draft: SnapshotDraft, of volumeName: String, root: RootImage
    ) throws(SnapshotError) -> SnapshotImage {
        try draft.check()
        guard let volume = volume(named: volumeName) else { throw .noVolume(volumeName) }
        var image = SnapshotImage(
            id: UniqueID(random: (randomUInt64(), randomUInt64())), volumeID: volume.volumeID,
            name: draft.name, root: .zero,
            time: root.time)
        image.description = draft.description
        image.tags = Set(draft.tags).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        image.isPinned = draft.isPinned
        image.statistics = root.statistics
        let wanted = image
        try changing { () throws(SnapshotError) in
            try checkIsFree(draft.name, volumeName)
            do throws(FileError) {
                try commit(wanted, of: volume, root)
            } catch {
                if store.snapshots.count >= SnapshotImage.countMax { throw .tooMany }
                throw .failed(error)
            }
        }
        guard let made = store.snapshots[image.id] else { throw .failed(.io) }
        tellViews([made])
        return made
    }

    private func commit(
        _ image: SnapshotImage, of volume: Volume, _ root: RootImage
    ) throws(FileError) {
        var image = image
        do throws(StoreError) {
            image.root = try root.encoded().borrowing { (raw) throws(StoreError) in
                try store.put(raw, domain: .tree)
            }
        } catch {
            throw posixError(error)
        }
        // What a live volume cannot fold is no matter of this snapshot.
        _ = try checkpointVolumes(isForced: true) { (draft, _) throws(FileError) in
            draft.snapshots = [.put(image)]
            let section = draft.volumes.firstIndex { $0.volumeID == volume.volumeID }
            if let section {
                draft.volumes[section].nextInode = max(
                    draft.volumes[section].nextInode, root.nextInode)
                return
            }
            let record = try volume.storedRecord()
            var changes = VolumeChanges(
                volumeID: volume.volumeID, volumeName: record.name, epoch: 0, sequence: 0,
                nextInode: max(record.nextInode, root.nextInode))
            changes.root = record.root
            draft.volumes.append(changes)
        }
        volume.namespace.withLock { space in
            space.nextInode = max(space.nextInode, root.nextInode)
            space.inodesReserved = max(space.inodesReserved, root.nextInode)
        }
    }
}
