/// The real system calls.
///
/// 1. `errno` is read in the same expression chain as the failing call (`checked`): no allocation,
///    release or other call comes between.
/// 2. EINTR is repeated everywhere but at close, where Linux has freed the number already and a
///    second close could hit another thread's new file.
import CLinux
import Glibc

/// struct iovec: a borrowed piece of memory to be written.
public typealias IOVector = iovec

/// Calls the kernel. Stateless; any thread.
public struct LinuxSystemCalls: SystemCalls {
    public init() {}

    public func open(
        at directory: Descriptor, _ path: String, _ flags: OpenFlags, mode: UInt32
    ) throws(Errno) -> Descriptor {
        let system = Self.systemFlags(flags)
        return Descriptor(
            number: try checked { openat(directory.number, path, system, mode_t(mode)) })
    }

    static func systemFlags(_ flags: OpenFlags) -> Int32 {
        var system: Int32 = flags.contains(.readWrite) ? O_RDWR : O_RDONLY
        if flags.contains(.create) { system |= O_CREAT }
        if flags.contains(.exclusive) { system |= O_EXCL }
        if flags.contains(.truncate) { system |= O_TRUNC }
        if flags.contains(.directory) { system |= ASHLAR_O_DIRECTORY }
        if flags.contains(.noFollow) { system |= ASHLAR_O_NOFOLLOW | O_NONBLOCK }
        if !flags.contains(.inheritable) { system |= O_CLOEXEC }
        return system | O_NOCTTY
    }

    public func close(_ file: Descriptor) throws(Errno) {
        guard Glibc.close(file.number) != 0 else { return }
        let error = Errno(rawValue: errno)
        if error != .interrupted { throw error }
    }

    public func read(
        _ file: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        let position = try signed(offset)
        return try checked { pread(file.number, base, buffer.count, position) }
    }

    public func write(
        _ file: Descriptor, _ vectors: UnsafeBufferPointer<IOVector>, at offset: UInt64
    ) throws(Errno) -> Int {
        guard let base = vectors.baseAddress, !vectors.isEmpty else { return 0 }
        guard let count = Int32(exactly: vectors.count) else { throw .invalidArgument }
        let position = try signed(offset)
        return try checked { pwritev(file.number, base, count, position) }
    }

    public func synchronizeData(_ file: Descriptor) throws(Errno) {
        _ = try checked { fdatasync(file.number) }
    }

    public func synchronize(_ file: Descriptor) throws(Errno) {
        _ = try checked { fsync(file.number) }
    }

    public func startWriteback(_ file: Descriptor, _ range: Range<UInt64>) throws(Errno) {
        let (offset, length) = try signed(range)
        _ = try checked { ashlar_start_writeback(file.number, offset, length) }
    }

    public func truncate(_ file: Descriptor, to size: UInt64) throws(Errno) {
        let length = try signed(size)
        _ = try checked { ftruncate(file.number, length) }
    }

    public func allocate(
        _ file: Descriptor, _ kind: Allocation, _ range: Range<UInt64>
    ) throws(Errno) {
        let (offset, length) = try signed(range)
        var mode = ASHLAR_FALLOCATE_KEEP_SIZE
        if kind == .punchHole { mode |= ASHLAR_FALLOCATE_PUNCH_HOLE }
        _ = try checked { ashlar_fallocate(file.number, mode, offset, length) }
    }

    public func status(_ file: Descriptor) throws(Errno) -> FileStatus {
        var status = stat()
        _ = try checked { fstat(file.number, &status) }
        return FileStatus(status)
    }

    public func status(at directory: Descriptor, _ path: String) throws(Errno) -> FileStatus {
        var status = stat()
        _ = try checked { fstatat(directory.number, path, &status, AT_SYMLINK_NOFOLLOW) }
        return FileStatus(status)
    }

    public func filesystem(_ file: Descriptor) throws(Errno) -> FilesystemStatus {
        var status = statvfs()
        _ = try checked { fstatvfs(file.number, &status) }
        let unitBytes = UInt64(status.f_frsize)
        return FilesystemStatus(
            totalBytes: UInt64(status.f_blocks).multipliedSaturated(by: unitBytes),
            availableBytes: UInt64(status.f_bavail).multipliedSaturated(by: unitBytes),
            totalFiles: UInt64(status.f_files), availableFiles: UInt64(status.f_favail),
            isReadOnly: status.f_flag & UInt(ST_RDONLY) != 0)
    }

    public func rename(
        at fromDirectory: Descriptor, _ from: String, to toDirectory: Descriptor, _ to: String
    ) throws(Errno) {
        _ = try checked { renameat(fromDirectory.number, from, toDirectory.number, to) }
    }

    public func unlink(at directory: Descriptor, _ path: String) throws(Errno) {
        _ = try checked { unlinkat(directory.number, path, 0) }
    }

    public func makeDirectory(
        at directory: Descriptor, _ path: String, mode: UInt32
    ) throws(Errno) {
        _ = try checked { mkdirat(directory.number, path, mode_t(mode)) }
    }

    public func names(in directory: Descriptor) throws(Errno) -> [String] {
        // fdopendir takes its descriptor over, and a duplicate would share the reading position:
        // a new description of the same directory leaves the caller's alone.
        let own = try open(at: directory, ".", [.directory], mode: 0)
        guard let stream = fdopendir(own.number) else {
            let error = Errno(rawValue: errno)
            _ = Glibc.close(own.number)
            throw error
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                let code = errno
                if code != 0 { throw Errno(rawValue: code) }
                return names
            }
            guard let name = Self.name(of: entry), name != ".", name != ".." else { continue }
            names.append(name)
        }
    }

    /// The entry's name, read in place: the kernel's record may be shorter than struct dirent.
    private static func name(of entry: UnsafeMutablePointer<dirent>) -> String? {
        guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { return nil }
        let characters = UnsafeRawPointer(entry).advanced(by: offset)
        return String(validatingCString: characters.assumingMemoryBound(to: CChar.self))
    }

    /// Whether another open file description holds the whole file exclusively (F_OFD_GETLK). Takes
    /// nothing.
    public func isLockedExclusively(_ file: Descriptor) throws(Errno) -> Bool {
        try checked { ashlar_ofd_conflict(file.number, Int32(ASHLAR_LOCK_SHARED.rawValue)) }
            == Int32(ASHLAR_LOCK_EXCLUSIVE.rawValue)
    }

    public func lock(_ file: Descriptor, _ kind: LockKind) throws(Errno) -> Bool {
        let system =
            switch kind {
            case .none: ASHLAR_LOCK_NONE
            case .shared: ASHLAR_LOCK_SHARED
            case .exclusive: ASHLAR_LOCK_EXCLUSIVE
            }
        do {
            _ = try checked { ashlar_ofd_lock(file.number, Int32(system.rawValue)) }
            return true
        } catch {
            if error == .resourceTemporarilyUnavailable || error == .permissionDenied {
                return false
            }
            throw error
        }
    }
}

/// Runs `call` until it is not interrupted; -1 becomes the error that it left in `errno`.
@inline(__always)
func checked<Result: FixedWidthInteger & SignedInteger>(
    _ call: () -> Result
) throws(Errno) -> Result {
    while true {
        let result = call()
        if result != -1 { return result }
        let code = errno
        if code != EINTR { throw Errno(rawValue: code) }
    }
}

/// An offset as the kernel takes it; beyond its reach it is the error that the kernel would give.
private func signed(_ offset: UInt64) throws(Errno) -> Int {
    guard let position = Int(exactly: offset) else { throw .fileTooLarge }
    return position
}

private func signed(_ range: Range<UInt64>) throws(Errno) -> (offset: Int64, length: Int64) {
    guard range.upperBound <= SystemLimits.offsetMax else { throw .fileTooLarge }
    return (Int64(range.lowerBound), Int64(range.upperBound - range.lowerBound))
}

extension UInt64 {
    fileprivate func multipliedSaturated(by other: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}

extension FileStatus {
    /// st_blocks counts 512 bytes on Linux, whatever the block size of the filesystem is.
    init(_ status: stat) {
        let kind: FileKind =
            if ashlar_is_regular_file(status.st_mode) {
                .regular
            } else if ashlar_is_directory(status.st_mode) {
                .directory
            } else if ashlar_is_symbolic_link(status.st_mode) {
                .symbolicLink
            } else {
                .other
            }
        self.init(
            kind: kind, sizeBytes: UInt64(clamping: status.st_size),
            allocatedBytes: UInt64(clamping: status.st_blocks) * 512,
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}
