// Pieces on top of inodes' contents: ranges replaced, overlaps trimmed, chunks counted by piece.
import DiskFormat
import Metadata
import NamespaceIndex

extension ExtentChange.Piece {
    /// The chunk that the piece owns.
    var chunk: ChunkName? {
        if case .data(let name, _, _) = source { name } else { nil }
    }

    var end: UInt64 { offset + length }

    /// The part within `range`, which overlaps the piece.
    func clamped(to range: Range<UInt64>) -> ExtentChange.Piece {
        let from = max(offset, range.lowerBound)
        let to = min(end, range.upperBound)
        var part = ExtentChange.Piece(offset: from, length: to - from, source: source)
        if case .data(let name, let chunkBytes, let within) = source {
            part.source = .data(
                name, chunkBytes: chunkBytes, offset: within + UInt32(from - offset))
        }
        return part
    }
}

extension NamespaceStage {
    mutating func takeExtents(
        _ changes: [ExtentChange], _ applier: inout CommitApplier,
        _ batch: inout MetadataBatch
    ) throws(StoreError) {
        var byInode: [UInt64: [ExtentChange]] = [:]
        for change in changes { byInode[change.inode, default: []].append(change) }
        for (number, changes) in byInode {
            try takeExtents(changes, of: number, &applier, &batch)
        }
    }

    private mutating func takeExtents(
        _ changes: [ExtentChange], of number: UInt64, _ applier: inout CommitApplier,
        _ batch: inout MetadataBatch
    ) throws(StoreError) {
        // Changes of an inode that is gone with this commit have no meaning.
        guard let record = try self.record(of: number, applier) else { return }
        var low = UInt64.max
        var high: UInt64 = 0
        for change in changes {
            low = min(low, change.range.lowerBound)
            high = max(high, change.range.upperBound)
        }
        let old =
            record.pieceCount == 0 ? [] : try pieces(of: number, in: low..<high, applier.index)
        let now = NamespaceStage.replacing(old, changes)
        guard now != old else { return }
        try put(now, insteadOf: old, of: number, &applier, &batch)
        let count = record.pieceCount + UInt64(now.count)
        try change(number, applier) { $0.pieceCount = count - min(count, UInt64(old.count)) }
    }

    /// `pieces`, ascending and apart, with some ranges of them replaced, one after the other: in one
    /// pass where these are ascending and apart, as commits have them.
    static func replacing(
        _ pieces: [ExtentChange.Piece], _ changes: [ExtentChange]
    ) -> [ExtentChange.Piece] {
        let areInOrder = zip(changes, changes.dropFirst()).allSatisfy {
            $0.range.upperBound <= $1.range.lowerBound
        }
        guard areInOrder, changes.count > 1 else { return changes.reduce(pieces, replacing) }
        var result: [ExtentChange.Piece] = []
        result.reserveCapacity(pieces.count + 2 * changes.count)
        var next = 0
        var from: UInt64 = 0
        // What lies between two changed ranges stays. A piece may reach over several of them.
        func keep(to limit: UInt64) {
            while next < pieces.count, pieces[next].offset < limit {
                if pieces[next].end > from {
                    result.append(pieces[next].clamped(to: from..<limit))
                }
                guard pieces[next].end <= limit else { return }
                next += 1
            }
        }
        for change in changes {
            if from < change.range.lowerBound { keep(to: change.range.lowerBound) }
            result.append(contentsOf: change.pieces)
            from = change.range.upperBound
        }
        keep(to: .max)
        return result
    }

    /// `pieces`, ascending and apart, with a range of them replaced.
    static func replacing(
        _ pieces: [ExtentChange.Piece], _ change: ExtentChange
    ) -> [ExtentChange.Piece] {
        var result: [ExtentChange.Piece] = []
        result.reserveCapacity(pieces.count + change.pieces.count + 1)
        var isPlaced = false
        for piece in pieces {
            if piece.offset < change.range.lowerBound {
                result.append(piece.clamped(to: 0..<change.range.lowerBound))
            }
            if piece.end > change.range.upperBound {
                if !isPlaced { result.append(contentsOf: change.pieces) }
                isPlaced = true
                result.append(piece.clamped(to: change.range.upperBound..<UInt64.max))
            }
        }
        if !isPlaced { result.append(contentsOf: change.pieces) }
        return result
    }

    /// Goes over both lists, which are ascending: what they have in common is not touched. New pieces
    /// are counted before old ones are let go.
    private func put(
        _ now: [ExtentChange.Piece], insteadOf old: [ExtentChange.Piece], of number: UInt64,
        _ applier: inout CommitApplier, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        var released: [ChunkName] = []
        var (new, gone) = (now[...], old[...])
        while let first = [new.first?.offset, gone.first?.offset].compactMap({ $0 }).min() {
            let laid = new.first?.offset == first ? new.popFirst() : nil
            let left = gone.first?.offset == first ? gone.popFirst() : nil
            guard laid != left else { continue }
            let key = NamespaceKey.piece(volume, inode: number, offset: first)
            if let name = left?.chunk { released.append(name) }
            guard let laid else {
                batch.delete(key)
                continue
            }
            if let name = laid.chunk { try applier.count(name, by: 1, domain: .data) }
            batch.put(key, PieceRecord(laid).encoded())
        }
        for name in released { try applier.count(name, by: -1, domain: .data) }
    }

    /// The index's pieces that overlap `range`, ascending.
    func pieces(
        of number: UInt64, in range: Range<UInt64>, _ index: any MetadataStore
    ) throws(StoreError) -> [ExtentChange.Piece] {
        // The piece that begins before the range is found by looking back further and further: keys
        // can be walked forwards only.
        var lookBack: UInt64 = 64 << 10
        while true {
            let from = range.lowerBound - min(range.lowerBound, lookBack)
            var result: [ExtentChange.Piece] = []
            var hasEarlier = false
            try index.visit(
                NamespaceKey.pieces(volume, inode: number),
                from: NamespaceKey.piece(volume, inode: number, offset: from)
            ) { (key, value) throws(FormatError) in
                guard let (_, offset) = NamespaceKey.pair(key) else {
                    throw .badValue("piece key")
                }
                guard offset < range.upperBound else { return false }
                let piece = try PieceRecord(value).piece(at: offset)
                if offset < range.lowerBound {
                    hasEarlier = true
                    if piece.end <= range.lowerBound { return true }
                }
                result.append(piece)
                return true
            }
            if from == 0 || hasEarlier { return result }
            lookBack = lookBack.multipliedReportingOverflow(by: 16).partialValue
            if lookBack == 0 { lookBack = .max }
        }
    }
}
