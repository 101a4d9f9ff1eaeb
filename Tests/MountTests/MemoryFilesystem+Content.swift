import FileModel

extension MemoryFilesystem {
    private static let capability = Array("security.capability".utf8)
    private static let accessList = Array("system.posix_acl_access".utf8)

    func attributes(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        try locked { () throws(FileError) in try node(inode).attributes }
    }

    /// setuid goes; setgid where it means a group (and not a lock).
    private func dropPrivileges(_ node: MemoryNode) {
        node.attributes.permissions &= ~0o4000
        if node.attributes.permissions & 0o010 != 0 { node.attributes.permissions &= ~0o2000 }
        node.extended[Self.capability] = nil
    }

    private func apply(_ change: AttributeChange.TimeChange?, to time: inout Timestamp) {
        switch change {
        case .now: time = Self.now()
        case .set(let value): time = value
        case nil: break
        }
    }

    func setAttributes(
        of inode: InodeNumber, _ change: AttributeChange, caller: Caller
    ) throws(FileError) -> FileAttributes {
        try locked { () throws(FileError) in
            let node = try node(inode)
            if change.dropsPrivilegeBits { dropPrivileges(node) }
            if let size = change.size {
                guard node.attributes.kind == .regular else { throw .invalid }
                node.content.truncate(to: size)
                contentChanged(node)
            }
            if let permissions = change.permissions { node.attributes.permissions = permissions }
            if let owner = change.owner { node.attributes.owner = owner }
            if let group = change.group { node.attributes.group = group }
            apply(change.accessTime, to: &node.attributes.accessTime)
            apply(change.modificationTime, to: &node.attributes.modificationTime)
            touch(node, modified: false)
            return node.attributes
        }
    }

    // MARK: extended attributes

    func extendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) -> [UInt8] {
        let name = [UInt8](name)
        return try locked { () throws(FileError) in
            guard let value = try node(inode).extended[name] else { throw .noAttribute }
            return value
        }
    }

    func extendedAttributeNames(of inode: InodeNumber) throws(FileError) -> [UInt8] {
        try locked { () throws(FileError) in
            try node(inode).extended.keys.sorted { $0.lexicographicallyPrecedes($1) }
                .flatMap { $0 + [0] }
        }
    }

    func setExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber, to value: UnsafeRawBufferPointer,
        _ mode: AttributeWrite, clearsSetGroup: Bool
    ) throws(FileError) {
        let name = [UInt8](name)
        let value = [UInt8](value)
        try locked { () throws(FileError) in
            let node = try node(inode)
            let exists = node.extended[name] != nil
            switch mode {
            case .createOnly where exists: throw .exists
            case .replaceOnly where !exists: throw .noAttribute
            default: node.extended[name] = value
            }
            if name == Self.accessList { applyAccessList(value, to: node) }
            if clearsSetGroup { node.attributes.permissions &= ~0o2000 }
            touch(node, modified: false)
        }
    }

    /// The owner's, the mask's (or the group's) and the others' bits are the mode's.
    /// Layout: posix_acl_xattr.h: u32 version, then entries of u16 tag, u16 permissions, u32 id.
    private func applyAccessList(_ value: [UInt8], to node: MemoryNode) {
        var bits: [UInt8: UInt32] = [:]
        for entry in stride(from: 4, to: value.count - 7, by: 8) {
            bits[value[entry]] = UInt32(value[entry + 2])
        }
        let owner = bits[0x01] ?? 0
        let group = bits[0x10] ?? bits[0x04] ?? 0
        let others = bits[0x20] ?? 0
        node.attributes.permissions =
            node.attributes.permissions & 0o7000 | owner << 6 | group << 3 | others
    }

    func removeExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) {
        let name = [UInt8](name)
        try locked { () throws(FileError) in
            let node = try node(inode)
            guard node.extended.removeValue(forKey: name) != nil else { throw .noAttribute }
            touch(node, modified: false)
        }
    }

    // MARK: content

    func read(
        _ inode: InodeNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        try locked { () throws(FileError) in
            try node(inode).content.read(at: offset, into: buffer)
        }
    }

    func write(
        _ inode: InodeNumber, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
        dropsPrivilegeBits: Bool
    ) throws(FileError) {
        try locked { () throws(FileError) in
            let node = try node(inode)
            node.content.write(at: offset, bytes)
            if dropsPrivilegeBits { dropPrivileges(node) }
            contentChanged(node)
        }
    }

    func allocate(
        _ inode: InodeNumber, mode: AllocateMode, at offset: UInt64, length: UInt64,
        caller: Caller
    ) throws(FileError) {
        try locked { () throws(FileError) in
            let node = try node(inode)
            let growing = !mode.contains(.keepSize)
            switch mode.subtracting(.keepSize) {
            case []:
                node.content.allocate(offset, length, growing: growing)
            case .punchHole:
                guard !growing else { throw .invalid }
                node.content.punch(offset, length)
            case .zeroRange:
                node.content.punch(offset, length)
                node.content.allocate(offset, length, growing: growing)
            default:
                throw .notSupported
            }
            if caller.user != 0 { dropPrivileges(node) }
            contentChanged(node)
        }
    }

    func seek(
        _ inode: InodeNumber, _ target: SeekTarget, from offset: UInt64
    ) throws(FileError) -> UInt64 {
        try locked { () throws(FileError) in
            guard let found = try node(inode).content.seek(data: target == .data, from: offset)
            else { throw .noSuchPosition }
            return found
        }
    }

    func copyRange(
        from source: InodeNumber, at offset: UInt64, to target: InodeNumber,
        at targetOffset: UInt64, length: UInt64, caller: Caller
    ) throws(FileError) -> UInt64 {
        try locked { () throws(FileError) in
            let source = try node(source)
            let target = try node(target)
            guard offset < source.content.size else { return 0 }
            let count = min(length, source.content.size - offset, 1 << 26)
            var bytes = [UInt8](repeating: 0, count: Int(count))
            _ = bytes.withUnsafeMutableBytes { source.content.read(at: offset, into: $0) }
            bytes.withUnsafeBytes { target.content.write(at: targetOffset, $0) }
            if caller.user != 0 { dropPrivileges(target) }
            contentChanged(target)
            return count
        }
    }
}
