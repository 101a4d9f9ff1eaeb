/// What was done to a backend, in order, with all bytes: to be replayed up to any point.
import Platform

/// One change that succeeded. Handles are numbered as they were opened.
public enum RecordedOperation: Equatable, Sendable {
    case createFile(handle: Int, name: String)
    case openFile(handle: Int, name: String, writable: Bool)
    case write(handle: Int, offset: UInt64, bytes: [UInt8])
    case synchronize(handle: Int)
    case truncate(handle: Int, size: UInt64)
    case punchHole(handle: Int, range: Range<UInt64>)
    case preallocate(handle: Int, range: Range<UInt64>)
    case removeFile(name: String)
    case renameFile(from: String, to: String)
    case writeWhole(name: String, bytes: [UInt8])
    case synchronizeNames
    /// A note of the test, such as "fsync of A has returned".
    case mark(String)
}

/// The operations of one or more recording backends. Any thread.
public final class BackendRecording: Sendable {
    private let recorded = ConditionMutex<[RecordedOperation]>([])
    private let handles = ConditionMutex(0)

    public init() {}

    public var operations: [RecordedOperation] { recorded.withLock { $0 } }

    /// How many operations there are by now.
    public var count: Int { recorded.withLock { $0.count } }

    /// Notes `text` at this point.
    public func mark(_ text: String) {
        append(.mark(text))
    }

    func append(_ operation: RecordedOperation) {
        recorded.withLock { $0.append(operation) }
    }

    func nextHandle() -> Int {
        handles.withLock { next in
            defer { next += 1 }
            return next
        }
    }
}
