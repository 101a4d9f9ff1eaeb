// What a repair did, as plain values: a program turns them into text or JSON.
import Checking
import DiskFormat

/// One thing that a repair did.
public struct RepairAction: Equatable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        /// Pack files got the names that their headers say.
        case packsRenamed
        /// What an unclean end left: commits replayed, packs sealed, a checkpoint written.
        case logCompleted
        /// The index was made anew; all counts with it.
        case indexRebuilt
        /// Packs that are gone or too short are not expected any more.
        case packsForgotten
        /// Commits behind a damaged one were given up: `paths` are what they changed.
        case commitsLost
        /// All trees of the volumes were written anew; `detail` tells what was put right.
        case treesWritten
        /// Files and directories whose place was lost are in `lost+found`: `paths` are the new
        /// ones.
        case entriesRecovered
        /// Names that led to nothing are gone: `paths`.
        case namesDropped
        /// Content is lost and accepted as lost: `chunks`; the files, `paths`, stay, and reading
        /// these parts of them is an error.
        case chunksLost
        /// Copies of packs were put aside, `detail` says where; remove them when they are of no use
        /// any more.
        case packsPutAside
        /// What is intact in damaged packs was copied to new ones, and they were deleted.
        case packsRewritten
        /// Damaged packs stay for want of space.
        case packsKept
    }

    public var kind: Kind
    public var detail: String
    /// How many of whatever the kind is about.
    public var count: UInt64
    public var packs: [PackID] = []
    public var chunks: [ChunkName] = []
    /// The first of them, at most `pathsMax`; `count` counts all.
    public var paths: [Problem.Path] = []

    /// Paths listed with one action.
    public static let pathsMax = 100
}

/// What a repair found, did, and left.
public struct RepairReport: Equatable, Sendable {
    /// The check before anything was changed.
    public var before: CheckReport
    /// In the order in which it was done; empty where there was nothing to do.
    public var actions: [RepairAction] = []
    /// The check afterwards; equal to `before` where nothing was done.
    public var after: CheckReport

    /// Whether nothing is left that is more than information.
    public var isClean: Bool { (after.worst ?? .information) <= .information }
    /// Whether anything was wrong: more than what every unclean end leaves.
    public var hadErrors: Bool { (before.worst ?? .information) > .information }
}

/// How a store is to be repaired.
public struct RepairOptions: Sendable {
    /// How much is read to find damage, before and after.
    public var depth: CheckDepth = .full

    public init(depth: CheckDepth = .full) {
        self.depth = depth
    }
}
