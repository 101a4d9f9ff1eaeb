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
        var changed = ChangedKeys(changes, prefix: prefix, from: from)
        var isOver = false
        /// Visits the next changed key.
        func visitChanged() throws(MetadataError) {
            guard let (key, value) = try changed.next() else { return }
            guard value[0] == 1 else { return }
            let goesOn = key.withUnsafeBytes { key in
                value.withUnsafeBytes { value in
                    body(key, UnsafeRawBufferPointer(rebasing: value[1...]))
                }
            }
            isOver = !goesOn
        }
        var failure: MetadataError?
        try base.scan(prefix: prefix, from: from) { key, value in
            do throws(MetadataError) {
                while !isOver, let next = try changed.peek(),
                    next.lexicographicallyPrecedes(key)
                {
                    try visitChanged()
                }
                guard !isOver else { return false }
                if let next = try changed.peek(), key.elementsEqual(next) {
                    try visitChanged()
                } else {
                    isOver = !body(key, value)
                }
            } catch {
                failure = error
                return false
            }
            return !isOver
        }
        if let failure { throw failure }
        while !isOver, try changed.peek() != nil { try visitChanged() }
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

/// The changed keys of an overlay in their order, some at a time: who scans wants few of them, mostly.
private struct ChangedKeys {
    private static let countAtOnce = 256

    private let changes: MemoryMetadataStore
    private let prefix: [UInt8]
    /// Where the next ones begin; nil: there are no more.
    private var start: [UInt8]?
    private var read: [(key: [UInt8], value: [UInt8])] = []
    private var position = 0

    init(_ changes: MemoryMetadataStore, prefix: [UInt8], from: [UInt8]) {
        self.changes = changes
        self.prefix = prefix
        start = from
    }

    mutating func peek() throws(MetadataError) -> [UInt8]? {
        if position == read.count { try refill() }
        return position < read.count ? read[position].key : nil
    }

    mutating func next() throws(MetadataError) -> (key: [UInt8], value: [UInt8])? {
        guard try peek() != nil else { return nil }
        defer { position += 1 }
        return read[position]
    }

    private mutating func refill() throws(MetadataError) {
        guard let begin = start else { return }
        var found: [(key: [UInt8], value: [UInt8])] = []
        try changes.scan(prefix: prefix, from: begin) { key, value in
            found.append((Array(key), Array(value)))
            return found.count < ChangedKeys.countAtOnce
        }
        start = found.count < ChangedKeys.countAtOnce ? nil : found.last.map { $0.key + [0] }
        read = found
        position = 0
    }
}
