/// A backend that writes down every change. Over `Backend` rather than `SystemCalls`, since what is
/// recorded is replayed into a memory backend, which knows what a power cut would leave.
///
/// Invariants:
/// 1. The recording has the changes in the order in which they took effect: one at a time is passed
///    on. (A write that returns while a synchronisation runs may or may not be covered by it; here
///    that cannot happen.)
/// 2. Only changes that succeeded are recorded. Faults belong above this twin, not below: a failed
///    write may have changed something.
import Platform

public final class RecordingBackend: Backend {
    public let base: any Backend
    public let recording: BackendRecording
    private let order = ConditionMutex<Void>(())

    public init(_ base: any Backend, recording: BackendRecording = BackendRecording()) {
        self.base = base
        self.recording = recording
    }

    public var location: String { base.location }
    public var isReadOnly: Bool { base.isReadOnly }

    public func createFile(_ name: String) throws(BackendError) -> any BackendFile {
        try order.withLock { _ throws(BackendError) in
            let file = try base.createFile(name)
            let handle = recording.nextHandle()
            recording.append(.createFile(handle: handle, name: name))
            return RecordingFile(file, handle: handle, backend: self)
        }
    }

    public func openFile(
        _ name: String, writable: Bool
    ) throws(BackendError) -> any BackendFile {
        try order.withLock { _ throws(BackendError) in
            let file = try base.openFile(name, writable: writable)
            let handle = recording.nextHandle()
            recording.append(.openFile(handle: handle, name: name, writable: writable))
            return RecordingFile(file, handle: handle, backend: self)
        }
    }

    public func list(prefix: String) throws(BackendError) -> [(name: String, size: UInt64)] {
        try base.list(prefix: prefix)
    }

    public func removeFile(_ name: String) throws(BackendError) {
        try record(.removeFile(name: name)) { () throws(BackendError) in
            try base.removeFile(name)
        }
    }

    public func renameFile(_ from: String, to: String) throws(BackendError) {
        try record(.renameFile(from: from, to: to)) { () throws(BackendError) in
            try base.renameFile(from, to: to)
        }
    }

    public func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError) {
        try record(.writeWhole(name: name, bytes: bytes)) { () throws(BackendError) in
            try base.writeWhole(name, bytes)
        }
    }

    public func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        try base.readWhole(name, limitBytes: limitBytes)
    }

    public func synchronizeNames() throws(BackendError) {
        try record(.synchronizeNames) { () throws(BackendError) in try base.synchronizeNames() }
    }

    public func space() throws(BackendError) -> BackendSpace { try base.space() }

    /// Makes a change alone, and records it if it was one.
    fileprivate func record<Result>(
        _ operation: RecordedOperation, if isChange: (Result) -> Bool = { _ in true },
        _ call: () throws(BackendError) -> Result
    ) throws(BackendError) -> Result {
        try order.withLock { _ throws(BackendError) in
            let result = try call()
            if isChange(result) { recording.append(operation) }
            return result
        }
    }
}

private final class RecordingFile: BackendFile {
    private let base: any BackendFile
    private let handle: Int
    private let backend: RecordingBackend

    init(_ base: any BackendFile, handle: Int, backend: RecordingBackend) {
        self.base = base
        self.handle = handle
        self.backend = backend
    }

    var name: String { base.name }

    func size() throws(BackendError) -> UInt64 { try base.size() }

    func read(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(BackendError) -> Int {
        try base.read(at: offset, into: buffer)
    }

    func write(
        _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(BackendError) {
        var bytes: [UInt8] = []
        for buffer in buffers { bytes.append(contentsOf: buffer) }
        let operation = RecordedOperation.write(handle: handle, offset: offset, bytes: bytes)
        try backend.record(operation) { () throws(BackendError) in
            try base.write(buffers, at: offset)
        }
    }

    func synchronize() throws(BackendError) {
        try backend.record(.synchronize(handle: handle)) { () throws(BackendError) in
            try base.synchronize()
        }
    }

    func startWriteback(_ range: Range<UInt64>) { base.startWriteback(range) }

    func truncate(to size: UInt64) throws(BackendError) {
        try backend.record(.truncate(handle: handle, size: size)) { () throws(BackendError) in
            try base.truncate(to: size)
        }
    }

    func punchHole(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try backend.record(.punchHole(handle: handle, range: range), if: { $0 }) {
            () throws(BackendError) in
            try base.punchHole(range)
        }
    }

    func preallocate(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try backend.record(.preallocate(handle: handle, range: range), if: { $0 }) {
            () throws(BackendError) in
            try base.preallocate(range)
        }
    }

    func allocatedBytes() throws(BackendError) -> UInt64 { try base.allocatedBytes() }
}
