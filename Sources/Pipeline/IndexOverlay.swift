// What a read-only opening adds to an index that it must not change.
import Metadata

/// An index whose changes stay in memory, on top of another that is only read. Any thread.
final class IndexOverlay: MetadataStore {
    private let base: any MetadataStore
    /// Changed keys: a byte 1 and the value, or a byte 0 where the key is gone.
    private let changes = MemoryMetadataStore()

    init(over base: any MetadataStore) {
        self.base = base
    }

    func get(
        _ key: UnsafeRawBufferPointer, into value: inout [UInt8]
    ) throws(MetadataError) -> Bool {
        guard try changes.get(key, into: &value) else { return try base.get(key, into: &value) }
        return value.removeFirst() == 1
    }

    func write(_ batch: borrowing MetadataBatch) throws(MetadataError) {
        var changed = MetadataBatch(reservingBytes: batch.bytes.count + batch.count)
        MetadataBatch.forEachOperation(in: batch.bytes) { operation in
            switch operation {
            case .put(let key, let value): changed.put(Array(key), [1] + Array(value))
            case .delete(let key): changed.put(Array(key), [0])
            }
        }
        try changes.write(changed)
    }

    func scan(
        prefix: [UInt8], from: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(MetadataError) {
        // What was replayed since the index was last flushed is little, beside the index.
        var changed: [(key: [UInt8], value: [UInt8])] = []
        try changes.scan(prefix: prefix, from: from) { key, value in
            changed.append((Array(key), Array(value)))
            return true
        }
        var next = 0
        var isOver = false
        /// Visits changed keys below `limit` (all without one); whether `limit` itself is changed.
        func visit(before limit: UnsafeRawBufferPointer?) -> Bool {
            while next < changed.count, !isOver {
                if let limit, !changed[next].key.lexicographicallyPrecedes(limit) {
                    return changed[next].key.elementsEqual(limit)
                }
                visitChanged()
            }
            return false
        }
        func visitChanged() {
            let (key, value) = changed[next]
            next += 1
            guard value[0] == 1 else { return }
            let goesOn = key.withUnsafeBytes { key in
                value.withUnsafeBytes { value in
                    body(key, UnsafeRawBufferPointer(rebasing: value[1...]))
                }
            }
            isOver = !goesOn
        }
        try base.scan(prefix: prefix, from: from) { key, value in
            if visit(before: key) {
                visitChanged()
            } else if !isOver {
                isOver = !body(key, value)
            }
            return !isOver
        }
        if !isOver { _ = visit(before: nil) }
    }

    func flush() throws(MetadataError) {}
    func compact() throws(MetadataError) {}

    func storedBytes() -> UInt64 { base.storedBytes() }
    func memoryBytes() -> UInt64 { base.memoryBytes() + changes.memoryBytes() }

    func close(flushing: Bool) throws(MetadataError) {
        try changes.close(flushing: false)
        try base.close(flushing: false)
    }
}
