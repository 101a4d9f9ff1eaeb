import DiskFormat

/// The versions of one path over snapshots in their order: a value, any thread.
public struct PathHistory: Sendable {
    /// What a path was in neighbouring snapshots.
    public struct Version: Equatable, Sendable {
        /// nil: there was nothing.
        public var image: InodeImage?
        /// What is not as in the version before; empty for the first, and where something came or went.
        public var aspects: FileDifference.Aspects
        /// The positions of the first and the last snapshot that have it.
        public var snapshots: ClosedRange<Int>
    }

    private let wanted: FileDifference.Aspects
    private var count = 0
    public private(set) var versions: [Version] = []

    /// - Parameter wanted: what makes another version.
    public init(wanted: FileDifference.Aspects = .all) {
        self.wanted = wanted
    }

    /// Takes what the next snapshot has at the path, and what of it is not as in the one before.
    public mutating func take(_ image: InodeImage?, aspects: FileDifference.Aspects) {
        defer { count += 1 }
        let changed = aspects.intersection(wanted)
        if let last = versions.last, (last.image == nil) == (image == nil), changed.isEmpty {
            versions[versions.count - 1].snapshots = last.snapshots.lowerBound...count
            return
        }
        versions.append(
            Version(
                image: image, aspects: versions.last?.image == nil ? [] : changed,
                snapshots: count...count))
    }
}
