// Names of a snapshot: found, and listed.
import DiskFormat
import FileModel
import Trees

extension SnapshotTree {
    func lookup(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes? {
        guard name.count <= DiskFormat.nameBytesMax else { throw .nameTooLong }
        let directory = try image(of: parent)
        guard directory.mode >> 12 == 4 else { throw .notDirectory }
        guard case .directory(let node) = directory.content else { return nil }
        let name = [UInt8](name)
        let entry = try reading { (access) throws(TreeError) in
            try ListReader<DirectorySchema, StoreAccess>(store: access).find(name, in: node)
        }
        guard let entry else { return nil }
        return give(try image(entry), name, in: directory.inode)
    }

    private func image(_ entry: DirectoryEntry) throws(FileError) -> InodeImage {
        switch entry.target {
        case .only(let image): return image
        case .linked(let inode, _):
            guard let image = try linked(inode) else { throw .damaged }
            return image
        }
    }

    func lookupSelf(_ inode: InodeNumber) throws(FileError) -> FileAttributes {
        let image = try image(of: inode)
        return give(image, [], in: image.parent ?? RootImage.rootInode)
    }

    func parent(of inode: InodeNumber) throws(FileError) -> InodeNumber {
        let image = try image(of: inode)
        guard image.mode >> 12 == 4 else { throw .notDirectory }
        return base | (image.parent ?? RootImage.rootInode)
    }

    /// Entries in the order of their names; a cookie is an entry's place in it, behind `.` and `..`,
    /// since nothing here ever changes.
    ///
    /// - Parameter above: what `..` of the root is.
    func readDirectory(
        _ inode: InodeNumber, after cookie: UInt64, above: InodeNumber, withAttributes: Bool,
        _ emit: (
            _ name: UnsafeRawBufferPointer, _ inode: InodeNumber, _ kind: FileKind,
            _ nextCookie: UInt64, _ attributes: FileAttributes?
        ) -> Bool
    ) throws(FileError) {
        let directory = try image(of: inode)
        guard directory.mode >> 12 == 4 else { throw .notDirectory }
        let isRoot = directory.inode == RootImage.rootInode
        let parent = isRoot ? above : base | (directory.parent ?? RootImage.rootInode)
        let dots: [(String, InodeNumber)] = [(".", inode), ("..", parent)]
        for (index, (name, target)) in dots.enumerated() where cookie <= UInt64(index) {
            let goesOn = Array(name.utf8).withUnsafeBytes {
                emit($0, target, .directory, UInt64(index) + 1, nil)
            }
            guard goesOn else { return }
        }
        guard case .directory(let node) = directory.content else { return }
        var failure: FileError?
        _ = try reading { (access) throws(TreeError) in
            try ListReader<DirectorySchema, StoreAccess>(store: access).forEach(
                of: node, from: max(cookie, 2) - 2
            ) { (position, entry) throws(TreeError) in
                do throws(FileError) {
                    return try self.emit(
                        entry, in: directory.inode, position + 3, withAttributes, emit)
                } catch {
                    failure = error
                    return false
                }
            }
        }
        if let failure { throw failure }
    }

    private func emit(
        _ entry: DirectoryEntry, in parent: UInt64, _ nextCookie: UInt64, _ withAttributes: Bool,
        _ emit: (
            UnsafeRawBufferPointer, InodeNumber, FileKind, UInt64, FileAttributes?
        ) -> Bool
    ) throws(FileError) -> Bool {
        let kindByte: UInt8
        var attributes: FileAttributes?
        switch entry.target {
        case .only(let image): kindByte = UInt8(image.mode >> 12)
        case .linked(_, let kind): kindByte = kind
        }
        // Counted first: once the kernel has the entry, the node must be there.
        if withAttributes { attributes = give(try image(entry), entry.name, in: parent) }
        let isTaken = entry.name.withUnsafeBytes {
            emit(
                $0, base | entry.inode, FileKind(rawValue: kindByte) ?? .regular, nextCookie,
                attributes)
        }
        if !isTaken, withAttributes { forget(entry.inode, count: 1) }
        return isTaken
    }
}
