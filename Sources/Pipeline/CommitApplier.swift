// From a commit to one batch of the index: the same, and only, code for live commits and for those
// that recovery finds.
//
// Invariants:
// 1. The batch depends on the index, the commit, and the records it vouches for alone; so replaying
//    a commit gives the index that making it gave.
// 2. A chunk's count is the number of its owners: indexed inodes and pieces that name it, indexed
//    recipe nodes that list it, and what commits say of tree nodes.
// 3. The applier never condemns what has owners, whatever a commit says.
// 4. A recipe node owns its children from its first place in the index until it is condemned.
//
// Threads: a value of one thread; one commit is applied to an index at a time.
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex

/// A chunk of the records that a commit vouches for.
struct NewChunk {
    var name: ChunkName
    var rawBytes: UInt32
    var domain: ChunkDomain
    var places: [ChunkPlace]
    /// Of recipe nodes: the names that they own, each once.
    var children: [ChunkName] = []
}

/// A durable commit, with what the records in its spans hold.
struct AppliedCommit {
    var commit: Commit
    var hash: ChunkName
    var position: LogPosition
    /// Chunks of the main packs' records.
    var news: [NewChunk] = []
    /// Second copies.
    var copies: [NewChunk] = []
    /// Chunks found damaged since the commit before: known to the live store only.
    var damaged: [ChunkName] = []
    /// Packs that were sealed since the commit before: known to the live store only.
    var sealed: [PackID] = []
    /// Packs that are deleted and may be forgotten: known to the live store only.
    var deleted: [UInt32] = []
    /// Which places are given up: known to the live store only.
    var vacating = Vacating()
}

/// Gathers what a commit changes in the index.
struct CommitApplier {
    /// What gives the owned names of a recipe node that is condemned, or that a rebuild first meets.
    typealias Children = (ChunkName, [ChunkPlace]) throws(StoreError) -> [ChunkName]

    let index: any MetadataStore
    let shelf: PackShelf
    let secret: StoreSecret
    let children: Children
    /// As after the commit, once `apply` has returned.
    private(set) var state: StateRecord
    /// Volumes by number, as after the commit.
    private(set) var volumes: [UInt32: VolumeRecord]
    /// As after the commit.
    var snapshots: [UniqueID: SnapshotImage]

    var kept: [ChunkName: StagedKept] = [:]
    var chunks: [ChunkName: StagedChunk] = [:]
    var packs: [UInt32: PackRecord] = [:]
    var forgottenPacks: [UInt32] = []

    /// - Parameters:
    ///   - state: what the index holds.
    ///   - volumes: the index's volume records.
    ///   - snapshots: the index's snapshots.
    init(
        index: any MetadataStore, shelf: PackShelf, secret: StoreSecret, state: StateRecord,
        volumes: [UInt32: VolumeRecord], snapshots: [UniqueID: SnapshotImage],
        children: @escaping Children
    ) {
        self.index = index
        self.shelf = shelf
        self.secret = secret
        self.state = state
        self.volumes = volumes
        self.snapshots = snapshots
        self.children = children
    }

    /// The batch that takes the index from the commit before to this one. `amend` may change the
    /// state that is written with it.
    mutating func apply(
        _ applied: AppliedCommit, amend: (inout StateRecord) -> Void = { _ in }
    ) throws(StoreError) -> MetadataBatch {
        var batch = MetadataBatch(reservingBytes: 1 << 16)
        let commit = applied.commit
        chunks.reserveCapacity(applied.news.count)
        try takePacks(applied)
        for new in applied.news { try take(new, isCopy: false) }
        for copy in applied.copies { try take(copy, isCopy: true) }
        try dropVacated(applied)
        try dropCondemnedPlaces(commit.condemnedPacks.compactMap { shelf.knownNumber(of: $0) })
        for volume in commit.volumes { try apply(volume, to: &batch) }
        for change in commit.nodeCounts {
            try count(change.name, by: change.change, domain: .tree)
        }
        try takeSnapshots(of: commit, &batch)
        takeRules(of: commit)
        for name in applied.damaged { try markDamaged(name, unless: applied.news) }
        try condemn(commit.condemnedChunks, new: applied.news)
        try takeLost(commit.lostChunks, &batch)
        dropFound(&batch)
        // What dies with a checkpoint's commit is in no state from that checkpoint on, so it is dead
        // since the one before. What is new and has no owner yet is dead since this very checkpoint:
        // whoever put it has until the second one from here to name it.
        let died = state.newestSequence
        try finishChunks(
            died: died, laid: commit.isCheckpoint ? commit.sequence : died, &batch)
        finishKept(&batch)
        advance(applied)
        amend(&state)
        finishPacks(&batch)
        for (number, record) in volumes {
            batch.put(NamespaceKey.volume(number), record.encoded())
        }
        batch.put(StateRecord.key, state.encoded())
        return batch
    }

    /// A part of the trees could not be read: the index is not to be written on.
    mutating func markIncomplete() {
        state.isIncomplete = true
    }

    mutating func changeTotals(_ body: (inout StoreTotals) -> Void) {
        body(&state.totals)
    }

    /// Moves the state behind the commit.
    private mutating func advance(_ applied: AppliedCommit) {
        let commit = applied.commit
        let spanBytes = commit.spans.reduce(UInt64(0)) {
            $0 + ($1.range.upperBound - $1.range.lowerBound)
        }
        state.epoch = commit.epoch
        state.sequence = commit.sequence
        state.hash = applied.hash
        state.position = applied.position
        state.isClean = false
        state.bytesSinceCheckpoint += spanBytes + applied.position.end - applied.position.offset
        if commit.isCheckpoint {
            state.second = state.newest
            state.newest = CheckpointPlace(
                sequence: commit.sequence, pack: applied.position.pack,
                offset: applied.position.offset)
            state.bytesSinceCheckpoint = 0
        }
        state.nextPackNumber = max(state.nextPackNumber, shelf.nextNumber)
        let sequences = commit.spans.map(\.pack) + [applied.position.pack]
        for pack in sequences where pack.writer == state.writer {
            state.nextPackSequence = max(state.nextPackSequence, pack.sequence + 1)
        }
    }

    // MARK: volumes

    private mutating func apply(
        _ changes: VolumeChanges, to batch: inout MetadataBatch
    ) throws(StoreError) {
        let known = volumes.first { $0.value.volumeID == changes.volumeID }
        if changes.isRemoved {
            // Applied already, by the index that recovery begins with.
            guard let known else { return }
            return try remove(known.value, number: known.key, from: &batch)
        }
        let number = known?.key ?? (volumes.keys.max() ?? 0) + 1
        var record =
            known?.value
            ?? VolumeRecord(
                volumeID: changes.volumeID, name: changes.volumeName, epoch: 0, sequence: 0,
                nextInode: 1, root: nil, statistics: RootImage.Statistics())
        var stage = NamespaceStage(
            volume: number, before: record,
            origin: known == nil ? nil : try index.origin(of: number))
        try stage.apply(changes, applier: &self, to: &batch)
        record.statistics = stage.statistics
        if known == nil, let beginning = changes.beginning {
            try begin(changes, as: beginning, number: number, &record, &batch)
        }
        record.name = changes.volumeName
        record.epoch = changes.epoch
        record.sequence = changes.sequence
        record.nextInode = max(record.nextInode, changes.nextInode)
        record.root = changes.root ?? record.root
        volumes[number] = record
    }

    /// Takes away a volume with all that the index has of it: little, since whoever removes one
    /// empties it first.
    private mutating func remove(
        _ record: VolumeRecord, number: UInt32, from batch: inout MetadataBatch
    ) throws(StoreError) {
        var stage = NamespaceStage(volume: number, before: record)
        try stage.removeEverything(applier: &self, from: &batch)
        try endLoading(of: number, &batch)
        volumes[number] = nil
        batch.delete(NamespaceKey.volume(number))
    }

    /// Takes what a commit says of volumes' rules. A checkpoint's list is whole.
    private mutating func takeRules(of commit: Commit) {
        for (number, record) in volumes {
            let listed = commit.rules.last { $0.volumeID == record.volumeID }
            if let listed {
                volumes[number]?.rules = listed
            } else if commit.isCheckpoint {
                volumes[number]?.rules = VolumeRules(volumeID: record.volumeID)
            }
        }
    }

    // MARK: packs

    /// Notes how far packs are now vouched for, and which are condemned, sealed or gone.
    private mutating func takePacks(_ applied: AppliedCommit) throws(StoreError) {
        for span in applied.commit.spans {
            try changePack(shelf.number(of: span.pack)) {
                $0.validBytes = max($0.validBytes, span.range.upperBound)
            }
        }
        try changePack(shelf.number(of: applied.position.pack)) {
            $0.validBytes = max($0.validBytes, applied.position.end)
        }
        for pack in applied.sealed { try changePack(shelf.number(of: pack)) { $0.isSealed = true } }
        for pack in applied.commit.condemnedPacks {
            guard let number = shelf.knownNumber(of: pack) else { continue }
            try changePack(number) { $0.isCondemned = true }
        }
        forgottenPacks = applied.deleted
        for number in applied.deleted {
            if let pack = try index.pack(number) { state.totals.remove(pack) }
        }
        try takeRecords(of: applied.news, isCopy: false)
        try takeRecords(of: applied.copies, isCopy: true)
    }

    /// Counts the super-chunks in which these chunks lie, each once.
    private mutating func takeRecords(
        of chunks: [NewChunk], isCopy: Bool
    ) throws(StoreError) {
        var seen: Set<RecordPlace> = []
        for chunk in chunks {
            for place in chunk.places {
                try changePack(place.pack) { $0.rawBytes += UInt64(chunk.rawBytes) }
                let record = RecordPlace(pack: place.pack, offset: place.recordOffset)
                guard seen.insert(record).inserted else { continue }
                let bytes = DiskFormat.aligned(UInt64(place.recordBytes))
                try changePack(place.pack) {
                    $0.storedBytes += bytes
                    $0.superChunks += 1
                    if isCopy { $0.holdsCopies = true }
                }
                state.totals.storedBytes += bytes
                state.totals.superChunks += 1
            }
        }
    }

    mutating func changePack(
        _ number: UInt32, _ change: (inout PackRecord) -> Void
    ) throws(StoreError) {
        if packs[number] == nil {
            if let record = try index.pack(number) {
                packs[number] = record
            } else {
                guard let id = shelf.id(of: number) else { return }
                packs[number] = PackRecord(id: id)
            }
        }
        if packs[number] != nil { change(&packs[number, default: PackRecord(id: PackID.none)]) }
    }

    mutating func finishPacks(_ batch: inout MetadataBatch) {
        for (number, record) in packs where !forgottenPacks.contains(number) {
            batch.put(IndexKey.pack(number), record.encoded())
        }
        for number in forgottenPacks { batch.delete(IndexKey.pack(number)) }
    }
}

/// A record, by the index's number of its pack.
struct RecordPlace: Hashable {
    var pack: UInt32
    var offset: UInt64
}

extension PackID {
    /// Names no pack: writers and sequences begin at 1.
    static let none = PackID(writer: 0, sequence: 0)
}
