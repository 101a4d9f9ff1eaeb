/// # Restoring: files of a volume or snapshot, written into a directory
///
/// Purpose: makes what lies below a path of a volume again in a directory of any filesystem, with
/// everything that belongs to it: bytes, holes, owners, modes, times, extended attributes, access
/// lists, hard links, devices. A repeated run does only what is missing.
///
/// Words: the *source* is a volume or snapshot, read and verified by `Checking`'s reader; the
/// *destination* is the directory. A file is *right* where size and time of its last change are
/// those of the source (or, on request, each byte).
///
/// Invariants:
/// 1. A name of the destination has the old file or the whole new one: what is new is written under
///    another name, with all its attributes but its time, and renamed when its source has been read
///    to the end. It gets its time when it is on the medium: after a power cut nothing is right that
///    is not whole.
/// 2. Nothing is deleted, unless it is asked for, and then only after everything else was restored
///    without a failure. Own unfinished files (`partialName`) are the exception.
/// 3. No symbolic link of the destination is followed, also not one that appears meanwhile: every
///    name is reached from the descriptor of its directory.
/// 4. Bits of privilege (setuid, setgid) are given only to files whose owner is the source's.
/// 5. What fails is told, with its path, and passed over; a medium without room ends it.
///
/// Threads: one at a time. One run for a destination: a lock on the directory keeps others away.
import DiskFormat
import Platform
import Trees

/// What becomes of files that are there already.
public enum RestoreOverwriting: String, CaseIterable, Sendable {
    /// Those that are not right are replaced.
    case ifChanged = "if-changed"
    /// Those that were changed before the source's are replaced; newer ones stay.
    case ifNewer = "if-newer"
    /// All are replaced.
    case always
    /// All stay as they are.
    case never
}

/// How a restore is to be done.
public struct RestoreOptions: Sendable {
    public var overwriting = RestoreOverwriting.ifChanged
    /// Nothing is written: events tell what would be done.
    public var isDryRun = false
    /// Content is compared byte by byte: of what is right before it is passed over, and of what was
    /// written, read from the medium again.
    public var verifies = false
    /// What the source does not have is deleted in the end (invariant 2).
    public var deletes = false
    /// What was written is made durable, with all else on the destination's filesystem: now and
    /// then, and in the end. Without, a power cut may leave files that look right and are not.
    public var synchronizes = true
    /// Owners, devices and attributes that only root may set are set; others are not tried.
    public var isPrivileged = true

    public init() {}
}

/// What became of one name.
public enum RestoreOutcome: String, CaseIterable, Sendable {
    case made
    case replaced
    /// Its content was right; attributes were set.
    case attributes
    /// It was right as it was.
    case same
    /// It differs, and was left as the options say.
    case kept
    case deleted
}

/// Why something could not be restored.
public enum RestoreError: Error, Sendable {
    /// The source cannot be read.
    case source(TreeError)
    /// The system refused.
    case system(Errno, call: String)
    /// Something of another kind is there, and one of the two is a directory.
    case inTheWay
    /// What was read from the medium again is not what was written.
    case notWhatWasWritten
    /// A name that no directory can have, which is damage.
    case badName
    /// Another restore into the same directory is running.
    case busy
    case cancelled

    /// Whether going on makes no sense.
    var endsAll: Bool {
        switch self {
        case .system(let code, let call):
            // An attribute that is too long for the filesystem is refused in the same words.
            call == "syncfs"
                || call != "setxattr" && [.noSpace, .readOnlyFileSystem].contains(code)
        case .cancelled, .busy: true
        case .source, .inTheWay, .notWhatWasWritten, .badName: false
        }
    }
}

/// What has been done.
public struct RestoreSummary: Sendable {
    public var outcomes: [RestoreOutcome: UInt64] = [:]
    /// Of content, as read from the source.
    public var writtenBytes: UInt64 = 0
    /// The sizes of files that are done.
    public var doneBytes: UInt64 = 0
    /// Names that could not be restored, or not with all their attributes.
    public var failureCount: UInt64 = 0
    /// Those of them whose source cannot be read.
    public var damagedCount: UInt64 = 0
    /// Names whose owner could not be the source's, since only root may give files away.
    public var otherOwnerCount: UInt64 = 0
    /// Second names that are files of their own now, since the destination has no such links.
    public var copiedLinkCount: UInt64 = 0

    public init() {}

    public subscript(outcome: RestoreOutcome) -> UInt64 { outcomes[outcome] ?? 0 }
}

/// What a restore tells while it works.
public enum RestoreEvent: Sendable {
    /// - path: below the destination, without a leading slash; empty for itself.
    case done(RestoreOutcome, path: [UInt8])
    case failed(RestoreError, path: [UInt8])
    /// So many bytes of content were passed over or written so far.
    case progressed(doneBytes: UInt64)
}
