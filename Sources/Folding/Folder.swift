import Chunking
import DiskFormat
import Trees

/// Folds changes into content, for the files of one store. Keeps a window of about 1 MiB (twice the
/// chunker's lookahead where that is more) between folds: one folder for each worker, not for each
/// file.
public struct Folder<Store: ContentStore> {
    /// Files up to this size that are new are cut in one piece.
    static var smallFileBytesMax: UInt64 { 1 << 20 }

    let chunker: Chunker
    let store: Store
    let workspace: FoldWorkspace

    public init(chunker: Chunker, store: Store) {
        self.init(
            chunker: chunker, store: store, windowBytes: 1 << 20, stepExtentsMax: 16 << 10)
    }

    /// - Parameters:
    ///   - windowBytes: how much is cut at once, at least.
    ///   - stepExtentsMax: how many extents are held in memory before they become nodes.
    init(chunker: Chunker, store: Store, windowBytes: Int, stepExtentsMax: Int) {
        self.chunker = chunker
        self.store = store
        workspace = FoldWorkspace(
            windowBytes: max(windowBytes, 2 * chunker.lookaheadBytes),
            stepExtentsMax: stepExtentsMax)
    }

    /// The content that `content` with `patches` on top of it is, cut or extended (by a hole) to
    /// `newSize` bytes, as a canonical key without pieces.
    ///
    /// Reads and cuts what lies around the changes: from the last old cut at or below (change −
    /// `zeroRunMinimumBytes`), or behind the last hole before it, until old and new cuts meet.
    ///
    /// - Parameters:
    ///   - patches: ascending, apart. What reaches beyond `newSize` does not count.
    ///   - bytes: the bytes of those of kind `bytes`; asked for in ascending order but for a few
    ///     that are asked for again.
    /// - Throws: what the store throws; `badEdit` when `content` is not a file's, or the patches are
    ///   not in order. Chunks and nodes put until then stay in the store unused.
    public func fold(
        _ content: StoredContent, patches: [Patch], bytes: some PatchBytes, newSize: UInt64,
        mode: FoldMode = .complete
    ) throws(TreeError) -> FoldResult {
        guard newSize <= ExtentChange.endOfFile, Folder.areInOrder(patches) else { throw .badEdit }
        switch content.key {
        case .none: guard content.size == 0 else { throw .badEdit }
        case .chunk, .recipe: guard content.size > 0 else { throw .badEdit }
        case .directory, .target: throw .badEdit
        }
        if mode == .complete, newSize > 0, newSize <= Folder.smallFileBytesMax,
            content.size == 0, content.pieces.isEmpty, patches.count == 1,
            patches[0].kind == .bytes, patches[0].range.lowerBound == 0,
            patches[0].range.upperBound >= newSize
        {
            return try foldSmallFile(bytes, byteCount: Int(newSize))
        }
        var run = FoldRun(
            folder: self, content: content, patches: patches, bytes: bytes, newSize: newSize,
            mode: mode)
        return try run.run()
    }

    private static func areInOrder(_ patches: [Patch]) -> Bool {
        zip(patches, patches.dropFirst()).allSatisfy { a, b in
            a.range.upperBound <= b.range.lowerBound
        } && patches.allSatisfy { !$0.range.isEmpty }
    }

    /// A new file of one patch: cut at once, and no tree where one chunk is all.
    private func foldSmallFile(
        _ bytes: some PatchBytes, byteCount: Int
    ) throws(TreeError) -> FoldResult {
        let window = UnsafeMutableRawBufferPointer(
            rebasing: workspace.window(byteCount)[..<byteCount])
        try bytes.copy(0..<UInt64(byteCount), into: window)
        var extents: [Extent] = []
        var position = 0
        let cuts = workspace.cut(
            UnsafeRawBufferPointer(window), at: 0, isEnd: true, followsZeros: false, by: chunker
        ).cuts
        for cut in cuts {
            switch cut.kind {
            case .data:
                let chunk = UnsafeRawBufferPointer(
                    rebasing: window[position..<position + cut.length])
                extents.append(.data(try store.putData(chunk), length: UInt32(cut.length)))
            case .zeros: extents.append(.zeros(length: UInt64(cut.length)))
            }
            position += cut.length
        }
        let chunksPut = cuts.count { $0.kind == .data }
        let size = UInt64(byteCount)
        return FoldResult(
            content: StoredContent(
                key: try RecipeAssembly.key(of: extents, in: store), size: size,
                keyAllocatedBytes: size),
            foldedSize: size, allocatedBytes: size, dataBytesRead: 0, chunksPut: chunksPut)
    }
}

/// What folds reuse: memory for bytes, cuts, and the place in the old recipe. One thread at a time.
final class FoldWorkspace {
    let windowBytes: Int
    let stepExtentsMax: Int
    let cursor = RecipeCursor()
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var cuts: [Cut] = []
    private var scratch = ChunkerScratch()

    init(windowBytes: Int, stepExtentsMax: Int) {
        self.windowBytes = windowBytes
        self.stepExtentsMax = stepExtentsMax
    }

    deinit {
        memory.deallocate()
    }

    /// Memory of at least `byteCount` bytes, the same until more is asked for.
    func window(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        if memory.count < byteCount {
            memory.deallocate()
            memory = .allocate(byteCount: max(byteCount, windowBytes), alignment: 64)
        }
        return memory
    }

    /// `Chunker.cut` with the workspace's memory.
    func cut(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64, isEnd: Bool, followsZeros: Bool,
        by chunker: Chunker
    ) -> (cuts: [Cut], consumed: Int) {
        cuts.removeAll(keepingCapacity: true)
        let consumed = chunker.cut(
            bytes, at: offset, isEnd: isEnd, followsZeros: followsZeros, into: &cuts,
            scratch: &scratch)
        return (cuts, consumed)
    }
}
