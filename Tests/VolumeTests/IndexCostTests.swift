// What opening a store and listing a directory read of the index, in keys, not in seconds.
import Backends
import Metadata
import NamespaceIndex
import Pipeline
import Platform
import XCTest

@testable import Volume

/// An index that counts the keys that scans have met, and those that were asked for. Any thread.
private final class CountingIndex: MetadataStore {
    private let base: any MetadataStore
    private let count = ConditionMutex(0)
    private let keys = ConditionMutex<[[UInt8]]>([])

    var visited: Int { count.withLock { $0 } }
    var asked: [[UInt8]] { keys.withLock { $0 } }

    init(_ base: any MetadataStore) {
        self.base = base
    }

    func get(
        _ key: UnsafeRawBufferPointer, into value: inout [UInt8]
    ) throws(MetadataError) -> Bool {
        keys.withLock { $0.append(Array(key)) }
        return try base.get(key, into: &value)
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
    var asked: [[UInt8]] { given.withLock { $0?.asked ?? [] } }

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

final class IndexCostTests: XCTestCase {
    /// After a clean end, and after a crash behind a checkpoint.
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

    /// A listing with attributes reads each name once, in scans, and each inode once; one that is stopped
    /// reads little of what follows.
    func testListingReadsEachNameAndInodeOnce() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let count = 1_000
        for number in 0..<count {
            let made = try open.volume.makeFile(Array("f\(number)".utf8), in: 1)
            open.volume.forget(made.inode, count: 1)
        }
        try open.live.close()
        let counting = CountingProvider(index)
        var options = smallOptions()
        options.nodesMax = 10_000
        let again = try OpenStore(backend, counting, options: options)
        func list(upTo limit: Int) throws -> [UInt64] {
            var inodes: [UInt64] = []
            try again.volume.readDirectory(1, after: 2, withAttributes: true) {
                _, inode, _, _, attributes in
                guard inodes.count < limit else { return false }
                XCTAssertEqual(attributes?.inode, inode)
                inodes.append(inode)
                return true
            }
            return inodes
        }
        var before = (visited: counting.visited, asked: counting.asked.count)
        XCTAssertEqual(try list(upTo: 20).count, 20)
        XCTAssertLessThan(counting.visited - before.visited, 50)
        XCTAssertLessThan(counting.asked.count - before.asked, 50)

        before = (counting.visited, counting.asked.count)
        let inodes = try list(upTo: .max)
        XCTAssertEqual(Set(inodes).count, count)
        XCTAssertLessThan(counting.visited - before.visited, count + 20)
        let asked = counting.asked[before.asked...]
        XCTAssertLessThanOrEqual(asked.count, count)
        let keys = Set(inodes.map { NamespaceKey.inode(1, $0) })
        XCTAssertEqual(asked.filter { !keys.contains($0) }.count, 0, "names were asked for")

        // All of it is in memory by now.
        before = (counting.visited, counting.asked.count)
        XCTAssertEqual(try list(upTo: .max), inodes)
        XCTAssertEqual(counting.asked.count, before.asked)
        try again.live.close()
    }
}
