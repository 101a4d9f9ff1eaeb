/// # Volume: what POSIX means by files, on top of the chunk store
///
/// Purpose: implements `FilesystemOperations` for one volume of a store: names, inodes, attributes,
/// content, and the way by which changes become durable. `LiveStore` holds a store's volumes and
/// makes their commits and checkpoints.
///
/// Words: a *node* is an inode in memory; a *dentry* a name in memory, present or absent. Both are
/// *dirty* from their change until the commit that holds it is in the index; everything else may be
/// forgotten and read again. A *generation* is the time between two cuts. A *cut* is the instant
/// whose names and inodes a commit writes. To *fold* a file is to turn its buffered changes into a
/// new key.
///
/// Invariants:
/// 1. What an operation sees is: dirty nodes and dentries, else the index. The index changes by
///    commits only, and dirty things are let go only after their commit is in it.
/// 2. A commit holds all names and inodes of its cut, and of each file's content all that was
///    received up to the cut, perhaps more; never a size without its bytes.
/// 3. A node that the kernel knows (`lookups > 0`) stays in memory. To bound memory the kernel is
///    asked to let go.
/// 4. Inode numbers are taken below a mark that is durable before they are used, and never twice.
///
/// Threads: any. Two kinds of lock: a file's *content lock*, and the volume's *namespace lock*; a
/// content lock may be held when the namespace lock is taken, never the other way round. Neither is
/// held over I/O: what is missing is read without them and looked up again.
///
/// How a change becomes durable:
///
///     write ──▶ DirtyRanges ──fold (workers)──▶ key, pieces ┐
///     names, attributes ──▶ dirty nodes and dentries ───────┴─ cut ─▶ Commit ─▶ index
///                                                              └─ checkpoint: trees, root
import Chunking
import DiskFormat
import FileModel
import Folding
import Metadata
import NamespaceIndex
import Pipeline
import Platform
import Synchronization

/// A live volume. Made by `LiveStore.volume(named:)`.
public final class Volume: FilesystemOperations, Sendable {
    /// The number of this volume in the index's keys.
    let number: UInt32
    let volumeID: UniqueID
    private let currentName: ConditionMutex<String>
    let store: ChunkStore
    let chunker: Chunker
    let options: VolumeOptions
    private let behaviourCell: VolumeBehaviourCell
    /// Makes what was received durable; set once by the store that owns the volume.
    let committer: Committer
    let namespace: ConditionMutex<Namespace>
    let drains: DrainQueue
    /// Idle ones; as many as there ever were folds at the same time.
    let benches = ConditionMutex<[FoldBench]>([])
    let notifier = ConditionMutex<(any KernelNotifier)?>(nil)
    /// How much of `nodesMax` may be used now: 1 ... 100.
    let nodesPercent = Atomic<UInt8>(100)
    /// Whether the volume began as a snapshot, and names in it may not be in the index.
    let isLoading = Atomic<Bool>(false)
    /// Files with too many pieces, which commits hold all the time.
    let reducedLater = ConditionMutex<[(node: Node, content: FileContent)]>([])
    /// Is told when there are too many inodes in memory.
    let pressure = ConditionMutex<(@Sendable () -> Void)?>(nil)

    /// As of the last commit: a volume may be renamed while it is in use.
    public internal(set) var name: String {
        get { currentName.withLock { $0 } }
        set { currentName.withLock { $0 = newValue } }
    }

    /// Whoever begins to use the volume sets it; operations that run meanwhile see one or the other.
    public var behaviour: VolumeBehaviour {
        get { behaviourCell.value }
        set { behaviourCell.value = newValue }
    }

    public var isReadOnly: Bool {
        options.isReadOnly || behaviour.isReadOnly || store.isReadOnly
    }

    init(
        number: UInt32, record: VolumeRecord, store: ChunkStore, options: VolumeOptions,
        committer: Committer, drains: DrainQueue
    ) {
        self.number = number
        volumeID = record.volumeID
        currentName = ConditionMutex(record.name)
        self.store = store
        self.options = options
        behaviourCell = VolumeBehaviourCell(options.behaviour)
        self.committer = committer
        self.drains = drains
        chunker = Chunker(parameters: store.parameters.chunker)
        var space = Namespace(nextInode: record.nextInode, statistics: record.statistics)
        space.pressureLimit = options.nodesMax + options.nodesMax / 4
        namespace = ConditionMutex(space)
    }

    /// By whom the kernel is told to let go of names: after mounting.
    public func setNotifier(_ notifier: (any KernelNotifier)?) {
        self.notifier.withLock { $0 = notifier }
    }

    /// Whether something was received that no commit holds.
    var hasUnsaved: Bool {
        namespace.withLock {
            !$0.dirtyNodes.isEmpty || !$0.dirtyNames.isEmpty || !$0.gone.isEmpty
        }
    }

    /// Refuses where nothing may be changed.
    func checkWritable() throws(FileError) {
        if isReadOnly { throw .readOnly }
    }

    /// A name that a directory may have.
    func checkName(_ name: UnsafeRawBufferPointer) throws(FileError) -> [UInt8] {
        guard name.count <= DiskFormat.nameBytesMax else { throw .nameTooLong }
        let bytes = [UInt8](name)
        guard DirectoryEntry.isAcceptable(bytes) else { throw .invalid }
        return bytes
    }

    static func now() -> DiskTime {
        let (seconds, nanoseconds) = wallClock()
        return DiskTime(seconds: seconds, nanoseconds: nanoseconds)
    }

    /// What statfs(2) answers: the backing filesystem's space less the reserve.
    public func usage() throws(FileError) -> FilesystemUsage {
        do throws(StoreError) {
            let space = try store.space()
            let reserve = try store.reserveBytes()
            let free = space.availableBytes > reserve ? space.availableBytes - reserve : 0
            let inodes = namespace.withLock { $0.inodeCount }
            return FilesystemUsage(
                blockBytes: 4096, totalBytes: space.totalBytes, freeBytes: free,
                availableBytes: free, totalFiles: inodes + free / 4096, freeFiles: free / 4096,
                nameBytesMax: UInt32(DiskFormat.nameBytesMax),
                identifier: volumeID.high ^ volumeID.low)
        } catch {
            throw fileError(error)
        }
    }
}

/// How the volumes of a store are served.
public struct VolumeOptions: Sendable {
    /// Nothing is written to the store at all.
    public var isReadOnly = false
    /// Of volumes for which nobody has said anything else.
    public var behaviour = VolumeBehaviour()
    /// Most bytes written and not yet turned into chunks, of all files of the store together.
    public var dirtyBytesMax = 128 << 20
    /// Nodes kept in memory before the kernel is asked to let go of some; and how many names come
    /// into memory before those that are in the index are let go.
    public var nodesMax = 400_000
    /// What the whole process may take, in bytes of VmRSS: above it caches shrink until it does. nil:
    /// nobody looks.
    public var residentBytesMax: UInt64?
    /// Changes of shorter files are folded at each commit; in bytes. Only tests need another one.
    var piecedFileBytesMin: UInt64 = 512 << 10
    /// Files of so many bytes are taken for images of disks, databases and the like, which are read and
    /// changed in places. Only tests need another one.
    var largeFileBytesMin: UInt64 = 64 << 20
    /// Pieces of one file, each a short chunk on top of its content: above the first number workers
    /// begin to fold them when no commit has just held the file, above three quarters of the last in any
    /// case, so many at a time, while a commit that holds the file waits; above the last all are folded at
    /// once. Only tests need others.
    var piecesKept = 2048
    var piecesFoldedAtOnce = 16
    var piecesMax = 8192
    var piecesQuietNanoseconds: UInt64 = 500_000_000
    /// A checkpoint that is due folds pieces only where all files together have more: 60 bytes each of a
    /// commit, whose length is bounded. Only tests need another one.
    var piecesRepeatedMax = 100_000

    public init() {}
}
