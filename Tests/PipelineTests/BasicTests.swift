import Backends
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex
import Platform
import XCTest

@testable import Pipeline

final class BasicTests: XCTestCase {
    func testANewStoreOpensWithItsVolume() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let store = try ChunkStore.open(backend, index: index, options: options())
        defer { try? store.close() }
        let volumes = try store.volumes()
        XCTAssertEqual(volumes.map(\.record.name), ["main"])
        XCTAssertEqual(volumes.first?.record.statistics.directories, 1)
        XCTAssertNil(store.failure)
        let record = try XCTUnwrap(volumes.first)
        let root = try store.bytes(of: try XCTUnwrap(record.record.root), domain: .tree)
        let image = try root.withUnsafeBytes { try RootImage($0) }
        XCTAssertEqual(image.volumeName, "main")
        XCTAssertEqual(store.commitsSinceCheckpoint, 0)
        XCTAssertThrowsError(try makeStore(backend, index)) { error in
            guard case StoreError.exists = error else { return XCTFail("\(error)") }
        }
    }

    /// Data of large files lies in several frames to a super-chunk, each of which is read and
    /// verified by itself.
    func testDataOfLargeFilesIsReadByFrames() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let store = try ChunkStore.open(backend, index: index, options: options())
        var chunks: [ChunkName: [UInt8]] = [:]
        for _ in 0..<60 {
            let bytes = random.bytes(Int.random(in: 1...20_000, using: &random))
            let name = try bytes.withUnsafeBytes {
                try store.put($0, domain: .data, isOfLargeFile: true)
            }
            chunks[name] = bytes
        }
        let other = try store.put(random.bytes(20_000))
        _ = try store.commit(store.draft { _ in })
        var frames: Set<UInt16> = []
        for (name, bytes) in chunks {
            XCTAssertEqual(try store.bytes(of: name, domain: .data), bytes)
            let place = try XCTUnwrap(store.index.chunk(name)?.places.first)
            frames.insert(place.frame)
            let frame = try store.reader.frame(place)
            XCTAssertTrue(frame.bytes.count <= 16 << 10 || frame.entries.count == 1)
            XCTAssertNil(frame.find(other), "other data lies apart")
        }
        XCTAssertGreaterThan(frames.count, 3)
        try store.close()
    }

    func testPutReadAndDeduplicate() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var store = try ChunkStore.open(backend, index: index, options: options(workers: 2))
        var chunks: [ChunkName: [UInt8]] = [:]
        for _ in 0..<200 {
            let bytes = random.bytes(Int.random(in: 1...20_000, using: &random))
            let name = try store.put(bytes)
            XCTAssertEqual(try store.put(bytes), name)
            chunks[name] = bytes
        }
        func check() throws {
            for (name, bytes) in chunks {
                XCTAssertEqual(try store.bytes(of: name, domain: .data), bytes)
                XCTAssertTrue(try store.isKnown(name))
                var part = [UInt8](repeating: 0, count: bytes.count / 2)
                try part.withUnsafeMutableBytes {
                    try store.read(name, domain: .data, from: bytes.count / 3, into: $0)
                }
                XCTAssertEqual(part[...], bytes[(bytes.count / 3)...].prefix(part.count))
            }
        }
        try check()
        _ = try store.commit(store.draft { _ in })
        try check()
        let before = try store.statistics()
        XCTAssertEqual(before.chunks, 201)
        for bytes in chunks.values { try store.put(bytes) }
        _ = try store.commit(store.draft { _ in })
        XCTAssertEqual(try store.statistics().storedBytes, before.storedBytes)
        try store.close()
        store = try ChunkStore.open(backend, index: index, options: options())
        try check()
        store.prefetch(Array(chunks.keys))
        try store.close()
        XCTAssertThrowsError(try store.put([1, 2, 3]))
    }

    /// Chunks that were put one after the other lie together: where one was found the next ones are
    /// looked for first, and the cache (which the index leads to) is asked once for each frame.
    func testNeighboursAreReadWithoutTheIndex() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var store = try ChunkStore.open(backend, index: index, options: options())
        let chunks = (0..<400).map { _ in random.bytes(1_000) }
        let names = try chunks.map { try store.put($0) }
        _ = try store.commit(store.draft { _ in })
        try store.close()
        store = try ChunkStore.open(backend, index: index, options: options())
        defer { try? store.close() }
        let before = try store.statistics()
        for (name, bytes) in zip(names, chunks) {
            XCTAssertEqual(try store.bytes(of: name, domain: .data), bytes)
        }
        let after = try store.statistics()
        let asked = after.frameHits + after.frameMisses - before.frameHits - before.frameMisses
        XCTAssertGreaterThan(asked, 0)
        XCTAssertLessThanOrEqual(asked, 20, "of 400 chunks in a few frames")
        // A name of another domain is not found in a frame that has it.
        XCTAssertThrowsError(try store.bytes(of: names[399], domain: .recipe))
    }

    func testTheSameChunkFromEightThreadsIsStoredOnce() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let store = try ChunkStore.open(backend, index: index, options: options(workers: 2))
        defer { try? store.close() }
        let chunks = (0..<100).map { _ in random.bytes(5000) }
        let failures = ConditionMutex(0)
        let threads = try (0..<8).map { number in
            try PlatformThread(name: "put-\(number)") {
                for bytes in chunks where (try? store.put(bytes)) == nil {
                    failures.withLock { $0 += 1 }
                }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertEqual(failures.withLock { $0 }, 0)
        _ = try store.commit(store.draft { _ in })
        let statistics = try store.statistics()
        XCTAssertEqual(statistics.chunks, 101)
        // The root of the volume has a second copy.
        XCTAssertEqual(try Self.places(in: store), 102)
    }

    private static func places(in store: ChunkStore) throws -> Int {
        try store.index.family("C").values.reduce(0) { sum, value in
            sum + (try value.withUnsafeBytes { try ChunkRecord($0) }).places.count
        }
    }

    func testAFileWithItsNameIsThereAfterReopening() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var store = try ChunkStore.open(backend, index: index, options: options())
        let bytes = [UInt8](repeating: 7, count: 3000)
        let chunk = try store.put(bytes)
        let receipt = try store.commit(
            store.draft { changes in
                changes.nextInode = 3
                changes.inodes = [.put(file(2, size: 3000, content: .chunk(chunk)))]
                changes.names = [
                    NameChange(
                        parent: 1, name: Array("a".utf8), collision: 0,
                        target: .init(inode: 2, kind: 8))
                ]
            })
        XCTAssertEqual(receipt, CommitReceipt(sequence: 2, isCheckpoint: false))
        try store.close()
        store = try ChunkStore.open(backend, index: index, options: options())
        defer { try? store.close() }
        XCTAssertEqual(try store.index.inode(1, 2)?.cookie, cookie("a"))
        XCTAssertEqual(try store.index.chunk(chunk)?.count, 1)
        XCTAssertEqual(try store.volumes().first?.record.statistics.files, 1)
        XCTAssertEqual(try store.volumes().first?.record.statistics.logicalBytes, 3000)
        XCTAssertEqual(try store.volumes().first?.record.nextInode, 3)
        _ = try store.commit(
            store.draft { changes in
                changes.inodes = [.gone(2)]
                changes.names = [
                    NameChange(parent: 1, name: Array("a".utf8), collision: 0, target: nil)
                ]
            })
        XCTAssertNil(try store.index.inode(1, 2))
        XCTAssertEqual(try store.index.chunk(chunk)?.count, 0)
        XCTAssertEqual(try store.index.chunk(chunk)?.deadSince, 1)
        XCTAssertEqual(try store.index.family("D").count, 0)
        XCTAssertEqual(try store.volumes().first?.record.statistics.files, 0)
    }
}
