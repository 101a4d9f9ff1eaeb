import Platform

/// Real system calls, with the changing ones written down as text.
final class TracingSystemCalls: SystemCalls {
    private let base = LinuxSystemCalls()
    private let lines = ConditionMutex<[String]>([])
    private let paths = ConditionMutex<[Descriptor: String]>([:])

    var changes: [String] { lines.withLock { $0 } }

    func clear() { lines.withLock { $0 = [] } }

    private func note(_ line: String) { lines.withLock { $0.append(line) } }

    private func path(_ file: Descriptor) -> String { paths.withLock { $0[file] ?? "?" } }

    func open(
        at directory: Descriptor, _ path: String, _ flags: OpenFlags, mode: UInt32
    ) throws(Errno) -> Descriptor {
        let file = try base.open(at: directory, path, flags, mode: mode)
        paths.withLock { $0[file] = path }
        if flags.contains(.create) { note("create \(path)") }
        return file
    }

    func close(_ file: Descriptor) throws(Errno) { try base.close(file) }

    func read(
        _ file: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        try base.read(file, into: buffer, at: offset)
    }

    func write(
        _ file: Descriptor, _ vectors: UnsafeBufferPointer<IOVector>, at offset: UInt64
    ) throws(Errno) -> Int {
        note("pwritev \(path(file))")
        return try base.write(file, vectors, at: offset)
    }

    func synchronizeData(_ file: Descriptor) throws(Errno) {
        note("fdatasync \(path(file))")
        try base.synchronizeData(file)
    }

    func synchronize(_ file: Descriptor) throws(Errno) {
        note("fsync \(path(file))")
        try base.synchronize(file)
    }

    func startWriteback(_ file: Descriptor, _ range: Range<UInt64>) throws(Errno) {
        try base.startWriteback(file, range)
    }

    func truncate(_ file: Descriptor, to size: UInt64) throws(Errno) {
        note("ftruncate \(path(file))")
        try base.truncate(file, to: size)
    }

    func allocate(
        _ file: Descriptor, _ kind: Allocation, _ range: Range<UInt64>
    ) throws(Errno) {
        note("fallocate \(path(file))")
        try base.allocate(file, kind, range)
    }

    func status(_ file: Descriptor) throws(Errno) -> FileStatus { try base.status(file) }

    func status(at directory: Descriptor, _ path: String) throws(Errno) -> FileStatus {
        try base.status(at: directory, path)
    }

    func filesystem(_ file: Descriptor) throws(Errno) -> FilesystemStatus {
        try base.filesystem(file)
    }

    func rename(
        at fromDirectory: Descriptor, _ from: String, to toDirectory: Descriptor, _ to: String
    ) throws(Errno) {
        note("renameat \(from) \(to)")
        try base.rename(at: fromDirectory, from, to: toDirectory, to)
    }

    func unlink(at directory: Descriptor, _ path: String) throws(Errno) {
        note("unlinkat \(path)")
        try base.unlink(at: directory, path)
    }

    func makeDirectory(
        at directory: Descriptor, _ path: String, mode: UInt32
    ) throws(Errno) {
        note("mkdirat \(path)")
        try base.makeDirectory(at: directory, path, mode: mode)
    }

    func names(in directory: Descriptor) throws(Errno) -> [String] {
        try base.names(in: directory)
    }

    func lock(_ file: Descriptor, _ kind: LockKind) throws(Errno) -> Bool {
        try base.lock(file, kind)
    }
}
