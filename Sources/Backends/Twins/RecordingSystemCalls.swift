/// System calls that are written down: what the directory backend really asked of the kernel, to be
/// replayed by `SystemCallReplay` up to any point.
///
/// Invariants:
/// 1. The recording has the changes in the order in which they took effect: one at a time is passed
///    on. (A write that returns while a synchronisation runs may or may not be covered by it; here
///    that cannot happen.)
/// 2. Only what was done is recorded: of a short write what was written, of a failed call nothing.
import Platform

/// One changing call that succeeded. Paths are relative to the backend's root, which is "".
public enum RecordedCall: Equatable, Sendable {
    /// A file is opened, and perhaps made, or emptied.
    case open(handle: Int, path: String, creates: Bool, truncates: Bool)
    case pwritev(handle: Int, offset: UInt64, bytes: [UInt8])
    case fdatasync(handle: Int)
    case ftruncate(handle: Int, size: UInt64)
    case reserve(handle: Int, range: Range<UInt64>)
    case punchHole(handle: Int, range: Range<UInt64>)
    case mkdir(path: String)
    /// Of a directory.
    case fsync(path: String)
    case rename(from: String, to: String)
    case unlink(path: String)
    /// A note of the test, such as "fsync of A has returned".
    case mark(String)
}

/// Passes everything on to `base`, and writes down what changes something. Any thread.
public final class RecordingSystemCalls: SystemCalls {
    public let base: any SystemCalls
    private let state = ConditionMutex(State())

    private struct State {
        var calls: [RecordedCall] = []
        var files: [Descriptor: Int] = [:]
        var directories: [Descriptor: String] = [:]
        var nextHandle = 0
    }

    public init(_ base: any SystemCalls = LinuxSystemCalls()) {
        self.base = base
    }

    public var calls: [RecordedCall] { state.withLock { $0.calls } }

    /// Notes `text` at this point.
    public func mark(_ text: String) {
        state.withLock { $0.calls.append(.mark(text)) }
    }

    public func open(
        at directory: Descriptor, _ path: String, _ flags: OpenFlags, mode: UInt32
    ) throws(Errno) -> Descriptor {
        try state.withLock { state throws(Errno) in
            let file = try base.open(at: directory, path, flags, mode: mode)
            if flags.contains(.directory) {
                let isRoot = directory == .currentDirectory || path == "."
                state.directories[file] = isRoot ? "" : path
                return file
            }
            state.files[file] = state.nextHandle
            state.calls.append(
                .open(
                    handle: state.nextHandle, path: path, creates: flags.contains(.create),
                    truncates: flags.contains(.truncate)))
            state.nextHandle += 1
            return file
        }
    }

    public func close(_ file: Descriptor) throws(Errno) {
        try state.withLock { state throws(Errno) in
            state.files[file] = nil
            state.directories[file] = nil
            try base.close(file)
        }
    }

    public func read(
        _ file: Descriptor, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        try base.read(file, into: buffer, at: offset)
    }

    public func write(
        _ file: Descriptor, _ vectors: UnsafeBufferPointer<IOVector>, at offset: UInt64
    ) throws(Errno) -> Int {
        try state.withLock { state throws(Errno) in
            let count = try base.write(file, vectors, at: offset)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count)
            for vector in vectors where bytes.count < count {
                let part = UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len)
                bytes.append(contentsOf: part.prefix(count - bytes.count))
            }
            if let handle = state.files[file] {
                state.calls.append(.pwritev(handle: handle, offset: offset, bytes: bytes))
            }
            return count
        }
    }

    public func synchronizeData(_ file: Descriptor) throws(Errno) {
        try record(file, { .fdatasync(handle: $0) }) { () throws(Errno) in
            try base.synchronizeData(file)
        }
    }

    public func synchronize(_ file: Descriptor) throws(Errno) {
        try state.withLock { state throws(Errno) in
            try base.synchronize(file)
            if let path = state.directories[file] { state.calls.append(.fsync(path: path)) }
        }
    }

    /// Proves nothing, so it is not recorded.
    public func startWriteback(_ file: Descriptor, _ range: Range<UInt64>) throws(Errno) {
        try base.startWriteback(file, range)
    }

    public func truncate(_ file: Descriptor, to size: UInt64) throws(Errno) {
        try record(file, { .ftruncate(handle: $0, size: size) }) { () throws(Errno) in
            try base.truncate(file, to: size)
        }
    }

    public func allocate(
        _ file: Descriptor, _ kind: Allocation, _ range: Range<UInt64>
    ) throws(Errno) {
        try record(
            file,
            { handle in
                switch kind {
                case .reserve: .reserve(handle: handle, range: range)
                case .punchHole: .punchHole(handle: handle, range: range)
                }
            }
        ) { () throws(Errno) in try base.allocate(file, kind, range) }
    }

    public func status(_ file: Descriptor) throws(Errno) -> FileStatus {
        try base.status(file)
    }

    public func status(at directory: Descriptor, _ path: String) throws(Errno) -> FileStatus {
        try base.status(at: directory, path)
    }

    public func filesystem(_ file: Descriptor) throws(Errno) -> FilesystemStatus {
        try base.filesystem(file)
    }

    public func rename(
        at fromDirectory: Descriptor, _ from: String, to toDirectory: Descriptor, _ to: String
    ) throws(Errno) {
        try state.withLock { state throws(Errno) in
            try base.rename(at: fromDirectory, from, to: toDirectory, to)
            state.calls.append(.rename(from: from, to: to))
        }
    }

    public func unlink(at directory: Descriptor, _ path: String) throws(Errno) {
        try state.withLock { state throws(Errno) in
            try base.unlink(at: directory, path)
            state.calls.append(.unlink(path: path))
        }
    }

    public func makeDirectory(
        at directory: Descriptor, _ path: String, mode: UInt32
    ) throws(Errno) {
        try state.withLock { state throws(Errno) in
            try base.makeDirectory(at: directory, path, mode: mode)
            if directory != .currentDirectory { state.calls.append(.mkdir(path: path)) }
        }
    }

    public func names(in directory: Descriptor) throws(Errno) -> [String] {
        try base.names(in: directory)
    }

    public func lock(_ file: Descriptor, _ kind: LockKind) throws(Errno) -> Bool {
        try base.lock(file, kind)
    }

    private func record(
        _ file: Descriptor, _ call: (Int) -> RecordedCall, _ body: () throws(Errno) -> Void
    ) throws(Errno) {
        try state.withLock { state throws(Errno) in
            try body()
            if let handle = state.files[file] { state.calls.append(call(handle)) }
        }
    }
}
