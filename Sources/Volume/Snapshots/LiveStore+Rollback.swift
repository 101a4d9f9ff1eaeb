// A volume becomes what a snapshot is: the volume itself, or a new one.
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline
import Platform

extension LiveStore {
    /// Makes a volume what its snapshot has. One commit says so: what was changed since is gone with
    /// it, but for what other snapshots have.
    ///
    /// Nobody may use the volume; the caller sees to that. Afterwards it is another object:
    /// `volume(named:)` gives it.
    ///
    /// - Throws: `failed(tooBig)` where so much differs that no commit holds it.
    public func rollBack(
        _ volumeName: String, to name: String
    ) throws(SnapshotError) -> SnapshotImage {
        let image = try snapshot(named: name, of: volumeName)
        try administration.withLock { (_) throws(SnapshotError) in
            try replace(volumeName, by: image)
        }
        return image
    }

    /// Makes a new volume of a snapshot, at the cost of a checkpoint, however much is in it: its names
    /// are loaded when somebody asks for them.
    public func clone(
        _ name: String, of volumeName: String, to newVolume: String
    ) throws(SnapshotError) -> SnapshotImage {
        let image = try snapshot(named: name, of: volumeName)
        guard let volume = volume(named: volumeName) else { throw .noVolume(volumeName) }
        let root: RootImage
        do throws(FileError) {
            root = try volume.decodedRoot(image.root)
        } catch {
            throw .failed(error)
        }
        do throws(VolumeListError) {
            try createVolume(named: newVolume, as: image, root)
        } catch {
            throw .volumeList(error)
        }
        return image
    }

    /// Loads the clones of snapshots that are gone: until they are loaded, they hold on to everything that
    /// those had. Any thread. A directory that cannot be read is left, and the clone is not tried again.
    func loadClones(_ isCancelled: () -> Bool) throws(FileError) {
        do throws(StoreError) {
            let damaged = damagedClones.withLock { $0 }
            let numbers = try store.volumesToLoad().filter { !damaged.contains($0) }
            guard !numbers.isEmpty else { return }
            for number in numbers
            where try store.loadEverything(of: number, isCancelled: isCancelled) != nil {
                damagedClones.withLock { _ = $0.insert(number) }
            }
            for volume in open.withLock({ $0 }) where numbers.contains(volume.number) {
                try volume.noteLoaded()
            }
        } catch {
            throw posixError(error)
        }
    }

    private func replace(
        _ volumeName: String, by image: SnapshotImage
    ) throws(SnapshotError) {
        try changing { () throws(SnapshotError) in
            guard let volume = volume(named: volumeName) else { throw .noVolume(volumeName) }
            guard !isViewed(volume) else { throw .inUse(volumeName) }
            // It may have been deleted since it was looked for.
            guard store.snapshots[image.id] != nil else { throw .noSnapshot(image.name) }
            do throws(FileError) {
                // Of other volumes something may be left out: that is not this volume's concern.
                _ = try checkpointVolumes()
                try replace(volume, by: image)
                _ = try checkpointVolumes()
            } catch {
                throw .failed(error)
            }
        }
    }

    private func isViewed(_ volume: Volume) -> Bool {
        views.withLock { $0.contains { $0.view?.volume === volume } }
    }

    private func replace(_ volume: Volume, by image: SnapshotImage) throws(FileError) {
        try volume.loadEverything()
        let record = try volume.storedRecord()
        guard let root = record.root else { throw .io }
        var replacement = VolumeReplacement(volume, by: try volume.decodedRoot(image.root))
        let changes = try replacement.changes(from: record, try volume.decodedRoot(root))
        do throws(StoreError) {
            _ = try store.commit(CommitDraft(volumes: [changes], time: Volume.now()))
            // What is in memory of the volume is of before.
            guard
                let after = try store.volumes().first(where: {
                    $0.record.volumeID == volume.volumeID
                })
            else { throw StoreError.noCommit }
            let fresh = try openVolume(after.number, after.record)
            open.withLock { volumes in
                volumes = volumes.map { $0 === volume ? fresh : $0 }
            }
        } catch {
            if case .commitTooLong = error { throw .tooBig }
            throw posixError(error)
        }
    }
}
