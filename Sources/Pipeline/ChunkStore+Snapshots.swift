// Snapshots: what a commit says of them, and settling what they own while the store is in use.
import DiskFormat
import Metadata
import NamespaceIndex

extension ChunkStore {
    /// The snapshots of all volumes, as of the last commit, by id.
    public var snapshots: [UniqueID: SnapshotImage] { published.withLock { $0.snapshots } }

    /// Puts the draft's snapshots into the commit: a checkpoint lists all that there are then.
    func takeSnapshots(
        of draft: CommitDraft, into commit: inout Commit,
        _ known: [UniqueID: SnapshotImage]
    ) throws(StoreError) {
        var all = known
        var changes: [SnapshotChange] = []
        for change in draft.snapshots {
            switch change {
            case .gone(let id): all[id] = nil
            case .put(var image):
                if image.number == 0 {
                    image.number = try ChunkStore.unusedNumber(all)
                    image.epoch = commit.epoch
                    image.sequence = commit.sequence
                }
                all[image.id] = image
            }
            if let image = all[change.id] {
                changes.append(.put(image))
            } else {
                changes.append(change)
            }
        }
        if draft.isCheckpoint {
            changes = all.values.sorted { $0.number < $1.number }.map { .put($0) }
        }
        commit.snapshots = changes
    }

    /// The rules that a commit lists: what changes, or in a checkpoint all that say anything.
    static func rules(
        of draft: CommitDraft, _ known: [UInt32: VolumeRecord]
    ) -> [VolumeRules] {
        guard draft.isCheckpoint else { return draft.rules }
        var all: [UniqueID: VolumeRules] = [:]
        for record in known.values { all[record.volumeID] = record.rules }
        for rules in draft.rules { all[rules.volumeID] = rules }
        for changes in draft.volumes where changes.isRemoved { all[changes.volumeID] = nil }
        return all.values.filter { !$0.isEmpty }.sorted {
            ($0.volumeID.high, $0.volumeID.low) < ($1.volumeID.high, $1.volumeID.low)
        }
    }

    /// Above all that are in use while there are any: so a number that was used comes back late.
    private static func unusedNumber(
        _ snapshots: [UniqueID: SnapshotImage]
    ) throws(StoreError) -> UInt16 {
        let used = Set(snapshots.values.map(\.number))
        let next = (used.max() ?? 0) + 1
        if next < SnapshotImage.numberLimit { return next }
        guard let free = (1..<SnapshotImage.numberLimit).first(where: { !used.contains($0) })
        else { throw .tooManySnapshots }
        return free
    }

    // MARK: settling

    /// Whether what snapshots own is not all counted yet, or not all let go.
    public func hasUnsettledSnapshots() throws(StoreError) -> Bool {
        try !index.unsettled(behind: nil, limit: 1).isEmpty
    }

    /// Whether a deleted snapshot's node could not be read when it was let go, since this store was opened:
    /// what it owned stays counted until the index is made anew.
    public var hasAbandonedCounts: Bool { committing.withLock { $0.settling.hasAbandoned } }

    /// Counts, or lets go, some of what snapshots own: a bounded step, during which commits wait.
    /// Any thread.
    ///
    /// - Returns: how many tree nodes it was; nil where nothing is left to be done.
    public func settleSnapshots() throws(StoreError) -> Int? {
        try committing.withLock { (committing) throws(StoreError) in
            try checkWritable()
            var applier = CommitApplier(
                index: index, shelf: shelf, secret: parameters.secret, state: committing.state,
                volumes: committing.volumes, snapshots: committing.snapshots
            ) { [reader] (name, places) throws(StoreError) in
                try reader.children(of: name, at: places)
            }
            do throws(StoreError) {
                let nodes = try committing.settling.step(&applier, with: reader)
                committing.state = applier.state
                published.withLock { $0.state = applier.state }
                return nodes
            } catch {
                // Nothing is committed, but an index that does not take a batch takes none any more.
                if case .index = error { fail(error) }
                throw error
            }
        }
    }
}
