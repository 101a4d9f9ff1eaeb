// Small files of snapshots and differences: what the fuzzer's edits start from.
import Backends
import Checking
import DiskFormat
import FileModel
import Hashing
import Pipeline
import Queries
import Streams
import Volume

/// A store in memory in which a stream file is made, or into which one is imported.
struct StreamStore {
    static let volumeID = UniqueID(random: (7, 8))

    let backend = MemoryBackend()
    let live: LiveStore

    /// - Parameter copies: of metadata; files have one.
    init(copies: UInt8 = 1) throws {
        let index = MemoryIndexProvider()
        // Nothing is compressed, so that an edit of bytes is an edit of what they mean.
        let parameters = StoreParameters(
            storeID: UniqueID(random: (1, 2)), secret: DecoderTarget.secret,
            chunker: .gear(meanBytes: 4096), superChunkBytes: 64 << 10, packBytes: 1 << 20,
            metadataCopies: copies, codec: 0)
        let root = InodeImage(inode: 1, generation: 1, mode: 0o040755, linkCount: 2)
        try ChunkStore.create(
            in: backend, index: index, parameters: parameters,
            volumes: [NewVolume(name: "main", volumeID: StreamStore.volumeID, root: root)])
        live = try SmallScene.open(backend, index)
    }

    /// Gives a tree a name.
    func add(_ name: String, _ root: RootImage) throws {
        _ = try live.addSnapshot(SnapshotDraft(name: name), of: "main", root: root)
    }

    /// The packs, when the store is closed.
    func packs() throws -> Forgery {
        try live.close()
        return try Forgery(backend.copy())
    }
}

/// The files to begin with, and the trees that they were made of.
struct StreamScene {
    /// Of one kind each: a snapshot with content, one of keys alone, a difference, one of one way.
    let files: [(head: StreamHead, packs: Forgery)]
    /// Empty, and the two sides of the differences.
    let empty: VolumeState
    let base: VolumeState
    let target: VolumeState

    init() throws {
        let store = try StreamStore()
        func snapshot(_ name: String) throws {
            _ = try store.live.createSnapshot(SnapshotDraft(name: name), of: "main")
            while try store.live.store.settleSnapshots() != nil {}
        }
        try snapshot("empty")
        // At a page, where every filesystem can have a hole end.
        let sparse: UInt64 = 147 * 4096
        try SmallScene.fill(store.live, sparse: sparse)
        try snapshot("base")
        try SmallScene.change(store.live, sparse: sparse)
        try snapshot("target")
        try store.live.close()
        let state = try State.open(store.backend.copy(isReadOnly: true))
        func volume(_ name: String) throws -> VolumeState {
            guard let image = state.snapshots.first(where: { $0.name == name }) else {
                throw StreamFileError.lacks(name)
            }
            return try VolumeState(image, in: state)
        }
        empty = try volume("empty")
        base = try volume("base")
        target = try volume("target")
        files = [
            try Self.snapshot(of: target, withContent: true),
            try Self.snapshot(of: target, withContent: false),
            try Self.difference(from: base, to: target, isOneWay: false),
            try Self.difference(from: base, to: target, isOneWay: true),
        ]
    }

    private static func snapshot(
        of volume: VolumeState, withContent: Bool
    ) throws -> (StreamHead, Forgery) {
        let store = try StreamStore()
        var work = try SnapshotImport(
            volume, into: store.live.store, withData: withContent,
            nextInode: try store.live.nextInode(of: "main"))
        let root = try work.run(volumeID: StreamStore.volumeID, volumeName: "main")
        try store.add(StreamFile.snapshotName, root)
        let head = StreamHead(
            kind: .snapshot, flags: withContent ? .content : [], time: DiskTime.zero)
        return (head, try store.packs())
    }

    private static func difference(
        from base: VolumeState, to target: VolumeState, isOneWay: Bool
    ) throws -> (StreamHead, Forgery) {
        let store = try StreamStore()
        var making = try DifferenceMaking(
            from: ComparedSide(base, content: .stored), to: ComparedSide(target, content: .stored),
            isOneWay: isOneWay, in: store.live.store,
            nextInode: try store.live.nextInode(of: "main"), isCancelled: { false })
        var difference = try VolumeDifference(from: base, to: target)
        while let found = try difference.next() {
            try making.add(found.path, old: found.old, new: found.new)
        }
        let roots = try making.finish(volumeID: StreamStore.volumeID, volumeName: "main")
        try store.add(StreamFile.baseName, roots.old)
        try store.add(StreamFile.targetName, roots.new)
        let head = StreamHead(
            kind: .difference, flags: isOneWay ? [.content, .oneWay] : .content,
            time: DiskTime.zero)
        return (head, try store.packs())
    }
}
