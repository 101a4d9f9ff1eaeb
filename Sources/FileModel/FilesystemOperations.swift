/// The operations of a mounted filesystem, as a face calls them.
///
/// There are no open-file handles: an inode number is enough, and the number of times the kernel
/// knows it (`lookup` and everything that returns an entry add one, `forget` takes away) says how
/// long an unlinked file lives. Names are bytes: never empty, without NUL and `/`; a volume checks
/// their length (255). Permission checks are the kernel's (`default_permissions`).
///
/// Threads: any number, concurrently; calls may block on storage. Buffers are borrowed for the call.
public protocol FilesystemOperations: AnyObject, Sendable {
    var isReadOnly: Bool { get }

    // MARK: names

    /// Finds `name` in `parent`; nil when there is no such entry (the caller may cache that). On
    /// success the kernel's count of the inode has been raised by one.
    func lookup(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes?

    /// The kernel forgets `count` references to `inode`.
    func forget(_ inode: InodeNumber, count: UInt64)

    /// For NFS handles: the inode by number and its parent ("." and ".."); raises the count.
    func lookupSelf(_ inode: InodeNumber) throws(FileError) -> FileAttributes
    func lookupParent(of inode: InodeNumber) throws(FileError) -> FileAttributes

    /// Makes a file of any kind but directory and symlink. `mode` has kind and permissions, umask not
    /// yet applied (the volume applies it, unless the directory has a default ACL). Raises the count.
    func makeNode(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, deviceMajor: UInt32,
        deviceMinor: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes

    func makeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, mode: UInt32, caller: Caller
    ) throws(FileError) -> FileAttributes

    func makeSymbolicLink(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber, target: UnsafeRawBufferPointer,
        caller: Caller
    ) throws(FileError) -> FileAttributes

    /// A second name for `inode`. Raises the count.
    func link(
        _ inode: InodeNumber, to name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError) -> FileAttributes

    func unlink(_ name: UnsafeRawBufferPointer, in parent: InodeNumber) throws(FileError)
    func removeDirectory(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber
    ) throws(FileError)

    func rename(
        _ name: UnsafeRawBufferPointer, in parent: InodeNumber,
        to newName: UnsafeRawBufferPointer, in newParent: InodeNumber, flags: RenameFlags,
        caller: Caller
    ) throws(FileError)

    /// The target's bytes.
    func readSymbolicLink(_ inode: InodeNumber) throws(FileError) -> [UInt8]

    /// Visits entries of a directory behind `cookie` (0: from the start, with `.` and `..` first)
    /// until `emit` returns false or no entry is left. `nextCookie` resumes behind that entry, stable
    /// over changes of the directory. With `withAttributes`, `attributes` is given and the kernel's
    /// count raised for each entry for which `emit` returned true (not for `.` and `..`).
    func readDirectory(
        _ inode: InodeNumber, after cookie: UInt64, withAttributes: Bool,
        _ emit: (
            _ name: UnsafeRawBufferPointer, _ inode: InodeNumber, _ kind: FileKind,
            _ nextCookie: UInt64, _ attributes: FileAttributes?
        ) -> Bool
    ) throws(FileError)

    // MARK: attributes

    func attributes(of inode: InodeNumber) throws(FileError) -> FileAttributes
    func setAttributes(
        of inode: InodeNumber, _ change: AttributeChange, caller: Caller
    ) throws(FileError) -> FileAttributes

    /// The value's bytes. `noAttribute` when there is none.
    func extendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError) -> [UInt8]
    /// All names, each ended by NUL.
    func extendedAttributeNames(of inode: InodeNumber) throws(FileError) -> [UInt8]
    func setExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber, to value: UnsafeRawBufferPointer,
        _ mode: AttributeWrite, clearsSetGroup: Bool
    ) throws(FileError)
    func removeExtendedAttribute(
        _ name: UnsafeRawBufferPointer, of inode: InodeNumber
    ) throws(FileError)

    // MARK: content

    /// Fills `buffer` from byte `offset`; fewer bytes only at the end of the file.
    func read(
        _ inode: InodeNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int

    /// Takes all of `bytes` (copied before the call returns) or fails. With `dropsPrivilegeBits`
    /// setuid and setgid are cleared.
    func write(
        _ inode: InodeNumber, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
        dropsPrivilegeBits: Bool
    ) throws(FileError)

    /// Setuid and setgid are cleared, unless by root: the kernel leaves that to the filesystem.
    func allocate(
        _ inode: InodeNumber, mode: AllocateMode, at offset: UInt64, length: UInt64,
        caller: Caller
    ) throws(FileError)

    /// The next data or hole at or behind `offset`; `noSuchPosition` past the end.
    func seek(
        _ inode: InodeNumber, _ target: SeekTarget, from offset: UInt64
    ) throws(FileError) -> UInt64

    /// Copies by key where it can; returns how many bytes were copied (0 at the source's end).
    /// The target's setuid and setgid are cleared, unless by root.
    func copyRange(
        from source: InodeNumber, at offset: UInt64, to target: InodeNumber,
        at targetOffset: UInt64, length: UInt64, caller: Caller
    ) throws(FileError) -> UInt64

    /// Makes the inode's data and every metadata operation so far durable (one shared commit).
    func synchronize(_ inode: InodeNumber, dataOnly: Bool) throws(FileError)

    /// fsync of a directory, and syncfs: everything received so far is made durable.
    func synchronizeAll() throws(FileError)

    func usage() throws(FileError) -> FilesystemUsage
}

/// How a volume tells the kernel to let go of what it caches. Given by the face after mounting;
/// must not be called while holding a lock that an operation could wait for.
public protocol KernelNotifier: AnyObject, Sendable {
    /// Drop the cached name (and, soon, the reference to its inode).
    func invalidateEntry(_ name: [UInt8], in parent: InodeNumber)
    /// Drop cached attributes and pages of a range (0 ..< UInt64.max: all). With an empty range, of
    /// attributes alone, the kernel has done so when this returns.
    func invalidateInode(_ inode: InodeNumber, range: Range<UInt64>)
    /// How many of these the kernel was not told yet.
    var pendingCount: Int { get }
}
