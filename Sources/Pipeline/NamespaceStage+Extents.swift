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
        var now = old
        for change in changes { now = NamespaceStage.replacing(now, change) }
        guard now != old else { return }
        for piece in now {
            if let name = piece.chunk { try applier.count(name, by: 1, domain: .data) }
        }
        for piece in old {
            if let name = piece.chunk { try applier.count(name, by: -1, domain: .data) }
        }
        put(now, insteadOf: old, of: number, &batch)
        let count = record.pieceCount + UInt64(now.count)
        try change(number, applier) { $0.pieceCount = count - min(count, UInt64(old.count)) }
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

    private func put(
        _ now: [ExtentChange.Piece], insteadOf old: [ExtentChange.Piece], of number: UInt64,
        _ batch: inout MetadataBatch
    ) {
        var kept: [UInt64: ExtentChange.Piece] = [:]
        for piece in now { kept[piece.offset] = piece }
        for piece in old where kept[piece.offset] == nil {
            batch.delete(NamespaceKey.piece(volume, inode: number, offset: piece.offset))
        }
        var before: [UInt64: ExtentChange.Piece] = [:]
        for piece in old { before[piece.offset] = piece }
        for piece in now where before[piece.offset] != piece {
            batch.put(
                NamespaceKey.piece(volume, inode: number, offset: piece.offset),
                PieceRecord(piece).encoded())
        }
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
