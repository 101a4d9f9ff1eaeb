// The result of a whole check.
import DiskFormat

/// Everything that a check found, and how much there is of everything.
public struct CheckReport: Equatable, Sendable {
    public struct Volume: Equatable, Sendable {
        public var id: UniqueID
        public var name: String
        public var files: UInt64 = 0
        /// The root directory included.
        public var directories: UInt64 = 0
        public var others: UInt64 = 0
        /// Sum of the sizes of regular files, each once however many names it has.
        public var logicalBytes: UInt64 = 0
        /// Inodes that have or had several names.
        public var linkedInodes: UInt64 = 0
        /// Unlinked, but open when the newest commit was made.
        public var orphans: UInt64 = 0
    }

    public struct Summary: Equatable, Sendable {
        public var storeID: UniqueID
        public var depth: CheckDepth
        public var packs = 0
        public var packBytes: UInt64 = 0
        public var records: UInt64 = 0
        public var commits: UInt64 = 0
        /// The newest commit that counts, and how many follow the newest checkpoint.
        public var epoch: UInt64 = 0
        public var sequence: UInt64 = 0
        public var commitsToReplay: UInt64 = 0
        /// Copies of chunks, and chunks.
        public var chunkCopies: UInt64 = 0
        public var chunks: UInt64 = 0
        /// Raw bytes of all chunks, each once; and of those that the newest state and the newest
        /// checkpoint do not need.
        public var chunkBytes: UInt64 = 0
        public var unownedChunks: UInt64 = 0
        public var unownedBytes: UInt64 = 0
        /// Recipe and tree nodes in use that have one intact copy, though the store keeps two.
        public var singleCopyNodes: UInt64 = 0
        /// Bytes of the bodies whose checksums were verified.
        public var verifiedBytes: UInt64 = 0
        public var volumes: [Volume] = []
    }

    public var summary: Summary
    /// In the order of severity, the worst first.
    public var problems: [Problem]
    /// Problems that are not listed, because there were too many.
    public var problemsNotListed: UInt64

    /// The worst that was found; nil where there is nothing to tell at all.
    public var worst: Problem.Severity? { problems.map(\.severity).max() }
}
