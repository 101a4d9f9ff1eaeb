import DiskFormat
import XCTest

@testable import Trees

/// What differs between two directories, found without opening what is equal.
final class ListDifferenceTests: XCTestCase {
    private typealias Difference = ListDifference<DirectorySchema, MemoryNodeStore>

    private func entry(_ name: String, size: UInt64 = 0) -> DirectoryEntry {
        let image = InodeImage(inode: 2 + size, generation: 1, mode: 0o100644, size: size)
        return DirectoryEntry(name: Array(name.utf8), target: .only(image))
    }

    private func build(
        _ model: [String: DirectoryEntry], in store: MemoryNodeStore
    ) throws -> NodeReference? {
        let sorted = model.values.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        return try KeyedEdit<DirectorySchema, MemoryNodeStore>.apply(
            sorted.map { ($0.name, $0) }, to: nil, in: store
        ).root
    }

    private func differences(
        _ a: NodeReference?, _ b: NodeReference?, in store: MemoryNodeStore
    ) throws -> [String] {
        var found: [String] = []
        try Difference.forEach(from: a, to: b, in: store) { old, new in
            let name = String(decoding: (old ?? new)?.name ?? [], as: UTF8.self)
            found.append((old == nil ? "+" : new == nil ? "-" : "!") + name)
            return true
        }
        return found
    }

    func testRandomListsDifferAsTheirEntriesDo() throws {
        var random = SeededRandom("ListDifference")
        let store = try MemoryNodeStore()
        for _ in 0..<60 {
            var a: [String: DirectoryEntry] = [:]
            let count = [0, 1, 30, 800, 6_000].randomElement(using: &random) ?? 0
            for _ in 0..<count {
                let name = "n\(Int.random(in: 0..<8_000, using: &random))"
                a[name] = entry(name)
            }
            var b = a
            for _ in 0..<([0, 1, 5, 400].randomElement(using: &random) ?? 0) {
                let name = "n\(Int.random(in: 0..<8_000, using: &random))"
                b[name] =
                    Bool.random(using: &random)
                    ? nil : entry(name, size: UInt64.random(in: 0..<5, using: &random))
            }
            if Int.random(in: 0..<10, using: &random) == 0 { b = [:] }
            var expected: [([UInt8], String)] = []
            for name in Set(a.keys).union(b.keys) where a[name] != b[name] {
                let sign = a[name] == nil ? "+" : b[name] == nil ? "-" : "!"
                expected.append((Array(name.utf8), sign + name))
            }
            expected.sort { $0.0.lexicographicallyPrecedes($1.0) }
            let found = try differences(
                try build(a, in: store), try build(b, in: store), in: store)
            XCTAssertEqual(found, expected.map(\.1), "\(random)")
        }
    }

    func testTheCostIsWhatDiffers() throws {
        let store = try MemoryNodeStore()
        var model: [String: DirectoryEntry] = [:]
        for number in 0..<50_000 { model["f\(number)"] = entry("f\(number)") }
        let a = try build(model, in: store)
        model["f40000"] = entry("f40000", size: 9)
        model["f7"] = nil
        let b = try build(model, in: store)
        store.readCount = 0
        XCTAssertEqual(try differences(a, b, in: store), ["!f40000", "-f7"])
        XCTAssertLessThan(store.readCount, 40)
        store.readCount = 0
        XCTAssertEqual(try differences(b, b, in: store), [])
        XCTAssertEqual(store.readCount, 0, "equal lists are not opened")
    }

    func testItStopsWhereItIsTold() throws {
        let store = try MemoryNodeStore()
        let a = try build(["a": entry("a"), "b": entry("b")], in: store)
        var count = 0
        XCTAssertFalse(
            try Difference.forEach(from: a, to: nil, in: store) { _, _ in
                count += 1
                return false
            })
        XCTAssertEqual(count, 1)
    }

    /// An inner node that lists one leaf many times, under rising keys: a few bytes, and without end.
    func testAListThatGoesBackIsRefused() throws {
        let store = try MemoryNodeStore()
        let leaf = try store.writeNode(
            DirectoryNode.leaf([entry("m")]).encoded(), domain: .tree)
        let children = (0..<200).map {
            InnerEntry(child: leaf, measure: 1, firstKey: Array("m\($0 + 100)".utf8))
        }
        let root = NodeReference(
            name: try store.writeNode(
                DirectoryNode.inner(level: 1, children).encoded(), domain: .tree), level: 1)
        XCTAssertThrowsError(try differences(root, nil, in: store))
    }
}
