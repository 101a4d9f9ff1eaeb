import DiskFormat

/// Files of any of several snapshots, each version of a path with the snapshots that have it.
///
/// The first snapshot is walked; of each other one only what differs from the one before is looked at,
/// so that equal trees are walked once. Memory: the files that are found. A value of one thread.
public struct AllSnapshots {
    /// A file that some snapshots have alike.
    public struct Hit: Equatable, Sendable {
        public var file: FoundFile
        /// The positions of the first and the last of them: a version ends for good.
        public var snapshots: ClosedRange<Int>
    }

    private let matches: (FoundFile) -> Bool
    private var hits: [Hit] = []
    /// Positions in `hits` of what the last snapshot has, by path.
    private var current: [[UInt8]: Int] = [:]
    /// Of the snapshot that was taken last.
    private var position = 0

    public init(where matches: @escaping (FoundFile) -> Bool) {
        self.matches = matches
    }

    /// Takes a file of the first snapshot.
    public mutating func take(_ file: FoundFile) {
        guard matches(file) else { return }
        current[file.path] = hits.count
        hits.append(Hit(file: file, snapshots: 0...0))
    }

    /// Takes what the next snapshot has different from the one before, in any order.
    public mutating func takeNext<Failure: Error>(
        _ differences: () throws(Failure) -> FileDifference?
    ) throws(Failure) {
        position += 1
        while let difference = try differences() {
            end(difference.path)
            guard let new = difference.new else { continue }
            let file = FoundFile(path: difference.path, image: new)
            guard matches(file) else { continue }
            current[difference.path] = hits.count
            hits.append(Hit(file: file, snapshots: position...position))
        }
    }

    /// The snapshot before was the last to have it.
    private mutating func end(_ path: [UInt8]) {
        guard let index = current.removeValue(forKey: path) else { return }
        hits[index].snapshots = hits[index].snapshots.lowerBound...(position - 1)
    }

    /// All that was found in the snapshots taken so far, in the order of paths, and of one path from the oldest to the newest.
    public var found: [Hit] {
        var hits = hits
        for index in current.values {
            hits[index].snapshots = hits[index].snapshots.lowerBound...position
        }
        return hits.sorted { a, b in
            a.file.path != b.file.path
                ? a.file.path.lexicographicallyPrecedes(b.file.path)
                : a.snapshots.lowerBound < b.snapshots.lowerBound
        }
    }
}
