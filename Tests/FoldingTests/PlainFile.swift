import Chunking
import DiskFormat
import Folding
import Trees

/// A file as an array: nil is a hole. Knows its key from the definition: every stretch between
/// holes is cut by itself, at once.
struct PlainFile: Equatable {
    var bytes: [UInt8?]

    var allocatedBytes: UInt64 { UInt64(bytes.count { $0 != nil }) }

    func key(_ chunker: Chunker, in store: MemoryContentStore) throws -> ContentKey {
        let extents = try extents(chunker, in: store)
        if extents.count == 1, case .data(let name, _) = extents[0] { return .chunk(name) }
        return try RecipeEdit.build(extents, in: store).map { .recipe($0) } ?? .none
    }

    private func extents(_ chunker: Chunker, in store: MemoryContentStore) throws -> [Extent] {
        var extents: [Extent] = []
        var scratch = ChunkerScratch()
        var start = 0
        while start < bytes.count {
            let isHole = bytes[start] == nil
            let end = bytes[start...].firstIndex { ($0 == nil) != isHole } ?? bytes.count
            if isHole {
                extents.append(.hole(length: UInt64(end - start)))
            } else {
                let stretch = bytes[start..<end].compactMap { $0 }
                var cuts: [Cut] = []
                try stretch.withUnsafeBytes { raw in
                    _ = chunker.cut(
                        raw, at: UInt64(start), isEnd: true, followsZeros: false, into: &cuts,
                        scratch: &scratch)
                    var position = 0
                    for cut in cuts {
                        let chunk = UnsafeRawBufferPointer(
                            rebasing: raw[position..<position + cut.length])
                        position += cut.length
                        extents.append(
                            cut.kind == .zeros
                                ? .zeros(length: UInt64(cut.length))
                                : .data(try store.putData(chunk), length: UInt32(cut.length)))
                    }
                }
            }
            start = end
        }
        return extents
    }
}

/// A file that is written to: what is stored of it, what it should be, and what is not stored yet.
struct EditedFile {
    enum Dirty: Equatable {
        case no
        case bytes
        case hole
        case zeros
    }

    var plain = PlainFile(bytes: [])
    var dirty: [Dirty] = []
    var stored = StoredContent()

    var size: Int { plain.bytes.count }

    mutating func write(_ bytes: [UInt8], at offset: Int) {
        resize(max(size, offset + bytes.count))
        for (index, byte) in bytes.enumerated() {
            plain.bytes[offset + index] = byte
            dirty[offset + index] = .bytes
        }
    }

    mutating func clear(_ range: Range<Int>, _ kind: Dirty) {
        resize(max(size, range.upperBound))
        for index in range {
            plain.bytes[index] = kind == .hole ? nil : 0
            dirty[index] = kind
        }
    }

    /// What is cut off is a hole when the file grows again; `dirty` may be longer than the file.
    mutating func resize(_ newSize: Int) {
        if newSize < size {
            for index in newSize..<size { dirty[index] = .hole }
            plain.bytes.removeSubrange(newSize...)
        } else {
            plain.bytes += [UInt8?](repeating: nil, count: newSize - size)
            dirty += [Dirty](repeating: .no, count: max(0, newSize - dirty.count))
        }
    }

    /// Some of what is dirty beyond the end too: it must not count.
    func patches(splitAt splits: Set<Int> = []) -> [Patch] {
        var result: [Patch] = []
        for index in dirty.indices where dirty[index] != .no {
            let kind: PatchSource =
                switch dirty[index] {
                case .hole: .hole
                case .zeros: .zeros
                case .no, .bytes: .bytes
                }
            if let last = result.last, last.kind == kind, last.range.upperBound == UInt64(index),
                !splits.contains(index)
            {
                result[result.count - 1].range = last.range.lowerBound..<UInt64(index + 1)
            } else {
                result.append(Patch(range: UInt64(index)..<UInt64(index + 1), kind: kind))
            }
        }
        return result
    }

    var patchBytes: ArrayBytes { ArrayBytes(bytes: plain.bytes.map { $0 ?? 0xee }) }

    /// Stores what is dirty in `range` as a piece, as a commit of a small write does: of each kind
    /// the first run of it.
    mutating func storePiece(
        in range: Range<Int>, surplus: Int, to store: MemoryContentStore
    ) throws {
        guard let start = dirty[range].firstIndex(where: { $0 != .no }) else { return }
        let kind = dirty[start]
        let end = dirty[start..<range.upperBound].firstIndex { $0 != kind } ?? range.upperBound
        carvePieces(UInt64(start)..<UInt64(end))
        let source: ExtentChange.Piece.Source
        switch kind {
        case .hole: source = .hole
        case .zeros: source = .zeros
        case .no, .bytes:
            let bytes =
                [UInt8](repeating: 0x77, count: surplus)
                + plain.bytes[start..<end].compactMap { $0 } + [0x78, 0x79]
            let name = try bytes.withUnsafeBytes { try store.putData($0) }
            source = .data(name, chunkBytes: UInt32(bytes.count), offset: UInt32(surplus))
        }
        let piece = ExtentChange.Piece(
            offset: UInt64(start), length: UInt64(end - start), source: source)
        let index =
            stored.pieces.firstIndex { $0.offset > piece.offset } ?? stored.pieces.count
        stored.pieces.insert(piece, at: index)
        for index in start..<end { dirty[index] = .no }
    }

    private mutating func carvePieces(_ range: Range<UInt64>) {
        stored.pieces = stored.pieces.flatMap { piece in
            let old = piece.offset..<piece.offset + piece.length
            guard old.overlaps(range) else { return [piece] }
            var sides: [Range<UInt64>] = []
            if old.lowerBound < range.lowerBound {
                sides.append(old.lowerBound..<range.lowerBound)
            }
            if old.upperBound > range.upperBound {
                sides.append(range.upperBound..<old.upperBound)
            }
            return sides.map { side in
                var source = piece.source
                if case .data(let name, let chunkBytes, let offset) = source {
                    source = .data(
                        name, chunkBytes: chunkBytes,
                        offset: offset + UInt32(side.lowerBound - old.lowerBound))
                }
                return .init(
                    offset: side.lowerBound, length: side.upperBound - side.lowerBound,
                    source: source)
            }
        }
    }
}
