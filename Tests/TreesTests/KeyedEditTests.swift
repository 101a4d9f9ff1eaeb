import DiskFormat
import XCTest

@testable import Trees

/// Directories as Merkle lists: whatever the edits, the list is that of its entries.
final class KeyedEditTests: XCTestCase {
    private typealias Edit = KeyedEdit<DirectorySchema, MemoryNodeStore>
    private typealias Reader = ListReader<DirectorySchema, MemoryNodeStore>

    private func entry(_ name: String, size: UInt64 = 0) -> DirectoryEntry {
        var image = InodeImage(
            inode: name.utf8.reduce(7) { ($0 &* 31 &+ UInt64($1)) % 1_000_003 } + 2,
            generation: 1, mode: 0o100644, size: size)
        image.modificationTime = DiskTime(seconds: Int64(size) * 7919, nanoseconds: 5)
        return DirectoryEntry(name: Array(name.utf8), target: .only(image))
    }

    private func build(
        _ model: [String: DirectoryEntry], in store: MemoryNodeStore
    ) throws -> NodeReference? {
        let sorted = model.values.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        return try Edit.apply(sorted.map { ($0.name, $0) }, to: nil, in: store).root
    }

    private func entries(
        of root: NodeReference?, in store: MemoryNodeStore
    ) throws -> [DirectoryEntry] {
        var result: [DirectoryEntry] = []
        try Reader(store: store).forEach(of: root) { (_, entry) throws(TreeError) in
            result.append(entry)
            return true
        }
        return result
    }

    func testEmptyListHasNoRoot() throws {
        let store = try MemoryNodeStore()
        XCTAssertNil(try Edit.apply([], to: nil, in: store).root)
        let one = try Edit.apply([(Array("a".utf8), entry("a"))], to: nil, in: store)
        XCTAssertEqual(one.root?.level, 0)
        let none = try Edit.apply([(Array("a".utf8), nil)], to: one.root, in: store)
        XCTAssertNil(none.root)
        XCTAssertEqual(none.left.count, 1)
        XCTAssertTrue(none.taken.isEmpty)
    }

    func testUnorderedChangesAreRefused() throws {
        let store = try MemoryNodeStore()
        let a = (Array("a".utf8), Optional(entry("a")))
        let b = (Array("b".utf8), Optional(entry("b")))
        XCTAssertThrowsError(try Edit.apply([b, a], to: nil, in: store))
        XCTAssertThrowsError(try Edit.apply([a, a], to: nil, in: store))
    }

    func testRandomEditsGiveTheListOfTheEntries() throws {
        var random = SeededRandom("KeyedEdit")
        let store = try MemoryNodeStore()
        var model: [String: DirectoryEntry] = [:]
        for number in 0..<6_000 {
            model["file-\(number)"] = entry("file-\(number)", size: UInt64(number))
        }
        var root = try build(model, in: store)
        XCTAssertGreaterThan(root?.level ?? 0, 0)
        for round in 0..<50 {
            var changes: [String: DirectoryEntry?] = [:]
            for _ in 0..<Int.random(in: 1...(round % 10 == 9 ? 1000 : 20), using: &random) {
                let name = "file-\(Int.random(in: 0..<9_000, using: &random))"
                changes[name] =
                    Bool.random(using: &random)
                    ? .some(nil)
                    : entry(name, size: UInt64.random(in: 0..<1_000_000, using: &random))
            }
            for (name, change) in changes { model[name] = change }
            let ordered = changes.map { (key: Array($0.key.utf8), entry: $0.value) }
                .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            let result = try Edit.apply(ordered, to: root, in: store)
            let fresh = try build(model, in: try MemoryNodeStore())
            XCTAssertEqual(result.root, fresh, "round \(round): not canonical")
            try checkNodeSets(result, old: root, in: store)
            root = result.root
        }
        let sorted = model.values.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        XCTAssertEqual(try entries(of: root, in: store), sorted)
    }

    /// `taken` and `left` are exactly the difference of the two lists' nodes.
    private func checkNodeSets(
        _ result: ListEditResult, old: NodeReference?, in store: MemoryNodeStore
    ) throws {
        func names(_ root: NodeReference?) throws -> Set<ChunkName> {
            var all: Set<ChunkName> = []
            try Reader(store: store).forEachNode(of: root) { (node) throws(TreeError) in
                all.insert(node.name)
                return true
            }
            return all
        }
        let before = try names(old)
        let after = try names(result.root)
        XCTAssertEqual(after.subtracting(before), result.taken)
        XCTAssertEqual(before.subtracting(after), result.left)
    }

    func testOneChangeInALargeDirectoryTouchesAFewNodes() throws {
        let store = try MemoryNodeStore()
        var model: [String: DirectoryEntry] = [:]
        for number in 0..<100_000 { model["f\(number)"] = entry("f\(number)") }
        let root = try build(model, in: store)
        store.readCount = 0
        store.writeCount = 0
        let change = [(key: Array("f50000".utf8), entry: Optional(entry("f50000", size: 9)))]
        let result = try Edit.apply(change, to: root, in: store)
        XCTAssertNotEqual(result.root, root)
        XCTAssertLessThan(store.readCount, 20)
        XCTAssertLessThan(store.writeCount, 20)
    }

    func testFindReadsOneNodeALevel() throws {
        let store = try MemoryNodeStore()
        var model: [String: DirectoryEntry] = [:]
        for number in 0..<20_000 { model["n\(number)"] = entry("n\(number)") }
        let root = try XCTUnwrap(try build(model, in: store))
        let reader = Reader(store: store)
        store.readCount = 0
        XCTAssertEqual(try reader.find(Array("n77".utf8), in: root), model["n77"])
        XCTAssertEqual(store.readCount, Int(root.level) + 1)
        XCTAssertNil(try reader.find(Array("m".utf8), in: root))
        XCTAssertNil(try reader.find(Array("zz".utf8), in: root))
    }

    func testMissingAndForgedNodesAreErrors() throws {
        let store = try MemoryNodeStore()
        var model: [String: DirectoryEntry] = [:]
        for number in 0..<5_000 { model["n\(number)"] = entry("n\(number)") }
        let root = try XCTUnwrap(try build(model, in: store))
        guard case .inner(let level, let children) = try Reader(store: store).node(root) else {
            return XCTFail("expected an inner node")
        }
        // A child that is its own parent, as no hash function would make it, ends at its level.
        store.forge(children[0].child, try store.readNode(root.name, domain: .tree))
        XCTAssertThrowsError(try entries(of: root, in: store)) { error in
            guard case TreeError.format(_, let node) = error else {
                return XCTFail("\(error)")
            }
            XCTAssertEqual(node, children[0].child)
        }
        store.remove(children[0].child)
        XCTAssertThrowsError(try entries(of: root, in: store)) { error in
            XCTAssertEqual(error as? TreeError, .missing(children[0].child))
        }
        XCTAssertEqual(level, root.level)
    }
}
