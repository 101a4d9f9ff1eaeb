// Which inodes were met: bits in pages, so that hostile numbers cost what they are, not what they
// say.

/// A set of inode numbers: 512 bytes for each 4,096 numbers of which one is in it.
struct InodeSet {
    private var pages: [UInt64: [UInt64]] = [:]

    /// Whether it was not in the set before.
    mutating func insert(_ inode: UInt64) -> Bool {
        let word = Int(inode >> 6 & 63)
        let bit: UInt64 = 1 << (inode & 63)
        var page = pages.removeValue(forKey: inode >> 12) ?? [UInt64](repeating: 0, count: 64)
        let isNew = page[word] & bit == 0
        page[word] |= bit
        pages[inode >> 12] = page
        return isNew
    }

    func contains(_ inode: UInt64) -> Bool {
        guard let page = pages[inode >> 12] else { return false }
        return page[Int(inode >> 6 & 63)] & 1 << (inode & 63) != 0
    }
}

/// The inodes with several names and how many of them were met: 24 bytes each.
struct LinkTable {
    struct Row {
        var inode: UInt64
        var linkCount: UInt64
        var seen: UInt32 = 0
        /// d_type.
        var kind: UInt8
    }

    private(set) var rows: [Row] = []

    /// In ascending order of inodes.
    mutating func append(_ row: Row) {
        rows.append(row)
    }

    /// Counts a name; the row it belongs to, or nil.
    mutating func meet(_ inode: UInt64) -> Row? {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].inode < inode { low = middle + 1 } else { high = middle }
        }
        guard low < rows.count, rows[low].inode == inode else { return nil }
        rows[low].seen = rows[low].seen &+ 1
        return rows[low]
    }
}
