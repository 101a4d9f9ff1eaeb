import DiskFormat

/// By what regular files are ranked.
public enum FileRank: String, CaseIterable, Sendable {
    case largest, newest, oldest

    /// Whether `a` comes before `b`; where nothing tells them apart, the paths do.
    public func orders(_ a: FoundFile, before b: FoundFile) -> Bool {
        switch self {
        case .largest:
            if a.image.size != b.image.size { return a.image.size > b.image.size }
        case .newest:
            if a.image.modificationTime != b.image.modificationTime {
                return b.image.modificationTime < a.image.modificationTime
            }
        case .oldest:
            if a.image.modificationTime != b.image.modificationTime {
                return a.image.modificationTime < b.image.modificationTime
            }
        }
        return a.path.lexicographicallyPrecedes(b.path)
    }
}

/// The first of many, by a rank, in memory for so many. A value of one thread.
public struct TopFiles {
    private let rank: FileRank
    private let limit: Int
    /// A heap whose first element is the last in rank.
    private var heap: [FoundFile] = []

    /// - Parameter limit: how many are kept, at least 1.
    public init(_ rank: FileRank, limit: Int) {
        self.rank = rank
        self.limit = max(1, limit)
    }

    /// Takes a file; all but regular ones are passed over.
    public mutating func take(_ file: FoundFile) {
        guard file.image.mode >> 12 == 8 else { return }
        if heap.count < limit {
            heap.append(file)
            rise(heap.count - 1)
        } else if rank.orders(file, before: heap[0]) {
            heap[0] = file
            sink()
        }
    }

    /// In rank.
    public var files: [FoundFile] { heap.sorted { rank.orders($0, before: $1) } }

    private func isWorse(_ a: Int, _ b: Int) -> Bool { rank.orders(heap[b], before: heap[a]) }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0, isWorse(index, (index - 1) / 2) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func sink() {
        var index = 0
        while true {
            var worst = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && isWorse(child, worst) {
                worst = child
            }
            guard worst != index else { return }
            heap.swapAt(index, worst)
            index = worst
        }
    }
}
