import FileModel

/// A file of `MemoryFilesystem`.
final class MemoryNode {
    var attributes: FileAttributes
    /// Of directories: entries by name; each has a cookie that lasts as long as it.
    var entries: [[UInt8]: Entry] = [:]
    /// Of directories: names by cookie, ascending.
    var order: [(cookie: UInt64, name: [UInt8])] = []
    var nextCookie: UInt64 = 3
    var parent: InodeNumber
    var target: [UInt8] = []
    var extended: [[UInt8]: [UInt8]] = [:]
    var content = MemoryContent()
    /// How often the kernel knows it.
    var lookupCount: UInt64 = 0

    struct Entry {
        var inode: InodeNumber
        var cookie: UInt64
    }

    init(attributes: FileAttributes, parent: InodeNumber) {
        self.attributes = attributes
        self.parent = parent
    }

    func insert(_ name: [UInt8], _ inode: InodeNumber) {
        entries[name] = Entry(inode: inode, cookie: nextCookie)
        order.append((nextCookie, name))
        nextCookie += 1
    }

    func remove(_ name: [UInt8]) {
        guard let entry = entries.removeValue(forKey: name) else { return }
        let index = firstIndex(from: entry.cookie)
        if index < order.count, order[index].cookie == entry.cookie { order.remove(at: index) }
    }

    /// The first place in `order` whose cookie is `cookie` or more.
    func firstIndex(from cookie: UInt64) -> Int {
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            if order[middle].cookie < cookie { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
