// Buffered content on its way to the store: it gets there, and holds no commit up.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class DrainTests: XCTestCase {
    /// What two busy cores need, many times over.
    private static let patienceSeconds = 240.0

    private func open(
        _ parameters: StoreParameters = smallParameters()
    ) throws -> OpenStore {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index, parameters: parameters)
        var options = smallOptions()
        // Files are folded from 2 MiB on.
        options.dirtyBytesMax = 8 << 20
        return try OpenStore(backend, index, options: options)
    }

    /// Commits on another thread. Its threads could not be joined after a standstill, so that ends the
    /// process.
    private func commit(_ open: OpenStore, _ what: String) throws {
        let isDone = ConditionMutex(false)
        let thread = try PlatformThread(name: "commit") {
            do { try open.live.commit() } catch { XCTFail("\(what): \(error)") }
            isDone.withLock { $0 = true }
            isDone.broadcast()
        }
        let end = Date().addingTimeInterval(Self.patienceSeconds)
        while !isDone.withLock({ $0 }) {
            if Date() > end { fatalError("a standstill: \(what)") }
            Thread.sleep(forTimeInterval: 0.005)
        }
        thread.join()
    }

    /// The undecided ends of these files lie in two blocks of a mebibyte each, which are as much as a
    /// long stream is known by: workers folded them for ever, and deciding nothing, while a commit
    /// waited for the workers.
    func testEndsOfFilesThatTakeTwoBlocksAreFolded() throws {
        let open = try open()
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        var files: [(inode: UInt64, bytes: [UInt8])] = []
        for number in 0..<8 {
            let inode = try open.volume.makeFile(Array("f\(number)".utf8), in: 1).inode
            let bytes = random.bytes(2 << 20 + 50)
            for start in stride(from: 0, to: bytes.count, by: 1 << 20) {
                let part = Array(bytes[start..<min(start + 1 << 20, bytes.count)])
                try open.volume.put(part, into: inode, at: UInt64(start))
            }
            files.append((inode, bytes))
        }
        try commit(open, "ASHLAR_SEED=\(seed)")
        XCTAssertEqual(open.volume.drains.bufferedBytes, 0)
        for file in files {
            XCTAssertTrue(
                try open.volume.get(file.inode, at: 0, count: file.bytes.count) == file.bytes)
        }
        try open.live.close()
    }

    /// Those who write without a pause keep the workers busy, and a commit needs them.
    func testACommitDoesNotWaitForAPauseOfWriters() throws {
        // So slow that there is always more to do.
        var parameters = smallParameters()
        parameters.level = 19
        let open = try open(parameters)
        let isOver = ConditionMutex(false)
        let written = ConditionMutex(0)
        let writers = try (0..<3).map { writer in
            try PlatformThread(name: "writer \(writer)") {
                var random = SeededGenerator(seed: 1)
                let bytes = random.bytes(1 << 20)
                var number = 0
                while !isOver.withLock({ $0 }) {
                    do {
                        let name = Array("\(writer)-\(number)".utf8)
                        let inode = try open.volume.makeFile(name, in: 1).inode
                        try open.volume.put(bytes, into: inode, at: 0)
                        // Commits use the workers where they have many files.
                        for other in 0..<Volume.captureBatchFiles {
                            let small = try open.volume.makeFile(
                                name + Array("-\(other)".utf8), in: 1)
                            try open.volume.put(name, into: small.inode)
                        }
                        // No chunk is known.
                        for offset in stride(from: 0, to: bytes.count, by: 2048) {
                            try open.volume.put(name, into: inode, at: UInt64(offset))
                        }
                    } catch {
                        return XCTFail("\(error)")
                    }
                    number += 1
                    written.withLock { $0 += 1 }
                }
            }
        }
        for _ in 0..<2 {
            let before = written.withLock { $0 }
            while written.withLock({ $0 }) < before + 10 { Thread.sleep(forTimeInterval: 0.001) }
            try commit(open, "beside writers")
        }
        isOver.withLock { $0 = true }
        for writer in writers { writer.join() }
        try open.live.close()
    }
}
