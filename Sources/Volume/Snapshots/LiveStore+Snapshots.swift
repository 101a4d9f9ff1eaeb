// Snapshots of the volumes of a store in use.
//
// One is made with a checkpoint: what was received up to its cut becomes durable as at any commit,
// the trees are brought up to it, and the same commit that names the roots lists the snapshot. So it
// costs what changed since the last checkpoint, and one commit alone where nothing did. Operations go
// on meanwhile. What it owns is counted afterwards, in steps (`ChunkStore.settleSnapshots`).
import DiskFormat
import FileModel
import Pipeline
import Platform

/// What a snapshot is to be like.
public struct SnapshotDraft: Sendable {
    public var name: String
    public var description = ""
    /// In any order.
    public var tags: [String] = []
    public var isPinned = false

    public init(name: String) {
        self.name = name
    }

    func check() throws(SnapshotError) {
        guard ObjectName.isAcceptable(name) else { throw .badName(name) }
        guard SnapshotImage.isAcceptable(description: description) else {
            throw .descriptionTooLong
        }
        for tag in tags where !ObjectName.isAcceptable(tag) { throw .badTag(tag) }
        guard Set(tags).count <= SnapshotImage.tagsMax else { throw .tooManyTags }
    }
}

/// What of a snapshot is to be changed; nil leaves it.
public struct SnapshotEdit: Sendable {
    public var name: String?
    public var description: String?
    public var tags: [String]?
    public var isPinned: Bool?

    public init() {}
}

extension LiveStore {
    /// The snapshots of a volume, in the order of their making.
    public func snapshots(of volume: String) throws(SnapshotError) -> [SnapshotImage] {
        let id = try openVolume(volume).volumeID
        return store.snapshots.values.filter { $0.volumeID == id }.sorted {
            ($0.epoch, $0.sequence, $0.number) < ($1.epoch, $1.sequence, $1.number)
        }
    }

    public func snapshot(
        named name: String, of volume: String
    ) throws(SnapshotError) -> SnapshotImage {
        guard let found = try snapshots(of: volume).first(where: { $0.name == name }) else {
            throw .noSnapshot(name)
        }
        return found
    }

    private func openVolume(_ name: String) throws(SnapshotError) -> Volume {
        guard let volume = volume(named: name) else { throw .noVolume(name) }
        return volume
    }

    /// Makes a snapshot of everything that the volume received before the call.
    public func createSnapshot(
        _ draft: SnapshotDraft, of volumeName: String
    ) throws(SnapshotError) -> SnapshotImage {
        try draft.check()
        let volume = try openVolume(volumeName)
        var image = SnapshotImage(
            id: UniqueID(random: (randomUInt64(), randomUInt64())), volumeID: volume.volumeID,
            name: draft.name, root: .zero, time: Volume.now())
        image.description = draft.description
        image.tags = Set(draft.tags).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        image.isPinned = draft.isPinned
        let wanted = image
        try changing { () throws(SnapshotError) in
            try checkIsFree(draft.name, volumeName)
            try commitSnapshot(wanted, of: volume)
        }
        guard let made = store.snapshots[image.id] else { throw .failed(.io) }
        tellViews([made])
        return made
    }

    public func editSnapshot(
        named name: String, of volume: String, _ edit: SnapshotEdit
    ) throws(SnapshotError) -> SnapshotImage {
        let before = try snapshot(named: name, of: volume)
        var draft = SnapshotDraft(name: edit.name ?? name)
        draft.description = edit.description ?? ""
        draft.tags = edit.tags ?? []
        try draft.check()
        try changing { () throws(SnapshotError) in
            var image = try snapshot(named: name, of: volume)
            if let newName = edit.name, newName != name {
                try checkIsFree(newName, volume)
                image.name = newName
            }
            if let description = edit.description { image.description = description }
            if let tags = edit.tags {
                image.tags = Set(tags).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            }
            if let isPinned = edit.isPinned { image.isPinned = isPinned }
            try commit(.put(image))
        }
        let after = try snapshot(named: edit.name ?? name, of: volume)
        tellViews([before, after])
        return after
    }

    /// Deletes a snapshot. What only it owned is given back by later checkpoints.
    public func deleteSnapshot(
        named name: String, of volume: String
    ) throws(SnapshotError) -> SnapshotImage {
        var gone: SnapshotImage?
        try changing { () throws(SnapshotError) in
            let image = try snapshot(named: name, of: volume)
            guard !image.isPinned else { throw .pinned(name) }
            let isMounted = mountedSnapshots.withLock { mounted in
                mounted.contains { $0.view?.identifier == image.id }
            }
            guard !isMounted else { throw .snapshotInUse(name) }
            try commit(.gone(image.id))
            gone = image
        }
        guard let gone else { throw .noSnapshot(name) }
        tellViews([gone])
        return gone
    }

    func checkIsFree(_ name: String, _ volume: String) throws(SnapshotError) {
        if try snapshots(of: volume).contains(where: { $0.name == name }) { throw .exists(name) }
    }

    /// Runs `body` while nobody else commits.
    func changing(
        _ body: () throws(SnapshotError) -> Void
    ) throws(SnapshotError) {
        guard !store.isReadOnly, !options.isReadOnly else { throw .failed(.readOnly) }
        var failure: SnapshotError?
        committer.exclusively {
            do throws(SnapshotError) {
                try body()
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private func commit(_ change: SnapshotChange) throws(SnapshotError) {
        var draft = CommitDraft(time: Volume.now())
        draft.snapshots = [change]
        do throws(StoreError) {
            _ = try store.commit(draft)
        } catch {
            if case .tooManySnapshots = error { throw .tooMany }
            throw .failed(posixError(error))
        }
    }

    /// A checkpoint, and with it the snapshot; or the snapshot alone where the newest checkpoint has
    /// everything.
    private func commitSnapshot(
        _ image: SnapshotImage, of volume: Volume
    ) throws(SnapshotError) {
        var unfoldable = false
        // What comes later is not in it, or only by chance.
        let time = Volume.now()
        do throws(FileError) {
            _ = try checkpointVolumes { (draft, leftOut) throws(FileError) in
                // It would keep for good a file without what was written to it. Another volume's files
                // are no matter of it.
                let reason = leftOut.reason(of: volume)
                if let reason, reason != .damaged { throw reason }
                unfoldable = reason != nil
                if unfoldable { return }
                guard let root = try currentRoot(of: volume, draft) else { return }
                unfoldable = try volume.hasPieces()
                if unfoldable { return }
                var image = image
                image.root = root.name
                image.time = time
                image.statistics = root.image.statistics
                draft.snapshots = [.put(image)]
            }
        } catch {
            if store.snapshots.count >= SnapshotImage.countMax { throw .tooMany }
            throw .failed(error)
        }
        if unfoldable { throw .unfoldable }
    }

    /// The volume's root as of the draft.
    private func currentRoot(
        of volume: Volume, _ draft: CommitDraft
    ) throws(FileError) -> (name: ChunkName, image: RootImage)? {
        var name = draft.volumes.first { $0.volumeID == volume.volumeID }?.root
        if name == nil { name = try volume.storedRecord().root }
        guard let name else { return nil }
        return (name, try volume.decodedRoot(name))
    }

    // MARK: views

    /// The volume with its snapshots, to be mounted.
    public func browsable(_ volume: Volume) -> BrowsableVolume {
        let view = BrowsableVolume(volume)
        views.withLock { views in
            views.removeAll { $0.view == nil }
            views.append(WeakView(view: view))
        }
        return view
    }

    /// A snapshot, to be mounted by itself. As long as that is used the snapshot is not deleted.
    public func mountedSnapshot(
        named name: String, of volume: String
    ) throws(SnapshotError) -> MountedSnapshot {
        let image = try snapshot(named: name, of: volume)
        let volume = try openVolume(volume)
        do throws(FileError) {
            let view = try MountedSnapshot(image, of: volume)
            mountedSnapshots.withLock { mounted in
                mounted.removeAll { $0.view == nil }
                mounted.append(WeakSnapshot(view: view))
            }
            return view
        } catch {
            throw .failed(error)
        }
    }

    func tellViews(_ changed: [SnapshotImage]) {
        for view in views.withLock({ $0.compactMap(\.view) }) { view.snapshotsChanged(changed) }
    }

    struct WeakView: Sendable {
        weak let view: BrowsableVolume?
    }

    struct WeakSnapshot: Sendable {
        weak let view: MountedSnapshot?
    }
}
