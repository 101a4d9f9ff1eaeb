/// A file of the memory backend, whatever names it has: its contents as programs see them, those that
/// a power cut would leave at least, and the changes between the two.
///
/// Invariants:
/// 1. Applying all of `pending` to `durable` gives `live`.
/// 2. `pending` is in the order in which the changes were made, by rising sequence.
struct MemoryInode {
    private(set) var live = SparseBytes()
    private(set) var durable = SparseBytes()
    private(set) var pending: [MemoryChange] = []
    /// Open handles.
    var handles = 0

    mutating func change(_ kind: MemoryChange.Kind, sequence: UInt64) {
        kind.apply(to: &live)
        pending.append(MemoryChange(sequence: sequence, kind: kind))
    }

    mutating func synchronize() {
        for change in pending {
            guard case .write(let offset, let bytes) = change.kind else {
                // What frees or takes pages: share all of them anew.
                durable = live
                break
            }
            durable.adopt(offset..<(offset + UInt64(bytes.count)), from: live)
        }
        pending = []
    }

    /// The inode after a power cut, with the pending changes that `isKept` chooses, all of them whole.
    func cut(keeping isKept: (UInt64) -> Bool) -> MemoryInode {
        var contents = durable
        for change in pending where isKept(change.sequence) {
            change.kind.apply(to: &contents)
        }
        return MemoryInode(contents: contents)
    }

    /// The inode after a power cut that leaves what a page cache may have written by then.
    ///
    /// Metadata (size, cutting, punching) reaches the journal in order: some first part of it is
    /// kept. Each sector reaches the medium at any moment, as it then was: of the writes that touch a
    /// sector some first part is kept, independent of all other sectors and of the size. So a file
    /// may have its new size and zeros, or its new end and an old middle.
    func cut(using generator: inout some RandomNumberGenerator) -> MemoryInode {
        var contents = durable
        let kept = Int.random(in: 0...pending.count, using: &generator)
        // Nothing, a little, much or all of the data: uniform chances per sector would rarely give
        // the extremes.
        let lossPercent = [0, 10, 50, 90, 100].randomElement(using: &generator) ?? 0
        var lost: Set<UInt64> = []
        for (index, change) in pending.enumerated() {
            guard case .write(let offset, let bytes) = change.kind else {
                if index < kept { change.kind.apply(to: &contents) }
                continue
            }
            if index < kept { contents.grow(to: offset + UInt64(bytes.count)) }
            for (sector, part) in Self.sectors(at: offset, count: bytes.count) {
                let isDropped =
                    lost.contains(sector)
                    || Int.random(in: 0..<100, using: &generator) < lossPercent
                if isDropped {
                    lost.insert(sector)
                } else {
                    bytes[part].withUnsafeBytes {
                        contents.writeWithinSize($0, at: offset + UInt64(part.lowerBound))
                    }
                }
            }
        }
        return MemoryInode(contents: contents)
    }

    private static let sectorBytes = 512

    private static func sectors(
        at offset: UInt64, count: Int
    ) -> some Sequence<(sector: UInt64, part: Range<Int>)> {
        sequence(state: 0) { (done: inout Int) -> (sector: UInt64, part: Range<Int>)? in
            guard done < count else { return nil }
            let position = offset + UInt64(done)
            let room = sectorBytes - Int(position % UInt64(sectorBytes))
            let begin = done
            done = min(count, done + room)
            return (position / UInt64(sectorBytes), begin..<done)
        }
    }

    init() {}

    /// A closed file whose contents are all durable.
    init(contents: SparseBytes) {
        live = contents
        durable = contents
    }
}

/// A change of a file that is not durable yet.
struct MemoryChange {
    enum Kind {
        case write(offset: UInt64, bytes: [UInt8])
        case truncate(size: UInt64)
        case punch(Range<UInt64>)
        case reserve(Range<UInt64>)

        func apply(to contents: inout SparseBytes) {
            switch self {
            case .write(let offset, let bytes):
                bytes.withUnsafeBytes { contents.write($0, at: offset) }
            case .truncate(let size): contents.truncate(to: size)
            case .punch(let range): contents.punch(range)
            case .reserve(let range): contents.reserve(range)
            }
        }
    }

    /// Counts all changes of a backend, of data and names.
    var sequence: UInt64
    var kind: Kind
}
