// A volume's section of a commit, on its way into the index: inodes, pieces, names.
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex

/// Gathers what a commit changes in one volume. See `CommitApplier`.
struct NamespaceStage {
    let volume: UInt32
    let before: VolumeRecord
    /// Where parts of the volume are not in the index.
    let origin: OriginRecord?
    var statistics: RootImage.Statistics

    /// An inode that the commit touches.
    struct StagedInode {
        let number: UInt64
        /// Whether it was in the index, and there as an orphan.
        let wasThere: Bool
        let wasOrphan: Bool
        var now: InodeRecord?
    }

    /// Records are long: a dictionary of them would cost more than all else. It leads to their places
    /// in an array.
    private var inodes: [StagedInode] = []
    private var places: [UInt64: Int] = [:]
    /// Names by parent and cookie; nil: nothing there.
    var names: [NamePlace: NameRecord?] = [:]

    struct NamePlace: Hashable, Comparable {
        var parent: UInt64
        var cookie: UInt64

        static func < (a: NamePlace, b: NamePlace) -> Bool {
            (a.parent, a.cookie) < (b.parent, b.cookie)
        }
    }

    init(volume: UInt32, before: VolumeRecord, origin: OriginRecord? = nil) {
        self.volume = volume
        self.before = before
        self.origin = origin
        statistics = before.statistics
    }

    mutating func apply(
        _ changes: VolumeChanges, applier: inout CommitApplier, to batch: inout MetadataBatch
    ) throws(StoreError) {
        if changes.root != nil { try forgetReleasedTrees(applier.index, &batch) }
        inodes.reserveCapacity(changes.inodes.count)
        places.reserveCapacity(changes.inodes.count)
        names.reserveCapacity(changes.names.count)
        for change in changes.inodes {
            switch change {
            case .put(let image): try put(image, &applier)
            case .gone(let inode): try remove(inode, &applier, &batch)
            }
        }
        try takeExtents(changes.extents, &applier, &batch)
        try takeNames(changes.names, &applier)
        finish(applier.secret, &batch)
    }

    /// The volume ends: its inodes let go what they own, and no key of it stays. What its trees own
    /// is let go by the commit's counts.
    mutating func removeEverything(
        applier: inout CommitApplier, from batch: inout MetadataBatch
    ) throws(StoreError) {
        var numbers: [UInt64] = []
        try applier.index.visit(NamespaceKey.prefix(.inode, volume)) { (key, _) in
            if let number = NamespaceKey.inodeNumber(key) { numbers.append(number) }
            return true
        }
        for number in numbers { try remove(number, &applier, &batch) }
        finish(applier.secret, &batch)
        for family in [NamespaceKey.Family.name, .orphan, .released] {
            try applier.index.visit(NamespaceKey.prefix(family, volume)) { (key, _) in
                batch.delete([UInt8](key))
                return true
            }
        }
        // Released by this very commit: no later checkpoint of the volume would forget it.
        for number in numbers { batch.delete(NamespaceKey.released(volume, number)) }
    }

    // MARK: inodes

    /// Where the inode is staged; read from the index at first. Numbers that were not given out yet
    /// are not looked up.
    private mutating func place(
        of number: UInt64, _ applier: borrowing CommitApplier
    ) throws(StoreError) -> Int {
        if let place = places[number] { return place }
        let record =
            number < before.nextInode ? try applier.index.inode(volume, number) : nil
        let place = inodes.count
        places[number] = place
        inodes.append(
            StagedInode(
                number: number, wasThere: record != nil,
                wasOrphan: record.map { NamespaceStage.isOrphan($0.image) } ?? false,
                now: record))
        return place
    }

    /// What the inode is by now; nil where there is none.
    mutating func record(
        of number: UInt64, _ applier: borrowing CommitApplier
    ) throws(StoreError) -> InodeRecord? {
        inodes[try place(of: number, applier)].now
    }

    /// Changes an inode that is there.
    mutating func change(
        _ number: UInt64, _ applier: borrowing CommitApplier, _ change: (inout InodeRecord) -> Void
    ) throws(StoreError) {
        let place = try place(of: number, applier)
        guard var record = inodes[place].now else { return }
        change(&record)
        inodes[place].now = record
    }

    private mutating func put(
        _ image: InodeImage, _ applier: inout CommitApplier
    ) throws(StoreError) {
        let place = try place(of: image.inode, applier)
        let old = inodes[place].now
        if let origin, old == nil, image.inode < origin.inodesEnd {
            throw .indexDamaged(.badValue("inode \(image.inode) was loaded, and is not there"))
        }
        for owned in OwnedChunk.of(image) {
            try applier.count(owned.name, by: 1, domain: owned.domain)
        }
        if let old {
            for owned in OwnedChunk.of(old.image) {
                try applier.count(owned.name, by: -1, domain: owned.domain)
            }
            statistics.remove(old.image)
        }
        statistics.add(image)
        inodes[place].now = InodeRecord(
            cookie: old?.cookie ?? 0, pieceCount: old?.pieceCount ?? 0, image: image)
    }

    private mutating func remove(
        _ number: UInt64, _ applier: inout CommitApplier, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        let place = try place(of: number, applier)
        guard let old = inodes[place].now else { return }
        for owned in OwnedChunk.of(old.image) {
            try applier.count(owned.name, by: -1, domain: owned.domain)
        }
        if old.pieceCount > 0 {
            let range = 0..<ExtentChange.endOfFile
            for piece in try pieces(of: number, in: range, applier.index) {
                if let owned = piece.chunk { try applier.count(owned, by: -1, domain: .data) }
                batch.delete(NamespaceKey.piece(volume, inode: number, offset: piece.offset))
            }
        }
        // The tree that the newest checkpoint gave it is let go by the next one.
        if case .directory(let root) = old.image.content {
            batch.put(
                NamespaceKey.released(volume, number), ReleasedTreeRecord(root: root).encoded())
        }
        statistics.remove(old.image)
        inodes[place].now = nil
    }

    /// A checkpoint has let go what was released before it.
    private func forgetReleasedTrees(
        _ index: any MetadataStore, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        var keys: [[UInt8]] = []
        try index.visit(NamespaceKey.prefix(.released, volume)) { key, _ in
            keys.append([UInt8](key))
            return true
        }
        for key in keys { batch.delete(key) }
    }

    private func finish(_ secret: StoreSecret, _ batch: inout MetadataBatch) {
        // In the order of keys: the index takes them up several times faster so.
        for (number, place) in places.sorted(by: { $0.key < $1.key }) {
            let staged = inodes[place]
            let key = NamespaceKey.inode(volume, number)
            var isOrphan = false
            if var record = staged.now {
                isOrphan = NamespaceStage.isOrphan(record.image)
                let hasOneName =
                    !isOrphan && !record.image.isLinked && number != RootImage.rootInode
                if !hasOneName { record.cookie = 0 }
                batch.put(key, record.encoded())
            } else if staged.wasThere {
                batch.delete(key)
            }
            if isOrphan != staged.wasOrphan {
                let orphan = NamespaceKey.orphan(volume, number)
                if isOrphan { batch.put(orphan, []) } else { batch.delete(orphan) }
            }
        }
        for place in names.keys.sorted() {
            guard let record = names[place] else { continue }
            let key = NamespaceKey.name(volume, parent: place.parent, cookie: place.cookie)
            if let record { batch.put(key, record.encoded()) } else { batch.delete(key) }
        }
    }

    /// An inode without a name that somebody still has open.
    static func isOrphan(_ image: InodeImage) -> Bool {
        image.linkCount == 0 && image.inode != RootImage.rootInode
    }
}

/// A chunk that an inode names: its content or its attributes. Directories' nodes are counted by
/// the commits that write them.
struct OwnedChunk {
    var name: ChunkName
    var domain: ChunkDomain

    static func of(_ image: InodeImage) -> [OwnedChunk] {
        var result: [OwnedChunk] = []
        switch image.content {
        case .chunk(let name): result.append(OwnedChunk(name: name, domain: .data))
        case .recipe(let node): result.append(OwnedChunk(name: node.name, domain: .recipe))
        case .none, .directory, .target: break
        }
        if case .chunk(let name, _) = image.attributes {
            result.append(OwnedChunk(name: name, domain: .data))
        }
        return result
    }
}

extension RootImage.Statistics {
    /// Orphans do not count: they are in no directory.
    mutating func add(_ image: InodeImage) {
        guard !NamespaceStage.isOrphan(image) else { return }
        switch image.mode >> 12 {
        case 8:
            files += 1
            logicalBytes += image.size
        case 4: directories += 1
        default: others += 1
        }
    }

    mutating func remove(_ image: InodeImage) {
        guard !NamespaceStage.isOrphan(image) else { return }
        switch image.mode >> 12 {
        case 8:
            files -= min(files, 1)
            logicalBytes -= min(logicalBytes, image.size)
        case 4: directories -= min(directories, 1)
        default: others -= min(others, 1)
        }
    }
}
