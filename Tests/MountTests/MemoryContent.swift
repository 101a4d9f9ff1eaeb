/// Sparse bytes in pages: an absent page is a hole.
struct MemoryContent {
    static let pageBytes: UInt64 = 4096

    private(set) var pages: [UInt64: [UInt8]] = [:]
    private(set) var size: UInt64 = 0

    var allocatedBytes: UInt64 { UInt64(pages.count) * Self.pageBytes }

    /// Pieces of a range that each lie within one page.
    private static func pieces(
        _ offset: UInt64, _ length: UInt64,
        _ body: (_ page: UInt64, _ within: Int, _ count: Int, _ done: Int) -> Void
    ) {
        var done: UInt64 = 0
        while done < length {
            let position = offset + done
            let within = position % Self.pageBytes
            let count = min(Self.pageBytes - within, length - done)
            body(position / Self.pageBytes, Int(within), Int(count), Int(done))
            done += count
        }
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard offset < size else { return 0 }
        let length = min(UInt64(buffer.count), size - offset)
        Self.pieces(offset, length) { page, within, count, done in
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
            if let bytes = pages[page] {
                bytes.withUnsafeBytes {
                    target.copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: $0[within..<within + count]))
                }
            } else {
                target.initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
        return Int(length)
    }

    mutating func write(at offset: UInt64, _ bytes: UnsafeRawBufferPointer) {
        Self.pieces(offset, UInt64(bytes.count)) { page, within, count, done in
            let empty = pages[page] == nil ? [UInt8](repeating: 0, count: Int(Self.pageBytes)) : []
            pages[page, default: empty].withUnsafeMutableBytes {
                UnsafeMutableRawBufferPointer(rebasing: $0[within..<within + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + count]))
            }
        }
        size = max(size, offset + UInt64(bytes.count))
    }

    mutating func truncate(to newSize: UInt64) {
        if newSize < size { punch(newSize, size - newSize) }
        size = newSize
    }

    /// Zeros a range and frees the pages that it covers wholly (the last page ends with the file).
    mutating func punch(_ offset: UInt64, _ length: UInt64) {
        var changed = pages
        let end = offset + length
        for page in pages.keys {
            let start = page * Self.pageBytes
            let stop = start + Self.pageBytes
            guard start < end, stop > offset else { continue }
            if start >= offset, stop <= end || size <= end {
                changed[page] = nil
            } else {
                let from = Int(max(start, offset) - start)
                let to = Int(min(stop, end) - start)
                for index in from..<to { changed[page]?[index] = 0 }
            }
        }
        pages = changed
    }

    /// Makes holes of a range into zeros that are stored.
    mutating func allocate(_ offset: UInt64, _ length: UInt64, growing: Bool) {
        guard length > 0 else { return }
        let last = (offset + length - 1) / Self.pageBytes
        for page in offset / Self.pageBytes...last where pages[page] == nil {
            pages[page] = [UInt8](repeating: 0, count: Int(Self.pageBytes))
        }
        if growing { size = max(size, offset + length) }
    }

    /// The next byte of data (or of a hole, which the end of the file counts as); nil if none.
    func seek(data: Bool, from offset: UInt64) -> UInt64? {
        guard offset < size else { return nil }
        var page = offset / Self.pageBytes
        while page * Self.pageBytes < size {
            if (pages[page] != nil) == data { return max(offset, page * Self.pageBytes) }
            page += 1
        }
        return data ? nil : size
    }
}
