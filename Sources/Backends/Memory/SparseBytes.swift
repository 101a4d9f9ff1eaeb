/// The contents of a file in memory: pages of 4 KiB, absent where there is a hole.
///
/// A value: copies share their pages until one of them is written to. Bytes of a page beyond the
/// size are zero, so that growing the file shows zeros.
struct SparseBytes {
    static let pageBytes = 4096
    private static let zeroPage = [UInt8](repeating: 0, count: pageBytes)

    private(set) var size: UInt64 = 0
    private var pages: [UInt64: [UInt8]] = [:]

    var pageCount: Int { pages.count }
    var allocatedBytes: UInt64 { UInt64(pages.count) * UInt64(Self.pageBytes) }

    /// The part of a range that lies in one page.
    private struct Piece {
        var page: UInt64
        var inPage: Range<Int>
        /// Where the piece begins in the range.
        var start: Int
    }

    /// Cuts `count` bytes from `offset` on at the page boundaries.
    private static func pieces(at offset: UInt64, count: Int) -> some Sequence<Piece> {
        sequence(state: 0) { (done: inout Int) -> Piece? in
            guard done < count else { return nil }
            let position = offset + UInt64(done)
            let begin = Int(position % UInt64(pageBytes))
            let length = min(pageBytes - begin, count - done)
            defer { done += length }
            return Piece(
                page: position / UInt64(pageBytes), inPage: begin..<(begin + length), start: done)
        }
    }

    /// How many pages a write or reservation of the range would add.
    func pagesMissing(in range: Range<UInt64>) -> UInt64 {
        guard !range.isEmpty else { return 0 }
        let touched = Self.touchedPages(range)
        // Never more steps than there are pages, however long the range is.
        let present =
            touched.count > pages.count
            ? pages.keys.count { touched.contains($0) }
            : touched.count { pages[$0] != nil }
        return touched.upperBound - touched.lowerBound - UInt64(present)
    }

    private static func touchedPages(_ range: Range<UInt64>) -> Range<UInt64> {
        let unit = UInt64(pageBytes)
        return (range.lowerBound / unit)..<((range.upperBound - 1) / unit + 1)
    }

    /// Copies bytes from `offset` on; returns how many, fewer than asked only at the end.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard offset < size else { return 0 }
        let count = Int(min(UInt64(buffer.count), size - offset))
        for piece in Self.pieces(at: offset, count: count) {
            let target = UnsafeMutableRawBufferPointer(
                rebasing: buffer[piece.start..<(piece.start + piece.inPage.count)])
            if let page = pages[piece.page] {
                target.copyBytes(from: page[piece.inPage])
            } else {
                target.initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
        return count
    }

    /// Writes `bytes` at `offset`; the file grows to hold them.
    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
        store(bytes, at: offset)
        size = max(size, offset + UInt64(bytes.count))
    }

    /// As `write`, but only as far as the size reaches, which stays.
    mutating func writeWithinSize(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
        guard offset < size else { return }
        let count = Int(min(UInt64(bytes.count), size - offset))
        store(UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: offset)
    }

    private mutating func store(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
        for piece in Self.pieces(at: offset, count: bytes.count) {
            let source = UnsafeRawBufferPointer(
                rebasing: bytes[piece.start..<(piece.start + piece.inPage.count)])
            pages[piece.page, default: Self.zeroPage].withUnsafeMutableBytes { page in
                UnsafeMutableRawBufferPointer(rebasing: page[piece.inPage]).copyMemory(from: source)
            }
        }
    }

    /// Grows the file with a hole; never cuts it.
    mutating func grow(to newSize: UInt64) {
        size = max(size, newSize)
    }

    mutating func truncate(to newSize: UInt64) {
        if newSize < size {
            let last = Self.pageBytes
            let kept = newSize / UInt64(last) + (newSize % UInt64(last) == 0 ? 0 : 1)
            pages = pages.filter { $0.key < kept }
            zero(newSize..<(kept * UInt64(last)))
        }
        size = newSize
    }

    /// Frees the whole pages of the range and zeroes the rest of it; the size stays.
    mutating func punch(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        let unit = UInt64(Self.pageBytes)
        let first = (range.lowerBound + unit - 1) / unit
        let end = range.upperBound / unit
        guard first < end else {
            // Within a page, or over one boundary.
            let boundary = min(max(first * unit, range.lowerBound), range.upperBound)
            zero(range.lowerBound..<boundary)
            zero(boundary..<range.upperBound)
            return
        }
        if end - first > UInt64(pages.count) {
            pages = pages.filter { $0.key < first || $0.key >= end }
        } else {
            for page in first..<end { pages[page] = nil }
        }
        zero(range.lowerBound..<(first * unit))
        zero((end * unit)..<range.upperBound)
    }

    /// Zeroes a range within one page, where that page is there.
    private mutating func zero(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        let unit = UInt64(Self.pageBytes)
        let page = range.lowerBound / unit
        let begin = Int(range.lowerBound % unit)
        let end = begin + Int(range.upperBound - range.lowerBound)
        pages[page]?.withUnsafeMutableBytes { bytes in
            for index in begin..<end { bytes[index] = 0 }
        }
    }

    /// Takes pages for the range; the size stays.
    mutating func reserve(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        for page in Self.touchedPages(range) where pages[page] == nil {
            pages[page] = Self.zeroPage
        }
    }

    /// Takes the pages of the range over from `other`, and its size.
    mutating func adopt(_ range: Range<UInt64>, from other: SparseBytes) {
        size = other.size
        guard !range.isEmpty else { return }
        for page in Self.touchedPages(range) { pages[page] = other.pages[page] }
    }
}
