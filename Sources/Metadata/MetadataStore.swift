/// # Metadata: an ordered key-value store that may be thrown away
///
/// The index of a store (chunk places and counts, the live namespace) lies here. It is derived: the
/// packs are the truth, so this port promises order and atomicity, and *no* durability of its own.
///
/// Words: a *batch* is a list of puts and deletes that is applied whole or not at all. A *flush*
/// makes all batches before it survive a power cut.
///
/// Invariants (one conformance suite checks RocksDB and the memory twin):
/// 1. Batches are applied in the order of their `write` calls, each atomically.
/// 2. After a crash the store opens with a *prefix* of the batches written: all up to the last flush
///    and perhaps more, never a later batch without an earlier one. (RocksDB: one column family, no
///    write-ahead log, so memtables reach the disk in order.)
/// 3. Keys are ordered as unsigned bytes (memcmp), a shorter key before its extensions.
/// 4. Damage is reported as `.damaged`, never as a crash or a wrong value; the caller then throws
///    the whole store away and rebuilds it.
/// Threads: any, concurrently.
public enum MetadataError: Error, Sendable {
    /// The store cannot be read; it should be rebuilt. The text is the engine's own.
    case damaged(String)
    /// Another process holds it.
    case busy(String)
    case noSpace(String)
    case io(String)
}

/// Puts and deletes, packed one behind the other so that they cross into C++ as one buffer.
///
///     ┌──────┬────────────┬──────────────┬─────┬───────┐
///     │ op u8│ keyLen u32 │ valueLen u32 │ key │ value │  …  op: 1 put, 2 delete (valueLen = 0)
///     └──────┴────────────┴──────────────┴─────┴───────┘
public struct MetadataBatch: ~Copyable {
    public private(set) var bytes: [UInt8] = []
    public private(set) var count = 0

    public init(reservingBytes: Int = 0) {
        bytes.reserveCapacity(reservingBytes)
    }

    public var isEmpty: Bool { count == 0 }

    public mutating func put(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        append(op: 1, key: key, value: value)
    }

    public mutating func delete(key: UnsafeRawBufferPointer) {
        append(op: 2, key: key, value: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    public mutating func put(_ key: [UInt8], _ value: [UInt8]) {
        key.withUnsafeBytes { k in value.withUnsafeBytes { v in put(key: k, value: v) } }
    }

    public mutating func delete(_ key: [UInt8]) {
        key.withUnsafeBytes { delete(key: $0) }
    }

    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }

    private mutating func append(
        op: UInt8, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
    ) {
        bytes.append(op)
        withUnsafeBytes(of: UInt32(key.count).littleEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt32(value.count).littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: key)
        bytes.append(contentsOf: value)
        count += 1
    }
}

public protocol MetadataStore: AnyObject, Sendable {
    /// Reads the value of `key` into `value` (replaced; capacity kept). False if there is none.
    func get(
        _ key: UnsafeRawBufferPointer, into value: inout [UInt8]
    ) throws(MetadataError) -> Bool

    /// Applies a batch atomically.
    func write(_ batch: borrowing MetadataBatch) throws(MetadataError)

    /// Visits all keys `from <= key`, while they begin with `prefix`, in order, until `body` returns
    /// false. The buffers are valid during the call only. Sees one consistent state.
    func scan(
        prefix: [UInt8], from: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(MetadataError)

    /// Makes everything written so far durable.
    func flush() throws(MetadataError)

    /// Merges everything into its smallest form (before measuring space).
    func compact() throws(MetadataError)

    /// Bytes on the medium, roughly.
    func storedBytes() -> UInt64

    /// Bytes of memory in use: block cache, memtables, table readers.
    func memoryBytes() -> UInt64

    /// Ends use; flushes first when `flushing`. Idempotent.
    func close(flushing: Bool) throws(MetadataError)
}

extension MetadataStore {
    public func get(_ key: [UInt8]) throws(MetadataError) -> [UInt8]? {
        var value: [UInt8] = []
        let buffer = key.withUnsafeBytes { Array($0) }
        var found = false
        var failure: MetadataError?
        buffer.withUnsafeBytes { raw in
            do throws(MetadataError) { found = try get(raw, into: &value) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return found ? value : nil
    }

    public func scan(
        prefix: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(MetadataError) {
        try scan(prefix: prefix, from: prefix, body)
    }
}
