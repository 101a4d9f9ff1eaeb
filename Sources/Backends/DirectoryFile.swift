/// One open file of a directory backend.
///
/// Invariants:
/// 1. Synchronisations of one handle come one after the other. The kernel reports a failed
///    writeback once per open file: of two concurrent calls one would return success for bytes
///    that are lost.
/// 2. After a failed synchronisation the handle is poisoned: it can be read, and nothing else.
import Platform
import Synchronization

final class DirectoryFile: BackendFile {
    /// The name under which it was opened; a rename does not change it.
    let name: String
    private let descriptor: Descriptor
    private let isWritable: Bool
    private let systemCalls: any SystemCalls
    private let isPoisoned = Atomic<Bool>(false)
    private let synchronizing = ConditionMutex<Void>(())

    /// Takes `descriptor` over.
    init(
        name: String, descriptor: Descriptor, isWritable: Bool, systemCalls: any SystemCalls
    ) {
        self.name = name
        self.descriptor = descriptor
        self.isWritable = isWritable
        self.systemCalls = systemCalls
    }

    deinit {
        systemCalls.closeQuietly(descriptor)
    }

    func size() throws(BackendError) -> UInt64 {
        try run("fstat") { () throws(Errno) in
            try systemCalls.status(descriptor).sizeBytes
        }
    }

    func allocatedBytes() throws(BackendError) -> UInt64 {
        try run("fstat") { () throws(Errno) in
            try systemCalls.status(descriptor).allocatedBytes
        }
    }

    func read(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(BackendError) -> Int {
        try run("pread") { () throws(Errno) in
            try systemCalls.readAll(descriptor, into: buffer, at: offset)
        }
    }

    func write(
        _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(BackendError) {
        try checkWritable()
        try run("pwritev") { () throws(Errno) in
            try systemCalls.writeAll(descriptor, buffers, at: offset)
        }
    }

    func synchronize() throws(BackendError) {
        try synchronizing.withLock { _ throws(BackendError) in
            try checkPoison()
            do throws(Errno) {
                try systemCalls.synchronizeData(descriptor)
            } catch {
                isPoisoned.store(true, ordering: .releasing)
                throw BackendError(error, name: name, call: "fdatasync")
            }
        }
    }

    func startWriteback(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        // A hint. What fails here fails again, and is reported, in `synchronize`.
        try? systemCalls.startWriteback(descriptor, range)
    }

    func truncate(to size: UInt64) throws(BackendError) {
        try checkWritable()
        try run("ftruncate") { () throws(Errno) in
            try systemCalls.truncate(descriptor, to: size)
        }
    }

    func punchHole(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try allocate(.punchHole, range)
    }

    func preallocate(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try allocate(.reserve, range)
    }

    private func allocate(
        _ kind: Allocation, _ range: Range<UInt64>
    ) throws(BackendError) -> Bool {
        try checkWritable()
        guard !range.isEmpty else { return true }
        do {
            try systemCalls.allocate(descriptor, kind, range)
            return true
        } catch {
            if error == .notSupportedOnSocket || error == .noFunction { return false }
            throw BackendError(error, name: name, call: "fallocate")
        }
    }

    private func checkWritable() throws(BackendError) {
        guard isWritable else { throw .readOnly(name: name) }
        try checkPoison()
    }

    private func checkPoison() throws(BackendError) {
        if isPoisoned.load(ordering: .acquiring) { throw .poisoned(name: name) }
    }

    private func run<Result>(
        _ call: StaticString, _ body: () throws(Errno) -> Result
    ) throws(BackendError) -> Result {
        do {
            return try body()
        } catch {
            throw BackendError(error, name: name, call: call)
        }
    }
}
