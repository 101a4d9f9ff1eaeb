import Compression
import DiskFormat
import Glibc
import Platform

/// How a store is to be opened.
public struct StoreOptions: Sendable {
    /// Opens without changing anything, neither packs nor index.
    public var isReadOnly = false
    /// Opens for writing what could only be read otherwise: a store that has lost packs, or whose
    /// log is damaged. It goes on from its last good state, cuts off what lies behind it, and
    /// forgets the packs that are gone, and all places in them. For repairs, which have told what is
    /// lost, and put aside what is cut off.
    public var acceptsLosses = false
    /// Commits up to this sequence are known to have been durable, since intact ones follow them, or an
    /// index held them that is being made anew. What is damaged of the records that they vouch for is
    /// lost then; the commits themselves, and those behind them, are not.
    public var durableSequence: UInt64 = 0
    /// Bytes of memory for caches and buffers. Half of it keeps decoded frames, and in a sixteenth of
    /// that decoded leaves of recipes; three eighths are the index's, and the last eighth bounds the
    /// buffers that are kept for new super-chunks.
    public var memoryBytes = 512 << 20
    /// Threads that compress, and as many that read ahead; at least 1. As many as there are
    /// processors.
    public var workerCount: Int
    /// How new super-chunks are compressed; nil: as the store's parameters say.
    public var method: CompressionMethod?
    /// Told what people should know, on the thread where it happened; must not call the store.
    public var onEvent: (@Sendable (StoreEvent) -> Void)?

    public init() {
        workerCount = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }

    var frameCacheBytes: Int { max(0, memoryBytes) / 32 * 15 }
    var leafCacheBytes: Int { max(0, memoryBytes) / 32 }
    var indexBytes: Int { max(0, memoryBytes) / 8 * 3 }
    var keptBufferBytes: Int { max(0, memoryBytes) / 8 }
}

/// What happened to a store that people should know: for logs.
public enum StoreEvent: Sendable {
    /// Commits were found behind what the index held, and were applied to it.
    case replayed(commits: Int)
    /// The index is missing or of no use; it is made anew from the packs, which may take a while.
    case rebuildingIndex(reason: String)
    /// The index is there again, with so many chunks.
    case rebuilt(chunks: UInt64)
    /// A pack that an unclean end left was cut at this byte, behind its last valid record, and
    /// sealed.
    case sealedTornPack(PackID, at: UInt64)
    /// A pack in which nothing was committed was removed after an unclean end.
    case removedTornPack(PackID)
    /// A pack in which nothing lived was deleted.
    case deletedPack(PackID)
    /// A copy of the chunk does not verify; the text says which and why.
    case damagedChunk(ChunkName, String)
    /// Nothing more is written until the store is opened anew; the text says why.
    case becameReadOnly(String)
    /// These packs are missing, or shorter than they were.
    case lostPacks([PackID])
}

/// What a caller wants committed. The store adds what is its own: spans, packs, epochs and
/// sequences.
public struct CommitDraft: Sendable {
    /// What changes in each volume; `epoch` and `sequence` are filled in by the store.
    public var volumes: [VolumeChanges]
    /// Whether recovery may begin at this commit. Every volume in it then has a `root`, or is removed;
    /// those that are not in it keep theirs.
    public var isCheckpoint: Bool
    /// Tree nodes that a checkpoint took up or let go, also the volumes' `RootImage` chunks and the
    /// nodes of tables of linked inodes.
    public var nodeCounts: [CountChange]
    /// Chunks that are accepted as lost from now on, until they are laid anew or nobody owns them.
    public var lostChunks: [ChunkName] = []
    /// Snapshots that are new, have changed, or are gone. The store gives new ones their number, and
    /// the numbers of this commit.
    public var snapshots: [SnapshotChange] = []
    /// Rules of volumes that have changed, whole.
    public var rules: [VolumeRules] = []
    /// Begins a new epoch above these numbers: a checkpoint behind which nothing that came before
    /// is followed any more. For repairs; nil: the log goes on.
    public var newEpochAbove: LogMark?
    public var time: DiskTime

    public init(
        volumes: [VolumeChanges] = [], isCheckpoint: Bool = false,
        nodeCounts: [CountChange] = [], time: DiskTime
    ) {
        self.volumes = volumes
        self.isCheckpoint = isCheckpoint
        self.nodeCounts = nodeCounts
        self.time = time
    }
}

/// A commit's numbers.
public struct LogMark: Equatable, Comparable, Sendable {
    public var epoch: UInt64
    public var sequence: UInt64

    public init(epoch: UInt64, sequence: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
    }

    public static func < (a: LogMark, b: LogMark) -> Bool {
        (a.epoch, a.sequence) < (b.epoch, b.sequence)
    }
}

/// What became of a draft that is durable.
public struct CommitReceipt: Equatable, Sendable {
    public var sequence: UInt64
    public var isCheckpoint: Bool

    public init(sequence: UInt64, isCheckpoint: Bool) {
        self.sequence = sequence
        self.isCheckpoint = isCheckpoint
    }
}

/// A volume that a store begins with, or that is added to one.
public struct NewVolume: Sendable {
    public var name: String
    public var volumeID: UniqueID
    /// The root directory: inode 1.
    public var root: InodeImage
    /// Where it begins as a snapshot: everything but the root directory, which `root` has.
    public var trees: Trees?

    /// What a volume takes over from the root of a snapshot.
    public struct Trees: Sendable {
        public var snapshot: UniqueID
        public var linkedInodes: NodeReference?
        public var nextInode: UInt64
        public var statistics: RootImage.Statistics
    }

    /// A volume with a random id that begins as a snapshot, whose root this is. What the snapshot has
    /// without a name is not taken over.
    public init(name: String, of snapshot: UniqueID, _ root: RootImage) {
        self.init(
            name: name, volumeID: UniqueID(random: (randomUInt64(), randomUInt64())),
            root: root.directory)
        trees = Trees(
            snapshot: snapshot, linkedInodes: root.linkedInodes, nextInode: root.nextInode,
            statistics: root.statistics)
    }

    public init(name: String, volumeID: UniqueID, root: InodeImage) {
        self.name = name
        self.volumeID = volumeID
        self.root = root
    }

    /// An empty volume with a random id, whose root directory belongs to root.
    public init(name: String, at time: DiskTime) {
        self.init(
            name: name, volumeID: UniqueID(random: (randomUInt64(), randomUInt64())),
            root: InodeImage(
                inode: RootImage.rootInode, generation: 1, mode: 0o040755, linkCount: 2,
                modificationTime: time, changeTime: time, accessTime: time, birthTime: time))
    }
}
