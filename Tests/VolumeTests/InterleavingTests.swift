// What was read from the index before a commit must not come back after it: the other thread's part
// is played between the reading and what is made of it.
import Backends
import DiskFormat
import FileModel
import Metadata
import NamespaceIndex
import Pipeline
import Platform
import XCTest

@testable import Volume

/// An index that does something else behind the next reading of one key, or the next scan.
private final class InterruptedIndex: MetadataStore {
    private struct Trap {
        /// nil: springs at a scan.
        var key: [UInt8]?
        var body: () throws -> Void
    }

    private let base: any MetadataStore
    private let trap = ConditionMutex<Trap?>(nil)
    private let failures = ConditionMutex<[String]>([])

    init(_ base: any MetadataStore) {
        self.base = base
    }

    /// What went wrong in the interruptions.
    var complaints: [String] { failures.withLock { $0 } }
    var isSet: Bool { trap.withLock { $0 != nil } }

    func interrupt(after key: [UInt8]?, _ body: @escaping @Sendable () throws -> Void) {
        trap.withLock { $0 = Trap(key: key, body: body) }
    }

    private func spring(_ key: [UInt8]?) {
        let sprung = trap.withLock { trap -> Trap? in
            guard let set = trap, set.key == key else { return nil }
            trap = nil
            return set
        }
        do {
            try sprung?.body()
        } catch {
            failures.withLock { $0.append("\(error)") }
        }
    }

    func get(
        _ key: UnsafeRawBufferPointer, into value: inout [UInt8]
    ) throws(MetadataError) -> Bool {
        let isFound = try base.get(key, into: &value)
        spring(Array(key))
        return isFound
    }

    func scan(
        prefix: [UInt8], from: [UInt8],
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) throws(MetadataError) {
        try base.scan(prefix: prefix, from: from, body)
        spring(nil)
    }

    func write(_ batch: borrowing MetadataBatch) throws(MetadataError) { try base.write(batch) }
    func flush() throws(MetadataError) { try base.flush() }
    func compact() throws(MetadataError) { try base.compact() }
    func storedBytes() -> UInt64 { base.storedBytes() }
    func memoryBytes() -> UInt64 { base.memoryBytes() }
    func close(flushing: Bool) throws(MetadataError) { try base.close(flushing: flushing) }
}

private final class InterruptedProvider: IndexProvider {
    private let base = MemoryIndexProvider()
    private let newest = ConditionMutex<InterruptedIndex?>(nil)
    var index: InterruptedIndex? { newest.withLock { $0 } }

    private func wrap(_ store: any MetadataStore) -> InterruptedIndex {
        let wrapped = InterruptedIndex(store)
        newest.withLock { $0 = wrapped }
        return wrapped
    }

    func open(readOnly: Bool, memoryBytes: Int) throws(MetadataError) -> (any MetadataStore)? {
        try base.open(readOnly: readOnly, memoryBytes: memoryBytes).map { wrap($0) }
    }

    func create(memoryBytes: Int) throws(MetadataError) -> any MetadataStore {
        wrap(try base.create(memoryBytes: memoryBytes))
    }
}

final class InterleavingTests: XCTestCase {
    private let fileName = Array("name".utf8)

    /// A store with a file and a folder in its index, and nothing of them in memory.
    private func start() throws -> (open: OpenStore, index: InterruptedIndex, file: UInt64) {
        let provider = InterruptedProvider()
        let backend = MemoryBackend()
        try makeStore(backend, provider)
        let open = try OpenStore(backend, provider)
        let file = try open.volume.makeFile(fileName, in: 1).inode
        open.volume.forget(file, count: 1)
        try open.live.commit()
        open.volume.evict()
        open.volume.namespace.withLock { $0.boundNames(-1, keepsKernels: false) }
        return (open, try XCTUnwrap(provider.index), file)
    }

    func testRemovedNameDoesNotComeBack() throws {
        let (open, index, _) = try start()
        let (volume, name) = (open.volume, fileName)
        let cookie = volume.cookie(of: name, collision: 0)
        index.interrupt(after: NamespaceKey.name(volume.number, parent: 1, cookie: cookie)) {
            try volume.removeFile(name, in: 1)
            try open.live.commit()
        }
        XCTAssertNil(try volume.find(name, in: 1))
        XCTAssertNil(try volume.find(name, in: 1))
        XCTAssertFalse(index.isSet)
        XCTAssertEqual(index.complaints, [])
        try open.live.close()
    }

    func testEndedInodeDoesNotComeBack() throws {
        let (open, index, file) = try start()
        let (volume, name) = (open.volume, fileName)
        index.interrupt(after: NamespaceKey.inode(volume.number, file)) {
            try volume.removeFile(name, in: 1)
            try open.live.commit()
        }
        XCTAssertThrowsError(try volume.attributes(of: file)) {
            XCTAssertEqual($0 as? FileError, .stale)
        }
        XCTAssertFalse(index.isSet)
        XCTAssertEqual(index.complaints, [])
        try open.live.close()
    }

    func testRemovedNameIsNotListed() throws {
        let (open, index, _) = try start()
        let (volume, name) = (open.volume, fileName)
        index.interrupt(after: nil) {
            try volume.removeFile(name, in: 1)
            try open.live.commit()
        }
        var listed = 0
        try volume.readDirectory(1, after: 2, withAttributes: false) { _, _, _, _, _ in
            listed += 1
            return true
        }
        XCTAssertEqual(listed, 0)
        XCTAssertFalse(index.isSet)
        XCTAssertEqual(index.complaints, [])
        try open.live.close()
    }

    /// The name is removed behind the scan that found it, or behind the reading of its inode.
    func testRemovedNameIsNotListedWithItsAttributes() throws {
        for isBehindInode in [false, true] {
            let (open, index, file) = try start()
            let (volume, name) = (open.volume, fileName)
            let key = isBehindInode ? NamespaceKey.inode(volume.number, file) : nil
            index.interrupt(after: key) {
                try volume.removeFile(name, in: 1)
                try open.live.commit()
            }
            var listed = 0
            try volume.readDirectory(1, after: 2, withAttributes: true) { _, _, _, _, _ in
                listed += 1
                return true
            }
            XCTAssertEqual(listed, 0)
            XCTAssertFalse(index.isSet)
            XCTAssertEqual(index.complaints, [])
            XCTAssertNil(try volume.find(name, in: 1))
            XCTAssertThrowsError(try volume.attributes(of: file)) {
                XCTAssertEqual($0 as? FileError, .stale)
            }
            try open.live.close()
        }
    }
}
