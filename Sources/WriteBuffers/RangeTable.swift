/// One stretch of the file about which one thing is known.
struct BufferedRange {
    enum Source {
        /// In a block, from this byte of it on.
        case bytes(Block, at: Int)
        case hole
        case zeros
    }

    var start: UInt64
    /// In bytes, more than 0.
    var length: UInt64
    var source: Source

    var end: UInt64 { start + length }
    var range: Range<UInt64> { start..<end }

    /// Whether two that touch are one.
    func isJoined(with other: BufferedRange) -> Bool {
        switch (source, other.source) {
        case (.hole, .hole), (.zeros, .zeros): true
        default: false
        }
    }

    /// The part of it in `part`, which lies within it and is not empty.
    func clipped(to part: Range<UInt64>) -> BufferedRange {
        assert(part.lowerBound >= start && part.upperBound <= end && !part.isEmpty)
        var result = self
        result.start = part.lowerBound
        result.length = part.upperBound - part.lowerBound
        if case .bytes(let block, let at) = source {
            result.source = .bytes(block, at: at + Int(part.lowerBound - start))
        }
        return result
    }
}

/// Ranges in ascending order, apart: an array of leaves of bounded length, so that putting one in
/// moves a leaf's entries and now and then the list of leaves, never everything.
///
/// Invariants: no leaf is empty or longer than `leafRangesMax`; an index that is not `endIndex`
/// names an entry. Indices are good until the next insertion or removal.
struct RangeTable {
    struct Index: Equatable {
        var leaf: Int
        var slot: Int
    }

    static let leafRangesMax = 256

    private(set) var leaves: [[BufferedRange]] = []
    private(set) var count = 0

    var first: BufferedRange? { leaves.first?.first }
    var last: BufferedRange? { leaves.last?.last }
    var endIndex: Index { Index(leaf: leaves.count, slot: 0) }

    subscript(index: Index) -> BufferedRange {
        get { leaves[index.leaf][index.slot] }
        set { leaves[index.leaf][index.slot] = newValue }
        _modify { yield &leaves[index.leaf][index.slot] }
    }

    /// The first range that ends behind `offset`. Two binary searches.
    func index(endingAfter offset: UInt64) -> Index {
        var low = 0
        var high = leaves.count
        while low < high {
            let middle = (low + high) / 2
            if leaves[middle][leaves[middle].count - 1].end > offset {
                high = middle
            } else {
                low = middle + 1
            }
        }
        let leaf = low
        guard leaf < leaves.count else { return endIndex }
        low = 0
        high = leaves[leaf].count - 1
        while low < high {
            let middle = (low + high) / 2
            if leaves[leaf][middle].end > offset { high = middle } else { low = middle + 1 }
        }
        return Index(leaf: leaf, slot: low)
    }

    func index(after index: Index) -> Index {
        index.slot + 1 < leaves[index.leaf].count
            ? Index(leaf: index.leaf, slot: index.slot + 1) : Index(leaf: index.leaf + 1, slot: 0)
    }

    /// nil for the first.
    func index(before index: Index) -> Index? {
        if index.slot > 0 { return Index(leaf: index.leaf, slot: index.slot - 1) }
        guard index.leaf > 0 else { return nil }
        return Index(leaf: index.leaf - 1, slot: leaves[index.leaf - 1].count - 1)
    }

    /// Puts `range` before the one at `index`.
    mutating func insert(_ range: BufferedRange, at index: Index) {
        count += 1
        var leaf = index.leaf
        var slot = index.slot
        if slot == 0, leaf > 0 {
            // Behind the leaf before: a stream of appends fills leaves to the brim.
            if leaves[leaf - 1].count < RangeTable.leafRangesMax {
                leaves[leaf - 1].append(range)
                return
            }
            if leaf == leaves.count {
                leaves.append([range])
                return
            }
        } else if leaves.isEmpty {
            leaves.append([range])
            return
        }
        if leaves[leaf].count == RangeTable.leafRangesMax {
            let half = RangeTable.leafRangesMax / 2
            leaves.insert(Array(leaves[leaf][half...]), at: leaf + 1)
            leaves[leaf].removeSubrange(half...)
            if slot > half {
                leaf += 1
                slot -= half
            }
        }
        leaves[leaf].insert(range, at: slot)
    }

    /// Takes the range at `index` out; returns the index of the one that followed.
    mutating func remove(at index: Index) -> Index {
        count -= 1
        leaves[index.leaf].remove(at: index.slot)
        if leaves[index.leaf].isEmpty {
            leaves.remove(at: index.leaf)
            return Index(leaf: index.leaf, slot: 0)
        }
        return index.slot < leaves[index.leaf].count
            ? index : Index(leaf: index.leaf + 1, slot: 0)
    }

    func forEach(_ body: (BufferedRange) -> Void) {
        for leaf in leaves {
            for range in leaf { body(range) }
        }
    }
}
