/// The narrow door to the filesystem of the machine.
///
/// Everything that a directory backend and the store lock do to files goes through this protocol, so
/// that a test twin can fail the n-th call, or write down every write, fsync and rename and replay
/// them as a power cut would leave them. A conformer adds no policy: one method is one system call.
///
/// Paths are relative to an open directory (`at`), never to the working directory, which a daemon
/// changes. `currentDirectory` stands for the latter, to open the first one. Interrupted calls
/// (EINTR) are repeated by the conformer, except `close`. Any thread may call any method.
public protocol SystemCalls: Sendable {
    /// openat(2). `flags` always get O_CLOEXEC unless `inheritable`. `mode` is for creation only.
    func open(
        at directory: Descriptor, _ path: String, _ flags: OpenFlags, mode: UInt32
    ) throws(Errno) -> Descriptor

    /// close(2). The descriptor is gone whatever the result is.
    func close(_ file: Descriptor) throws(Errno)

    /// pread(2): at most `buffer.count` bytes from byte `offset`; 0 at the end of the file.
    func read(
        _ file: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int

    /// pwritev(2): writes the `vectors` one behind the other at byte `offset`, at most
    /// `SystemLimits.vectorsMax` of them; returns how many bytes were written, perhaps fewer.
    func write(
        _ file: Descriptor, _ vectors: UnsafeBufferPointer<IOVector>, at offset: UInt64
    ) throws(Errno) -> Int

    /// fdatasync(2): contents and size to the medium.
    func synchronizeData(_ file: Descriptor) throws(Errno)

    /// fsync(2): of a directory, its names to the medium.
    func synchronize(_ file: Descriptor) throws(Errno)

    /// sync_file_range(2), start only: proves nothing.
    func startWriteback(_ file: Descriptor, _ range: Range<UInt64>) throws(Errno)

    /// ftruncate(2).
    func truncate(_ file: Descriptor, to size: UInt64) throws(Errno)

    /// fallocate(2), always keeping the size. `range` is not empty.
    func allocate(_ file: Descriptor, _ kind: Allocation, _ range: Range<UInt64>) throws(Errno)

    /// fstat(2).
    func status(_ file: Descriptor) throws(Errno) -> FileStatus

    /// fstatat(2), not following a symbolic link at the end of the path.
    func status(at directory: Descriptor, _ path: String) throws(Errno) -> FileStatus

    /// fstatvfs(2).
    func filesystem(_ file: Descriptor) throws(Errno) -> FilesystemStatus

    /// renameat(2).
    func rename(
        at fromDirectory: Descriptor, _ from: String, to toDirectory: Descriptor, _ to: String
    ) throws(Errno)

    /// unlinkat(2) of a file.
    func unlink(at directory: Descriptor, _ path: String) throws(Errno)

    /// mkdirat(2).
    func makeDirectory(at directory: Descriptor, _ path: String, mode: UInt32) throws(Errno)

    /// The names in an open directory, without "." and "..", in no order. Names that are not UTF-8
    /// are left out: no program of ours made them.
    func names(in directory: Descriptor) throws(Errno) -> [String]

    /// Sets or gives up the lock of an open file description over the whole file (F_OFD_SETLK),
    /// without waiting. False when a lock of another description is in the way.
    func lock(_ file: Descriptor, _ kind: LockKind) throws(Errno) -> Bool
}
