/// Replays a recording into a memory backend, step by step: after each step `backend.crash(…)` tells
/// what a power cut at that moment would have left.
///
/// Not for several threads.
public final class BackendReplay {
    public let operations: [RecordedOperation]
    public let backend: MemoryBackend
    /// How many operations have been replayed.
    public private(set) var position = 0
    /// The notes passed so far.
    public private(set) var marks: [String] = []
    private var files: [Int: any BackendFile] = [:]

    /// - Parameter backend: as the recorded backend was when the recording began.
    public init(_ operations: [RecordedOperation], into backend: MemoryBackend = MemoryBackend()) {
        self.operations = operations
        self.backend = backend
    }

    /// Replays up to the operation `end`, not included; `operations.count` for all of them. Does not
    /// go back.
    ///
    /// - Throws: what the memory backend reports: the recording does not fit its beginning.
    public func advance(to end: Int) throws(BackendError) {
        precondition(end <= operations.count, "beyond the recording")
        while position < end {
            try apply(operations[position])
            position += 1
        }
    }

    private func apply(_ operation: RecordedOperation) throws(BackendError) {
        switch operation {
        case .createFile(let handle, let name):
            files[handle] = try backend.createFile(name)
        case .openFile(let handle, let name, let writable):
            files[handle] = try backend.openFile(name, writable: writable)
        case .write(let handle, let offset, let bytes):
            let file = try file(handle)
            try bytes.withUnsafeBufferPointer { (buffer) throws(BackendError) in
                try file.write([UnsafeRawBufferPointer(buffer)], at: offset)
            }
        case .synchronize(let handle): try file(handle).synchronize()
        case .truncate(let handle, let size): try file(handle).truncate(to: size)
        case .punchHole(let handle, let range): _ = try file(handle).punchHole(range)
        case .preallocate(let handle, let range): _ = try file(handle).preallocate(range)
        case .removeFile(let name): try backend.removeFile(name)
        case .renameFile(let from, let to): try backend.renameFile(from, to: to)
        case .writeWhole(let name, let bytes): try backend.writeWhole(name, bytes)
        case .synchronizeNames: try backend.synchronizeNames()
        case .mark(let text): marks.append(text)
        }
    }

    private func file(_ handle: Int) throws(BackendError) -> any BackendFile {
        guard let file = files[handle] else { throw .noSuchFile(name: "handle \(handle)") }
        return file
    }
}
