// From buffered changes to keys.
import Chunking
import DiskFormat
import FileModel
import Folding
import Pipeline
import Trees

extension Volume {
    /// The content of a regular file, made at first use.
    func content(of inode: InodeNumber) throws(FileError) -> (node: Node, content: FileContent) {
        try withNode(inode) { (_, node) throws(FileError) in
            switch node.kind {
            case .regular: break
            case .directory: throw .isDirectory
            default: throw .invalid
            }
            if let content = node.content { return (node, content) }
            let content = FileContent(
                image: node.image, pieces: node.storedPieces, drains: drains)
            node.content = content
            return (node, content)
        }
    }

    /// A worker's turn for a file: folds what is buffered, of a long stream only what is decided.
    func drain(_ node: Node, _ content: FileContent) throws(FileError) {
        let isEnded = namespace.withLock { space in
            node.image.linkCount == 0 && space.nodes[node.inode] !== node
        }
        if isEnded { return drains.account(content.discard()) }
        let bufferedBytes = content.state.withLock { state in
            state.isQueued = false
            return state.active.byteCount
        }
        let isLong = bufferedBytes > DrainQueue.fileBytesMax / 2
        try foldOrLay(node, content, mode: isLong ? .upToDecidedCut : .complete)
        // The end of a stream, of which the writer may not say more for long.
        let hasShrunk = content.state.withLock { state -> Bool? in
            guard !state.isQueued, !state.active.isEmpty else { return nil }
            state.isQueued = state.active.byteCount < bufferedBytes
            return state.isQueued
        }
        if hasShrunk == true {
            drains.enqueue(node, content, of: self)
        } else if hasShrunk == false {
            // Nothing more is decided: an end of two blocks counts as much as a long stream.
            try foldOrLay(node, content, mode: .complete)
        }
        if content.state.withLock({ $0.isReducing }) { try reducePieces(node, content) }
    }

    /// Folds what is buffered, or lays it as pieces.
    private func foldOrLay(
        _ node: Node, _ content: FileContent, mode: FoldMode
    ) throws(FileError) {
        guard let beginning = content.beginFold({ _ in }).beginning else { return }
        if let laid = try layPieces(beginning, content) {
            noteAllocation(node, content, laid)
        } else {
            noteAllocation(node, content, try fold(beginning, content, mode: mode).content)
        }
    }

    /// Folds all that is buffered, so that `stored` is the whole content as of some instant during
    /// the call.
    @discardableResult
    func fold(
        _ node: Node, _ content: FileContent, mode: FoldMode = .complete
    ) throws(FileError) -> StoredContent {
        let begun = content.beginFold { _ in }
        guard let beginning = begun.beginning else { return begun.stored }
        let result = try fold(beginning, content, mode: mode)
        noteAllocation(node, content, result.content)
        return result.content
    }

    /// Does a fold that was begun, and ends it either way.
    func fold(
        _ beginning: FileContent.Beginning, _ content: FileContent, mode: FoldMode
    ) throws(FileError) -> FoldResult {
        let bench = takeBench(fileBytes: beginning.frozen.fileBytes)
        defer { giveBack(bench) }
        do throws(TreeError) {
            let result = try bench.folder.fold(
                beginning.stored, patches: beginning.frozen.patches, bytes: beginning.frozen,
                newSize: beginning.frozen.fileBytes, mode: mode)
            drains.account(content.endFold(result.content, foldedSize: result.foldedSize))
            return result
        } catch {
            drains.account(content.abandonFold())
            throw bench.access.fileError(error)
        }
    }

    func takeBench(fileBytes: UInt64) -> FoldBench {
        let bench = benches.withLock { $0.popLast() } ?? FoldBench(store, chunker)
        bench.access.reset(isOfLargeFile: fileBytes >= options.largeFileBytesMin)
        return bench
    }

    func giveBack(_ bench: FoldBench) {
        benches.withLock { $0.append(bench) }
    }

    /// The exact count of allocated bytes, once it is known for the file as it is.
    func noteAllocation(_ node: Node, _ content: FileContent, _ stored: StoredContent) {
        guard let allocated = stored.allocatedBytes else { return }
        content.state.withLock { state in
            guard !state.isUnfolded, state.frozen == nil, state.size == stored.size,
                state.stored.key == stored.key, state.stored.pieces == stored.pieces
            else { return }
            namespace.withLock { _ in
                node.image.allocatedBytes = allocated
                node.image.content = stored.key
                node.allocatedIsStale = false
            }
        }
    }
}

/// What a fold works with: its window of a mebibyte and more is used again by the next. One thread at
/// a time has it, hence `@unchecked`.
final class FoldBench: @unchecked Sendable {
    let access: StoreAccess
    let folder: Folder<StoreAccess>

    init(_ store: ChunkStore, _ chunker: Chunker) {
        access = StoreAccess(store)
        folder = Folder(chunker: chunker, store: access)
    }
}
