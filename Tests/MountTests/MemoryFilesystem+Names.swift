import FileModel

extension MemoryFilesystem {
    func lookup(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes? {
        let name = [UInt8](name)
        return try locked { () throws(FileError) in
            guard let child = try child(name, of: try directory(parent)) else { return nil }
            child.lookupCount += 1
            return child.attributes
        }
    }

    func lookupSelf(_ inode: InodeNumber) throws(FileError) -> FileAttributes {
        try locked { () throws(FileError) in
            let node = try node(inode)
            node.lookupCount += 1
            return node.attributes
        }
    }

    func lookupParent(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        try locked { () throws(FileError) in
            let parent = try node(try directory(inode).parent)
            parent.lookupCount += 1
            return parent.attributes
        }
    }

    private func make(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, kind: FileKind,
        permissions: UInt32, caller: Caller, _ finish: (MemoryNode) -> Void = { _ in }
    ) throws(FileError) -> FileAttributes {
        let name = [UInt8](name)
        return try locked { () throws(FileError) in
            let directory = try directory(parent)
            guard try child(name, of: directory) == nil else { throw .exists }
            let node = add(
                name, to: directory, kind: kind, permissions: permissions, caller: caller)
            finish(node)
            return node.attributes
        }
    }

    func makeNode(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, deviceMajor: UInt32,
        deviceMinor: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes {
        guard let kind = FileKind(modeBits: mode) else { throw .invalid }
        return try make(
            name, in: parent, kind: kind, permissions: mode & 0o7777 & ~caller.umask,
            caller: caller
        ) {
            $0.attributes.deviceMajor = deviceMajor
            $0.attributes.deviceMinor = deviceMinor
        }
    }

    func makeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes {
        try make(
            name, in: parent, kind: .directory, permissions: mode & 0o7777 & ~caller.umask,
            caller: caller)
    }

    func makeSymbolicLink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, target: UnsafeRawBufferPointer,
        caller: Caller
    ) throws(FileError) -> FileAttributes {
        let target = [UInt8](target)
        return try make(
            name, in: parent, kind: .symbolicLink, permissions: 0o777, caller: caller
        ) {
            $0.target = target
            $0.attributes.size = UInt64(target.count)
        }
    }

    func link(
        _ inode: InodeNumber, to name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes {
        let name = [UInt8](name)
        return try locked { () throws(FileError) in
            let directory = try directory(parent)
            let node = try node(inode)
            guard node.attributes.kind != .directory else { throw .notPermitted }
            guard try child(name, of: directory) == nil else { throw .exists }
            directory.insert(name, inode)
            node.attributes.linkCount += 1
            node.lookupCount += 1
            touch(node, modified: false)
            touch(directory, modified: true)
            return node.attributes
        }
    }

    func unlink(_ name: UnsafeRawBufferPointer, in parent: InodeNumber) throws(FileError) {
        let name = [UInt8](name)
        try locked { () throws(FileError) in
            let directory = try directory(parent)
            guard let child = try child(name, of: directory) else { throw .noEntry }
            guard child.attributes.kind != .directory else { throw .isDirectory }
            drop(name, from: directory, child)
        }
    }

    func removeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) {
        let name = [UInt8](name)
        try locked { () throws(FileError) in
            let directory = try directory(parent)
            guard let child = try child(name, of: directory) else { throw .noEntry }
            guard child.attributes.kind == .directory else { throw .notDirectory }
            guard child.entries.isEmpty else { throw .notEmpty }
            drop(name, from: directory, child)
        }
    }

    func rename(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        to newName: UnsafeRawBufferPointer, in newParent: InodeNumber, flags: RenameFlags,
        caller: Caller
    ) throws(FileError) {
        let name = [UInt8](name)
        let newName = [UInt8](newName)
        if flags.contains(.whiteout) { throw .invalid }
        try locked { () throws(FileError) in
            let from = try directory(parent)
            let to = try directory(newParent)
            guard let moved = try child(name, of: from) else { throw .noEntry }
            let replaced = try child(newName, of: to)
            if flags.contains(.exchange) {
                guard let replaced else { throw .noEntry }
                return exchange((name, from, moved), (newName, to, replaced))
            }
            if let replaced {
                if flags.contains(.noReplace) { throw .exists }
                if replaced === moved { return }
                guard replaced.entries.isEmpty else { throw .notEmpty }
                drop(newName, from: to, replaced)
            }
            from.remove(name)
            to.insert(newName, moved.attributes.inode)
            settle(moved, from, to)
        }
    }

    private typealias Place = (name: [UInt8], directory: MemoryNode, node: MemoryNode)

    private func exchange(_ a: Place, _ b: Place) {
        a.directory.remove(a.name)
        b.directory.remove(b.name)
        a.directory.insert(a.name, b.node.attributes.inode)
        b.directory.insert(b.name, a.node.attributes.inode)
        settle(a.node, a.directory, b.directory)
        settle(b.node, b.directory, a.directory)
    }

    private func settle(_ moved: MemoryNode, _ from: MemoryNode, _ to: MemoryNode) {
        if moved.attributes.kind == .directory {
            from.attributes.linkCount -= 1
            to.attributes.linkCount += 1
        }
        moved.parent = to.attributes.inode
        touch(moved, modified: false)
        touch(from, modified: true)
        touch(to, modified: true)
    }

    func readSymbolicLink(_ inode: InodeNumber) throws(FileError) -> [UInt8] {
        try locked { () throws(FileError) in try node(inode).target }
    }

    /// Cookies: 1 behind ".", 2 behind "..", then those of the entries.
    func readDirectory(
        _ inode: InodeNumber, after cookie: UInt64, withAttributes: Bool,
        _ emit: (
            _ name: UnsafeRawBufferPointer, _ inode: InodeNumber, _ kind: FileKind,
            _ nextCookie: UInt64, _ attributes: FileAttributes?
        ) -> Bool
    ) throws(FileError) {
        try locked { () throws(FileError) in
            let directory = try directory(inode)
            let dots: [(String, MemoryNode)] = [
                (".", directory), ("..", try node(directory.parent)),
            ]
            for (index, (name, node)) in dots.enumerated() where cookie <= UInt64(index) {
                let goesOn = Array(name.utf8).withUnsafeBytes {
                    emit($0, node.attributes.inode, .directory, UInt64(index) + 1, node.attributes)
                }
                guard goesOn else { return }
            }
            for (own, name) in directory.order[directory.firstIndex(from: cookie + 1)...] {
                guard let child = try child(name, of: directory) else { continue }
                let goesOn = name.withUnsafeBytes {
                    emit(
                        $0, child.attributes.inode, child.attributes.kind, own,
                        withAttributes ? child.attributes : nil)
                }
                guard goesOn else { return }
                if withAttributes { child.lookupCount += 1 }
            }
        }
    }
}
