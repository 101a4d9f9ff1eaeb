// Names: found, made, removed.
import DiskFormat
import FileModel
import NamespaceIndex

extension Volume {
    public func lookup(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes? {
        guard name.count <= DiskFormat.nameBytesMax else { throw .nameTooLong }
        return try withName([UInt8](name), in: parent, loadsNode: true) {
            (space, _, _, node) throws(FileError) in
            guard let node else { return nil }
            space.addLookup(node)
            return node.attributes
        }
    }

    public func forget(_ inode: InodeNumber, count: UInt64) {
        namespace.withLock { space in
            guard let node = space.nodes[inode] else { return }
            space.dropLookups(node, count)
        }
    }

    public func lookupSelf(_ inode: InodeNumber) throws(FileError) -> FileAttributes {
        try withNode(inode) { (space, node) throws(FileError) in
            guard node.image.linkCount > 0 || node.lookups > 0 else { throw .stale }
            space.addLookup(node)
            return node.attributes
        }
    }

    public func lookupParent(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        let parent = try withNode(inode) { (_, node) throws(FileError) -> UInt64 in
            guard node.directory != nil else { throw .notDirectory }
            return node.image.parent ?? RootImage.rootInode
        }
        return try lookupSelf(parent)
    }

    // MARK: making

    public func makeNode(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, deviceMajor: UInt32,
        deviceMinor: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes {
        guard let kind = FileKind(modeBits: mode), kind != .directory, kind != .symbolicLink
        else { throw .invalid }
        return try make(name, in: parent, mode: mode, caller: caller) { image in
            if kind == .blockDevice || kind == .characterDevice {
                image.device = (deviceMajor, deviceMinor)
            }
        }
    }

    public func makeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes {
        try make(
            name, in: parent, mode: FileKind.directory.modeBits | mode & 0o7777, caller: caller
        ) { $0.linkCount = 2 }
    }

    public func makeSymbolicLink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, target: UnsafeRawBufferPointer,
        caller: Caller
    ) throws(FileError) -> FileAttributes {
        guard !target.isEmpty else { throw .noEntry }
        guard target.count <= DiskFormat.symbolicLinkBytesMax else { throw .nameTooLong }
        let bytes = [UInt8](target)
        return try make(
            name, in: parent, mode: FileKind.symbolicLink.modeBits | 0o777, caller: caller
        ) {
            $0.content = .target(bytes)
            $0.size = UInt64(bytes.count)
        }
    }

    /// Makes an inode with its first name; the kernel knows it once.
    private func make(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, caller: Caller,
        _ finish: (inout InodeImage) -> Void
    ) throws(FileError) -> FileAttributes {
        try checkWritable()
        let name = try checkName(name)
        waitForMemory()
        while true {
            let inheritance = try inheritance(of: parent)
            let start = try inheritance.made(mode: mode, umask: caller.umask)
            let attributes = try stored(start.attributes)
            let made = try withName(name, in: parent, loadsNode: false) {
                (space, directory, dentry, _) throws(FileError) -> FileAttributes? in
                guard !dentry.isPresent else { throw .exists }
                guard directory.image.linkCount > 0 else { throw .noEntry }
                guard space.nextInode < DiskFormat.inodeLimit else { throw .noSpace }
                guard space.nextInode < space.inodesReserved,
                    inheritance.storage == directory.image.attributes
                else { return nil }
                let cookie = try freeCookie(for: name, dentry, in: directory)
                let inode = space.nextInode
                space.nextInode += 1
                var image = newImage(
                    inode, mode: mode & 0o170000 | start.permissions, in: directory,
                    caller: caller)
                image.attributes = attributes
                finish(&image)
                let node = Node(image: image, cookie: cookie, isNew: true)
                node.lookups = 1
                space.nodes[inode] = node
                notePressure(in: &space)
                space.inodeCount += 1
                space.markDirty(node)
                space.setName(
                    name, in: directory,
                    Dentry(inode: inode, kind: UInt8(mode >> 12), cookie: cookie))
                if node.directory != nil { directory.image.linkCount += 1 }
                touch(directory, at: image.birthTime, in: &space)
                return node.attributes
            }
            if let made { return made }
            try reserveInodes()
        }
    }

    private func newImage(
        _ inode: UInt64, mode: UInt32, in directory: Node, caller: Caller
    ) -> InodeImage {
        let now = Volume.now()
        let inheritsGroup = directory.image.mode & 0o2000 != 0
        let isDirectory = mode >> 12 == UInt32(FileKind.directory.rawValue)
        return InodeImage(
            inode: inode, generation: 1, mode: inheritsGroup && isDirectory ? mode | 0o2000 : mode,
            owner: caller.user,
            group: inheritsGroup ? directory.image.group : caller.group,
            parent: directory.inode, modificationTime: now, changeTime: now, accessTime: now,
            birthTime: now)
    }

    /// A place in the directory for a name that is absent: the one it had, or the first that no
    /// other name of the same hash has.
    func freeCookie(
        for name: [UInt8], _ dentry: Dentry, in directory: Node
    ) throws(FileError) -> UInt64 {
        if dentry.cookie != 0 { return dentry.cookie }
        for collision in 0..<DirectoryCookie.collisionsMax {
            let candidate = cookie(of: name, collision: UInt8(collision))
            if dentry.takenCollisions.contains(UInt8(collision)) { continue }
            if let holder = directory.directory?.byCookie[candidate], holder != name { continue }
            return candidate
        }
        throw .noSpace
    }

    /// Sets a directory's times after a change of its names.
    func touch(_ directory: Node, at time: DiskTime, in space: inout Namespace) {
        directory.image.modificationTime = time
        directory.image.changeTime = time
        space.markDirty(directory)
    }

    /// Waits for a commit that lets more inode numbers be used, where there are none.
    private func reserveInodes() throws(FileError) {
        let isShort = namespace.withLock { space in
            space.wantsInodes = space.nextInode >= space.inodesReserved
            return space.wantsInodes
        }
        if isShort { _ = try committer.commit() }
    }

    // MARK: removing

    public func unlink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) {
        try checkWritable()
        let name = try checkName(name)
        try withName(name, in: parent, loadsNode: true) {
            (space, directory, dentry, node) throws(FileError) in
            guard let node else { throw .noEntry }
            guard node.directory == nil else { throw .isDirectory }
            remove(name, dentry, of: node, from: directory, at: Volume.now(), in: &space)
        }
    }

    public func removeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) {
        try checkWritable()
        let name = try checkName(name)
        while true {
            let unsure = try withName(name, in: parent, loadsNode: true) {
                (space, directory, dentry, node) throws(FileError) -> UInt64? in
                guard let node else { throw .noEntry }
                guard let cache = node.directory else { throw .notDirectory }
                guard cache.presentCount == 0 else { throw .notEmpty }
                guard cache.isComplete else { return node.inode }
                remove(name, dentry, of: node, from: directory, at: Volume.now(), in: &space)
                return nil
            }
            guard let unsure else { return }
            try completeIfEmpty(unsure)
        }
    }

    /// Looks whether a directory has names in the index that are not removed in memory; marks it as
    /// complete where it has none, else throws `notEmpty`.
    func completeIfEmpty(_ inode: UInt64) throws(FileError) {
        let before = try withNode(inode) {
            (space, node) throws(FileError) -> (forgettings: UInt64, removed: Set<UInt64>) in
            guard let cache = node.directory else { throw .notDirectory }
            guard cache.presentCount == 0 else { throw .notEmpty }
            return (space.forgettings, Set(cache.byCookie.keys))
        }
        try loadNames(of: inode)
        var isEmpty = true
        try scanIndex(prefix: NamespaceKey.names(number, parent: inode)) { key, value in
            guard let cookie = NamespaceKey.pair(key)?.1 else { return true }
            if value.first == 0 || before.removed.contains(cookie) { return true }
            isEmpty = false
            return false
        }
        guard isEmpty else {
            // Removed since, and already in the index? Then the memory says so.
            let isSame = namespace.withLock { space in
                space.forgettings == before.forgettings
                    && space.nodes[inode]?.directory.map { cache in
                        cache.byCookie.keys.allSatisfy { before.removed.contains($0) }
                    } ?? true
            }
            if isSame { throw .notEmpty }
            return
        }
        namespace.withLock { space in
            guard space.forgettings == before.forgettings,
                let cache = space.nodes[inode]?.directory, cache.presentCount == 0
            else { return }
            cache.isComplete = true
        }
    }

    /// Takes a name away, and with the last one the inode, unless the kernel still knows it.
    func remove(
        _ name: [UInt8], _ dentry: Dentry, of node: Node, from directory: Node, at time: DiskTime,
        in space: inout Namespace
    ) {
        space.setName(name, in: directory, Dentry(inode: 0, kind: 0, cookie: dentry.cookie))
        dropLink(of: node, from: directory, at: time, in: &space)
        touch(directory, at: time, in: &space)
    }

    /// A node has lost a name in `directory`.
    func dropLink(
        of node: Node, from directory: Node, at time: DiskTime, in space: inout Namespace
    ) {
        node.image.changeTime = time
        if node.directory != nil {
            directory.image.linkCount -= 1
            node.image.linkCount = 0
        } else {
            node.image.linkCount -= min(1, node.image.linkCount)
        }
        if node.image.linkCount == 0 {
            node.image.parent = nil
            node.cookie = 0
        }
        space.markDirty(node)
        if node.image.linkCount == 0, node.lookups == 0 { space.end(node) }
    }
}
