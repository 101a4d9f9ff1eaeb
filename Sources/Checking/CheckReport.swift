// The result of a whole check.
import DiskFormat

/// Everything that a check found, and how much there is of everything.
public struct CheckReport: Equatable, Sendable {
    /// What a volume holds at the newest commit.
    public struct Volume: Equatable, Sendable {
        public var id: UniqueID
        public var name: String
        /// Regular files, each once however many names it has.
        public var files: UInt64 = 0
        /// The root directory included.
        public var directories: UInt64 = 0
        /// Symbolic links, devices, pipes and sockets.
        public var others: UInt64 = 0
        /// Sum of the sizes of regular files, each once however many names it has.
        public var logicalBytes: UInt64 = 0
        /// Inodes that have or had several names.
        public var linkedInodes: UInt64 = 0
        /// Unlinked, but open when the newest commit was made.
        public var orphans: UInt64 = 0
    }

    /// How much there is of everything.
    public struct Summary: Equatable, Sendable {
        public var storeID: UniqueID
        public var depth: CheckDepth
        /// Packs that can be read, and their bytes.
        public var packs = 0
        public var packBytes: UInt64 = 0
        /// Records with a valid header, and commits with an intact body among them.
        public var records: UInt64 = 0
        public var commits: UInt64 = 0
        /// The newest commit that counts, and how many follow the newest checkpoint.
        public var epoch: UInt64 = 0
        public var sequence: UInt64 = 0
        public var commitsToReplay: UInt64 = 0
        /// Copies of chunks, and chunks.
        public var chunkCopies: UInt64 = 0
        public var chunks: UInt64 = 0
        /// Raw bytes of all chunks, each once; and of those that neither the newest state nor a tree
        /// node of the newest checkpoint needs.
        public var chunkBytes: UInt64 = 0
        public var unownedChunks: UInt64 = 0
        public var unownedBytes: UInt64 = 0
        /// Recipe and tree nodes in use that have one intact copy, though the store keeps two.
        public var singleCopyNodes: UInt64 = 0
        /// Bytes of the bodies whose checksums were verified.
        public var verifiedBytes: UInt64 = 0
        /// By name; those whose root cannot be read are not among them.
        public var volumes: [Volume] = []
        /// Snapshots of all volumes, and the tree nodes that they consist of, each once.
        public var snapshots: UInt64 = 0
        public var snapshotNodes: UInt64 = 0
    }

    /// A chunk in use of which no copy can be read.
    public struct LostChunk: Equatable, Sendable {
        public var name: ChunkName
        /// Whether a commit lists it as lost: then it is no news.
        public var isKnown: Bool
    }

    public var summary: Summary
    /// By name; as far as the check's depth shows.
    public var lostChunks: [LostChunk] = []
    /// Valid commits that cannot be reached, since one before them is damaged.
    public var unreachableCommits = 0
    /// Whether some directory, table of linked inodes or root of the newest state could not be read
    /// whole.
    public var hasUnreadableTrees = false
    /// In the order of severity, the worst first.
    public var problems: [Problem]
    /// Problems that are not listed, because there were too many.
    public var problemsNotListed: UInt64

    /// The worst that was found; nil where there is nothing to tell at all.
    public var worst: Problem.Severity? { problems.map(\.severity).max() }
}
