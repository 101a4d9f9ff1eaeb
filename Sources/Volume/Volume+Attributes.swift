// What stat(2) tells, and what chmod, chown, truncate and utimens change.
import DiskFormat
import FileModel
import Folding

extension Volume {
    public func attributes(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        let (attributes, isStale) = try withNode(inode) {
            (_, node) throws(FileError) in (node.attributes, node.allocatedIsStale)
        }
        guard isStale else { return attributes }
        try countAllocated(inode)
        return try withNode(inode) { (_, node) throws(FileError) in node.attributes }
    }

    /// Counts the allocated bytes of a file with holes that was written to.
    private func countAllocated(_ inode: InodeNumber) throws(FileError) {
        let (node, content) = try content(of: inode)
        let stored = try fold(node, content)
        guard namespace.withLock({ _ in node.allocatedIsStale }) else { return }
        // Nothing had to be folded, or more was written meanwhile.
        let access = StoreAccess(store)
        do {
            let count = try ContentReader(store: access, cursor: RecipeCursor())
                .allocatedBytes(of: stored, in: 0..<stored.size)
            content.state.withLock { state in
                guard !state.isUnfolded, state.stored.key == stored.key else { return }
                namespace.withLock { _ in
                    node.image.allocatedBytes = count
                    node.allocatedIsStale = false
                }
            }
        } catch {
            throw access.fileError(error)
        }
    }

    public func setAttributes(
        of inode: InodeNumber, _ change: AttributeChange, caller: Caller
    ) throws(FileError) -> FileAttributes {
        try checkWritable()
        if let size = change.size { try resize(inode, to: size) }
        if change.permissions != nil {
            try setPermissions(inode, change)
        } else {
            _ = try withNode(inode) { (space, node) throws(FileError) in
                apply(change, to: node, in: &space)
            }
        }
        return try attributes(of: inode)
    }

    /// chmod: an access list follows the mode. The list is read outside the lock.
    private func setPermissions(
        _ inode: InodeNumber, _ change: AttributeChange
    ) throws(FileError) {
        guard let permissions = change.permissions else { return }
        while true {
            let (storage, set) = try attributeSet(of: inode)
            var newStorage = storage
            if let bytes = set[AccessList.accessName], var list = AccessList(bytes) {
                list.setPermissions(permissions & 0o777)
                var changed = set
                try changed.put(AccessList.accessName, list.encoded)
                newStorage = try stored(changed)
            }
            let isDone = try withNode(inode) { (space, node) throws(FileError) -> Bool in
                guard node.image.attributes == storage else { return false }
                node.image.attributes = newStorage
                apply(change, to: node, in: &space)
                return true
            }
            if isDone { return }
        }
    }

    private func apply(_ change: AttributeChange, to node: Node, in space: inout Namespace) {
        let now = Volume.now()
        if change.dropsPrivilegeBits { dropPrivilege(node) }
        if let permissions = change.permissions {
            node.image.mode = node.image.mode & 0o170000 | permissions & 0o7777
        }
        if let owner = change.owner { node.image.owner = owner }
        if let group = change.group { node.image.group = group }
        if let time = change.accessTime { node.image.accessTime = Volume.moment(time, now) }
        if let time = change.modificationTime {
            node.image.modificationTime = Volume.moment(time, now)
        }
        node.image.changeTime = change.changeTime.map { DiskTime($0) } ?? now
        space.markDirty(node)
    }

    private static func moment(_ change: AttributeChange.TimeChange, _ now: DiskTime) -> DiskTime {
        switch change {
        case .now: now
        case .set(let time): DiskTime(time)
        }
    }

    // MARK: access times

    private static let relativeAgeSeconds: Int64 = 86_400

    /// Sets the access time of a file that is read, as the options want it.
    func noteAccess(_ node: Node) {
        guard !isReadOnly, behaviour.accessTimes != .never else { return }
        namespace.withLock { space in noteAccess(node, in: &space) }
    }

    func noteDirectoryAccess(_ node: Node, in space: inout Namespace) {
        if !behaviour.skipsDirectoryAccessTimes { noteAccess(node, in: &space) }
    }

    func noteAccess(_ node: Node, in space: inout Namespace) {
        guard !isReadOnly, behaviour.accessTimes != .never else { return }
        let now = Volume.now()
        guard isAccessDue(node, now) else { return }
        node.image.accessTime = now
        space.markDirty(node)
    }

    private func isAccessDue(_ node: Node, _ now: DiskTime) -> Bool {
        guard behaviour.accessTimes == .relative else { return true }
        let last = Timestamp(node.image.accessTime)
        return last <= Timestamp(node.image.modificationTime)
            || last <= Timestamp(node.image.changeTime)
            || now.seconds - last.seconds >= Volume.relativeAgeSeconds
    }
}
