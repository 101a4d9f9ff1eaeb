// Directories listed: the index's names and the memory's, merged by cookie.
import DiskFormat
import FileModel
import NamespaceIndex

extension Volume {
    /// Names read from the index at once: few at first, since many a caller has room for few.
    private static let listingBatchMin = 32
    private static let listingBatchMax = 256
    /// Inodes brought into memory at once, for callers that want attributes.
    private static let loadingBatchMax = 64

    /// Some names in the order of their cookies.
    private struct Batch {
        var names: [Listed]
        /// Whether they are the last.
        var isLast: Bool
        /// As of when the index was asked: see `Namespace.forgettings`.
        var forgettings: UInt64
    }

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
        var countMax = Volume.listingBatchMin
        while true {
            let batch = try nextNames(of: inode, after: position, countMax: countMax)
            for (index, listed) in batch.names.enumerated() {
                if withAttributes, index % Volume.loadingBatchMax == 0 {
                    let next = batch.names[index...].prefix(Volume.loadingBatchMax)
                    load(next, of: inode, forgettings: batch.forgettings)
                }
                guard try emitEntry(listed, of: inode, withAttributes, emit) else { return }
                position = listed.cookie
            }
            if batch.isLast { return }
            if let last = batch.names.last { position = max(position, last.cookie) }
            countMax = min(2 * countMax, Volume.listingBatchMax)
        }
    }

    /// Brings names that were listed into memory with their inodes, as far as they are not there: the
    /// index need not be asked for each name again. What it does not bring is left to `withName`,
    /// errors too: they are those of one entry.
    private func load(_ names: ArraySlice<Listed>, of directory: UInt64, forgettings: UInt64) {
        let missing = namespace.withLock { space -> [Listed] in
            guard space.forgettings == forgettings, let cache = space.nodes[directory]?.directory
            else { return [] }
            return names.filter { cache.known($0.name) == nil || space.nodes[$0.inode] == nil }
        }
        guard !missing.isEmpty else { return }
        waitForMemory()
        let loaded = missing.map { try? loadNode($0.inode) }
        namespace.withLock { space in
            guard space.forgettings == forgettings else { return }
            for (listed, node) in zip(missing, loaded) {
                guard let node else { continue }
                take(
                    LoadedName(
                        dentry: Dentry(
                            inode: listed.inode, kind: listed.kind, cookie: listed.cookie),
                        node: node),
                    as: listed.name, in: directory, of: &space)
            }
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

    /// Some names behind `cookie`; about `countMax`.
    private func nextNames(
        of inode: UInt64, after cookie: UInt64, countMax: Int
    ) throws(FileError) -> Batch {
        var position = cookie
        while true {
            let (isComplete, forgettings) = try withNode(inode) {
                (space, node) throws(FileError) -> (Bool, UInt64) in
                guard let cache = node.directory else { throw .notDirectory }
                return (cache.isComplete, space.forgettings)
            }
            let stored =
                isComplete ? [] : try storedNames(of: inode, after: position, countMax: countMax)
            let isLastStored = isComplete || stored.count < countMax
            let merged = namespace.withLock { space -> [Listed]? in
                guard let cache = space.nodes[inode]?.directory,
                    space.forgettings == forgettings, cache.isComplete || !isComplete
                else { return nil }
                let end = isLastStored ? UInt64.max : stored[stored.count - 1].cookie
                return merge(stored, cache, after: position, through: end, countMax: countMax)
            }
            guard var merged else { continue }
            // More than a batch from memory alone: the rest comes with the next call.
            let isCut = merged.count > 2 * countMax
            if isCut { merged.removeLast(merged.count - 2 * countMax) }
            if merged.isEmpty, !isLastStored {
                position = stored[stored.count - 1].cookie
                continue
            }
            return Batch(
                names: merged, isLast: isLastStored && !isCut, forgettings: forgettings)
        }
    }

    private func storedNames(
        of inode: UInt64, after cookie: UInt64, countMax: Int
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
            return failure == nil && names.count < countMax
        }
        if let failure { throw fileError(.indexDamaged(failure)) }
        return names
    }

    /// What memory knows replaces what is stored.
    private func merge(
        _ stored: [Listed], _ cache: DirectoryCache, after cookie: UInt64, through end: UInt64,
        countMax: Int
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
            if result.count > 2 * countMax { return result }
        }
        while let listed = pending {
            result.append(listed)
            pending = next.next()
        }
        return result
    }
}
