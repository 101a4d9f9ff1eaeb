import DiskFormat
import XCTest

@testable import Trees

final class RecipeLeavesTests: XCTestCase {
    /// A recipe of many leaves, which are referred to in their order.
    private func leaves(
        _ store: MemoryNodeStore, extents count: Int, _ random: inout SeededRandom
    ) throws -> [NodeReference] {
        let extents = (0..<count).map { _ in
            Extent.data(
                ChunkName(
                    w0: random.next(), w1: random.next(), w2: random.next(), w3: random.next()),
                length: UInt32.random(in: 1...100_000, using: &random))
        }
        let root = try XCTUnwrap(try RecipeEdit.build(extents, in: store))
        let reader = ListReader<RecipeSchema, MemoryNodeStore>(store: store)
        func below(_ node: NodeReference) throws -> [NodeReference] {
            guard case .inner(let level, let children) = try reader.node(node) else {
                return [node]
            }
            return try children.flatMap {
                try below(NodeReference(name: $0.child, level: level - 1))
            }
        }
        return try below(root)
    }

    func testLeavesAreWhatTheNodesSayAndStayWithinTheirBound() throws {
        var random = SeededRandom("RecipeLeaves")
        let store = try MemoryNodeStore()
        let reader = ListReader<RecipeSchema, MemoryNodeStore>(store: store)
        let references = try leaves(store, extents: 20_000, &random)
        XCTAssertGreaterThan(references.count, 20)
        let whole = try references.map { RecipeLeaf(try extents($0, reader)) }
        let allBytes = whole.reduce(0) { $0 + $1.memoryBytes }
        let largest = whole.map(\.memoryBytes).max() ?? 0
        for limit in [0, largest, allBytes / 3, 2 * allBytes] {
            let kept = RecipeLeaves(limitBytes: limit)
            store.leaves = kept
            store.readCount = 0
            for _ in 0..<1000 {
                let index = Int.random(in: references.indices, using: &random)
                let leaf = try reader.leaf(references[index])
                XCTAssertEqual(leaf.extents, whole[index].extents)
                XCTAssertEqual(leaf.starts, whole[index].starts)
                XCTAssertEqual(leaf.length, whole[index].length)
                // Each generation may be over its half by the leaf that filled it.
                XCTAssertLessThanOrEqual(kept.kept.bytes, limit + 2 * largest)
            }
            // Where all fit, each is read once; where none does, every use reads.
            if limit == 2 * allBytes {
                XCTAssertLessThanOrEqual(store.readCount, references.count)
            } else {
                XCTAssertGreaterThan(store.readCount, references.count)
            }
        }
    }

    func testWhatIsUsedStaysWhileOthersPass() throws {
        var random = SeededRandom("RecipeLeaves")
        let store = try MemoryNodeStore()
        let reader = ListReader<RecipeSchema, MemoryNodeStore>(store: store)
        let references = try leaves(store, extents: 20_000, &random)
        store.leaves = RecipeLeaves(limitBytes: 200_000)
        store.readCount = 0
        for reference in references {
            _ = try reader.leaf(reference)
            _ = try reader.leaf(references[0])
        }
        XCTAssertEqual(store.readCount, references.count)
    }

    func testALowerBoundLetsGoAndAHigherOneKeeps() throws {
        var random = SeededRandom("RecipeLeaves")
        let store = try MemoryNodeStore()
        let reader = ListReader<RecipeSchema, MemoryNodeStore>(store: store)
        let references = try leaves(store, extents: 2_000, &random)
        let kept = RecipeLeaves(limitBytes: 1 << 20)
        store.leaves = kept
        for reference in references { _ = try reader.leaf(reference) }
        kept.limit(toBytes: 2 << 20)
        XCTAssertEqual(kept.kept.count, references.count)
        kept.limit(toBytes: 1 << 20)
        XCTAssertEqual(kept.kept.count, 0)
        XCTAssertEqual(kept.kept.bytes, 0)
    }

    private func extents(
        _ reference: NodeReference, _ reader: ListReader<RecipeSchema, MemoryNodeStore>
    ) throws -> [Extent] {
        guard case .leaf(let extents) = try reader.node(reference) else { return [] }
        return extents
    }
}
