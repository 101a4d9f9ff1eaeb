import DiskFormat

/// What is stored of a file: a key and, on top of it, pieces.
public struct StoredContent: Equatable, Sendable {
    /// `none`, a `chunk` or a `recipe`; canonical for the first `size` bytes.
    public var key: ContentKey
    /// Bytes that the key makes. The file may be longer: what neither key nor pieces have is a hole.
    public var size: UInt64
    /// Ascending, apart; on top of the key, and perhaps beyond its end.
    public var pieces: [ExtentChange.Piece]
    /// Bytes of the key's `size` that are not holes, where known: a fold's result says so, and so
    /// does an inode without pieces. It spares reading a whole recipe to count or to find holes.
    public var keyAllocatedBytes: UInt64?
    /// The same of key and pieces together, where there are pieces and it is known.
    public var piecedAllocatedBytes: UInt64?
    /// The key's last cut stands whatever is appended: what a fold up to a decided cut knows, and
    /// what spares the next one reading the last chunk again. False is always right.
    public var endsAtCut: Bool

    public init(
        key: ContentKey = .none, size: UInt64 = 0, pieces: [ExtentChange.Piece] = [],
        keyAllocatedBytes: UInt64? = nil, piecedAllocatedBytes: UInt64? = nil,
        endsAtCut: Bool = false
    ) {
        self.key = key
        self.size = size
        self.pieces = pieces
        self.keyAllocatedBytes = keyAllocatedBytes
        self.piecedAllocatedBytes = piecedAllocatedBytes
        self.endsAtCut = endsAtCut
    }

    /// Bytes that are not in holes, where known.
    public var allocatedBytes: UInt64? {
        pieces.isEmpty ? keyAllocatedBytes : piecedAllocatedBytes
    }

    /// The key alone.
    var withoutPieces: StoredContent {
        var result = self
        result.pieces = []
        result.piecedAllocatedBytes = nil
        return result
    }

    /// Known to be without a hole in the key's bytes.
    var keyHasNoHoles: Bool {
        if case .recipe = key { return keyAllocatedBytes == size }
        return true
    }

    /// The first piece that ends behind `offset`, as an index; the count where there is none.
    func pieceIndex(endingAfter offset: UInt64) -> Int {
        pieces.firstIndex(from: 0) { $0.offset + $0.length > offset }
    }
}

/// What a stretch of stored content is.
public enum Segment: Equatable, Sendable {
    /// The bytes of a chunk of `chunkBytes` from its byte `offset` on.
    case data(ChunkName, chunkBytes: UInt32, offset: UInt32)
    /// Never written.
    case hole
    /// Allocated, and zero.
    case zeros
}

extension Array {
    /// The first index at or behind `start` whose element passes; `count` where none does. Elements
    /// that pass come behind those that do not. Binary search.
    func firstIndex(from start: Int, where passes: (Element) -> Bool) -> Int {
        var low = start
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if passes(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
