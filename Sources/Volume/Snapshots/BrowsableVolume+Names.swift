// Names: the volume's own, `.snapshots`, and those below it.
import DiskFormat
import FileModel

extension BrowsableVolume {
    public func lookup(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes? {
        switch try target(parent) {
        case .live:
            if let found = try volume.lookup(name, in: parent) { return found }
            return isDirectoryName(name, in: parent) ? directoryAttributes : nil
        case .directory:
            let wanted = String(decoding: name, as: UTF8.self)
            guard let snapshot = snapshots.first(where: { $0.name == wanted }) else {
                // An error, unlike nil, is not cached: a snapshot may get that name at any time.
                throw .noEntry
            }
            return try open(snapshot).attributes(of: RootImage.rootInode)
        case .snapshot(let tree): return try tree.lookup(name, in: parent)
        }
    }

    public func forget(_ inode: InodeNumber, count: UInt64) {
        guard inode >> 48 != 0 else { return volume.forget(inode, count: count) }
        if case .snapshot(let tree)? = try? target(inode) { tree.forget(inode, count: count) }
    }

    public func lookupSelf(_ inode: InodeNumber) throws(FileError) -> FileAttributes {
        switch try target(inode) {
        case .live: return try volume.lookupSelf(inode)
        case .directory: return directoryAttributes
        case .snapshot(let tree): return try tree.lookupSelf(inode)
        }
    }

    public func lookupParent(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        switch try target(inode) {
        case .live: return try volume.lookupParent(of: inode)
        case .directory: return try volume.lookupSelf(RootImage.rootInode)
        case .snapshot(let tree):
            if inode == tree.base | RootImage.rootInode { return directoryAttributes }
            return try tree.lookupSelf(try tree.parent(of: inode))
        }
    }

    public func readDirectory(
        _ inode: InodeNumber, after cookie: UInt64, withAttributes: Bool,
        _ emit: (
            _ name: UnsafeRawBufferPointer, _ inode: InodeNumber, _ kind: FileKind,
            _ nextCookie: UInt64, _ attributes: FileAttributes?
        ) -> Bool
    ) throws(FileError) {
        switch try target(inode) {
        case .live:
            try volume.readDirectory(
                inode, after: cookie, withAttributes: withAttributes, emit)
        case .directory:
            try listSnapshots(after: cookie, withAttributes: withAttributes, emit)
        case .snapshot(let tree):
            try tree.readDirectory(
                inode, after: cookie, above: BrowsableVolume.directoryInode,
                withAttributes: withAttributes, emit)
        }
    }

    /// A snapshot's cookie is its number, behind those of `.` and `..`.
    private func listSnapshots(
        after cookie: UInt64, withAttributes: Bool,
        _ emit: (
            UnsafeRawBufferPointer, InodeNumber, FileKind, UInt64, FileAttributes?
        ) -> Bool
    ) throws(FileError) {
        let dots: [(String, InodeNumber)] = [
            (".", BrowsableVolume.directoryInode), ("..", RootImage.rootInode),
        ]
        for (index, (name, target)) in dots.enumerated() where cookie <= UInt64(index) {
            let goesOn = Array(name.utf8).withUnsafeBytes {
                emit($0, target, .directory, UInt64(index) + 1, nil)
            }
            guard goesOn else { return }
        }
        for snapshot in snapshots where UInt64(snapshot.number) + 2 > cookie {
            // One whose root cannot be read is listed, and cannot be entered.
            let attributes =
                withAttributes
                ? try? open(snapshot).attributes(of: RootImage.rootInode) : nil
            let goesOn = Array(snapshot.name.utf8).withUnsafeBytes {
                emit(
                    $0, InodeNumber(snapshot.number) << 48 | RootImage.rootInode, .directory,
                    UInt64(snapshot.number) + 2, attributes)
            }
            guard goesOn else { return }
        }
    }

    // MARK: changes

    public func makeNode(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, deviceMajor: UInt32,
        deviceMinor: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes {
        try checkName(name, in: parent)
        return try volume.makeNode(
            name, in: parent, mode: mode, deviceMajor: deviceMajor, deviceMinor: deviceMinor,
            caller: caller)
    }

    public func makeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes {
        try checkName(name, in: parent)
        return try volume.makeDirectory(name, in: parent, mode: mode, caller: caller)
    }

    public func makeSymbolicLink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, target: UnsafeRawBufferPointer,
        caller: Caller
    ) throws(FileError) -> FileAttributes {
        try checkName(name, in: parent)
        return try volume.makeSymbolicLink(name, in: parent, target: target, caller: caller)
    }

    public func link(
        _ inode: InodeNumber, to name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes {
        try checkName(name, in: parent)
        if inode >> 48 != 0 { throw .crossVolume }
        return try volume.link(inode, to: name, in: parent)
    }

    public func unlink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) {
        try checkLive(parent)
        try volume.unlink(name, in: parent)
    }

    public func removeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) {
        try checkLive(parent)
        do throws(FileError) {
            try volume.removeDirectory(name, in: parent)
        } catch {
            if error == .noEntry, isDirectoryName(name, in: parent) { throw .notPermitted }
            throw error
        }
    }

    public func rename(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        to newName: UnsafeRawBufferPointer, in newParent: InodeNumber, flags: RenameFlags,
        caller: Caller
    ) throws(FileError) {
        try checkLive(parent, newParent)
        if isDirectoryName(newName, in: newParent) { throw .notPermitted }
        do throws(FileError) {
            try volume.rename(
                name, in: parent, to: newName, in: newParent, flags: flags, caller: caller)
        } catch {
            if error == .noEntry, isDirectoryName(name, in: parent) { throw .notPermitted }
            throw error
        }
    }
}
