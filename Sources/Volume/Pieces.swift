// Small changes of big files: committed as they are, folded later.
import DiskFormat
import FileModel
import Folding
import Trees

/// Lists of pieces, ascending and apart.
enum Pieces {
    /// The parts of pieces that lie in `range`.
    static func clip(
        _ pieces: [ExtentChange.Piece], to range: Range<UInt64>
    ) -> [ExtentChange.Piece] {
        pieces.compactMap { part(of: $0, in: range) }
    }

    /// `pieces` with `laid` instead of what they had in `range`.
    static func lay(
        _ laid: [ExtentChange.Piece], over pieces: [ExtentChange.Piece], in range: Range<UInt64>
    ) -> [ExtentChange.Piece] {
        let before = pieces.compactMap { part(of: $0, in: 0..<range.lowerBound) }
        let after = pieces.compactMap { part(of: $0, in: range.upperBound..<UInt64.max) }
        return before + laid + after
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
    /// What is committed as pieces: files of at least `VolumeOptions.piecedFileBytesMin`, of which so
    /// little changed, with so few pieces in all. Everything else is folded at once.
    private static let piecedChangeBytesMax: UInt64 = 256 << 10
    private static let piecedRangesMax = 64
    private static let piecesMax = 1024

    /// Stores the changed ranges as short chunks on top of the key, where that is cheaper than
    /// folding: the answer to a database that synchronises small writes. nil where it is not, with
    /// nothing done.
    func layPieces(
        _ beginning: FileContent.Beginning, _ content: FileContent
    ) throws(FileError) -> StoredContent? {
        let (frozen, stored) = (beginning.frozen, beginning.stored)
        guard case .recipe = stored.key, frozen.fileBytes == stored.size,
            stored.size >= options.piecedFileBytesMin
        else { return nil }
        let patches = frozen.patches
        let changed = patches.reduce(0) { $0 + UInt64($1.range.count) }
        guard changed <= Volume.piecedChangeBytesMax, patches.count <= Volume.piecedRangesMax,
            stored.pieces.count + 2 * patches.count <= Volume.piecesMax
        else { return nil }
        var result = stored
        let access = StoreAccess(store)
        do throws(TreeError) {
            for patch in patches {
                let laid = try pieces(of: patch, frozen, access)
                result.pieces = Pieces.lay(laid, over: result.pieces, in: patch.range)
            }
        } catch {
            drains.account(content.abandonFold())
            throw access.fileError(error)
        }
        content.state.withLock { state in
            state.piecedRanges.append(contentsOf: patches.map(\.range))
        }
        drains.account(content.endFold(result, foldedSize: frozen.fileBytes))
        return result
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
}
