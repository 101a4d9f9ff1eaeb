/// Appends records to a pack.
///
///     ┌────────────┬──────────────────────┬──────────────────────┬ ─ ┬─────────────┬─────────┐
///     │ PackHeader │ RecordHeader body pad│ RecordHeader body pad│   │ table record│ trailer │
///     │ 4096       │ 48           to ×8   │                      │   │ when sealed │ 32      │
///     └────────────┴──────────────────────┴──────────────────────┴ ─ ┴─────────────┴─────────┘
///
/// Threads: one thread at a time appends or seals (the lock makes a breach harmless, not fast);
/// `synchronize` and the properties may be used from any other at the same time, so that records are
/// appended while earlier ones are being made durable.
import Backends
import DiskFormat
import Platform
import Synchronization

/// The writer of one new pack. See the file's head for what it lays down.
public final class PackWriter: Sendable {
    /// Most records of a pack: their table has to fit into a body.
    public static let recordsMax = DiskFormat.bodyBytesMax / PackTable.entryBytes

    struct State {
        var entries: [PackTable.Entry] = []
        /// Past the last record that was written whole.
        var position = UInt64(PackHeader.byteCount)
        /// Past the last record that a synchronisation covers; 0 before the first one.
        var durable: UInt64 = 0
        var nameIsDurable = false
        var isBroken = false
        var isSealed = false
    }

    /// Which pack this is.
    public let id: PackID
    /// As written at the pack's beginning.
    public let header: PackHeader
    let backend: any Backend
    let file: any BackendFile
    let key: RecordHeader.Key
    let isPreallocated: Bool
    let state: Mutex<State>

    init(
        header: PackHeader, backend: any Backend, file: any BackendFile, isPreallocated: Bool,
        state: sending State
    ) {
        id = header.id
        self.header = header
        self.backend = backend
        self.file = file
        self.isPreallocated = isPreallocated
        key = RecordHeader.Key(secret: header.parameters.secret, pack: header.id)
        self.state = Mutex(state)
    }

    /// Makes a new pack: creates its file and writes its header. Neither is durable before
    /// `synchronize`. The file is removed again where the header cannot be written.
    ///
    /// - Parameters:
    ///   - now: time of creation, seconds since 1970 and nanoseconds.
    ///   - preallocating: asks the backend for the pack's whole size at once; where it cannot
    ///     reserve, the pack grows as it is written.
    public static func create(
        in backend: any Backend, parameters: StoreParameters, id: PackID, role: PackHeader.Role,
        now: (seconds: Int64, nanoseconds: UInt32), preallocating: Bool = false
    ) throws(PackError) -> PackWriter {
        try checkWritable(parameters.features, id)
        let header = PackHeader(
            parameters: parameters, id: id, role: role, createdSeconds: now.seconds,
            createdNanoseconds: now.nanoseconds)
        do throws(BackendError) {
            let file = try backend.createFile(id.fileName)
            do throws(BackendError) {
                let isPreallocated =
                    preallocating ? try file.preallocate(0..<parameters.packBytes) : false
                try header.encoded().borrowing { (bytes) throws(BackendError) in
                    try file.write([bytes], at: 0)
                }
                CrashPoint.packBegun.pass()
                return PackWriter(
                    header: header, backend: backend, file: file, isPreallocated: isPreallocated,
                    state: State())
            } catch {
                // The first error is the one to report; a headerless file that stays is refused
                // by every reader.
                try? backend.removeFile(id.fileName)
                throw error
            }
        } catch {
            throw .backend(error, pack: id)
        }
    }

    /// Throws where the store has features that this program may read, but not write.
    static func checkWritable(_ features: FeatureSets, _ id: PackID) throws(PackError) {
        do throws(FormatError) {
            guard try features.check() else {
                throw .unknownFeatures(
                    features.readOnlyCompatible & ~FeatureSets.knownReadOnlyCompatible)
            }
        } catch {
            throw .format(error, pack: id, offset: 0)
        }
    }

    // MARK: what there is

    /// Bytes of the pack so far: past the last record that was written whole.
    public var position: UInt64 { state.withLock { $0.position } }

    /// Records that end at or before this survive a power cut; 0 before the first synchronisation.
    public var durablePosition: UInt64 { state.withLock { $0.durable } }

    /// Whether a write or synchronisation has failed; nothing more can be appended.
    public var isBroken: Bool { state.withLock { $0.isBroken } }

    /// Whether the pack has grown past the store's pack size, so that it is to be sealed.
    public var isFull: Bool { state.withLock { isFull($0, adding: 0) } }

    /// What was appended so far, in order; in a sealed pack the table's own record is not among it.
    public var entries: [PackTable.Entry] { state.withLock { $0.entries } }

    private func isFull(_ state: borrowing State, adding count: Int) -> Bool {
        state.position >= header.parameters.packBytes
            || state.entries.count > PackWriter.recordsMax - max(1, count)
    }

    // MARK: appending

    /// Appends one record; returns its offset. As `appendAll`.
    public func append(_ record: PendingRecord) throws(PackError) -> UInt64 {
        let before = try appendAll([record])
        return before[0]
    }

    /// Appends records by one write; returns their offsets. Nothing is durable before
    /// `synchronize`. After a failed write the writer is broken: the records of this call are not
    /// in the pack, and `position` says where the good ones end.
    public func appendAll(_ records: [PendingRecord]) throws(PackError) -> [UInt64] {
        guard !records.isEmpty else { return [] }
        return try state.withLock { (state) throws(PackError) -> [UInt64] in
            try checkOpen(state)
            guard !isFull(state, adding: records.count) else { throw .full(pack: id) }
            let laid = try layOut(records, from: state.position)
            do throws(BackendError) {
                try write(records, laid, at: state.position)
            } catch {
                state.isBroken = true
                throw .backend(error, pack: id)
            }
            state.position = laid.end
            state.entries.append(contentsOf: laid.entries)
            return laid.entries.map(\.offset)
        }
    }

    func checkOpen(_ state: borrowing State) throws(PackError) {
        if state.isBroken { throw .broken(pack: id, durable: state.durable) }
        if state.isSealed { throw .sealed(pack: id) }
    }

    /// Headers of records laid one behind the other, and where they come to lie.
    struct Layout {
        var entries: [PackTable.Entry] = []
        /// The encoded headers, one behind the other.
        var headers: [UInt8] = []
        /// Zeros behind each body.
        var padding: [Int] = []
        var end: UInt64
    }

    func layOut(
        _ records: [PendingRecord], from start: UInt64
    ) throws(PackError) -> Layout {
        var layout = Layout(end: start)
        layout.headers.reserveCapacity(records.count * RecordHeader.byteCount)
        for record in records {
            guard let header = record.header() else {
                throw .tooLong(pack: id, bytes: record.storedBytes)
            }
            layout.entries.append(PackTable.Entry(offset: layout.end, header: header))
            layout.headers.append(contentsOf: header.encoded(key: key, offset: layout.end))
            let filled = UInt64(RecordHeader.byteCount) + UInt64(header.storedBytes)
            layout.padding.append(Int(header.recordBytes - filled))
            layout.end += header.recordBytes
        }
        return layout
    }

    /// One write of all records.
    func write(
        _ records: [PendingRecord], _ layout: Layout, at offset: UInt64
    ) throws(BackendError) {
        let zeros = [UInt8](repeating: 0, count: DiskFormat.recordAlignmentBytes)
        try layout.headers.borrowing { (headers) throws(BackendError) in
            try zeros.borrowing { (zeros) throws(BackendError) in
                var buffers: [UnsafeRawBufferPointer] = []
                for (index, record) in records.enumerated() {
                    let place = index * RecordHeader.byteCount
                    buffers.append(
                        UnsafeRawBufferPointer(
                            rebasing: headers[place..<place + RecordHeader.byteCount]))
                    for part in record.parts where !part.isEmpty { buffers.append(part) }
                    let padding = layout.padding[index]
                    if padding > 0 {
                        buffers.append(UnsafeRawBufferPointer(rebasing: zeros[..<padding]))
                    }
                }
                try file.write(buffers, at: offset)
            }
        }
    }

    // MARK: durability

    /// Makes everything appended before the call durable, and the first time the pack's name too.
    /// After a failure the writer is broken: what lies behind `durablePosition` has to be written
    /// anew to another pack, since a second attempt would prove nothing.
    public func synchronize() throws(PackError) {
        let (goal, nameIsDurable) = try state.withLock {
            (state) throws(PackError) -> (UInt64, Bool) in
            if state.isBroken { throw .broken(pack: id, durable: state.durable) }
            return (state.position, state.nameIsDurable)
        }
        do throws(BackendError) {
            try file.synchronize()
            if !nameIsDurable { try backend.synchronizeNames() }
        } catch {
            state.withLock { $0.isBroken = true }
            throw .backend(error, pack: id)
        }
        try state.withLock { (state) throws(PackError) in
            // Another thread's synchronisation may have failed meanwhile, and the kernel reports a
            // lost page only once.
            if state.isBroken && state.durable < goal {
                throw .broken(pack: id, durable: state.durable)
            }
            state.nameIsDurable = true
            state.durable = max(state.durable, goal)
        }
    }
}
