import Chunking
import DiskFormat
import Trees

/// One fold: goes over the changes, and around each cuts a region anew.
///
/// The window holds bytes that are not cut yet: `pendingBytes` of them from byte `cutEnd` of the
/// file on, which is a cut. Zeros that follow a run of zeros, and holes, never enter it.
struct FoldRun<Store: ContentStore, Bytes: PatchBytes> {
    /// How a region ends.
    enum RegionEnd {
        /// Here old and new cuts meet.
        case met(UInt64)
        /// With the file, or, of a writer who is still writing, with what is decided of it.
        case file(UInt64)
    }

    let chunker: Chunker
    let reader: ContentReader<Store>
    let workspace: FoldWorkspace
    /// With its pieces, and without.
    let content: StoredContent
    let base: StoredContent
    let patches: [Patch]
    let bytes: Bytes
    let newSize: UInt64
    let mode: FoldMode
    /// Where new content may differ from the key's: ascending, apart, not touching. Where sizes
    /// differ the last one begins at the smaller and has no end.
    let changes: [Range<UInt64>]

    let window: UnsafeMutableRawBufferPointer
    var recipe: RecipeAssembly<Store>
    var cutEnd: UInt64 = 0
    var pendingBytes = 0
    /// The last cut was of zeros.
    var followsZeros = false
    /// The last cut was of data, by its bytes alone, and stands whatever follows.
    var cutStands = false
    /// The first change of the region under way.
    var regionChange = 0
    /// The first change that does not end at or before the last byte that was asked about.
    var nextChange = 0
    var dataBytesRead: UInt64 = 0
    var chunksPut = 0

    init(
        folder: Folder<Store>, content: StoredContent, patches: [Patch], bytes: Bytes,
        newSize: UInt64, mode: FoldMode
    ) {
        chunker = folder.chunker
        workspace = folder.workspace
        reader = ContentReader(store: folder.store, cursor: folder.workspace.cursor)
        self.content = content
        base = content.withoutPieces
        self.patches = patches
        self.bytes = bytes
        self.newSize = newSize
        self.mode = mode
        changes = FoldRun.changes(content, patches, newSize: newSize)
        window = workspace.window(workspace.windowBytes)
        recipe = RecipeAssembly(
            base, store: folder.store, stepExtentsMax: workspace.stepExtentsMax)
    }

    /// Folds everything.
    mutating func run() throws(TreeError) -> FoldResult {
        var foldedSize = newSize
        var endsAtCut = content.endsAtCut
        var removedBytes: UInt64 = 0
        while regionChange < changes.count {
            let begin = try beginning(of: changes[regionChange].lowerBound)
            enter(begin.offset, followsZeros: begin.followsZeros)
            switch try cutRegion() {
            case .met(let offset):
                try recipe.meet(at: offset)
                removedBytes += try oldAllocatedBytes(in: begin.offset..<offset)
                regionChange = nextChange
            case .file(let size):
                recipe.endFile()
                removedBytes += try oldAllocatedBytes(
                    in: begin.offset..<max(begin.offset, base.size))
                foldedSize = size
                endsAtCut = cutStands
                regionChange = changes.count
            }
        }
        let key = try recipe.finish(size: foldedSize)
        var folded = StoredContent(key: key, size: foldedSize, endsAtCut: endsAtCut)
        let known = base.keyHasNoHoles ? base.size : base.keyAllocatedBytes
        let allocatedBytes: UInt64
        if let known {
            allocatedBytes = known + recipe.allocatedBytes - removedBytes
        } else {
            allocatedBytes = try reader.allocatedBytes(of: folded, in: 0..<foldedSize)
        }
        folded.keyAllocatedBytes = allocatedBytes
        return FoldResult(
            content: folded, foldedSize: foldedSize, allocatedBytes: allocatedBytes,
            dataBytesRead: dataBytesRead, chunksPut: chunksPut)
    }

    private mutating func enter(_ offset: UInt64, followsZeros: Bool) {
        recipe.begin(at: offset)
        cutEnd = offset
        pendingBytes = 0
        self.followsZeros = followsZeros
        cutStands = content.endsAtCut && offset == base.size
        nextChange = regionChange
    }

    /// How many of the key's bytes in `range` are not in holes, where it is known how many these are
    /// of all; 0 where it is not.
    private func oldAllocatedBytes(in range: Range<UInt64>) throws(TreeError) -> UInt64 {
        if base.keyHasNoHoles { return try reader.allocatedBytes(of: base, in: range) }
        guard let total = base.keyAllocatedBytes else { return 0 }
        guard range.upperBound == base.size else {
            return try reader.allocatedBytes(of: base, in: range)
        }
        // A file's end: counts there and before it in turns, until either is done.
        let other = ContentReader(store: reader.store)
        var (before, behind) = (UInt64(0), range.lowerBound)
        var (beforeBytes, behindBytes) = (UInt64(0), UInt64(0))
        while behind < range.upperBound {
            guard before < range.lowerBound else { return total - beforeBytes }
            try FoldRun.count(base, other, &before, range.lowerBound, &beforeBytes)
            try FoldRun.count(base, reader, &behind, range.upperBound, &behindBytes)
        }
        return behindBytes
    }

    /// Adds what the extent at `position` allocates to `total`, and goes on behind it, to `limit`.
    private static func count(
        _ content: StoredContent, _ reader: ContentReader<Store>, _ position: inout UInt64,
        _ limit: UInt64, _ total: inout UInt64
    ) throws(TreeError) {
        let (range, segment) = try reader.segment(of: content, at: position)
        let end = min(limit, range.upperBound)
        if segment != .hole { total += end - position }
        position = end
    }
}

// MARK: - Changes

extension FoldRun {
    private static func changes(
        _ content: StoredContent, _ patches: [Patch], newSize: UInt64
    ) -> [Range<UInt64>] {
        var ranges = patches.map(\.range)
        ranges += content.pieces.map { $0.offset..<$0.offset + $0.length }
        ranges = ranges.compactMap { range in
            range.lowerBound < newSize
                ? range.lowerBound..<min(range.upperBound, newSize) : nil
        }
        if newSize != content.size { ranges.append(min(newSize, content.size)..<UInt64.max) }
        ranges.sort { $0.lowerBound < $1.lowerBound }
        var result: [Range<UInt64>] = []
        for range in ranges {
            if let last = result.last, last.upperBound >= range.lowerBound {
                let end = max(last.upperBound, range.upperBound)
                result[result.count - 1] = last.lowerBound..<end
            } else {
                result.append(range)
            }
        }
        return result
    }

    /// From here to the end, nothing that is stored counts: the caller has all of it in patches, or
    /// it is a hole behind the stored end.
    var storedEnd: UInt64 {
        let last = content.pieces.last.map { $0.offset + $0.length } ?? 0
        let end = min(newSize, max(content.size, last))
        var start = newSize
        for patch in patches.reversed() {
            if patch.range.upperBound < start, start > end {
                start = max(end, patch.range.upperBound)
            }
            if patch.range.upperBound < start { break }
            start = min(start, patch.range.lowerBound)
        }
        return start > end ? end : start
    }

    /// Where cutting has to begin for a change that begins at `change`: the last old cut that
    /// stands. See the head comments of `Chunking` and of `Folding`.
    func beginning(
        of change: UInt64
    ) throws(TreeError) -> (offset: UInt64, followsZeros: Bool) {
        if change == base.size, change > 0 {
            if content.endsAtCut { return (change, false) }
            // A hole ends a chunk as the end of the file does.
            if case .hole = try source(at: change).source { return (change, false) }
        }
        let isFixed = chunker.parameters.algorithm == .fixed
        let blockStart = change - change % UInt64(chunker.parameters.meanBytes)
        let limit = isFixed ? blockStart : 0
        var end = change
        while end > limit {
            let (range, extent) = try reader.keyExtent(of: base, at: end - 1)
            let stands =
                !isFixed && range.lowerBound <= change
                && change - range.lowerBound >= UInt64(chunker.parameters.zeroRunMinimumBytes)
            switch extent {
            case .hole: return (min(range.upperBound, change), false)
            case .zeros where stands: return (min(range.upperBound, change), true)
            case .data where stands: return (range.lowerBound, false)
            default: end = range.lowerBound
            }
        }
        return (limit, false)
    }

    /// Whether the new cutting, with a cut at `offset`, goes on as the old one does: the old one has
    /// a cut there too (or is amid zeros, as the new one is), and what follows is unchanged for
    /// long enough that the next change does not move it. Offsets only grow within a region.
    ///
    /// - Parameter isAmidZeros: the run of zeros before `offset` may go on behind it, so that this is
    ///   no cut unless the old content is amid a run there too.
    mutating func meets(at offset: UInt64, isAmidZeros: Bool) throws(TreeError) -> Bool {
        let next = change(behind: offset)
        guard nextChange > regionChange, offset < base.size, offset <= next else { return false }
        let isFixed = chunker.parameters.algorithm == .fixed
        let (range, extent) = try reader.keyExtent(of: base, at: offset)
        let standsClear =
            isFixed
            ? offset % UInt64(chunker.parameters.meanBytes) == 0
            : next - offset >= UInt64(chunker.parameters.zeroRunMinimumBytes)
        switch extent {
        case .hole: return offset < next
        case .zeros: return standsClear && (isFixed || followsZeros || range.lowerBound == offset)
        case .data: return standsClear && range.lowerBound == offset && (isFixed || !isAmidZeros)
        }
    }

    /// Where the first change begins that does not end at or before `offset`; the largest number
    /// where there is none.
    mutating func change(behind offset: UInt64) -> UInt64 {
        while nextChange < changes.count, changes[nextChange].upperBound <= offset {
            nextChange += 1
        }
        return nextChange < changes.count ? changes[nextChange].lowerBound : UInt64.max
    }
}
