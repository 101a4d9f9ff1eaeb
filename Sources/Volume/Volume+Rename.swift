// Names moved and added.
import DiskFormat
import FileModel

extension Volume {
    /// A name of a rename, as found under the lock.
    private struct Place {
        var name: [UInt8]
        var directory: Node
        var dentry: Dentry
        var node: Node?
    }

    public func rename(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        to newName: UnsafeRawBufferPointer, in newParent: InodeNumber, flags: RenameFlags,
        caller: Caller
    ) throws(FileError) {
        try checkWritable()
        let name = try checkName(name)
        let newName = try checkName(newName)
        if flags.contains(.whiteout) {
            // A whiteout is a device 0:0 in the place of the old name: made first under another
            // name it would be seen, so it is refused as most filesystems do.
            throw .invalid
        }
        guard !flags.isSuperset(of: [.noReplace, .exchange]) else { throw .invalid }
        while true {
            // Loads both names; what is loaded first may be forgotten meanwhile: then again.
            let moved = try withName(name, in: parent, loadsNode: true) {
                (_, _, dentry, _) throws(FileError) -> UInt64 in
                guard dentry.isPresent else { throw .noEntry }
                return dentry.inode
            }
            let replacedDirectory = try withName(newName, in: newParent, loadsNode: true) {
                (_, _, _, node) throws(FileError) -> UInt64? in
                guard let cache = node?.directory, !flags.contains(.exchange),
                    node?.inode != moved
                else { return nil }
                guard cache.presentCount == 0 else {
                    return flags.contains(.noReplace) ? nil : node?.inode
                }
                return cache.isComplete ? nil : node?.inode
            }
            if let replacedDirectory, !flags.contains(.noReplace) {
                try checkReplaceable(replacedDirectory, by: name, in: parent)
            }
            let isDone = try namespace.withLock { (space) throws(FileError) -> Bool in
                guard let from = try place(name, in: parent, &space),
                    let to = try place(newName, in: newParent, &space)
                else { return false }
                if let cache = to.node?.directory, to.node !== from.node,
                    !flags.contains(.exchange), !flags.contains(.noReplace),
                    cache.presentCount == 0, !cache.isComplete
                {
                    return false
                }
                try rename(from, to, flags, in: &space)
                return true
            }
            if isDone { return }
        }
    }

    /// A directory can be replaced by a directory, when it is empty.
    private func checkReplaceable(
        _ replaced: UInt64, by name: [UInt8], in parent: UInt64
    ) throws(FileError) {
        let isDirectory = try withName(name, in: parent, loadsNode: true) {
            (_, _, dentry, node) throws(FileError) -> Bool in
            guard dentry.isPresent else { throw .noEntry }
            return node?.directory != nil
        }
        guard isDirectory else { throw .isDirectory }
        try completeIfEmpty(replaced)
    }

    /// nil: something has to be loaded first.
    private func place(
        _ name: [UInt8], in parent: UInt64, _ space: inout Namespace
    ) throws(FileError) -> Place? {
        let (directory, cache) = try space.directory(parent)
        guard let dentry = cache.known(name) else { return nil }
        let node = dentry.isPresent ? space.nodes[dentry.inode] : nil
        if dentry.isPresent, node == nil { return nil }
        return Place(name: name, directory: directory, dentry: dentry, node: node)
    }

    private func rename(
        _ from: Place, _ to: Place, _ flags: RenameFlags, in space: inout Namespace
    ) throws(FileError) {
        guard let moved = from.node else { throw .noEntry }
        guard to.directory.image.linkCount > 0 else { throw .noEntry }
        let now = Volume.now()
        if flags.contains(.exchange) {
            guard let other = to.node else { throw .noEntry }
            if moved === other { return }
            assign(moved, to, cookie: to.dentry.cookie, in: &space)
            assign(other, from, cookie: from.dentry.cookie, in: &space)
            settle(moved, from.directory, to.directory, now, &space)
            settle(other, to.directory, from.directory, now, &space)
            return
        }
        if let replaced = to.node {
            if flags.contains(.noReplace) { throw .exists }
            // Two names of one file: nothing to do (POSIX).
            if replaced === moved { return }
            if let cache = replaced.directory {
                guard moved.directory != nil else { throw .isDirectory }
                guard cache.presentCount == 0 else { throw .notEmpty }
            } else if moved.directory != nil {
                throw .notDirectory
            }
        }
        let cookie =
            try to.dentry.isPresent
            ? to.dentry.cookie : freeCookie(for: to.name, to.dentry, in: to.directory)
        if let replaced = to.node {
            dropLink(of: replaced, from: to.directory, at: now, in: &space)
        }
        space.setName(
            from.name, in: from.directory, Dentry(inode: 0, kind: 0, cookie: from.dentry.cookie))
        assign(moved, to, cookie: cookie, in: &space)
        settle(moved, from.directory, to.directory, now, &space)
    }

    /// Lets a name mean `node`.
    private func assign(_ node: Node, _ place: Place, cookie: UInt64, in space: inout Namespace) {
        space.setName(
            place.name, in: place.directory,
            Dentry(inode: node.inode, kind: UInt8(node.image.mode >> 12), cookie: cookie))
        if !node.image.isLinked {
            node.image.parent = place.directory.inode
            node.cookie = cookie
        }
    }

    private func settle(
        _ moved: Node, _ from: Node, _ to: Node, _ now: DiskTime, _ space: inout Namespace
    ) {
        if moved.directory != nil, from !== to {
            from.image.linkCount -= 1
            to.image.linkCount += 1
        }
        moved.image.changeTime = now
        moved.movedGeneration = space.generation
        space.markDirty(moved)
        touch(from, at: now, in: &space)
        touch(to, at: now, in: &space)
    }

    // MARK: second names

    public func link(
        _ inode: InodeNumber, to name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes {
        try checkWritable()
        let name = try checkName(name)
        while true {
            let first = try firstName(of: inode)
            let linked = try withName(name, in: parent, loadsNode: false) {
                (space, directory, dentry, _) throws(FileError) -> FileAttributes? in
                guard !dentry.isPresent else { throw .exists }
                guard directory.image.linkCount > 0 else { throw .noEntry }
                guard let node = space.nodes[inode] else { return nil }
                guard node.image.linkCount > 0 else { throw .noEntry }
                guard node.image.linkCount < UInt64(UInt32.max) else { throw .tooManyLinks }
                let cookie = try freeCookie(for: name, dentry, in: directory)
                if !node.image.isLinked {
                    guard let first, let home = space.nodes[first.parent],
                        let known = home.directory?.entries[first.name],
                        known.inode == inode, node.cookie == first.cookie
                    else { return nil }
                    // From now on its names refer to it by number, the first one too.
                    space.setName(first.name, in: home, known)
                    node.image.isLinked = true
                    node.image.parent = nil
                    node.cookie = 0
                }
                let now = Volume.now()
                node.image.linkCount += 1
                node.image.changeTime = now
                node.movedGeneration = space.generation
                space.markDirty(node)
                space.setName(
                    name, in: directory,
                    Dentry(inode: inode, kind: UInt8(node.image.mode >> 12), cookie: cookie))
                touch(directory, at: now, in: &space)
                space.addLookup(node)
                return node.attributes
            }
            if let linked { return linked }
        }
    }

    private struct FirstName {
        var parent: UInt64
        var cookie: UInt64
        var name: [UInt8]
    }

    /// The only name of an inode, with its directory and dentry in memory; nil for linked inodes.
    private func firstName(of inode: UInt64) throws(FileError) -> FirstName? {
        let home = try withNode(inode) {
            (_, node) throws(FileError) -> (parent: UInt64, cookie: UInt64)? in
            guard node.directory == nil else { throw .notPermitted }
            guard node.image.linkCount > 0 else { throw .noEntry }
            return node.image.parent.map { ($0, node.cookie) }
        }
        guard let home else { return nil }
        let known = try withNode(home.parent) { (_, node) throws(FileError) -> [UInt8]? in
            node.directory?.byCookie[home.cookie]
        }
        var name = known
        if name == nil {
            name = try storedName(at: home.cookie, in: home.parent)
        }
        // Moved meanwhile: the caller looks again.
        guard let name else { return FirstName(parent: home.parent, cookie: 0, name: []) }
        try withName(name, in: home.parent, loadsNode: false) { _, _, _, _ throws(FileError) in }
        return FirstName(parent: home.parent, cookie: home.cookie, name: name)
    }

    public func readSymbolicLink(_ inode: InodeNumber) throws(FileError) -> [UInt8] {
        try withNode(inode) { (space, node) throws(FileError) in
            guard case .target(let bytes) = node.image.content else { throw .invalid }
            noteAccess(node, in: &space)
            return bytes
        }
    }
}
