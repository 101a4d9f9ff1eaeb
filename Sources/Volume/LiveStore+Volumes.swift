// The list of a store's volumes: made, renamed, removed while others are in use.
//
// The list changes by checkpoints only. Recovery that begins at one knows all volumes by their roots,
// and one that replays commits never meets a volume without a root.
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline
import Platform

/// Why the list of volumes was not changed.
public enum VolumeListError: Error, Equatable, Sendable {
    /// Not 1 to 128 of `A-Z a-z 0-9 . _ + -`, or beginning with a dot or dash.
    case badName(String)
    case exists(name: String)
    case unknown(name: String)
    /// A store without volumes could not be mounted.
    case isOnlyVolume(name: String)
    /// Nobody could reach them any more: to be deleted first.
    case hasSnapshots(name: String, count: Int)
    /// What was asked for could not be made durable, or read.
    case failed(FileError)
}

/// What a checkpoint changes in the list of volumes.
enum VolumeListChange {
    case add(NewVolume)
    case rename(Volume, to: String)
    /// An empty volume, whose newest checkpoint says so.
    case remove(Volume)

    func removes(_ volume: Volume) -> Bool {
        if case .remove(let removed) = self { removed === volume } else { false }
    }

    func newName(of volume: Volume) -> String? {
        if case .rename(let renamed, let name) = self, renamed === volume { name } else { nil }
    }

    /// The section that the checkpoint has for it beside those of the volumes that go on.
    func section(
        in store: ChunkStore, at time: DiskTime, counts: inout [ChunkName: Int64]
    ) throws(FileError) -> VolumeChanges? {
        switch self {
        case .rename: return nil
        case .add(let volume):
            // It may have been deleted since it was looked for.
            if let trees = volume.trees, store.snapshots[trees.snapshot] == nil {
                throw .noEntry
            }
            do throws(StoreError) {
                let (section, count) = try store.begin(volume, at: time)
                counts[count.name, default: 0] += count.change
                return section
            } catch {
                throw posixError(error)
            }
        case .remove(let volume):
            let record = try volume.storedRecord()
            // One may have been made since it was looked for.
            guard !store.snapshots.values.contains(where: { $0.volumeID == volume.volumeID })
            else { throw .busy }
            guard let root = record.root, try volume.isEmptyInIndex() else { throw .notEmpty }
            counts[root, default: 0] -= 1
            var section = VolumeChanges(
                volumeID: volume.volumeID, volumeName: record.name, epoch: 0, sequence: 0,
                nextInode: record.nextInode)
            section.isRemoved = true
            return section
        }
    }
}

extension LiveStore {
    /// Makes an empty volume; it is durable when this returns. Any thread.
    public func createVolume(named name: String) throws(VolumeListError) {
        try administration.withLock { (_) throws(VolumeListError) in
            try checkNew(name)
            try change(.add(NewVolume(name: name, at: Volume.now())))
        }
    }

    /// Makes a volume that begins as a snapshot; it is durable when this returns. Any thread.
    ///
    /// - Throws: `failed(noEntry)` where the snapshot is gone by now.
    func createVolume(
        named name: String, as snapshot: SnapshotImage, _ root: RootImage
    ) throws(VolumeListError) {
        try administration.withLock { (_) throws(VolumeListError) in
            try checkNew(name)
            try change(.add(NewVolume(name: name, of: snapshot.id, root)))
        }
    }

    /// Gives a volume another name, also while it is in use.
    public func renameVolume(
        named old: String, to new: String
    ) throws(VolumeListError) {
        try administration.withLock { (_) throws(VolumeListError) in
            guard let volume = volume(named: old) else { throw .unknown(name: old) }
            try checkNew(new)
            try change(.rename(volume, to: new))
        }
    }

    /// Removes a volume and everything in it. Nobody may use it: the caller sees to that. Where this
    /// fails or is interrupted, some of its files are gone, and it may be repeated.
    public func removeVolume(named name: String) throws(VolumeListError) {
        try administration.withLock { (_) throws(VolumeListError) in
            guard let volume = volume(named: name) else { throw .unknown(name: name) }
            guard open.withLock({ $0.count }) > 1 else { throw .isOnlyVolume(name: name) }
            let snapshots = store.snapshots.values.count { $0.volumeID == volume.volumeID }
            guard snapshots == 0 else { throw .hasSnapshots(name: name, count: snapshots) }
            do throws(FileError) {
                try volume.removeAllNames()
                // The trees and tables of what was removed are let go. What another volume cannot store
                // now is no reason to refuse: removing gives room.
                _ = try committer.commit(checkpoint: true)
            } catch {
                throw .failed(error)
            }
            try change(.remove(volume))
        }
    }

    private func checkNew(_ name: String) throws(VolumeListError) {
        guard ObjectName.isAcceptable(name) else { throw .badName(name) }
        guard volume(named: name) == nil else { throw .exists(name: name) }
    }

    private func change(_ change: VolumeListChange) throws(VolumeListError) {
        do throws(FileError) {
            guard !store.isReadOnly, !options.isReadOnly else { throw FileError.readOnly }
            try committer.commit { () throws(FileError) in try checkpointVolumes(change) }
        } catch {
            throw .failed(error)
        }
    }

    /// The checkpoint that changes the list is durable.
    func settle(_ change: VolumeListChange) throws(FileError) {
        switch change {
        case .rename(let volume, let name): volume.name = name
        case .remove(let volume): open.withLock { $0.removeAll { $0 === volume } }
        case .add(let new):
            do throws(StoreError) {
                for (number, record) in try store.volumes() where record.volumeID == new.volumeID {
                    let volume = try openVolume(number, record)
                    open.withLock { $0.append(volume) }
                }
            } catch {
                throw posixError(error)
            }
        }
    }
}

extension Volume {
    /// Names removed between two commits.
    private static let removalsPerCommit = 32_768
    /// Names of a directory that are read at once.
    private static let namesAtOnce = 1024

    /// Whether the index has nothing of the volume but its root directory, without names, trees or
    /// attributes of its own.
    func isEmptyInIndex() throws(FileError) -> Bool {
        let record = try storedRecord()
        guard record.statistics.files == 0, record.statistics.others == 0,
            record.statistics.directories == 1, let root = record.root
        else { return false }
        let image = try decodedRoot(root)
        return image.linkedInodes == nil && image.orphans.isEmpty
            && image.directory.content == .none
    }

    /// Removes every name below the root directory, as `rm -r` would, with commits in between.
    func removeAllNames() throws(FileError) {
        var removed = 0
        var path: [InodeNumber] = [RootImage.rootInode]
        var names: [[UInt8]] = []
        while let directory = path.last {
            var below: (name: [UInt8], inode: InodeNumber)?
            for entry in try someNames(of: directory) {
                if entry.kind == .directory {
                    below = (entry.name, entry.inode)
                    break
                }
                try entry.name.borrowing { (name) throws(FileError) in
                    try unlink(name, in: directory)
                }
                removed += 1
            }
            if removed >= Volume.removalsPerCommit {
                removed = 0
                _ = try committer.commit()
            }
            if let below {
                path.append(below.inode)
                names.append(below.name)
            } else if try someNames(of: directory).isEmpty {
                path.removeLast()
                guard let name = names.popLast(), let parent = path.last else { break }
                try name.borrowing { (name) throws(FileError) in
                    try removeDirectory(name, in: parent)
                }
                removed += 1
            }
        }
    }

    /// The first names of a directory.
    private func someNames(
        of directory: InodeNumber
    ) throws(FileError) -> [(name: [UInt8], inode: InodeNumber, kind: FileModel.FileKind)] {
        var found: [(name: [UInt8], inode: InodeNumber, kind: FileModel.FileKind)] = []
        // Behind "." and "..".
        try readDirectory(directory, after: 2, withAttributes: false) { name, inode, kind, _, _ in
            found.append((Array(name), inode, kind))
            return found.count < Volume.namesAtOnce
        }
        return found
    }
}
