// Lists that lie about what they hold.
import DiskFormat
import Hashing
import Trees
import XCTest

final class ListReaderTests: XCTestCase {
    private func count(_ root: NodeReference, _ store: MemoryNodeStore) throws -> Int {
        var count = 0
        try ListReader<RecipeSchema, MemoryNodeStore>(store: store).forEach(of: root) { _, _ in
            count += 1
            return true
        }
        return count
    }

    private func inner(
        _ level: UInt8, _ child: ChunkName, _ measures: [UInt64], _ store: MemoryNodeStore
    ) throws -> ChunkName {
        let entries = measures.map { InnerEntry(child: child, measure: $0, firstKey: []) }
        return try store.writeNode(
            RecipeNode.inner(level: level, entries).encoded(), domain: .recipe)
    }

    func testMeasuresThatLieAreRefused() throws {
        let store = try MemoryNodeStore()
        let leaf = try store.writeNode(
            RecipeNode.leaf([.hole(length: 10)]).encoded(), domain: .recipe)
        let right = try inner(1, leaf, [10, 10, 10], store)
        XCTAssertEqual(try count(NodeReference(name: right, level: 1), store), 3)
        for measures in [[10, 9, 10], [10, 11], [UInt64(Int64.max)]] {
            let wrong = try inner(1, leaf, measures, store)
            XCTAssertThrowsError(try count(NodeReference(name: wrong, level: 1), store))
        }
        // Few nodes that, believed, would be walked 20^12 times.
        var name = leaf
        for level in UInt8(1)...12 {
            name = try inner(level, name, [UInt64](repeating: 1, count: 20), store)
        }
        XCTAssertThrowsError(try count(NodeReference(name: name, level: 12), store))
    }

    func testMeasuresThatOverflowAreRefused() throws {
        let store = try MemoryNodeStore()
        let image = InodeImage(inode: 2, generation: 1, mode: 0o100644)
        let leaf = try store.writeNode(
            DirectoryNode.leaf([DirectoryEntry(name: [0x61], target: .only(image))]).encoded(),
            domain: .tree)
        let entries = [UInt64.max, UInt64.max].enumerated().map {
            InnerEntry(child: leaf, measure: $1, firstKey: [0x61 + UInt8($0)])
        }
        let root = try store.writeNode(
            DirectoryNode.inner(level: 1, entries).encoded(), domain: .tree)
        XCTAssertThrowsError(
            try ListReader<DirectorySchema, MemoryNodeStore>(store: store)
                .forEach(of: NodeReference(name: root, level: 1)) { _, _ in true })
    }
}
