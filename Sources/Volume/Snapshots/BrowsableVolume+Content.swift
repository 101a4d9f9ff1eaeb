// Attributes and content: the volume's own, or a snapshot's.
import DiskFormat
import FileModel

extension BrowsableVolume {
    public func attributes(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        switch try target(inode) {
        case .live: return try volume.attributes(of: inode)
        case .directory: return directoryAttributes
        case .snapshot(let tree): return try tree.attributes(of: inode)
        }
    }

    public func setAttributes(
        of inode: InodeNumber, _ change: AttributeChange, caller: Caller
    ) throws(FileError) -> FileAttributes {
        try checkLive(inode)
        return try volume.setAttributes(of: inode, change, caller: caller)
    }

    public func readSymbolicLink(_ inode: InodeNumber) throws(FileError) -> [UInt8] {
        switch try target(inode) {
        case .live: return try volume.readSymbolicLink(inode)
        case .directory: throw .invalid
        case .snapshot(let tree): return try tree.target(of: inode)
        }
    }

    public func extendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) -> [UInt8] {
        switch try target(inode) {
        case .live: return try volume.extendedAttribute(name, of: inode)
        case .directory: throw .noAttribute
        case .snapshot(let tree): return try tree.extendedAttribute(name, of: inode)
        }
    }

    public func extendedAttributeNames(of inode: InodeNumber) throws(FileError) -> [UInt8] {
        switch try target(inode) {
        case .live: return try volume.extendedAttributeNames(of: inode)
        case .directory: return []
        case .snapshot(let tree): return try tree.extendedAttributeNames(of: inode)
        }
    }

    public func setExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber, to value: UnsafeRawBufferPointer,
        _ mode: AttributeWrite, clearsSetGroup: Bool
    ) throws(FileError) {
        try checkLive(inode)
        try volume.setExtendedAttribute(
            name, of: inode, to: value, mode, clearsSetGroup: clearsSetGroup)
    }

    public func removeExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) {
        try checkLive(inode)
        try volume.removeExtendedAttribute(name, of: inode)
    }

    public func read(
        _ inode: InodeNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        switch try target(inode) {
        case .live: return try volume.read(inode, at: offset, into: buffer)
        case .directory: throw .isDirectory
        case .snapshot(let tree): return try tree.read(inode, at: offset, into: buffer)
        }
    }

    public func write(
        _ inode: InodeNumber, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
        dropsPrivilegeBits: Bool
    ) throws(FileError) {
        try checkLive(inode)
        try volume.write(inode, at: offset, bytes, dropsPrivilegeBits: dropsPrivilegeBits)
    }

    public func allocate(
        _ inode: InodeNumber, mode: AllocateMode, at offset: UInt64, length: UInt64,
        caller: Caller
    ) throws(FileError) {
        try checkLive(inode)
        try volume.allocate(
            inode, mode: mode, at: offset, length: length, caller: caller)
    }

    public func seek(
        _ inode: InodeNumber, _ target: SeekTarget, from offset: UInt64
    ) throws(FileError) -> UInt64 {
        switch try self.target(inode) {
        case .live: return try volume.seek(inode, target, from: offset)
        case .directory: throw .isDirectory
        case .snapshot(let tree): return try tree.seek(inode, target, from: offset)
        }
    }

    public func copyRange(
        from source: InodeNumber, at offset: UInt64, to target: InodeNumber,
        at targetOffset: UInt64, length: UInt64, caller: Caller
    ) throws(FileError) -> UInt64 {
        try checkLive(target)
        // The caller copies the bytes then, and they are found to be there.
        if source >> 48 != 0 { throw .crossVolume }
        return try volume.copyRange(
            from: source, at: offset, to: target, at: targetOffset, length: length,
            caller: caller)
    }

    public func synchronize(_ inode: InodeNumber, dataOnly: Bool) throws(FileError) {
        if inode >> 48 == 0 { try volume.synchronize(inode, dataOnly: dataOnly) }
    }

    public func synchronizeAll() throws(FileError) { try volume.synchronizeAll() }

    public func usage() throws(FileError) -> FilesystemUsage { try volume.usage() }
}
