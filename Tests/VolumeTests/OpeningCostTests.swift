// What opening a store reads of its index.
import Backends
import Metadata
import Pipeline
import Platform
import XCTest

@testable import Volume

/// An index that counts the keys that scans have met. Any thread.
private final class CountingIndex: MetadataStore {
    private let base: any MetadataStore
    private let count = ConditionMutex(0)

    var visited: Int { count.withLock { $0 } }

    init(_ base: any MetadataStore) {
        self.base = base
    }

    func get(
        _ key: UnsafeRawBufferPointer, into value: inout [UInt8]
    ) throws(MetadataError) -> Bool {
        try base.get(key, into: &value)
    }

    func write(_ batch: borrowing MetadataBatch) throws(MetadataError) { try base.write(batch) }

    func scan(
        prefix: [UInt8], from: [UInt8],
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(MetadataError) {
        try base.scan(prefix: prefix, from: from) { key, value in
            count.withLock { $0 += 1 }
            return body(key, value)
        }
    }

    func flush() throws(MetadataError) { try base.flush() }
    func compact() throws(MetadataError) { try base.compact() }
    func storedBytes() -> UInt64 { base.storedBytes() }
    func memoryBytes() -> UInt64 { base.memoryBytes() }
    func close(flushing: Bool) throws(MetadataError) { try base.close(flushing: flushing) }
}

/// Gives a counting index of what another provider has.
private final class CountingProvider: IndexProvider {
    private let base: MemoryIndexProvider
    private let given = ConditionMutex<CountingIndex?>(nil)

    var visited: Int { given.withLock { $0?.visited ?? 0 } }

    init(_ base: MemoryIndexProvider) {
        self.base = base
    }

    func open(
        readOnly: Bool, memoryBytes: Int
    ) throws(MetadataError) -> (any MetadataStore)? {
        guard let store = try base.open(readOnly: readOnly, memoryBytes: memoryBytes) else {
            return nil
        }
        let counting = CountingIndex(store)
        given.withLock { $0 = counting }
        return counting
    }

    func create(memoryBytes: Int) throws(MetadataError) -> any MetadataStore {
        try base.create(memoryBytes: memoryBytes)
    }
}

final class OpeningCostTests: XCTestCase {
    /// After a clean end, and after a crash behind a checkpoint: in keys, not in seconds.
    func testOpeningDoesNotGoOverTheWholeIndex() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        for number in 0..<3_000 {
            let made = try open.volume.makeFile(Array("f\(number)".utf8), in: 1)
            try open.volume.put(Array("content \(number)".utf8), into: made.inode)
            open.volume.forget(made.inode, count: 1)
        }
        try open.live.checkpoint()
        let crashed = (backend.crash(), index.crash(keepingBatches: .max))
        try open.live.close()
        for (backend, index) in [(backend, index), crashed] {
            let counting = CountingProvider(index)
            let again = try OpenStore(backend, counting)
            XCTAssertLessThan(counting.visited, 200)
            XCTAssertNotNil(try again.volume.find(Array("f7".utf8), in: 1))
            XCTAssertLessThan(counting.visited, 200)
            try again.live.close()
        }
    }
}
