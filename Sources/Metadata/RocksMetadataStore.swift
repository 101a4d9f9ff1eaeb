import CRocksDB

/// The index on disk: RocksDB in a folder of its own, within one memory budget.
///
/// One column family, no write-ahead log, one flush at a time: see CRocksDB.h for why a crash leaves a
/// prefix of the batches. RocksDB locks its folder with a record lock that ends with the process, so a
/// dead owner's LOCK file hinders nobody.
///
/// On a full disk `write` and `flush` throw `.noSpace` while reads go on; within about five seconds
/// after there is room again they work as before, with nothing lost.
///
/// Opening starts threads. A daemon must open its store after it has forked, never before.
///
/// Threads: any, concurrently. `close` waits for the calls under way; it must not be called from the
/// body of a scan. Calls after it throw `.io`.
public final class RocksMetadataStore: MetadataStore {
    /// One flush and one compaction at a time; more than one flush at once may reorder batches
    /// in RocksDB 7.8.3.
    private static let backgroundJobs: UInt32 = 2
    /// Values up to this length are read with one call and without allocating.
    private static let commonValueBytesMax = 1024

    /// Opened in `init`, freed in `deinit`; the shim guards it against use after `close`.
    private nonisolated(unsafe) let store: OpaquePointer

    /// Opens the store in the folder `path`.
    ///
    /// - Parameters:
    ///   - memoryBytes: the budget for blocks, filters, memtables and table readers together (4 MiB
    ///     at least). The three memtables may take three eighths of it, 96 MiB at most.
    ///   - readOnly: writes nothing and takes no lock, so that read-only media will do. It sees the
    ///     state of the last flush before the opening; while another process writes to the store, tables may
    ///     be deleted under it, which is then reported as `.damaged`.
    ///   - create: makes the store if the folder is missing or empty; its parent must exist.
    /// - Throws: `.damaged` also when there is no store and `create` is false, and when a store's CURRENT
    ///   file is missing; `.busy` when this or another process holds the store.
    public init(
        path: String, memoryBytes: Int, readOnly: Bool, create: Bool
    ) throws(MetadataError) {
        var options = ashlar_rocks_options(
            memory_bytes: UInt64(max(memoryBytes, 0)), background_jobs: Self.backgroundJobs,
            read_only: readOnly, create: create)
        var opened: OpaquePointer?
        let code = ashlar_rocks_open(path, &options, &opened)
        guard code == ASHLAR_ROCKS_OK, let opened else { throw MetadataError(code) }
        store = opened
    }

    deinit {
        ashlar_rocks_free(store)
    }

    /// Deletes the files of the store in `path`, and the folder when nothing else is left in it. A
    /// missing folder is a success, an open store `.busy`.
    public static func destroy(path: String) throws(MetadataError) {
        try MetadataError.check(ashlar_rocks_destroy(path))
    }

    public func get(
        _ key: UnsafeRawBufferPointer, into value: inout [UInt8]
    ) throws(MetadataError) -> Bool {
        value.removeAll(keepingCapacity: true)
        var capacity = Self.commonValueBytesMax
        // A second round is for a long value, a third one when it grew in between.
        while true {
            var length = 0
            let code = withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
                let code = ashlar_rocks_get(
                    store, key.baseAddress, key.count, buffer.baseAddress, capacity, &length)
                if code == ASHLAR_ROCKS_OK { value.append(contentsOf: buffer[..<length]) }
                return code
            }
            switch code {
            case ASHLAR_ROCKS_OK: return true
            case ASHLAR_ROCKS_NOT_FOUND: return false
            case ASHLAR_ROCKS_TOO_SMALL: capacity = length
            default: throw MetadataError(code)
            }
        }
    }

    public func write(_ batch: borrowing MetadataBatch) throws(MetadataError) {
        let bytes = batch.bytes
        let code = bytes.withUnsafeBytes { ashlar_rocks_write(store, $0.baseAddress, $0.count) }
        try MetadataError.check(code)
    }

    public func scan(
        prefix: [UInt8], from: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(MetadataError) {
        var opened: OpaquePointer?
        let code = prefix.withUnsafeBytes { prefix in
            from.withUnsafeBytes { from in
                ashlar_rocks_iterate(
                    store, prefix.baseAddress, prefix.count, from.baseAddress, from.count, true,
                    &opened)
            }
        }
        guard code == ASHLAR_ROCKS_OK, let iterator = opened else { throw MetadataError(code) }
        defer { ashlar_rocks_iterator_free(iterator) }
        while true {
            var entry = ashlar_rocks_entry()
            let code = ashlar_rocks_next(iterator, &entry)
            if code == ASHLAR_ROCKS_NOT_FOUND { return }
            try MetadataError.check(code)
            let goesOn = body(
                UnsafeRawBufferPointer(start: entry.key, count: entry.key_length),
                UnsafeRawBufferPointer(start: entry.value, count: entry.value_length))
            if !goesOn { return }
        }
    }

    public func flush() throws(MetadataError) {
        try MetadataError.check(ashlar_rocks_flush(store))
    }

    public func compact() throws(MetadataError) {
        try MetadataError.check(ashlar_rocks_compact(store))
    }

    /// Bytes of all tables on the disk; what is in memtables is not counted.
    public func storedBytes() -> UInt64 {
        ashlar_rocks_stored_bytes(store)
    }

    public func memoryBytes() -> UInt64 {
        ashlar_rocks_memory_bytes(store)
    }

    public func close(flushing: Bool) throws(MetadataError) {
        try MetadataError.check(ashlar_rocks_close(store, flushing))
    }
}
