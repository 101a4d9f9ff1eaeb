import Synchronization

/// The memory twin of `RocksMetadataStore`: the same contract without a disk, and crashes to order.
///
/// Everything since the last flush is also kept as a journal of batches; `crash` replays a prefix
/// of it over the flushed state. A journal of more than `journalBytesMax` is flushed by itself, as
/// RocksDB does with a full memtable.
///
/// Threads: any, concurrently. A scan works on a copy (of value type) and blocks nobody.
public final class MemoryMetadataStore: MetadataStore {
    private struct State {
        var current = OrderedByteMap()
        var flushed = OrderedByteMap()
        var journal: [[UInt8]] = []
        var journalBytes = 0
        var batchesFlushed = 0
        var isClosed = false
    }

    private static let journalBytesMax = 64 << 20

    private let state: Mutex<State>

    public init() {
        state = Mutex(State())
    }

    private init(surviving map: OrderedByteMap) {
        state = Mutex(State(current: map, flushed: map))
    }

    /// Batches written since this store was made.
    public var batchesWritten: Int {
        state.withLock { $0.batchesFlushed + $0.journal.count }
    }

    /// How many of them would survive any crash.
    public var batchesFlushed: Int {
        state.withLock { $0.batchesFlushed }
    }

    /// The store as it opens after a crash now: with all batches up to the last flush, or with the
    /// first `batches` since this store was made, which is held to be at least `batchesFlushed` and at
    /// most `batchesWritten`. This store itself is left as it is.
    public func crash(keepingBatches batches: Int = 0) -> MemoryMetadataStore {
        state.withLock { state in
            let unflushed = batches - state.batchesFlushed
            let kept = min(max(unflushed, 0), state.journal.count)
            var map = state.flushed
            for batch in state.journal[..<kept] { Self.apply(batch, to: &map) }
            return MemoryMetadataStore(surviving: map)
        }
    }

    public func get(
        _ key: UnsafeRawBufferPointer, into value: inout [UInt8]
    ) throws(MetadataError) -> Bool {
        let found = try open { state in state.current.value(of: key) }
        value.removeAll(keepingCapacity: true)
        guard let found else { return false }
        value.append(contentsOf: found)
        return true
    }

    public func write(_ batch: borrowing MetadataBatch) throws(MetadataError) {
        let bytes = batch.bytes
        try open { state in
            Self.apply(bytes, to: &state.current)
            state.journal.append(bytes)
            state.journalBytes += bytes.count
            if state.journalBytes > Self.journalBytesMax { Self.flush(&state) }
        }
    }

    public func scan(
        prefix: [UInt8], from: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(MetadataError) {
        let map = try open { state in state.current }
        let start = from.lexicographicallyPrecedes(prefix) ? prefix : from
        prefix.withUnsafeBytes { prefix in
            start.withUnsafeBytes { start in
                map.visit(from: start) { key, value in
                    guard key.count >= prefix.count else { return false }
                    let head = UnsafeRawBufferPointer(rebasing: key[..<prefix.count])
                    return compareBytes(head, prefix) == 0 && body(key, value)
                }
            }
        }
    }

    public func flush() throws(MetadataError) {
        try open { state in Self.flush(&state) }
    }

    public func compact() throws(MetadataError) {
        try flush()
    }

    /// Bytes of the keys and values that were flushed.
    public func storedBytes() -> UInt64 {
        state.withLock { UInt64($0.flushed.contentBytes) }
    }

    /// Bytes of all keys and values and of the journal.
    public func memoryBytes() -> UInt64 {
        state.withLock { UInt64($0.current.contentBytes + $0.journalBytes) }
    }

    public func close(flushing: Bool) throws(MetadataError) {
        state.withLock { state in
            if flushing && !state.isClosed { Self.flush(&state) }
            state.isClosed = true
        }
    }

    /// Runs `body` under the lock, unless the store is closed.
    private func open<Result>(
        _ body: (inout State) -> sending Result
    ) throws(MetadataError) -> sending Result {
        try state.withLock { (state) throws(MetadataError) -> sending Result in
            if state.isClosed { throw .io("closed") }
            return body(&state)
        }
    }

    private static func flush(_ state: inout State) {
        state.flushed = state.current
        state.batchesFlushed += state.journal.count
        state.journal.removeAll(keepingCapacity: true)
        state.journalBytes = 0
    }

    private static func apply(_ batch: [UInt8], to map: inout OrderedByteMap) {
        MetadataBatch.forEachOperation(in: batch) { operation in
            switch operation {
            case .put(let key, let value): map.put(key: key, value: value)
            case .delete(let key): map.delete(key: key)
            }
        }
    }
}
