// A volume as the index has it, read without the volume: for writing its trees anew.
import DiskFormat
import Metadata
import NamespaceIndex
import Pipeline

/// Names, inodes and pieces of one volume in an open store's index. What cannot be understood is
/// left out: the index is derived. Any thread.
struct VolumeIndex {
    let index: any MetadataStore
    let number: UInt32

    /// A name in a directory, as the index has it.
    struct Name {
        var name: [UInt8]
        var collision: UInt8
        var inode: UInt64
    }

    func inode(_ inode: UInt64) throws(RepairError) -> InodeImage? {
        do throws(MetadataError) {
            guard let bytes = try index.get(NamespaceKey.inode(number, inode)) else { return nil }
            return bytes.withUnsafeBytes { try? InodeRecord($0, of: inode).image }
        } catch {
            throw .index(error)
        }
    }

    /// A directory's names, in the order of their bytes, each once.
    func names(in directory: UInt64) throws(RepairError) -> [Name] {
        var result: [Name] = []
        try scan(NamespaceKey.names(number, parent: directory)) { key, value in
            guard let (_, cookie) = NamespaceKey.pair(key),
                case .entry(let name, let inode, _)? = try? NameRecord(value)
            else { return }
            result.append(
                Name(name: name, collision: DirectoryCookie.collision(of: cookie), inode: inode))
        }
        result.sort { $0.name.lexicographicallyPrecedes($1.name) }
        var last: [UInt8]?
        result.removeAll { name in
            defer { last = name.name }
            return name.name == last
        }
        return result
    }

    /// Visits the inode of every name of the volume, in no order of use.
    func forEachNamed(_ body: (_ inode: UInt64) -> Void) throws(RepairError) {
        try scan(NamespaceKey.prefix(.name, number)) { _, value in
            if case .entry(_, let inode, _)? = try? NameRecord(value) { body(inode) }
        }
    }

    /// Visits all inodes, ascending.
    func forEachInode(_ body: (InodeImage) -> Void) throws(RepairError) {
        try scan(NamespaceKey.prefix(.inode, number)) { key, value in
            if let inode = NamespaceKey.inodeNumber(key),
                let record = try? InodeRecord(value, of: inode)
            {
                body(record.image)
            }
        }
    }

    /// What lies on top of files' contents, by inode.
    func pieces() throws(RepairError) -> [UInt64: [ExtentChange.Piece]] {
        var result: [UInt64: [ExtentChange.Piece]] = [:]
        try scan(NamespaceKey.prefix(.piece, number)) { key, value in
            guard let (inode, offset) = NamespaceKey.pair(key),
                let piece = try? PieceRecord(value).piece(at: offset)
            else { return }
            result[inode, default: []].append(piece)
        }
        return result
    }

    private func scan(
        _ prefix: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void
    ) throws(RepairError) {
        do throws(MetadataError) {
            try index.scan(prefix: prefix) { key, value in
                body(key, value)
                return true
            }
        } catch {
            throw .index(error)
        }
    }
}

/// Which inodes: a bit for each, in pages that are made when they are used.
struct InodeBits {
    private static let pageBits: UInt64 = 1 << 16
    private var pages: [UInt64: [UInt64]] = [:]

    /// Whether it was not in the set before.
    @discardableResult
    mutating func insert(_ inode: UInt64) -> Bool {
        let (page, bit) = inode.quotientAndRemainder(dividingBy: InodeBits.pageBits)
        let mask: UInt64 = 1 << (bit % 64)
        let empty = [UInt64](repeating: 0, count: Int(InodeBits.pageBits / 64))
        let isNew = pages[page, default: empty][Int(bit / 64)] & mask == 0
        if isNew { pages[page, default: empty][Int(bit / 64)] |= mask }
        return isNew
    }

    func contains(_ inode: UInt64) -> Bool {
        let (page, bit) = inode.quotientAndRemainder(dividingBy: InodeBits.pageBits)
        guard let words = pages[page] else { return false }
        return words[Int(bit / 64)] & (1 << (bit % 64)) != 0
    }
}
