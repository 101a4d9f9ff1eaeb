/// # Checking: an independent reader of a store, and what it finds wrong
///
/// Purpose: reads a store from its packs alone, as docs/ARCHITECTURE.md and DiskFormat specify it,
/// without a line of the code that wrote it; lists and reads what the volumes hold; finds
/// everything that is wrong and names the files that it touches.
///
/// The way through it:
///
///     Inventory    which packs, records, chunks and commits there are, and which are damaged
///     CommitLog    which commits form the newest valid state
///     State        that state: volumes, directories, files; also for listing without a mount
///     StoreCheck   everything together, as a CheckReport of Problems
///
/// Words: a *finding* is damage of a place in the packs, judged later by what needs that place;
/// a *problem* is a finding or a contradiction with its severity, the paths it touches and what to
/// do. The *checkpoint's tree* is what the newest checkpoint wrote; the *overlay* is what the
/// commits after it change.
///
/// Invariants:
/// 1. Nothing here writes to the store, the index, or anywhere else.
/// 2. Everything read is hostile: the worst outcome is a problem or an error, never a trap, an
///    endless walk, or memory that a number in the store asked for.
/// 3. Each cause is one problem: what follows from damage already told (a file whose chunk lies in
///    a damaged frame) is told as that problem's paths.
/// 4. Memory: 53 bytes for each stored copy of a chunk, 32 for each record, 128 for each commit,
///    a bit for each inode, 24 bytes for each inode with several names, the changes since the
///    newest checkpoint, and a cache of frames (`CheckOptions.cacheBytes`).
///
/// What the specification leaves open, and how it is read here:
/// - The store is the one that most packs belong to, where the caller names none.
/// - Commits are ordered by epoch and sequence; successors are found by hash, in packs of any
///   writer. Spans of commits older than the newest checkpoint are not verified: reclaiming may
///   have taken their packs.
/// - The commit after which none verifies ends the log, unless its pack was sealed behind it: then
///   it was durable, and what is bad in it is damage.
/// - A root in a volume's section replaces all earlier changes of that volume; the other changes of
///   the same section apply on top of it.
/// - The image of a directory in a commit names the entries of the last checkpoint, on top of which
///   the changed names lie; pieces survive a new image of their inode. A key makes as many bytes
///   as its file has, pieces on top or not; where it does not, the rest is read as a hole.
/// - A chunk that the newest checkpoint, or a commit behind it, lists as lost is no news: what only it
///   suffers from is information.
/// - A count counts a recipe node once, however often it lists a chunk, and each piece on its own;
///   a tree node once for each directory, or table of linked inodes, whose tree has it.
/// - A directory's link count is 1, or 2 and its subdirectories. Statistics of a root count its
///   root directory and no orphans.
///
/// Threads: an inventory and what is made from it belong to one thread at a time.
import Backends
import DiskFormat
import Hashing
import Metadata
import Packs
import Trees

/// Why a check or a reading could not go on. What is merely damaged is a `Problem` instead.
public enum CheckingError: Error {
    /// There is no pack of a store (of the named store, where one was named).
    case noStore
    /// A newer program made the packs, or some of them.
    case newerFormat
    /// No checkpoint can be read: no state to show.
    case noState
    /// `CheckMonitor.isCancelled` said so.
    case cancelled
    /// The backend refused, and it was not a place that is damaged.
    case backend(BackendError)
    /// A pack could not be read, and it was not a place that is damaged.
    case pack(PackError)
    /// A hasher could not be made.
    case hashing(HashingError)
    /// No threads, for the reason of that errno value.
    case threads(code: Int32)
    /// A node or chunk could not be read now, though nothing says that it is damaged.
    case tree(TreeError)
}

/// How much of the store is read.
public enum CheckDepth: UInt8, Comparable, Sendable {
    /// Headers of packs and records, tables of super-chunks, commits, recipes and directories.
    case quick
    /// Also every stored byte, against its checksum.
    case full
    /// Also every chunk, decompressed and against its name.
    case deep

    public static func < (a: CheckDepth, b: CheckDepth) -> Bool { a.rawValue < b.rawValue }
}

/// What a check is to do.
public struct CheckOptions: Sendable {
    /// How much of the store is read.
    public var depth: CheckDepth = .full
    /// Refuses packs of other stores; nil: the store that most packs belong to.
    public var store: StoreIdentity?
    /// Bytes of decoded frames that are kept.
    public var cacheBytes = 64 << 20
    /// Paths listed with each problem; all are counted.
    public var pathsMax = 100
    /// Problems listed; all are counted.
    public var problemsMax = 10_000
    /// A note that an earlier `deep` check gave: it goes on from there, if the store is unchanged.
    public var resumeNote: [UInt8]?

    /// The usual options, of that depth.
    public init(depth: CheckDepth = .full) {
        self.depth = depth
    }
}

/// How a check tells of its progress and is told to stop. Called on the thread of the check.
public struct CheckMonitor {
    /// The parts of a check, in order.
    public enum Stage: String, Sendable {
        case packs, chunks, bodies, volumes, index
    }

    /// The stage, and how much of it is done: bytes of packs, except for `volumes` (inodes, of a
    /// number not known before: 0) and `index` (chunks).
    public var progress: (_ stage: Stage, _ done: UInt64, _ total: UInt64) -> Void
    /// Asked often; true ends the check with `CheckingError.cancelled`.
    public var isCancelled: () -> Bool
    /// Given notes to go on from later, in a `deep` check, every `noteIntervalBytes` and at its
    /// interruption. Opaque.
    public var note: ([UInt8]) -> Void

    /// Bytes verified between two notes.
    public static let noteIntervalBytes: UInt64 = 256 << 20

    /// Tells nobody and never cancels, but for what is given.
    public init(
        progress: @escaping (_ stage: Stage, _ done: UInt64, _ total: UInt64) -> Void = { _, _, _ in
        },
        isCancelled: @escaping () -> Bool = { false }, note: @escaping ([UInt8]) -> Void = { _ in }
    ) {
        self.progress = progress
        self.isCancelled = isCancelled
        self.note = note
    }

    func step(_ stage: Stage, _ done: UInt64, _ total: UInt64) throws(CheckingError) {
        if isCancelled() { throw .cancelled }
        progress(stage, done, total)
    }
}
