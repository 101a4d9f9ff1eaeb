// A snapshot mounted by itself.
import DiskFormat
import FileModel
import Pipeline

/// One snapshot as a whole read-only filesystem, with the inode numbers that its files had. Any
/// thread.
public final class MountedSnapshot: FilesystemOperations, Sendable {
    private let tree: SnapshotTree
    private let volume: Volume

    init(_ snapshot: SnapshotImage, of volume: Volume) throws(FileError) {
        tree = try SnapshotTree(
            snapshot, store: volume.store, base: 0, nodesMax: volume.options.nodesMax)
        self.volume = volume
    }

    /// By whom the kernel is told to let go of names: after mounting.
    public func setNotifier(_ notifier: (any KernelNotifier)?) { tree.setNotifier(notifier) }

    public var isReadOnly: Bool { true }
    var identifier: UniqueID { tree.snapshot.id }

    public func lookup(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes? {
        try tree.lookup(name, in: parent)
    }

    public func forget(_ inode: InodeNumber, count: UInt64) { tree.forget(inode, count: count) }

    public func lookupSelf(_ inode: InodeNumber) throws(FileError) -> FileAttributes {
        try tree.lookupSelf(inode)
    }

    public func lookupParent(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        try tree.lookupSelf(try tree.parent(of: inode))
    }

    public func readDirectory(
        _ inode: InodeNumber, after cookie: UInt64, withAttributes: Bool,
        _ emit: (
            _ name: UnsafeRawBufferPointer, _ inode: InodeNumber, _ kind: FileKind,
            _ nextCookie: UInt64, _ attributes: FileAttributes?
        ) -> Bool
    ) throws(FileError) {
        try tree.readDirectory(
            inode, after: cookie, above: RootImage.rootInode, withAttributes: withAttributes,
            emit)
    }

    public func attributes(of inode: InodeNumber) throws(FileError) -> FileAttributes {
        try tree.attributes(of: inode)
    }

    public func readSymbolicLink(_ inode: InodeNumber) throws(FileError) -> [UInt8] {
        try tree.target(of: inode)
    }

    public func extendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) -> [UInt8] {
        try tree.extendedAttribute(name, of: inode)
    }

    public func extendedAttributeNames(of inode: InodeNumber) throws(FileError) -> [UInt8] {
        try tree.extendedAttributeNames(of: inode)
    }

    public func read(
        _ inode: InodeNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        try tree.read(inode, at: offset, into: buffer)
    }

    public func seek(
        _ inode: InodeNumber, _ target: SeekTarget, from offset: UInt64
    ) throws(FileError) -> UInt64 {
        try tree.seek(inode, target, from: offset)
    }

    public func synchronize(_ inode: InodeNumber, dataOnly: Bool) throws(FileError) {}

    public func synchronizeAll() throws(FileError) {}

    public func usage() throws(FileError) -> FilesystemUsage { try volume.usage() }

    // MARK: changes: none

    public func makeNode(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, deviceMajor: UInt32,
        deviceMinor: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    public func makeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    public func makeSymbolicLink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, target: UnsafeRawBufferPointer,
        caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    public func link(
        _ inode: InodeNumber, to name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    public func unlink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) { throw .readOnly }

    public func removeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) { throw .readOnly }

    public func rename(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        to newName: UnsafeRawBufferPointer, in newParent: InodeNumber, flags: RenameFlags,
        caller: Caller
    ) throws(FileError) { throw .readOnly }

    public func setAttributes(
        of inode: InodeNumber, _ change: AttributeChange, caller: Caller
    ) throws(FileError) -> FileAttributes { throw .readOnly }

    public func setExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber, to value: UnsafeRawBufferPointer,
        _ mode: AttributeWrite, clearsSetGroup: Bool
    ) throws(FileError) { throw .readOnly }

    public func removeExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) { throw .readOnly }

    public func write(
        _ inode: InodeNumber, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
        dropsPrivilegeBits: Bool
    ) throws(FileError) { throw .readOnly }

    public func allocate(
        _ inode: InodeNumber, mode: AllocateMode, at offset: UInt64, length: UInt64,
        caller: Caller
    ) throws(FileError) { throw .readOnly }

    public func copyRange(
        from source: InodeNumber, at offset: UInt64, to target: InodeNumber,
        at targetOffset: UInt64, length: UInt64, caller: Caller
    ) throws(FileError) -> UInt64 { throw .readOnly }
}
