/// A backend whose calls fail as planned: shows how what lies above takes errors. Works over every
/// backend, hence at this level; what the directory backend itself makes of errors is shown by
/// `FaultInjectingSystemCalls`.
import Platform
import Synchronization

/// The calls of `Backend` and `BackendFile`.
public enum BackendOperation: String, CaseIterable, Sendable {
    case createFile, openFile, list, removeFile, renameFile, writeWhole, readWhole
    case synchronizeNames, space
    case size, read, write, synchronize, truncate, punchHole, preallocate, allocatedBytes
}

/// Passes everything on to `base` but what `plan` strikes. Hints (`startWriteback`) are not counted.
public final class FaultInjectingBackend: Backend {
    public let base: any Backend
    public let plan: FaultPlan<BackendOperation>

    public init(_ base: any Backend, plan: FaultPlan<BackendOperation>) {
        self.base = base
        self.plan = plan
    }

    public var location: String { base.location }
    public var isReadOnly: Bool { base.isReadOnly }

    public func createFile(_ name: String) throws(BackendError) -> any BackendFile {
        let file = try plan.run(.createFile, name) { () throws(BackendError) in
            try base.createFile(name)
        }
        return FaultInjectingFile(file, plan: plan)
    }

    public func openFile(
        _ name: String, writable: Bool
    ) throws(BackendError) -> any BackendFile {
        let file = try plan.run(.openFile, name) { () throws(BackendError) in
            try base.openFile(name, writable: writable)
        }
        return FaultInjectingFile(file, plan: plan)
    }

    public func list(prefix: String) throws(BackendError) -> [(name: String, size: UInt64)] {
        try plan.run(.list, prefix) { () throws(BackendError) in try base.list(prefix: prefix) }
    }

    public func removeFile(_ name: String) throws(BackendError) {
        try plan.run(.removeFile, name) { () throws(BackendError) in try base.removeFile(name) }
    }

    public func renameFile(_ from: String, to: String) throws(BackendError) {
        try plan.run(.renameFile, from) { () throws(BackendError) in
            try base.renameFile(from, to: to)
        }
    }

    public func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError) {
        try plan.run(.writeWhole, name) { () throws(BackendError) in
            try base.writeWhole(name, bytes)
        }
    }

    public func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        try plan.run(.readWhole, name) { () throws(BackendError) in
            try base.readWhole(name, limitBytes: limitBytes)
        }
    }

    public func synchronizeNames() throws(BackendError) {
        try plan.run(.synchronizeNames, location) { () throws(BackendError) in
            try base.synchronizeNames()
        }
    }

    public func space() throws(BackendError) -> BackendSpace {
        try plan.run(.space, location) { () throws(BackendError) in try base.space() }
    }
}

/// A file of a fault-injecting backend. Keeps the rule that a handle is poisoned by a failed
/// synchronisation, also by an injected one.
private final class FaultInjectingFile: BackendFile {
    private let base: any BackendFile
    private let plan: FaultPlan<BackendOperation>
    private let isPoisoned = Atomic<Bool>(false)

    init(_ base: any BackendFile, plan: FaultPlan<BackendOperation>) {
        self.base = base
        self.plan = plan
    }

    var name: String { base.name }

    func size() throws(BackendError) -> UInt64 {
        try plan.run(.size, name) { () throws(BackendError) in try base.size() }
    }

    func read(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(BackendError) -> Int {
        try plan.run(.read, name) { () throws(BackendError) in
            try base.read(at: offset, into: buffer)
        }
    }

    func write(
        _ buffers: [UnsafeRawBufferPointer], at offset: UInt64
    ) throws(BackendError) {
        try checkPoison()
        try plan.run(
            .write, name,
            partly: { (bytes) throws(BackendError) in
                try base.write(Self.prefix(of: buffers, bytes), at: offset)
            },
            { () throws(BackendError) in try base.write(buffers, at: offset) })
    }

    private static func prefix(
        of buffers: [UnsafeRawBufferPointer], _ bytes: Int
    ) -> [UnsafeRawBufferPointer] {
        var rest = bytes
        return buffers.map { buffer in
            let part = UnsafeRawBufferPointer(rebasing: buffer.prefix(rest))
            rest -= part.count
            return part
        }
    }

    func synchronize() throws(BackendError) {
        try checkPoison()
        do throws(BackendError) {
            try plan.run(.synchronize, name) { () throws(BackendError) in try base.synchronize() }
        } catch {
            isPoisoned.store(true, ordering: .releasing)
            throw error
        }
    }

    func startWriteback(_ range: Range<UInt64>) { base.startWriteback(range) }

    func truncate(to size: UInt64) throws(BackendError) {
        try checkPoison()
        try plan.run(.truncate, name) { () throws(BackendError) in try base.truncate(to: size) }
    }

    func punchHole(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try checkPoison()
        return try plan.run(.punchHole, name) { () throws(BackendError) in
            try base.punchHole(range)
        }
    }

    func preallocate(_ range: Range<UInt64>) throws(BackendError) -> Bool {
        try checkPoison()
        return try plan.run(.preallocate, name) { () throws(BackendError) in
            try base.preallocate(range)
        }
    }

    func allocatedBytes() throws(BackendError) -> UInt64 {
        try plan.run(.allocatedBytes, name) { () throws(BackendError) in
            try base.allocatedBytes()
        }
    }

    private func checkPoison() throws(BackendError) {
        if isPoisoned.load(ordering: .acquiring) { throw .poisoned(name: name) }
    }
}

extension FaultPlan<BackendOperation> {
    /// Makes the call, or what the plan leaves of it.
    fileprivate func run<Result>(
        _ operation: BackendOperation, _ name: String,
        partly: (Int) throws(BackendError) -> Void = { _ in },
        _ call: () throws(BackendError) -> Result
    ) throws(BackendError) -> Result {
        guard let fault = strike(operation, name) else { return try call() }
        switch fault.effect {
        case .nothing: break
        case .partial(let bytes), .short(let bytes): try partly(bytes)
        case .complete: _ = try call()
        }
        throw BackendError(fault.error, name: name, call: "injected fault")
    }
}
