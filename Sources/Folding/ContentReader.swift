import DiskFormat
import Trees

/// Reads stored content: pieces, the key beneath them, and holes where there is neither.
public struct ContentReader<Store: ContentStore> {
    public let store: Store
    private let cursor: RecipeCursor

    /// - Parameter cursor: remembers the place in the recipe between calls; whoever keeps one for a
    ///   file that is read in order spares decoding a recipe's leaf for each request.
    public init(store: Store, cursor: RecipeCursor = RecipeCursor()) {
        self.store = store
        self.cursor = cursor
    }

    /// What byte `offset` is, and from there to where something else begins. Of neighbouring
    /// segments both may be holes, or zeros.
    public func segment(
        of content: StoredContent, at offset: UInt64
    ) throws(TreeError) -> (range: Range<UInt64>, segment: Segment) {
        precondition(offset < ExtentChange.endOfFile, "behind the largest file")
        let index = content.pieceIndex(endingAfter: offset)
        var limit = ExtentChange.endOfFile
        if index < content.pieces.count {
            let piece = content.pieces[index]
            if piece.offset <= offset {
                return (
                    offset..<piece.offset + piece.length,
                    ContentReader.segment(piece.source, from: offset - piece.offset)
                )
            }
            limit = piece.offset
        }
        guard offset < content.size else { return (offset..<limit, .hole) }
        let (range, extent) = try keyExtent(of: content, at: offset)
        let segment: Segment
        switch extent {
        case .data(let name, let length):
            segment = .data(
                name, chunkBytes: length, offset: UInt32(offset - range.lowerBound))
        case .hole: segment = .hole
        case .zeros: segment = .zeros
        }
        return (offset..<min(limit, range.upperBound), segment)
    }

    /// Visits what `range` consists of, ascending, without gaps, clipped to it; stops when `body`
    /// returns false. What lies beyond all that is stored is a hole.
    public func forEachSegment(
        of content: StoredContent, in range: Range<UInt64>,
        _ body: (Range<UInt64>, Segment) throws(TreeError) -> Bool
    ) throws(TreeError) {
        var position = range.lowerBound
        while position < range.upperBound {
            let found = try segment(of: content, at: position)
            let clipped = found.range.clamped(to: range)
            guard try body(clipped, found.segment) else { return }
            position = clipped.upperBound
        }
    }

    /// Fills `buffer` with the bytes from `offset` on; holes, zeros and what lies beyond all that is
    /// stored give zeros. The caller clips to the file's size.
    public func read(
        of content: StoredContent, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TreeError) {
        let range = offset..<offset + UInt64(buffer.count)
        try forEachSegment(of: content, in: range) { (part, segment) throws(TreeError) in
            let from = Int(part.lowerBound - offset)
            let to = Int(part.upperBound - offset)
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[from..<to])
            switch segment {
            case .data(let name, _, let within):
                try store.readData(name, from: Int(within), into: target)
            case .hole, .zeros: target.zero()
            }
            return true
        }
    }

    /// The extent of the key alone that has byte `offset`, which is below the key's size.
    func keyExtent(
        of content: StoredContent, at offset: UInt64
    ) throws(TreeError) -> (range: Range<UInt64>, extent: Extent) {
        precondition(offset < content.size)
        switch content.key {
        case .chunk(let name):
            guard content.size <= UInt64(ChunkerParameters.maximumBytesLimit) else {
                throw .format(.badValue("content: chunk length"), node: name)
            }
            return (0..<content.size, .data(name, length: UInt32(content.size)))
        case .recipe(let root):
            return try cursor.extent(at: offset, of: root, length: content.size, in: store)
        case .none, .directory, .target:
            throw .badEdit
        }
    }

    private static func segment(
        _ source: ExtentChange.Piece.Source, from offset: UInt64
    ) -> Segment {
        switch source {
        case .data(let name, let chunkBytes, let within):
            .data(name, chunkBytes: chunkBytes, offset: within + UInt32(offset))
        case .hole: .hole
        case .zeros: .zeros
        }
    }
}

// MARK: - Holes

extension ContentReader {
    /// SEEK_DATA: the first byte at or behind `from` that is not in a hole, of a file of `size`
    /// bytes; nil (ENXIO) where there is none. Allocated zeros are data.
    public func nextData(
        of content: StoredContent, from: UInt64, size: UInt64
    ) throws(TreeError) -> UInt64? {
        guard from < size else { return nil }
        var result: UInt64?
        try forEachSegment(of: content, in: from..<size) { (range, segment) throws(TreeError) in
            if segment != .hole { result = range.lowerBound }
            return segment == .hole
        }
        return result
    }

    /// SEEK_HOLE: the first byte at or behind `from` that is in a hole, of a file of `size` bytes:
    /// its end where there is none before; nil (ENXIO) when `from` is not below it. Reads the recipe
    /// up to there, unless the key is known to have no holes.
    public func nextHole(
        of content: StoredContent, from: UInt64, size: UInt64
    ) throws(TreeError) -> UInt64? {
        guard from < size else { return nil }
        if content.pieces.isEmpty, content.keyHasNoHoles {
            return min(max(from, content.size), size)
        }
        var result = size
        try forEachSegment(of: content, in: from..<size) { (range, segment) throws(TreeError) in
            if segment == .hole { result = range.lowerBound }
            return segment != .hole
        }
        return result
    }

    /// Bytes of `range` that are not in holes. Reads the recipe there, unless the key is known to
    /// have no holes.
    public func allocatedBytes(
        of content: StoredContent, in range: Range<UInt64>
    ) throws(TreeError) -> UInt64 {
        let hasNoHoles =
            content.pieces.isEmpty
            ? content.keyHasNoHoles
            : content.piecedAllocatedBytes == content.size && range.upperBound <= content.size
        if hasNoHoles {
            let end = min(range.upperBound, content.size)
            return end - min(range.lowerBound, end)
        }
        var total: UInt64 = 0
        try forEachSegment(of: content, in: range) { (part, segment) throws(TreeError) in
            if segment != .hole { total += part.upperBound - part.lowerBound }
            return true
        }
        return total
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Makes all bytes zero.
    func zero() {
        baseAddress?.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    }
}
