import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Platform
import XCTest

@testable import Pipeline

/// What is dead is given up two checkpoints later, unless it was hit: that and nothing else.
final class CondemningTests: XCTestCase {
    /// What the test knows of a chunk, from the rules alone.
    private struct Expected {
        var owners: Set<UInt64> = []
        /// How many checkpoints there were when it died; nil while it has owners.
        var diedAfter: Int?
        /// The same for its last put while it was dead.
        var hitAfter: Int?
    }

    func testWhatDiedTwoCheckpointsAgoGoesAndNothingElse() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index, parameters: smallParameters(copies: 1))
        let log = EventLog()
        var store = try ChunkStore.open(backend, index: index, options: options(log: log))
        let root = try XCTUnwrap(try store.volumes().first?.record.root)
        let universe = (0..<60).map { _ in random.bytes(30_000) }
        var chunks: [ChunkName: Expected] = [:]
        var files: [UInt64: ChunkName] = [:]
        var checkpoints = 1
        for round in 0..<250 {
            var changes: [VolumeChanges.InodeChange] = []
            for inode in Set((0..<3).map { _ in UInt64.random(in: 2..<30, using: &random) }) {
                if let old = files[inode] {
                    chunks[old]?.owners.remove(inode)
                }
                if Bool.random(using: &random) {
                    let name = try store.put(try XCTUnwrap(universe.randomElement(using: &random)))
                    if chunks[name]?.diedAfter != nil { chunks[name]?.hitAfter = checkpoints }
                    chunks[name, default: Expected()].owners.insert(inode)
                    files[inode] = name
                    changes.append(.put(file(inode, size: 30_000, content: .chunk(name))))
                } else if files.removeValue(forKey: inode) != nil {
                    changes.append(.gone(inode))
                }
            }
            // Put, and named by nobody: dead from the beginning, or hit once more.
            let idle = try store.put(try XCTUnwrap(universe.randomElement(using: &random)))
            if chunks[idle]?.diedAfter != nil { chunks[idle]?.hitAfter = checkpoints }
            let isIdleNew = chunks[idle] == nil
            chunks[idle, default: Expected()].owners.formUnion([])
            let isCheckpoint = Int.random(in: 0..<3, using: &random) == 0
            if isCheckpoint {
                chunks = chunks.filter { _, chunk in
                    guard let died = chunk.diedAfter, chunk.owners.isEmpty else { return true }
                    let isHit = chunk.hitAfter.map { $0 >= checkpoints - 1 } ?? false
                    return died > checkpoints - 1 || isHit
                }
            }
            for name in chunks.keys {
                guard let chunk = chunks[name] else { continue }
                if !chunk.owners.isEmpty {
                    chunks[name]?.diedAfter = nil
                } else if chunk.diedAfter == nil {
                    // What is new with a checkpoint is dead since that one, not the one before.
                    let isNew = name == idle && isIdleNew
                    chunks[name]?.diedAfter = checkpoints + (isNew && isCheckpoint ? 1 : 0)
                }
            }
            _ = try store.commit(
                store.draft(checkpoint: isCheckpoint) { draft in
                    draft.nextInode = 30
                    draft.inodes = changes
                    draft.root = isCheckpoint ? root : nil
                })
            if isCheckpoint { checkpoints += 1 }
            let there = try names(in: store).subtracting([root])
            XCTAssertEqual(there, Set(chunks.keys), "round \(round)")
            for (name, chunk) in chunks {
                XCTAssertEqual(
                    try store.index.chunk(name)?.count, UInt32(chunk.owners.count), "\(round)")
            }
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
            if round % 50 == 49 {
                // Hits are only remembered while the store is open: a caller that named nothing
                // before it closed the store has given them up.
                for name in chunks.keys { chunks[name]?.hitAfter = nil }
                try store.close()
                store = try ChunkStore.open(backend, index: index, options: options(log: log))
            }
        }
        for name in files.values {
            XCTAssertNoThrow(try store.bytes(of: name, domain: .data))
        }
        XCTAssertTrue(log.text.contains("deletedPack"))
        try store.close()
    }

    private func names(in store: ChunkStore) throws -> Set<ChunkName> {
        Set(
            try store.index.family("C").keys.compactMap { key in
                key.withUnsafeBytes { IndexKey.chunkName($0) }
            })
    }

    func testChildrenAreReleasedWithTheirParent() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let store = try ChunkStore.open(backend, index: index, options: options())
        let root = try XCTUnwrap(try store.volumes().first?.record.root)
        let a = try store.put(random.bytes(900))
        let b = try store.put(random.bytes(900))
        let node = RecipeNode.leaf([
            .data(a, length: 900), .data(b, length: 900), .data(a, length: 900),
        ])
        let recipe = try store.put(node.encoded(), .recipe)
        let content = ContentKey.recipe(NodeReference(name: recipe, level: 0))
        _ = try store.commit(
            store.draft { changes in
                changes.nextInode = 3
                changes.inodes = [.put(file(2, size: 2700, content: content))]
            })
        XCTAssertEqual(try store.index.chunk(a)?.count, 1)
        XCTAssertEqual(try store.index.chunk(b)?.count, 1)
        _ = try store.commit(store.draft { $0.inodes = [.gone(2)] })
        XCTAssertEqual(try store.index.chunk(recipe)?.count, 0)
        XCTAssertEqual(try store.index.chunk(a)?.count, 1)
        func checkpoint() throws {
            _ = try store.commit(store.draft(checkpoint: true) { $0.root = root })
        }
        try checkpoint()
        XCTAssertNotNil(try store.index.chunk(recipe))
        try checkpoint()
        XCTAssertNil(try store.index.chunk(recipe))
        XCTAssertEqual(try store.index.chunk(a)?.count, 0)
        XCTAssertEqual(try store.index.chunk(b)?.count, 0)
        try checkpoint()
        try checkpoint()
        XCTAssertNil(try store.index.chunk(a))
        // Stored again it is there again, with its children.
        XCTAssertEqual(try store.put(node.encoded(), .recipe), recipe)
        _ = try store.commit(store.draft { _ in })
        XCTAssertEqual(try store.index.chunk(a)?.count, 1)
        try store.close()
    }

    /// A dead recipe that is hit, and named behind the checkpoint, owns its children in an index that
    /// is made anew too; and nothing of it is given up before two more checkpoints.
    func testARebuildCountsWhatIsRevivedBehindTheCheckpoint() throws {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var store = try ChunkStore.open(backend, index: index, options: options())
        let root = try XCTUnwrap(try store.volumes().first?.record.root)
        let leaves = try (0..<3).map { _ in try store.put(random.bytes(900)) }
        let leaf = try store.put(
            RecipeNode.leaf(leaves.map { .data($0, length: 900) }).encoded(), .recipe)
        let inner = RecipeNode.inner(
            level: 1, [InnerEntry(child: leaf, measure: 2700, firstKey: [])])
        let top = try store.put(inner.encoded(), .recipe)
        let named = file(
            2, size: 2700, content: .recipe(NodeReference(name: top, level: 1)))
        _ = try store.commit(
            store.draft { changes in
                changes.nextInode = 4
                changes.inodes = [.put(named)]
            })
        _ = try store.commit(store.draft { $0.inodes = [.gone(2)] })
        _ = try store.commit(store.draft(checkpoint: true) { $0.root = root })
        XCTAssertEqual(try store.put(inner.encoded(), .recipe), top)
        var revived = named
        revived.inode = 3
        _ = try store.commit(store.draft { $0.inodes = [.put(revived)] })
        try store.close()
        store = try ChunkStore.open(backend, index: MemoryIndexProvider(), options: options())
        for name in leaves + [leaf, top] { XCTAssertEqual(try store.index.chunk(name)?.count, 1) }
        _ = try store.commit(store.draft { $0.inodes = [.gone(3)] })
        _ = try store.commit(store.draft(checkpoint: true) { $0.root = root })
        XCTAssertEqual(try store.index.chunk(top)?.count, 0)
        XCTAssertEqual(try store.index.chunk(leaves[0])?.count, 1)
        // One level with each checkpoint: who held the children died long before.
        for gone in [top, leaf, leaves[0]] {
            XCTAssertNotNil(try store.index.chunk(gone))
            _ = try store.commit(store.draft(checkpoint: true) { $0.root = root })
            XCTAssertNil(try store.index.chunk(gone))
        }
        try store.close()
    }
}
