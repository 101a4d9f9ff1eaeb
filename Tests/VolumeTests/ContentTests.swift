// Content by name: keys, pieces, copies, orphans.
import Backends
import ChunkIndex
import DiskFormat
import FileModel
import Foundation
import NamespaceIndex
import Pipeline
import Platform
import XCTest

@testable import Volume

final class ContentTests: XCTestCase {
    private let backend = MemoryBackend()
    private let index = MemoryIndexProvider()

    private func start(_ parameters: StoreParameters = smallParameters()) throws -> OpenStore {
        try makeStore(backend, index, parameters: parameters)
        var options = smallOptions()
        // Room enough that no worker folds what a test wants to see unfolded.
        options.dirtyBytesMax = 64 << 20
        return try OpenStore(backend, index, options: options)
    }

    private func end(_ open: OpenStore) throws {
        try open.live.close()
        // A clean end leaves nothing to be replayed, also where nothing was changed but inode numbers
        // were taken.
        for _ in 0..<2 {
            let again = try OpenStore(backend, index)
            XCTAssertEqual(again.store.commitsSinceCheckpoint, 0)
            try again.live.commit()
            XCTAssertEqual(again.store.commitsSinceCheckpoint, 0, "nothing was changed")
            try again.live.close()
        }
        XCTAssertEqual(try complaints(backend, index), [])
    }

    private func key(_ open: OpenStore, _ inode: UInt64) throws -> String {
        String(
            decoding: try open.volume.attribute("user.ashlar.key", of: inode), as: UTF8.self)
    }

    private func count(_ open: OpenStore, _ prefix: [UInt8]) throws -> Int {
        var count = 0
        try open.store.index.scan(prefix: prefix, from: prefix) { _, _ in
            count += 1
            return true
        }
        return count
    }

    private func chunkKeys(_ open: OpenStore) throws -> Set<[UInt8]> {
        var keys: Set<[UInt8]> = []
        let prefix = [IndexKey.chunkPrefix]
        try open.store.index.scan(prefix: prefix, from: prefix) { key, _ in
            keys.insert(Array(key))
            return true
        }
        return keys
    }

    private func pieces(_ open: OpenStore) throws -> Int {
        try count(open, NamespaceKey.prefix(.piece, open.volume.number))
    }

    func testEqualFilesHaveOneKeyHoweverTheyWereWritten() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let open = try start()
        let bytes = random.bytes(120_000)
        var keys: Set<String> = []
        for order in 0..<6 {
            let inode = try open.volume.makeFile(Array("f\(order)".utf8), in: 1).inode
            var parts = stride(from: 0, to: bytes.count, by: 7_000).map { $0 }
            if order == 1 { parts.reverse() }
            if order > 1 { parts.shuffle(using: &random) }
            for (number, part) in parts.enumerated() {
                let end = min(part + 7_000, bytes.count)
                if order > 2 {
                    let wrong = [UInt8](repeating: 1, count: end - part)
                    try open.volume.put(wrong, into: inode, at: UInt64(part))
                }
                if order > 3, number % 3 == 0 { try open.live.commit() }
                try open.volume.put(Array(bytes[part..<end]), into: inode, at: UInt64(part))
            }
            if order == 5 { try open.live.commit() }
            keys.insert(try key(open, inode))
        }
        XCTAssertEqual(keys.count, 1, "\(keys)")
        XCTAssertTrue(keys.first?.hasPrefix("recipe:") ?? false)
        try end(open)
    }

    func testWholeCopyIsByKey() throws {
        let open = try start()
        var random = SeededGenerator(seed: 3)
        let source = try open.volume.makeFile(Array("source".utf8), in: 1).inode
        try open.volume.put(random.bytes(200_000), into: source)
        try open.volume.allocate(
            source, mode: [.punchHole, .keepSize], at: 50_000, length: 60_000,
            caller: someone)
        try open.live.commit()
        let chunks = try count(open, [IndexKey.chunkPrefix])
        let target = try open.volume.makeFile(Array("target".utf8), in: 1).inode
        let copied = try open.volume.copyRange(
            from: source, at: 0, to: target, at: 0, length: 1 << 40, caller: someone)
        XCTAssertEqual(copied, 200_000)
        try open.live.commit()
        XCTAssertEqual(try count(open, [IndexKey.chunkPrefix]), chunks)
        XCTAssertEqual(try key(open, source), try key(open, target))
        XCTAssertEqual(try open.volume.attributes(of: target).allocatedBytes, 140_000)
        XCTAssertEqual(
            try open.volume.get(source, count: 200_001), try open.volume.get(target, count: 200_001)
        )
        try end(open)
    }

    func testSmallSynchronousWritesArePiecesUntilTheCheckpoint() throws {
        let open = try start()
        var random = SeededGenerator(seed: 4)
        var bytes = random.bytes(150_000)
        let inode = try open.volume.makeFile(Array("base".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        XCTAssertEqual(try pieces(open), 0)
        for _ in 0..<10 {
            let offset = random.below(bytes.count - 300)
            let change = random.bytes(300)
            bytes.replaceSubrange(offset..<offset + 300, with: change)
            try open.volume.put(change, into: inode, at: UInt64(offset))
            try open.volume.synchronize(inode, dataOnly: true)
        }
        XCTAssertGreaterThanOrEqual(try pieces(open), 9)
        XCTAssertEqual(try complaints(backend, index), [])
        let crashed = try OpenStore(backend.crash(), MemoryIndexProvider())
        XCTAssertEqual(try crashed.volume.get(inode, count: bytes.count + 1), bytes)
        try crashed.live.close()
        try open.live.checkpoint()
        XCTAssertEqual(try pieces(open), 0)
        XCTAssertEqual(try open.volume.get(inode, count: bytes.count + 1), bytes)
        try end(open)
    }

    /// Pieces that were folded, and a content that then came back to its old key.
    func testPiecesThatWereFoldedAwayAreForgotten() throws {
        let open = try start()
        var random = SeededGenerator(seed: 5)
        let bytes = random.bytes(100_000)
        let inode = try open.volume.makeFile(Array("file".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        try open.volume.put([1, 2, 3], into: inode, at: 20_000)
        try open.live.commit()
        XCTAssertEqual(try pieces(open), 1)
        _ = try key(open, inode)
        try open.volume.put(Array(bytes[20_000..<20_003]), into: inode, at: 20_000)
        _ = try key(open, inode)
        try open.volume.put([7], into: inode, at: 70_000)
        try open.live.commit()
        XCTAssertEqual(try pieces(open), 1)
        open.volume.forget(inode, count: 1)
        open.volume.evict()
        var expected = bytes
        expected[70_000] = 7
        XCTAssertEqual(try open.volume.get(inode, count: bytes.count + 1), expected)
        try end(open)
    }

    func testSmallChangeOfBigFilePutsFewChunks() throws {
        var parameters = smallParameters()
        parameters.chunker = .gear(meanBytes: 32 << 10)
        parameters.packBytes = 64 << 20
        parameters.superChunkBytes = 1 << 20
        let open = try start(parameters)
        var random = SeededGenerator(seed: 6)
        let inode = try open.volume.makeFile(Array("image".utf8), in: 1).inode
        let part = random.bytes(1 << 20)
        for number in 0..<64 {
            // Rotated, so that no two mebibytes are cut alike.
            let turn = number * 1_031 + 1
            let bytes = Array(part[turn...]) + Array(part[..<turn])
            try open.volume.put(bytes, into: inode, at: UInt64(number << 20))
        }
        try open.live.checkpoint()
        let before = try chunkKeys(open)
        try open.volume.put(random.bytes(4096), into: inode, at: 33 << 20 + 12_345)
        try open.live.checkpoint()
        let new = try chunkKeys(open).subtracting(before).count
        XCTAssertLessThan(new, 14, "chunks, nodes and pieces")
        XCTAssertGreaterThan(new, 0)
        try end(open)
    }

    func testUnlinkedFileLivesUntilItIsForgotten() throws {
        let open = try start()
        var random = SeededGenerator(seed: 7)
        let bytes = random.bytes(60_000)
        let name = Array("file".utf8)
        let inode = try open.volume.makeFile(name, in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        try open.volume.removeFile(name, in: 1)
        for round in 0..<2 {
            try open.live.checkpoint()
            open.volume.evict()
            try open.volume.put([UInt8(round)], into: inode, at: UInt64(round))
            XCTAssertEqual(try open.volume.attributes(of: inode).linkCount, 0)
            XCTAssertEqual(
                try open.volume.get(inode, at: 2, count: 60_000), Array(bytes.dropFirst(2)))
            XCTAssertEqual(try complaints(backend, index), [])
        }
        XCTAssertThrowsError(try open.volume.addLink(inode, as: name, in: 1)) {
            XCTAssertEqual($0 as? FileError, .noEntry)
        }
        // Gone after a crash, and with it its chunks.
        let survivor = backend.crash()
        let rebuilt = MemoryIndexProvider()
        let crashed = try OpenStore(survivor, rebuilt)
        XCTAssertThrowsError(try crashed.volume.attributes(of: inode)) {
            XCTAssertEqual($0 as? FileError, .stale)
        }
        try crashed.live.close()
        XCTAssertEqual(try complaints(survivor, rebuilt), [])
        // Gone when the kernel lets go.
        open.volume.forget(inode, count: 1)
        XCTAssertThrowsError(try open.volume.attributes(of: inode))
        try open.live.commit()
        XCTAssertThrowsError(try open.volume.attributes(of: inode))
        try end(open)
    }
}
