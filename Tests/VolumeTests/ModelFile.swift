// A file's content as the model keeps it: bytes, and which of them are not holes.

/// Ranges of integers, ascending, apart and not touching.
struct RangeList: Equatable {
    private(set) var ranges: [Range<Int>] = []

    var count: Int { ranges.reduce(0) { $0 + $1.count } }

    mutating func insert(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        var new = range
        ranges.removeAll { old in
            guard old.lowerBound <= new.upperBound, new.lowerBound <= old.upperBound else {
                return false
            }
            new = min(new.lowerBound, old.lowerBound)..<max(new.upperBound, old.upperBound)
            return true
        }
        ranges.append(new)
        ranges.sort { $0.lowerBound < $1.lowerBound }
    }

    mutating func remove(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        ranges = ranges.flatMap { old -> [Range<Int>] in
            guard old.overlaps(range) else { return [old] }
            return [
                old.lowerBound..<max(old.lowerBound, range.lowerBound),
                min(old.upperBound, range.upperBound)..<old.upperBound,
            ].filter { !$0.isEmpty }
        }
    }

    /// The first member at or behind `position`.
    func next(from position: Int) -> Int? {
        ranges.first { $0.upperBound > position }.map { max($0.lowerBound, position) }
    }

    /// The first integer at or behind `position` that is no member.
    func nextGap(from position: Int) -> Int {
        ranges.first { $0.contains(position) }?.upperBound ?? position
    }
}

/// A file's content. A value: copies remember a moment.
struct ModelFile: Equatable {
    private(set) var bytes: [UInt8] = []
    private(set) var allocated = RangeList()

    var size: Int { bytes.count }

    mutating func write(_ new: [UInt8], at offset: Int) {
        guard !new.isEmpty else { return }
        grow(to: offset + new.count)
        bytes.replaceSubrange(offset..<offset + new.count, with: new)
        allocated.insert(offset..<offset + new.count)
    }

    private mutating func grow(to size: Int) {
        if size > bytes.count {
            bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
        }
    }

    mutating func resize(to size: Int) {
        if size < bytes.count {
            allocated.remove(size..<bytes.count)
            bytes.removeSubrange(size...)
        } else {
            grow(to: size)
        }
    }

    mutating func punch(_ range: Range<Int>) {
        let range = range.clamped(to: 0..<bytes.count)
        zero(range)
        allocated.remove(range)
    }

    mutating func zeroRange(_ range: Range<Int>, keepsSize: Bool) {
        if !keepsSize { grow(to: range.upperBound) }
        let range = range.clamped(to: 0..<bytes.count)
        zero(range)
        allocated.insert(range)
    }

    mutating func reserve(_ range: Range<Int>, keepsSize: Bool) {
        if !keepsSize { grow(to: range.upperBound) }
        allocated.insert(range.clamped(to: 0..<bytes.count))
    }

    /// As found by asking: where the model does not say which bytes are holes.
    mutating func setAllocated(_ list: RangeList) {
        allocated = list
    }

    private mutating func zero(_ range: Range<Int>) {
        bytes.replaceSubrange(range, with: repeatElement(0, count: range.count))
    }

    func slice(at offset: Int, count: Int) -> [UInt8] {
        guard offset < bytes.count else { return [] }
        return Array(bytes[offset..<min(bytes.count, offset + count)])
    }
}
