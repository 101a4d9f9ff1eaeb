/// # Pipeline: the way of a byte into the packs and back, in order
///
/// Purpose: puts the stages together. Writing: a chunk is *named*, *looked up* (open super-chunks,
/// those written since the last commit, the index), and when it is new *laid* into an open
/// super-chunk, which is *compressed* by a worker when it is full and *appended* to a pack. A commit
/// closes what is open, appends the record that vouches for it, makes both durable, and then tells
/// the index. Reading goes the other way, through a cache of restored frames.
///
/// Words: a *fresh* chunk was laid since the last commit: not in the index yet, or in it with
/// other places. A *generation* is the span between two commits.
///
/// Invariants:
/// 1. Data, then the commit that names it, then the index (DESIGN §3.2). Nothing in the index points
///    behind the last durable commit.
/// 2. A commit vouches for every record appended since the one before it, by spans.
/// 3. One function applies a commit to the index, when it is made and when it is recovered.
/// 4. A chunk that a caller was told is known stays known until a commit could have named it:
///    hits on dead chunks are remembered, and what is being condemned is not hit.
/// 5. After a failed write or synchronisation nothing more is written (DESIGN §5.2): the store is
///    read-only until it is opened anew.
///
/// Where to read what:
///
///     ChunkStore +Putting +Laying +Reading       the way of a chunk
///     ChunkStore +Committing +Condemning         commits, and what checkpoints give up
///     CommitApplier, NamespaceStage              from a commit to the index
///     StoreOpening, LogFollower, SpanVerifier    recovery
///     IndexRebuilding, RootWalk                  the index from the packs alone
///     StateRecord                                up to where the index is current
///
/// Threads: any, for everything public here; calls block on storage. No lock is held over I/O but
/// the two that order appends to packs and commits.
import Backends
import Compression
import DiskFormat
import Hashing
import Metadata
import Packs
import SuperChunks

/// Why a store could not do what it was asked.
public enum StoreError: Error, Sendable {
    /// There is no store at the place.
    case notAStore(location: String)
    /// There is one already, or something else.
    case exists(location: String)
    case pack(PackError)
    case backend(BackendError)
    /// The index failed; when it is damaged it is made anew at the next opening.
    case index(MetadataError)
    /// A value of the index cannot be understood: to be rebuilt.
    case indexDamaged(FormatError)
    /// The chunk is nowhere in the store.
    case missingChunk(ChunkName)
    /// The chunk is there, but no copy of it can be verified.
    case damagedChunk(ChunkName)
    /// A read beyond the chunk's end.
    case outOfRange(ChunkName)
    /// No space, nothing was promised.
    case noSpace
    /// The medium, the store's features or an earlier failure allow reading only.
    case readOnly(reason: String)
    /// Packs that the newest checkpoint lists are missing or shorter than they were.
    case lostPacks([PackID])
    /// Valid records lie behind a damaged one in the log: fsck has to look first.
    case damagedLog(pack: PackID, offset: UInt64)
    /// The draft takes more bytes than a record may have: to be committed in parts. Nothing was
    /// committed, and the store goes on.
    case commitTooLong(bytes: Int)
    /// The store has `SnapshotImage.countMax` snapshots already. Nothing was committed.
    case tooManySnapshots
    /// No commit can be found: the store was never finished, or lost its packs.
    case noCommit
    case hashing(HashingError)
    case superChunk(SuperChunkError)
    /// No thread could be started.
    case threads(code: Int32)
}
