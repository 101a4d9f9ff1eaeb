// Directories listed: the index's names and the memory's, merged by cookie.
import DiskFormat
import FileModel
import NamespaceIndex

extension Volume {
    /// Names read from the index at once.
    private static let listingBatchMax = 256

    private struct Listed {
        var cookie: UInt64
        var name: [UInt8]
        var inode: UInt64
        var kind: UInt8
    }

    public func readDirectory(
        _ inode: InodeNumber, after cookie: UInt64, withAttributes: Bool,
        _ emit: (
            _ name: UnsafeRawBufferPointer, _ inode: InodeNumber, _ kind: FileKind,
            _ nextCookie: UInt64, _ attributes: FileAttributes?
        ) -> Bool
    ) throws(FileError) {
        if cookie < 2 {
            let parent = try withNode(inode) {
                (space, node) throws(FileError) -> InodeNumber in
                guard node.directory != nil else { throw .notDirectory }
                noteDirectoryAccess(node, in: &space)
                return node.image.parent ?? RootImage.rootInode
            }
            let dots: [(String, InodeNumber)] = [(".", inode), ("..", parent)]
            for (index, (name, target)) in dots.enumerated() where cookie <= UInt64(index) {
                let goesOn = Array(name.utf8).withUnsafeBytes {
                    emit($0, target, .directory, UInt64(index) + 1, nil)
                }
                guard goesOn else { return }
            }
        }
        var position = max(cookie, 2)
        while true {
            let (batch, isLast) = try nextNames(of: inode, after: position)
            for listed in batch {
                guard try emitEntry(listed, of: inode, withAttributes, emit) else { return }
                position = listed.cookie
            }
            if isLast { return }
            if let last = batch.last { position = max(position, last.cookie) }
        }
    }

    private func emitEntry(
        _ listed: Listed, of directory: UInt64, _ withAttributes: Bool,
        _ emit: (
            UnsafeRawBufferPointer, InodeNumber, FileKind, UInt64, FileAttributes?
        ) -> Bool
    ) throws(FileError) -> Bool {
        let kind = FileKind(rawValue: listed.kind) ?? .regular
        guard withAttributes else {
            return listed.name.withUnsafeBytes {
                emit($0, listed.inode, kind, listed.cookie, nil)
            }
        }
        // Counted first: once the kernel has the entry, the node must be there.
        let attributes = try withName(listed.name, in: directory, loadsNode: true) {
            (space, _, _, node) throws(FileError) -> FileAttributes? in
            guard let node else { return nil }
            space.addLookup(node)
            return node.attributes
        }
        // Gone since it was listed; or another inode's name by now, which is then the one to tell.
        guard let attributes else { return true }
        let isTaken = listed.name.withUnsafeBytes {
            emit($0, attributes.inode, attributes.kind, listed.cookie, attributes)
        }
        if !isTaken { forget(attributes.inode, count: 1) }
        return isTaken
    }

    /// Some names behind `cookie`, in order of their cookies; and whether they are the last.
    private func nextNames(
        of inode: UInt64, after cookie: UInt64
    ) throws(FileError) -> (names: [Listed], isLast: Bool) {
        var position = cookie
        while true {
            let (isComplete, forgettings) = try withNode(inode) {
                (space, node) throws(FileError) -> (Bool, UInt64) in
                guard let cache = node.directory else { throw .notDirectory }
                return (cache.isComplete, space.forgettings)
            }
            let stored = isComplete ? [] : try storedNames(of: inode, after: position)
            let isLastStored = isComplete || stored.count < Volume.listingBatchMax
            let merged = namespace.withLock { space -> [Listed]? in
                guard let cache = space.nodes[inode]?.directory,
                    space.forgettings == forgettings, cache.isComplete || !isComplete
                else { return nil }
                let end = isLastStored ? UInt64.max : stored[stored.count - 1].cookie
                return merge(stored, cache, after: position, through: end)
            }
            guard let merged else { continue }
            // More than a batch from memory alone: the rest comes with the next call.
            if merged.count > 2 * Volume.listingBatchMax {
                return (Array(merged.prefix(2 * Volume.listingBatchMax)), false)
            }
            if merged.isEmpty, !isLastStored {
                position = stored[stored.count - 1].cookie
                continue
            }
            return (merged, isLastStored)
        }
    }

    private func storedNames(
        of inode: UInt64, after cookie: UInt64
    ) throws(FileError) -> [Listed] {
        try loadNames(of: inode)
        var names: [Listed] = []
        var failure: FormatError?
        try scanIndex(
            prefix: NamespaceKey.names(number, parent: inode),
            from: NamespaceKey.name(number, parent: inode, cookie: cookie + 1)
        ) { key, value in
            guard let (_, cookie) = NamespaceKey.pair(key) else { return true }
            do throws(FormatError) {
                switch try NameRecord(value) {
                case .tombstone: break
                case .entry(let name, let inode, let kind):
                    names.append(Listed(cookie: cookie, name: name, inode: inode, kind: kind))
                }
            } catch {
                failure = error
            }
            return failure == nil && names.count < Volume.listingBatchMax
        }
        if let failure { throw fileError(.indexDamaged(failure)) }
        return names
    }

    /// What memory knows replaces what is stored.
    private func merge(
        _ stored: [Listed], _ cache: DirectoryCache, after cookie: UInt64, through end: UInt64
    ) -> [Listed] {
        var result: [Listed] = []
        var next = stored.makeIterator()
        var pending = next.next()
        for known in cache.cookies(after: cookie) {
            if known > end { break }
            guard let name = cache.byCookie[known] else { continue }
            while let listed = pending, listed.cookie < known {
                result.append(listed)
                pending = next.next()
            }
            if pending?.cookie == known { pending = next.next() }
            guard let dentry = cache.entries[name], dentry.isPresent else { continue }
            result.append(
                Listed(cookie: known, name: name, inode: dentry.inode, kind: dentry.kind))
            if result.count > 2 * Volume.listingBatchMax { return result }
        }
        while let listed = pending {
            result.append(listed)
            pending = next.next()
        }
        return result
    }
}
