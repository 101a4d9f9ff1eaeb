/// # Repair: what fsck does about what it finds
///
/// Purpose: rebuilds, repairs, purges and heals a store that nobody else has open. `Checking` finds
/// and names what is wrong, without a line of the code that wrote it; this module does something
/// about it, with the store engine, and then lets the checker look again.
///
///     rebuild   the index is thrown away and made anew from the packs
///     repair    everything that can be put right without help from outside
///     purge     what nobody owns is removed, and its space given back to the medium
///     heal      chunks that are lost are looked for in files and packs elsewhere
///
/// Words: a chunk is *lost* when it is in use and no copy of it can be verified. It is *known to be
/// lost* once a commit lists it (`Commit.lostChunks`): a check then tells of it as information, and
/// reading it is EIO as before; it is never made up, and never zeros. Every checkpoint repeats the
/// list, so it outlives the index; what is laid anew, or owned by nobody, leaves it. A pack is
/// *put aside* when a copy of its file is kept under `quarantine/` in the store, where nothing
/// reads it but `heal` and people.
///
/// Invariants:
/// 1. Nothing that can be read is lost, and nothing that cannot be read is deleted: what is taken
///    out of a pack that has lost content in it, or cut off behind a damaged log, is put aside
///    first, and named in the report.
/// 2. Safe to interrupt at any write: each step is a commit of the engine, or leaves a store that
///    the next run of the same function puts right.
/// 3. What was repaired is checked again; the report has both checks. A second run finds nothing to
///    do.
/// 4. Packs are deleted by the engine's rule alone (DESIGN §5.4): condemned by a durable commit,
///    and needed by neither of the last two checkpoints.
///
/// Threads: one call at a time for a store, on any thread; the caller holds the store's lock.
import Backends
import Checking
import DiskFormat
import FileModel
import Metadata
import Pipeline
import Volume

/// A store that is to be put right. The caller holds its lock, and nobody else has it open.
public struct StoreToRepair: Sendable {
    public var backend: any Backend
    public var index: any IndexProvider
    /// The store's directory, so that it is not taken for a source of what it has lost itself; nil
    /// where it is in none.
    public var path: String?
    /// Bytes of memory for caches, as `StoreOptions.memoryBytes`.
    public var memoryBytes = 256 << 20

    public init(backend: any Backend, index: any IndexProvider, path: String? = nil) {
        self.backend = backend
        self.index = index
        self.path = path
    }
}

/// Why something could not be put right. What is merely damaged is in a report instead.
public enum RepairError: Error {
    case checking(CheckingError)
    case store(StoreError)
    case backend(BackendError)
    case index(MetadataError)
    /// A volume could not be opened or committed.
    case volume(FileError)
    /// `RepairMonitor.isCancelled` said so: everything up to then is done, nothing is half done.
    case cancelled
    /// The store is read-only for a reason that repairing does not change; the text names it.
    case readOnly(reason: String)
}

/// How a repair tells of its progress and is told to stop. Called on the repair's thread.
public struct RepairMonitor {
    public enum Stage: String, Sendable {
        /// Of `Checking`; done and total are its own.
        case checking
        /// Index and packs are brought to agree; not to be cancelled. Of unknown length: 0 of 0.
        case opening
        /// Trees are written anew: inodes.
        case writing
        /// Packs are emptied: bytes.
        case moving
        /// Packs are copied to be put aside: bytes.
        case copying
        /// Files and packs are searched: bytes read, of unknown total.
        case searching
    }

    /// The stage, and how much of it is done.
    public var progress: (_ stage: Stage, _ done: UInt64, _ total: UInt64) -> Void
    /// Asked often; true ends the work with `RepairError.cancelled` at the next safe moment.
    public var isCancelled: () -> Bool
    /// Told what the store tells, for logs.
    public var onEvent: @Sendable (StoreEvent) -> Void

    public init(
        progress: @escaping (_ stage: Stage, _ done: UInt64, _ total: UInt64) -> Void = {
            _, _, _ in
        },
        isCancelled: @escaping () -> Bool = { false },
        onEvent: @escaping @Sendable (StoreEvent) -> Void = { _ in }
    ) {
        self.progress = progress
        self.isCancelled = isCancelled
        self.onEvent = onEvent
    }

    func step(_ stage: Stage, _ done: UInt64, _ total: UInt64) throws(RepairError) {
        if isCancelled() { throw .cancelled }
        progress(stage, done, total)
    }
}

/// The functions of this module; see its head.
public enum StoreRepair {}
