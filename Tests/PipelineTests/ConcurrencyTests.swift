import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Platform
import XCTest

@testable import Pipeline

/// Many threads at once: nothing that was put is lost, nothing is stored twice, commits go on.
final class ConcurrencyTests: XCTestCase {
    /// What the threads share.
    private struct Shared {
        var named: [ChunkName: [UInt8]] = [:]
        /// By thread: how often it has put a chunk, read it, and handed its name over.
        var turns = [0, 0, 0, 0]
        var isOver = false
        var failures: [String] = []
    }

    func testPutsReadsAndCommitsSideBySide() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let store = try ChunkStore.open(backend, index: index, options: options(workers: 2))
        let root = try XCTUnwrap(try store.volumes().first?.record.root)
        let universe = (0..<400).map { _ in random.bytes(Int.random(in: 1...9000, using: &random)) }
        let shared = ConditionMutex(Shared())
        let threads = try (0..<4).map { number in
            try PlatformThread(name: "put-\(number)") {
                var random = SeededGenerator(seed: UInt64(number))
                while !shared.withLock({ $0.isOver }) {
                    let bytes = universe[Int.random(in: 0..<universe.count, using: &random)]
                    do {
                        let name = try store.put(bytes)
                        if try store.bytes(of: name, domain: .data) != bytes {
                            shared.withLock { $0.failures.append("other bytes") }
                        }
                        store.prefetch([name])
                        shared.withLock { shared in
                            shared.named[name] = bytes
                            shared.turns[number] += 1
                        }
                        shared.broadcast()
                    } catch {
                        shared.withLock { $0.failures.append("\(error)") }
                        return
                    }
                }
            }
        }
        var owners: [UInt64: ChunkName] = [:]
        for round in 0..<60 {
            // Between two checkpoints everybody gets to name what was put before: that is what a
            // caller owes the store.
            let begun = shared.withLock { $0.turns }
            shared.wait { shared in
                !shared.failures.isEmpty || zip(shared.turns, begun).allSatisfy { $0 > $1 }
            }
            let named = shared.withLock { shared in
                defer { shared.named = [:] }
                return shared.named
            }
            var changes: [VolumeChanges.InodeChange] = []
            for (number, name) in named.keys.enumerated().prefix(20) {
                let inode = UInt64(2 + (round * 7 + number) % 100)
                owners[inode] = name
                changes.removeAll { if case .put(let i) = $0 { i.inode == inode } else { false } }
                changes.append(.put(file(inode, content: .chunk(name))))
            }
            let isCheckpoint = round % 3 == 0
            _ = try store.commit(
                store.draft(checkpoint: isCheckpoint) { draft in
                    draft.nextInode = 200
                    draft.inodes = changes
                    draft.root = isCheckpoint ? root : nil
                })
            for (inode, name) in owners {
                XCTAssertNotNil(try store.index.chunk(name), "round \(round), inode \(inode)")
            }
            if (testRun?.totalFailureCount ?? 0) > 0 { break }
        }
        shared.withLock { $0.isOver = true }
        for thread in threads { thread.join() }
        XCTAssertEqual(shared.withLock { $0.failures }, [])
        let bytes = Dictionary(grouping: owners.values, by: { $0 }).mapValues(\.count)
        for (name, count) in bytes {
            XCTAssertEqual(try store.index.chunk(name)?.count, UInt32(count))
            XCTAssertNoThrow(try store.bytes(of: name, domain: .data))
        }
        try store.close()
        // (The checkpoints' root names no files: a rebuilt index would not have them.)
        let again = try ChunkStore.open(backend, index: index, options: options())
        XCTAssertNil(again.failure)
        for (name, count) in bytes {
            XCTAssertEqual(try again.index.chunk(name)?.count, UInt32(count))
            XCTAssertNoThrow(try again.bytes(of: name, domain: .data))
        }
        try again.close()
    }
}
