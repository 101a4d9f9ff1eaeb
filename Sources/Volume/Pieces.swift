// Small changes of big files: committed as they are, folded later.
//
// A fold reads, cuts and compresses the chunks around each place that it changes, and decompresses
// the super-chunks they lie in: a hundred times the bytes of a small change. So scattered small
// changes become *pieces*, short chunks on top of the key. They are folded by the next checkpoint that somebody asks for;
// and, so that it has a bounded number of them to fold, some at a time by workers while a file has
// more than `VolumeOptions.piecesKept`.
import DiskFormat
import FileModel
import Folding
import Platform
import Trees
import WriteBuffers

/// Lists of pieces, ascending and apart.
enum Pieces {
    /// The parts of pieces that lie in `range`.
    static func clip(
        _ pieces: [ExtentChange.Piece], to range: Range<UInt64>
    ) -> [ExtentChange.Piece] {
        var result: [ExtentChange.Piece] = []
        for piece in pieces[index(in: pieces, endingAfter: range.lowerBound)...] {
            guard piece.offset < range.upperBound else { break }
            if let part = part(of: piece, in: range) { result.append(part) }
        }
        return result
    }

    /// `pieces` with what was laid in some ranges, ascending and apart, instead of what they had
    /// there. One pass over all.
    static func lay(
        _ laid: [(range: Range<UInt64>, pieces: [ExtentChange.Piece])],
        over pieces: [ExtentChange.Piece]
    ) -> [ExtentChange.Piece] {
        var result: [ExtentChange.Piece] = []
        result.reserveCapacity(pieces.count + 2 * laid.count)
        var from: UInt64 = 0
        var next = 0
        // What lies before `limit` and behind the range before. A piece may reach over several.
        func keep(to limit: UInt64) {
            while next < pieces.count, pieces[next].offset < limit {
                if let part = part(of: pieces[next], in: from..<limit) { result.append(part) }
                guard pieces[next].offset + pieces[next].length <= limit else { return }
                next += 1
            }
        }
        for (range, new) in laid {
            keep(to: range.lowerBound)
            result.append(contentsOf: new)
            from = range.upperBound
        }
        keep(to: UInt64.max)
        return result
    }

    /// Ranges in order, those that touch or overlap joined.
    static func joined(_ ranges: [Range<UInt64>]) -> [Range<UInt64>] {
        var result: [Range<UInt64>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last, last.upperBound >= range.lowerBound {
                result[result.count - 1] =
                    last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                result.append(range)
            }
        }
        return result
    }

    /// The first piece that ends behind `offset`; the count where there is none.
    private static func index(
        in pieces: [ExtentChange.Piece], endingAfter offset: UInt64
    ) -> Int {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].offset + pieces[middle].length > offset {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }

    private static func part(
        of piece: ExtentChange.Piece, in range: Range<UInt64>
    ) -> ExtentChange.Piece? {
        let start = max(piece.offset, range.lowerBound)
        let end = min(piece.offset + piece.length, range.upperBound)
        guard start < end else { return nil }
        var source = piece.source
        if case .data(let name, let chunkBytes, let offset) = source {
            source = .data(
                name, chunkBytes: chunkBytes, offset: offset + UInt32(start - piece.offset))
        }
        return ExtentChange.Piece(offset: start, length: end - start, source: source)
    }
}

extension Volume {
    /// What becomes pieces, of files of at least `VolumeOptions.piecedFileBytesMin`: so little in so
    /// few places; or more, where the places are short and further apart than half a chunk in the
    /// mean, so that a fold would not take several at once. Everything else is folded.
    private static let piecedChangeBytesMax: UInt64 = 256 << 10
    private static let piecedRangesMax = 64
    private static let scatteredRangeBytesMean: UInt64 = 32 << 10

    /// Stores the changed ranges as short chunks on top of the key, where that is cheaper than
    /// folding: the answer to a database that synchronises small writes, and to a machine that
    /// writes to its disk's image. nil where it is not, with nothing done.
    func layPieces(
        _ beginning: FileContent.Beginning, _ content: FileContent
    ) throws(FileError) -> StoredContent? {
        let (frozen, stored) = (beginning.frozen, beginning.stored)
        guard case .recipe = stored.key, frozen.fileBytes == stored.size,
            stored.size >= options.piecedFileBytesMin
        else { return nil }
        let patches = frozen.patches
        let changed = patches.reduce(0) { $0 + UInt64($1.range.count) }
        let isLittle =
            changed <= Volume.piecedChangeBytesMax && patches.count <= Volume.piecedRangesMax
        let apart = UInt64(patches.count) * UInt64(store.parameters.chunker.meanBytes) / 2
        let isScattered =
            changed <= UInt64(patches.count) * Volume.scatteredRangeBytesMean
            && Volume.span(of: patches) >= apart
        guard isLittle || isScattered,
            stored.pieces.count + 2 * patches.count <= options.piecesMax
        else { return nil }
        var result = stored
        let access = StoreAccess(
            store, isOfLargeFile: stored.size >= options.largeFileBytesMin)
        do throws(TreeError) {
            var laid: [(range: Range<UInt64>, pieces: [ExtentChange.Piece])] = []
            laid.reserveCapacity(patches.count)
            for patch in patches {
                laid.append((patch.range, try pieces(of: patch, frozen, access)))
            }
            result.pieces = Pieces.lay(laid, over: stored.pieces)
            result.piecedAllocatedBytes = try Volume.allocatedBytes(
                of: stored, under: patches, access)
        } catch {
            drains.account(content.abandonFold())
            throw access.fileError(error)
        }
        drains.account(
            content.endFold(
                result, foldedSize: frozen.fileBytes, piecedRanges: patches.map(\.range)))
        return result
    }

    /// Bytes from the first patch to behind the last.
    private static func span(of patches: [Patch]) -> UInt64 {
        guard let first = patches.first, let last = patches.last else { return 0 }
        return last.range.upperBound - first.range.lowerBound
    }

    /// How many bytes of `stored` with `patches` on top are not in holes, where that is known without
    /// reading all of its recipe; of a file without holes nothing is read.
    private static func allocatedBytes(
        of stored: StoredContent, under patches: [Patch], _ access: StoreAccess
    ) throws(TreeError) -> UInt64? {
        guard var total = stored.allocatedBytes else { return nil }
        let reader = ContentReader(store: access, cursor: RecipeCursor())
        for patch in patches {
            total -= try reader.allocatedBytes(of: stored, in: patch.range)
            if patch.kind != .hole { total += UInt64(patch.range.count) }
        }
        return total
    }

    private func pieces(
        of patch: Patch, _ frozen: FrozenRanges, _ access: StoreAccess
    ) throws(TreeError) -> [ExtentChange.Piece] {
        let range = patch.range
        switch patch.kind {
        case .hole:
            return [.init(offset: range.lowerBound, length: UInt64(range.count), source: .hole)]
        case .zeros:
            return [.init(offset: range.lowerBound, length: UInt64(range.count), source: .zeros)]
        case .bytes:
            break
        }
        var pieces: [ExtentChange.Piece] = []
        let step = UInt64(store.parameters.chunker.maximumBytes)
        var position = range.lowerBound
        while position < range.upperBound {
            let part = position..<min(position + step, range.upperBound)
            var bytes = [UInt8](repeating: 0, count: part.count)
            bytes.withUnsafeMutableBytes { frozen.copy(part, into: $0) }
            let name = try bytes.borrowing { (raw) throws(TreeError) in
                try access.putData(raw)
            }
            pieces.append(
                .init(
                    offset: position, length: UInt64(part.count),
                    source: .data(name, chunkBytes: UInt32(part.count), offset: 0)))
            position = part.upperBound
        }
        return pieces
    }

    /// Whether folding some of a file's pieces would keep nobody waiting: no commit has just held it, as
    /// one does again and again where a database synchronises each of its writes. Of many pieces some are
    /// folded all the same, before there are so many that all have to be.
    func isQuiet(_ state: borrowing FileContent.State) -> Bool {
        state.stored.pieces.count > options.piecesMax / 4 * 3
            || monotonicNanoseconds() - state.committedNanoseconds
                >= options.piecesQuietNanoseconds
    }

    /// Remembers a file with too many pieces that is not quiet.
    func reduceLater(_ node: Node, _ content: FileContent) {
        reducedLater.withLock { $0.append((node, content)) }
    }

    /// Calls workers for the files that are quiet by now. From time to time.
    func resumeReducing() {
        let waiting = reducedLater.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for (node, content) in waiting {
            let begins = content.state.withLock { state in
                let isDue = state.stored.pieces.count > options.piecesKept && !state.isReducing
                state.isReducingLater = isDue && !isQuiet(state)
                state.isReducing = state.isReducing || isDue && !state.isReducingLater
                return (now: isDue && !state.isReducingLater, later: state.isReducingLater)
            }
            if begins.now { drains.foldNow(node, content, of: self) }
            if begins.later { reduceLater(node, content) }
        }
    }

    /// A worker's turn for a file with too many pieces: folds the first ones, some at a time, until
    /// half of what may be kept is left, a commit needs workers, or the file is not quiet any more. Then
    /// the next write calls one, or the next look at those that wait.
    func reducePieces(_ node: Node, _ content: FileContent) throws(FileError) {
        while !drains.areAwaited,
            let (some, rest) = content.beginFoldOfSomePieces(
                atOnce: options.piecesFoldedAtOnce, leaving: options.piecesKept / 2,
                while: { isQuiet($0) })
        {
            let bench = takeBench(fileBytes: some.size)
            defer { giveBack(bench) }
            do throws(TreeError) {
                let nothing = FrozenRanges(ranges: DirtyRanges(), fileBytes: some.size)
                let result = try bench.folder.fold(
                    some, patches: [], bytes: nothing, newSize: some.size)
                content.endFoldOfSomePieces(result.content, rest: rest)
            } catch {
                drains.account(content.abandonFold())
                throw bench.access.fileError(error)
            }
        }
        // After a failure it stays set: not to be tried again with each write.
        let isLeft = content.state.withLock { state in
            state.isReducing = false
            guard state.stored.pieces.count > options.piecesKept, !state.isReducingLater else {
                return false
            }
            state.isReducingLater = true
            return true
        }
        content.state.broadcast()
        if isLeft { reduceLater(node, content) }
    }
}
