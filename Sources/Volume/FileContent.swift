// The content of one regular file: what is stored, and what lies on top of it in memory.
import DiskFormat
import FileModel
import Folding
import Platform
import WriteBuffers

/// Ranges taken out of a file to be folded. They do not change until `FileContent` takes them back,
/// under the content lock; readers look into them under that lock, the fold without: `@unchecked` by
/// that rule.
final class FrozenRanges: @unchecked Sendable {
    fileprivate(set) var ranges: DirtyRanges
    /// The file's size when they were taken.
    let fileBytes: UInt64

    init(ranges: consuming DirtyRanges, fileBytes: UInt64) {
        self.ranges = ranges
        self.fileBytes = fileBytes
    }
}

/// The content of a regular file while somebody uses it.
///
/// Layers, the upper ones winning: `active` (written since the last fold began), `frozen` (being
/// folded), the pieces of `stored`, its key.
///
/// Invariants:
/// 1. One fold at a time; who wants another waits.
/// 2. `frozen` and `stored` change together: readers see a byte in exactly one of them.
/// 3. Bytes at or behind `size` are in no layer's visible part: truncation lays a hole over what
///    lower layers have there.
final class FileContent: Sendable {
    struct State: ~Copyable {
        var size: UInt64
        var stored: StoredContent
        var active = DirtyRanges()
        var frozen: FrozenRanges?
        var isFolding = false
        /// Commits and others that wait for a fold to end: before the next part of a long one.
        var foldWaiters = 0
        /// A worker is to fold pieces of which there are too many, or does so.
        var isReducing = false
        /// That was put off, since commits hold the file all the time.
        var isReducingLater = false
        /// When a commit last held the file; monotonic.
        var committedNanoseconds: UInt64 = 0
        /// Waits in the queue of files to be folded.
        var isQueued = false
        /// Memory of `active` and `frozen` that the store's budget was told of, in bytes.
        var accounted = 0
        /// What the last commit knows.
        var committed: Committed
        /// Ranges in which pieces were laid since the last commit, on an unchanged key.
        var piecedRanges: [Range<UInt64>] = []
        /// The next commit says everything about the pieces: a commit has failed, or those that the
        /// last one knew were folded.
        var mustRestate = false
        /// Where the last read ended: the sign of a sequential reader; and up to where was fetched
        /// ahead of it.
        var readEnd: UInt64 = 0
        var fetchedEnd: UInt64 = 0
        var cursor: RecipeCursor?
        /// Why the last commit could not hold what was written.
        var failure: FileError?

        /// Whether there is something that the key and its pieces do not say.
        var isUnfolded: Bool { !active.isEmpty || stored.size != size }
    }

    /// A file's content as a commit holds it.
    struct Committed {
        var key: ContentKey
        var size: UInt64
        var allocatedBytes: UInt64
        var hasPieces: Bool
    }

    let state: ConditionMutex<State>
    /// Knows how much is buffered.
    private let drains: DrainQueue

    init(image: InodeImage, pieces: [ExtentChange.Piece], drains: DrainQueue) {
        self.drains = drains
        let key: ContentKey =
            switch image.content {
            case .chunk, .recipe: image.content
            case .none, .directory, .target: .none
            }
        state = ConditionMutex(
            State(
                size: image.size,
                stored: StoredContent(
                    key: key, size: image.size, pieces: pieces,
                    keyAllocatedBytes: pieces.isEmpty ? image.allocatedBytes : nil,
                    piecedAllocatedBytes: pieces.isEmpty ? nil : image.allocatedBytes),
                committed: Committed(
                    key: key, size: image.size, allocatedBytes: image.allocatedBytes,
                    hasPieces: !pieces.isEmpty)))
    }

    /// A file that ended takes with it what was buffered.
    deinit {
        drains.account(-state.withLock { $0.accounted })
    }

    /// Forgets what is buffered of a file that has ended.
    /// - Returns: by how much the buffered memory has changed, in bytes.
    func discard() -> Int {
        state.withLock { state in
            state.active.removeAll()
            return state.account()
        }
    }

    /// Whether its place in the queue is still of use; else it has none any more.
    func staysQueued() -> Bool {
        state.withLock { state in
            state.isQueued = !state.active.isEmpty
            return state.isQueued
        }
    }

    /// What a fold begins with.
    struct Beginning {
        var frozen: FrozenRanges
        var stored: StoredContent
    }

    /// Takes what is buffered out to be folded, once no other fold is under way; nil when there is
    /// nothing to fold. `observe` runs under the content lock at that instant.
    func beginFold<Seen>(
        _ observe: (borrowing State) -> Seen
    ) -> (beginning: Beginning?, stored: StoredContent, seen: Seen) {
        state.withLock { $0.foldWaiters += 1 }
        defer { state.broadcast() }
        return state.wait(until: { !$0.isFolding }) { state in
            state.foldWaiters -= 1
            let seen = observe(state)
            guard state.isUnfolded else { return (nil, state.stored, seen) }
            let frozen = FrozenRanges(
                ranges: state.active.takeAll(), fileBytes: state.size)
            state.frozen = frozen
            state.isFolding = true
            return (Beginning(frozen: frozen, stored: state.stored), state.stored, seen)
        }
    }

    /// As `beginFold`, also where nothing is buffered: to fold pieces.
    func beginFoldOfPieces() -> Beginning {
        state.withLock { $0.foldWaiters += 1 }
        defer { state.broadcast() }
        return state.wait(until: { !$0.isFolding }) { state in
            state.foldWaiters -= 1
            let frozen = FrozenRanges(ranges: state.active.takeAll(), fileBytes: state.size)
            state.frozen = frozen
            state.isFolding = true
            return Beginning(frozen: frozen, stored: state.stored)
        }
    }

    /// Begins a fold of the first pieces alone, once no other fold is under way or waited for: what
    /// is buffered, and the other pieces, stay where they are. nil where `leaving` or fewer are left, or
    /// `goesOn` says no.
    /// - Returns: the key with those pieces, and the others.
    func beginFoldOfSomePieces(
        atOnce: Int, leaving: Int, while goesOn: (borrowing State) -> Bool
    ) -> (some: StoredContent, rest: [ExtentChange.Piece])? {
        state.wait(until: { !$0.isFolding && $0.foldWaiters == 0 }) { state in
            let pieces = state.stored.pieces
            guard pieces.count > leaving, goesOn(state) else { return nil }
            state.isFolding = true
            var some = state.stored
            some.pieces = Array(pieces.prefix(atOnce))
            some.piecedAllocatedBytes = nil
            return (some, Array(pieces.dropFirst(atOnce)))
        }
    }

    /// Ends it: the key has those pieces now.
    func endFoldOfSomePieces(_ folded: StoredContent, rest: [ExtentChange.Piece]) {
        defer { state.broadcast() }
        state.withLock { state in
            let allocated = state.stored.allocatedBytes
            // Of the others nothing need be said anew.
            if let last = state.stored.pieces.dropLast(rest.count).last {
                state.piecedRanges.append(0..<last.offset + last.length)
            }
            state.stored = folded
            state.stored.pieces = rest
            if !rest.isEmpty { state.stored.piecedAllocatedBytes = allocated }
            state.isFolding = false
            state.cursor = nil
        }
    }

    /// Ends a fold: what it made takes the place of what it was made of. `foldedSize` is where the
    /// key ends; what was frozen behind it comes back to the buffers. `piecedRanges` are those in
    /// which pieces were laid: a commit learns of them together with the pieces, or not yet.
    /// - Returns: by how much the buffered memory has changed, in bytes.
    func endFold(
        _ stored: StoredContent, foldedSize: UInt64, piecedRanges: [Range<UInt64>] = []
    ) -> Int {
        defer { state.broadcast() }
        return state.withLock { state in
            state.piecedRanges.append(contentsOf: piecedRanges)
            // A key that comes back to what it was has lost its pieces all the same. Where pieces are
            // laid the key stays.
            if !state.stored.pieces.isEmpty, stored.pieces.isEmpty || stored.key != state.stored.key
            {
                state.mustRestate = true
            }
            if stored.pieces.isEmpty { state.isReducing = false }
            state.stored = stored
            if let frozen = state.frozen, foldedSize < frozen.fileBytes {
                frozen.ranges.discard(below: foldedSize)
                state.active.merge(under: frozen.ranges.takeAll())
            }
            state.frozen = nil
            state.isFolding = false
            state.cursor = nil
            return state.account()
        }
    }

    /// Ends a fold that failed: what was frozen is buffered again.
    func abandonFold() -> Int {
        defer { state.broadcast() }
        return state.withLock { state in
            if let frozen = state.frozen { state.active.merge(under: frozen.ranges.takeAll()) }
            state.frozen = nil
            state.isFolding = false
            return state.account()
        }
    }
}

extension FileContent.State {
    /// The change of what the budget has to know, in bytes.
    mutating func account() -> Int {
        let now = active.byteCount + (frozen?.ranges.byteCount ?? 0)
        defer { accounted = now }
        return now - accounted
    }

    /// The end of everything that any layer has, visible or not.
    var layersEnd: UInt64 {
        max(
            size, stored.size, active.extent?.upperBound ?? 0,
            frozen.map { max($0.fileBytes, $0.ranges.extent?.upperBound ?? 0) } ?? 0,
            stored.pieces.last.map { $0.offset + $0.length } ?? 0)
    }

    /// Makes zeros of a stored hole, but for what was written over it since.
    mutating func clearUnlessWritten(_ hole: Range<UInt64>) {
        var position = hole.lowerBound
        var free: [Range<UInt64>] = []
        active.forEach(in: hole) { range, _ in
            if position < range.lowerBound { free.append(position..<range.lowerBound) }
            position = range.upperBound
        }
        if position < hole.upperBound { free.append(position..<hole.upperBound) }
        for range in free { active.clear(range, as: .zeros) }
    }

    /// Sets the size; what lies behind a smaller one is gone for good.
    mutating func resize(to newSize: UInt64) {
        if newSize < size {
            let end = layersEnd
            active.truncate(to: newSize)
            if end > newSize { active.clear(newSize..<end, as: .hole) }
        }
        size = newSize
    }
}

extension FrozenRanges: PatchBytes {
    /// Copies bytes that are all buffered here.
    func copy(_ range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer) {
        ranges.forEach(in: range) { part, piece in
            guard case .bytes(let bytes) = piece else { return }
            let start = Int(part.lowerBound - range.lowerBound)
            UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + bytes.count])
                .copyMemory(from: bytes)
        }
    }

    /// What the fold has to lay over the stored content, neighbours of a kind joined, clipped to
    /// the file's size.
    var patches: [Patch] {
        var result: [Patch] = []
        guard fileBytes > 0 else { return [] }
        ranges.forEach(in: 0..<fileBytes) { range, piece in
            let kind: PatchSource =
                switch piece {
                case .bytes: .bytes
                case .hole: .hole
                case .zeros: .zeros
                }
            if let last = result.last, last.kind == kind, last.range.upperBound == range.lowerBound
            {
                result[result.count - 1].range = last.range.lowerBound..<range.upperBound
            } else {
                result.append(Patch(range: range, kind: kind))
            }
        }
        return result
    }
}
