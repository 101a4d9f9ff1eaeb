/// System calls that fail as planned, or transfer less than asked: shows what the directory backend
/// and the store lock make of the kernel's answers.
import Platform

/// The calls of `SystemCalls`, by the names of the manual.
public enum SystemCall: String, CaseIterable, Sendable {
    case open, close, pread, pwritev, fdatasync, fsync
    case syncFileRange = "sync_file_range"
    case ftruncate, fallocate, fstat, fstatat, fstatvfs, renameat, unlinkat, mkdirat, readdir, fcntl
}

/// Passes everything on to `base` but what `plan` strikes. Calls on descriptors go by the path with
/// which they were opened, renames by the old path.
public final class FaultInjectingSystemCalls: SystemCalls {
    public let base: any SystemCalls
    public let plan: FaultPlan<SystemCall>
    private let paths = ConditionMutex<[Descriptor: String]>([:])

    public init(_ base: any SystemCalls = LinuxSystemCalls(), plan: FaultPlan<SystemCall>) {
        self.base = base
        self.plan = plan
    }

    public func open(
        at directory: Descriptor, _ path: String, _ flags: OpenFlags, mode: UInt32
    ) throws(Errno) -> Descriptor {
        let file = try run(.open, path) { () throws(Errno) in
            try base.open(at: directory, path, flags, mode: mode)
        }
        paths.withLock { $0[file] = path }
        return file
    }

    /// A struck close closes all the same, as on Linux.
    public func close(_ file: Descriptor) throws(Errno) {
        let path = paths.withLock { $0.removeValue(forKey: file) } ?? ""
        let fault = plan.strike(.close, path)
        try base.close(file)
        if let fault { throw fault.error }
    }

    public func read(
        _ file: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        try transfer(.pread, file) { (limit) throws(Errno) in
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(limit))
            return try base.read(file, into: part, at: offset)
        }
    }

    public func write(
        _ file: Descriptor, _ vectors: UnsafeBufferPointer<IOVector>, at offset: UInt64
    ) throws(Errno) -> Int {
        try transfer(.pwritev, file) { (limit) throws(Errno) in
            var rest = limit
            let part = vectors.map { vector in
                let kept = min(rest, vector.iov_len)
                rest -= kept
                return IOVector(iov_base: vector.iov_base, iov_len: kept)
            }
            return try part.withUnsafeBufferPointer { (all) throws(Errno) in
                try base.write(file, all, at: offset)
            }
        }
    }

    public func synchronizeData(_ file: Descriptor) throws(Errno) {
        try run(.fdatasync, path(file)) { () throws(Errno) in try base.synchronizeData(file) }
    }

    public func synchronize(_ file: Descriptor) throws(Errno) {
        try run(.fsync, path(file)) { () throws(Errno) in try base.synchronize(file) }
    }

    public func startWriteback(_ file: Descriptor, _ range: Range<UInt64>) throws(Errno) {
        try run(.syncFileRange, path(file)) { () throws(Errno) in
            try base.startWriteback(file, range)
        }
    }

    public func truncate(_ file: Descriptor, to size: UInt64) throws(Errno) {
        try run(.ftruncate, path(file)) { () throws(Errno) in try base.truncate(file, to: size) }
    }

    public func allocate(
        _ file: Descriptor, _ kind: Allocation, _ range: Range<UInt64>
    ) throws(Errno) {
        try run(.fallocate, path(file)) { () throws(Errno) in
            try base.allocate(file, kind, range)
        }
    }

    public func status(_ file: Descriptor) throws(Errno) -> FileStatus {
        try run(.fstat, path(file)) { () throws(Errno) in try base.status(file) }
    }

    public func status(at directory: Descriptor, _ path: String) throws(Errno) -> FileStatus {
        try run(.fstatat, path) { () throws(Errno) in try base.status(at: directory, path) }
    }

    public func filesystem(_ file: Descriptor) throws(Errno) -> FilesystemStatus {
        try run(.fstatvfs, path(file)) { () throws(Errno) in try base.filesystem(file) }
    }

    public func rename(
        at fromDirectory: Descriptor, _ from: String, to toDirectory: Descriptor, _ to: String
    ) throws(Errno) {
        try run(.renameat, from) { () throws(Errno) in
            try base.rename(at: fromDirectory, from, to: toDirectory, to)
        }
    }

    public func unlink(at directory: Descriptor, _ path: String) throws(Errno) {
        try run(.unlinkat, path) { () throws(Errno) in try base.unlink(at: directory, path) }
    }

    public func makeDirectory(
        at directory: Descriptor, _ path: String, mode: UInt32
    ) throws(Errno) {
        try run(.mkdirat, path) { () throws(Errno) in
            try base.makeDirectory(at: directory, path, mode: mode)
        }
    }

    public func names(in directory: Descriptor) throws(Errno) -> [String] {
        try run(.readdir, path(directory)) { () throws(Errno) in try base.names(in: directory) }
    }

    public func lock(_ file: Descriptor, _ kind: LockKind) throws(Errno) -> Bool {
        try run(.fcntl, path(file)) { () throws(Errno) in try base.lock(file, kind) }
    }

    private func path(_ file: Descriptor) -> String {
        paths.withLock { $0[file] } ?? ""
    }

    private func run<Result>(
        _ call: SystemCall, _ path: String, _ body: () throws(Errno) -> Result
    ) throws(Errno) -> Result {
        guard let fault = plan.strike(call, path) else { return try body() }
        if fault.effect == .complete { _ = try body() }
        throw fault.error
    }

    /// A read or write of at most `limit` bytes.
    private func transfer(
        _ call: SystemCall, _ file: Descriptor, _ body: (_ limit: Int) throws(Errno) -> Int
    ) throws(Errno) -> Int {
        guard let fault = plan.strike(call, path(file)) else { return try body(.max) }
        switch fault.effect {
        case .nothing: break
        case .partial(let bytes): _ = try body(bytes)
        case .short(let bytes): return try body(bytes)
        case .complete: _ = try body(.max)
        }
        throw fault.error
    }
}
