/// # WriteBuffers: the changes of a file's content that are not stored yet
///
/// Purpose: keeps, in memory, the bytes that were written and the ranges that became holes or
/// allocated zeros. Pure logic: no I/O, no clock.
///
/// Words: a *range* is a stretch of the file about which one thing is known; a *block* is the
/// memory that written bytes lie in; a *gap* is what nothing is known about (there the stored
/// content counts).
///
/// Invariants:
/// 1. Ranges are ascending, apart and not empty; neighbouring holes are one, so are zeros.
/// 2. Later changes win over earlier ones; what lies in memory once is overwritten in place.
/// 3. No two ranges use the same byte of a block; a block goes when its last range goes.
/// 4. `byteCount` counts each block once, by what was allocated for it.
///
/// Threads: a value of one owner, guarded by the owner's lock; pointers handed to `forEach` are
/// valid within the call only.

/// The not yet stored changes of one file.
public struct DirtyRanges: ~Copyable {
    /// What a cleared range becomes.
    public enum Clearing: Equatable, Sendable {
        /// Never written: SEEK_DATA passes over it.
        case hole
        /// Allocated, and zero.
        case zeros
    }

    /// What is known about a range.
    public enum Piece {
        /// The bytes, as many as the range is long; valid within the call only.
        case bytes(UnsafeRawBufferPointer)
        case hole
        case zeros
    }

    /// Longest block. A stream of bytes is kept in blocks of this size.
    public static let blockBytesMax = 1 << 20
    /// Shortest block: what a file of a few bytes costs.
    static let blockBytesMin = 512
    /// Counted for each range beside its block: its entry, the block's object, slack.
    static let rangeOverheadBytes = 96
    /// Offsets and ends are at most this (off_t).
    static let offsetMax = UInt64(Int64.max)

    var table = RangeTable()
    private var blockBytes = 0

    public init() {}

    /// Nothing is known: the stored content counts everywhere.
    public var isEmpty: Bool { table.count == 0 }

    /// Memory to account for, in bytes: what was allocated, not only what is used.
    public var byteCount: Int { blockBytes + table.count * DirtyRanges.rangeOverheadBytes }

    /// How many ranges are kept: a measure of the work that `forEach` over everything is.
    public var rangeCount: Int { table.count }

    /// From the first byte known to behind the last, gaps between included; nil when empty.
    public var extent: Range<UInt64>? {
        guard let first = table.first, let last = table.last else { return nil }
        return first.start..<last.end
    }

    /// Copies `bytes` in at byte `offset` of the file; `offset + bytes.count` must be an off_t.
    ///
    /// Costs the copy and O(log ranges): bytes over bytes are replaced in place, bytes behind bytes
    /// go on in their block, which grows geometrically to `blockBytesMax`.
    public mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
        precondition(
            offset <= DirtyRanges.offsetMax
                && UInt64(bytes.count) <= DirtyRanges.offsetMax - offset,
            "a write ends behind the largest file")
        var rest = bytes[...]
        var position = offset
        while !rest.isEmpty {
            let input = UnsafeRawBufferPointer(rebasing: rest)
            var taken = overwrite(input, at: position)
            if taken == 0 {
                let free = freeBytes(at: position, limit: input.count)
                taken = add(UnsafeRawBufferPointer(rebasing: input[..<free]), at: position)
            }
            rest = rest.dropFirst(taken)
            position += UInt64(taken)
        }
    }

    /// Forgets what was buffered in `range` and remembers that it is a hole, or allocated zeros.
    public mutating func clear(_ range: Range<UInt64>, as clearing: Clearing) {
        precondition(range.upperBound <= DirtyRanges.offsetMax, "behind the largest file")
        guard !range.isEmpty else { return }
        carve(range)
        insert(
            BufferedRange(
                start: range.lowerBound, length: range.upperBound - range.lowerBound,
                source: clearing == .hole ? .hole : .zeros))
    }

    /// Forgets everything at and behind byte `size`. That the file ends there, and what an older,
    /// longer content has there, is for the owner to remember.
    public mutating func truncate(to size: UInt64) {
        carve(size..<UInt64.max)
    }

    /// Forgets everything before byte `offset`: it is stored now.
    public mutating func discard(below offset: UInt64) {
        carve(0..<offset)
    }

    /// Forgets everything.
    public mutating func removeAll() {
        table = RangeTable()
        blockBytes = 0
    }

    /// Gives everything away and is empty then: to store it while new changes come in.
    public mutating func takeAll() -> DirtyRanges {
        var taken = DirtyRanges()
        swap(&self, &taken)
        return taken
    }

    /// Takes over what `older` knows and this does not: gives back, beneath later changes, what was
    /// taken away to be stored and was not. O(ranges of `older` · log ranges).
    public mutating func merge(under older: consuming DirtyRanges) {
        if isEmpty {
            self = older
            return
        }
        var adopted: [BufferedRange] = []
        adopted.reserveCapacity(older.table.count)
        older.table.forEach { range in
            if case .bytes(let block, _) = range.source { block.useCount = 0 }
            adopted.append(range)
        }
        older.removeAll()
        for range in adopted { adopt(range) }
    }
}

// MARK: - Reading

extension DirtyRanges {
    /// Visits what is known within `range`, ascending and clipped to it; gaps are passed over. A
    /// long stretch of bytes may come in several pieces, one for each block.
    public func forEach<Failure: Error>(
        in range: Range<UInt64>, _ body: (Range<UInt64>, Piece) throws(Failure) -> Void
    ) throws(Failure) {
        guard !range.isEmpty else { return }
        var index = table.index(endingAfter: range.lowerBound)
        while index != table.endIndex {
            let known = table[index]
            guard known.start < range.upperBound else { return }
            let clipped = known.range.clamped(to: range)
            switch known.source {
            case .bytes(let block, let at):
                let from = at + Int(clipped.lowerBound - known.start)
                let count = Int(clipped.upperBound - clipped.lowerBound)
                let bytes = UnsafeRawBufferPointer(start: block.base + from, count: count)
                try body(clipped, .bytes(bytes))
            case .hole: try body(clipped, .hole)
            case .zeros: try body(clipped, .zeros)
            }
            index = table.index(after: index)
        }
    }

    /// The first range that ends behind `offset`, from `offset` on where it began before; nil where
    /// nothing is known from there on. Ranges that touch it are not joined.
    public func firstRange(from offset: UInt64) -> Range<UInt64>? {
        let index = table.index(endingAfter: offset)
        guard index != table.endIndex else { return nil }
        let known = table[index].range
        return max(known.lowerBound, offset)..<known.upperBound
    }

    /// How many bytes are buffered as data from `offset` on without a gap, hole or zeros between.
    public func contiguousBytes(from offset: UInt64) -> Int {
        var index = table.index(endingAfter: offset)
        var end = offset
        while index != table.endIndex {
            let known = table[index]
            guard known.start <= end, case .bytes = known.source else { break }
            end = known.end
            index = table.index(after: index)
        }
        return Int(end - offset)
    }
}

// MARK: - Parts of an edit

extension DirtyRanges {
    /// Replaces bytes that are buffered at `position`; returns how many, 0 where there are none.
    private mutating func overwrite(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Int {
        let index = table.index(endingAfter: position)
        guard index != table.endIndex else { return 0 }
        let known = table[index]
        guard known.start <= position, case .bytes(let block, let at) = known.source else {
            return 0
        }
        let count = min(bytes.count, Int(known.end - position))
        block.copy(bytes, count, to: at + Int(position - known.start))
        return count
    }

    /// Clears holes and zeros away from `position` to the next buffered bytes, at most `limit`
    /// bytes; returns how far that is. There are no bytes at `position`.
    private mutating func freeBytes(at position: UInt64, limit: Int) -> Int {
        var end = position + UInt64(limit)
        var index = table.index(endingAfter: position)
        var isOccupied = false
        while index != table.endIndex, table[index].start < end {
            if case .bytes = table[index].source {
                end = table[index].start
                break
            }
            isOccupied = true
            index = table.index(after: index)
        }
        if isOccupied { carve(position..<end) }
        return Int(end - position)
    }

    /// Adds bytes where nothing is known; returns how many of them: as many as the block takes.
    private mutating func add(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Int {
        let index = table.index(endingAfter: position)
        var isStream = false
        if let before = table.index(before: index), table[before].end == position,
            case .bytes(let block, let at) = table[before].source
        {
            let end = at + Int(table[before].length)
            if end == block.filledBytes, end < DirtyRanges.blockBytesMax {
                let count = min(bytes.count, DirtyRanges.blockBytesMax - end)
                blockBytes -= block.capacityBytes
                block.append(bytes, count)
                blockBytes += block.capacityBytes
                table[before].length += UInt64(count)
                return count
            }
            isStream = block.capacityBytes >= DirtyRanges.blockBytesMax
        }
        let count = min(bytes.count, DirtyRanges.blockBytesMax)
        let block = Block(capacityBytes: isStream ? DirtyRanges.blockBytesMax : count)
        block.append(bytes, count)
        use(block)
        table.insert(
            BufferedRange(start: position, length: UInt64(count), source: .bytes(block, at: 0)),
            at: index)
        return count
    }

    /// Puts in a range where nothing is known, joined with neighbours of its kind.
    private mutating func insert(_ range: BufferedRange) {
        var range = range
        var index = table.index(endingAfter: range.start)
        if let before = table.index(before: index), table[before].end == range.start,
            table[before].isJoined(with: range)
        {
            range.start = table[before].start
            range.length += table[before].length
            index = table.remove(at: before)
        }
        if index != table.endIndex, table[index].start == range.end,
            table[index].isJoined(with: range)
        {
            range.length += table[index].length
            index = table.remove(at: index)
        }
        table.insert(range, at: index)
    }

    /// Puts in those parts of `range` about which nothing is known.
    private mutating func adopt(_ range: BufferedRange) {
        var position = range.start
        while position < range.end {
            let index = table.index(endingAfter: position)
            let next = index == table.endIndex ? nil : table[index]
            if let next, next.start <= position {
                position = next.end
                continue
            }
            let end = min(range.end, next?.start ?? range.end)
            let part = range.clipped(to: position..<end)
            if case .bytes(let block, _) = part.source { use(block) }
            insert(part)
            position = end
        }
    }

    /// Forgets what is known about `range`.
    private mutating func carve(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        var index = table.index(endingAfter: range.lowerBound)
        while index != table.endIndex {
            let known = table[index]
            guard known.start < range.upperBound else { return }
            let keepsHead = known.start < range.lowerBound
            let keepsTail = known.end > range.upperBound
            if keepsHead {
                table[index] = known.clipped(to: known.start..<range.lowerBound)
                index = table.index(after: index)
            }
            if keepsTail {
                let tail = known.clipped(to: range.upperBound..<known.end)
                if keepsHead {
                    if case .bytes(let block, _) = tail.source { use(block) }
                    table.insert(tail, at: index)
                } else {
                    table[index] = tail
                }
                return
            }
            if case .bytes(let block, let at) = known.source {
                // What lies at the block's end can be appended to anew.
                if at + Int(known.length) == block.filledBytes {
                    block.shorten(to: at + (keepsHead ? Int(range.lowerBound - known.start) : 0))
                }
                if !keepsHead { release(block) }
            }
            if !keepsHead { index = table.remove(at: index) }
        }
    }

    private mutating func use(_ block: Block) {
        if block.useCount == 0 { blockBytes += block.capacityBytes }
        block.useCount += 1
    }

    private mutating func release(_ block: Block) {
        block.useCount -= 1
        if block.useCount == 0 { blockBytes -= block.capacityBytes }
    }
}
