// The bytes and attributes of a file: its content, and the pieces on top of it.
import DiskFormat
import Trees

extension VolumeState {
    /// A run of a file's bytes from one source.
    public struct LiveExtent: Equatable, Sendable {
        /// Within the file.
        public var range: Range<UInt64>
        /// Where the bytes are.
        public var source: ExtentChange.Piece.Source
        /// Whether it is a piece on top of the content that the inode's key names.
        public var isPiece: Bool
    }

    /// Whether anything lies on top of the content that the inode's key names.
    public func hasPieces(_ image: InodeImage) -> Bool { overlay.pieces[image.inode] != nil }

    /// The pieces of an inode, in order.
    func pieces(_ inode: UInt64) -> [ExtentChange.Piece] {
        overlay.pieces[inode]?.pieces ?? []
    }

    /// Visits what a file consists of from byte `start` to its size, in order and without gaps,
    /// until `body` returns false. Neighbours of one kind may be several extents.
    public func forEachExtent(
        of image: InodeImage, from start: UInt64 = 0,
        _ body: (LiveExtent) throws(TreeError) -> Bool
    ) throws(TreeError) {
        guard image.mode >> 12 == 8, start < image.size else { return }
        var merger = ExtentMerger(pieces: pieces(image.inode), from: start, to: image.size)
        switch image.content {
        case .chunk(let name):
            let length = UInt64(chunks.lengthOfChunk(name) ?? 0)
            // Where the chunk is not stored its length is unknown: the file's size stands for it.
            let bytes = length > 0 ? length : image.size
            let chunkBytes = UInt32(clamping: bytes)
            let extent = ExtentChange.Piece(
                offset: 0, length: UInt64(chunkBytes),
                source: .data(name, chunkBytes: chunkBytes, offset: 0))
            if try !merger.add(extent, body) { return }
        case .recipe(let reference):
            let reader = ListReader<RecipeSchema, ChunkReader>(store: chunks)
            let isWhole = try reader.forEach(of: reference, from: start) {
                position, extent throws(TreeError) in
                let source: ExtentChange.Piece.Source =
                    switch extent {
                    case .data(let name, let length): .data(name, chunkBytes: length, offset: 0)
                    case .hole: .hole
                    case .zeros: .zeros
                    }
                return try merger.add(
                    .init(offset: position, length: extent.length, source: source), body)
            }
            guard isWhole else { return }
        case .none, .directory, .target: break
        }
        _ = try merger.finish(body)
    }

    /// The bytes of a regular file from `offset`, at most `count`, fewer only at its end.
    ///
    /// Throws where a chunk of the range is damaged; what lies before and behind it can be read by
    /// itself.
    public func read(
        _ image: InodeImage, at offset: UInt64, count: Int
    ) throws(TreeError) -> [UInt8] {
        guard offset < image.size, count > 0 else { return [] }
        let end = offset + min(UInt64(count), image.size - offset)
        var bytes = [UInt8](repeating: 0, count: Int(end - offset))
        try forEachExtent(of: image, from: offset) { extent throws(TreeError) in
            let from = max(extent.range.lowerBound, offset)
            let to = min(extent.range.upperBound, end)
            if from < to, case .data(let name, let chunkBytes, let within) = extent.source {
                let chunk = try chunks.chunk(name, domain: .data)
                let first = Int(within) + Int(from - extent.range.lowerBound)
                let length = Int(to - from)
                guard chunk.count == Int(chunkBytes), first + length <= chunk.count else {
                    throw .format(.badValue("chunk: length"), node: name)
                }
                bytes.replaceSubrange(
                    Int(from - offset)..<Int(to - offset), with: chunk[first..<first + length])
            }
            return extent.range.upperBound < end
        }
        return bytes
    }

    /// A file's extended attributes.
    public func attributes(of image: InodeImage) throws(TreeError) -> AttributeSet {
        let bytes: [UInt8]
        var node = rootName
        switch image.attributes {
        case .none: return AttributeSet()
        case .inline(let inline): bytes = inline
        case .chunk(let name, let byteCount):
            bytes = try chunks.chunk(name, domain: .data)
            node = name
            guard bytes.count == Int(byteCount) else {
                throw .format(.badValue("attributes: length"), node: name)
            }
        }
        do throws(FormatError) {
            return try bytes.borrowing { (raw) throws(FormatError) in try AttributeSet(raw) }
        } catch {
            throw .format(error, node: node)
        }
    }
}

extension ChunkReader {
    /// Raw bytes of a stored chunk; nil where no copy is stored.
    func lengthOfChunk(_ name: ChunkName) -> UInt32? {
        // What cannot be looked for is told when it is read.
        (try? inventory.number(of: name)).flatMap { $0 }.map {
            inventory.table.copies[$0].rawBytes
        }
    }
}

/// Lays pieces over the extents of a file's content, which come in order.
private struct ExtentMerger {
    private let pieces: [ExtentChange.Piece]
    private var next = 0
    private var position: UInt64
    private let end: UInt64

    init(pieces: [ExtentChange.Piece], from start: UInt64, to end: UInt64) {
        self.pieces = pieces
        position = start
        self.end = end
    }

    /// Takes the next extent of the content, which begins at or before `position`.
    mutating func add(
        _ extent: ExtentChange.Piece,
        _ body: (VolumeState.LiveExtent) throws(TreeError) -> Bool
    ) throws(TreeError) -> Bool {
        let limit = min(extent.offset + extent.length, end)
        while position < limit {
            if try !emit(upTo: limit, extent, body) { return false }
        }
        return position < end
    }

    /// The rest of the file, behind the content.
    mutating func finish(
        _ body: (VolumeState.LiveExtent) throws(TreeError) -> Bool
    ) throws(TreeError) -> Bool {
        guard position < end else { return true }
        let hole = ExtentChange.Piece(offset: position, length: end - position, source: .hole)
        return try add(hole, body)
    }

    /// One run from `position`: of a piece, or of the content up to the next piece.
    private mutating func emit(
        upTo limit: UInt64, _ extent: ExtentChange.Piece,
        _ body: (VolumeState.LiveExtent) throws(TreeError) -> Bool
    ) throws(TreeError) -> Bool {
        while next < pieces.count, pieces[next].offset + pieces[next].length <= position {
            next += 1
        }
        let piece = next < pieces.count ? pieces[next] : nil
        let from = position
        if let piece, piece.offset <= position {
            let stop = min(piece.offset + piece.length, limit)
            position = stop
            let part = PieceList.part(piece, from..<stop)
            return try body(.init(range: from..<stop, source: part.source, isPiece: true))
        }
        let stop = min(piece?.offset ?? limit, limit)
        position = stop
        let part = PieceList.part(extent, from..<stop)
        return try body(.init(range: from..<stop, source: part.source, isPiece: false))
    }
}
