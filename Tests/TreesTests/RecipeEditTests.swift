import DiskFormat
import XCTest

@testable import Trees

/// Recipes as Merkle lists: replaced ranges, growing and shrinking, always canonical.
final class RecipeEditTests: XCTestCase {
    private typealias Edit = RecipeEdit<MemoryNodeStore>
    private typealias Reader = ListReader<RecipeSchema, MemoryNodeStore>

    private func randomExtent(_ random: inout SeededRandom) -> Extent {
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return .hole(length: UInt64.random(in: 1...9000, using: &random))
        case 1: return .zeros(length: UInt64.random(in: 1...9000, using: &random))
        default:
            let name = ChunkName(
                w0: random.next(), w1: random.next(), w2: random.next(), w3: random.next())
            return .data(name, length: UInt32.random(in: 1...130_000, using: &random))
        }
    }

    private func merged(_ extents: [Extent]) -> [Extent] {
        var result: [Extent] = []
        for extent in extents {
            switch (result.last, extent) {
            case (.hole(let a)?, .hole(let b)):
                result[result.count - 1] = .hole(length: a + b)
            case (.zeros(let a)?, .zeros(let b)):
                result[result.count - 1] = .zeros(length: a + b)
            default: result.append(extent)
            }
        }
        return result
    }

    private func length(_ extents: [Extent]) -> UInt64 { extents.reduce(0) { $0 + $1.length } }

    private func extents(
        of root: NodeReference?, in store: MemoryNodeStore
    ) throws -> [Extent] {
        var result: [Extent] = []
        var expected: UInt64 = 0
        try Reader(store: store).forEach(of: root) { (position, extent) throws(TreeError) in
            XCTAssertEqual(position, expected)
            expected += extent.length
            result.append(extent)
            return true
        }
        return result
    }

    func testRandomReplacementsGiveTheRecipeOfTheExtents() throws {
        var random = SeededRandom("RecipeEdit")
        let store = try MemoryNodeStore()
        var model = merged((0..<6000).map { _ in randomExtent(&random) })
        var root = try Edit.build(model, in: store)
        for round in 0..<80 {
            var replacements: [Edit.Replacement] = []
            var edited: [Extent] = []
            var index = 0
            var offset: UInt64 = 0
            let rate = round % 8 == 7 ? 0.2 : 0.001
            while index <= model.count {
                if Double.random(in: 0..<1, using: &random) < rate || round == 40 && index == 5 {
                    let limit = round == 40 ? model.count : min(model.count, index + 5)
                    let end = Int.random(in: index...limit, using: &random)
                    let new = (0..<Int.random(in: 0...4, using: &random)).map { _ in
                        randomExtent(&random)
                    }
                    let removed = length(Array(model[index..<end]))
                    replacements.append(.init(range: offset..<offset + removed, extents: new))
                    edited += new
                    offset += removed
                    if end > index {
                        index = end
                        continue
                    }
                }
                guard index < model.count else { break }
                edited.append(model[index])
                offset += model[index].length
                index += 1
            }
            let result = try Edit.apply(
                replacements, to: root, length: length(model), in: store)
            model = merged(edited)
            XCTAssertEqual(
                result.root, try Edit.build(model, in: try MemoryNodeStore()),
                "round \(round): not canonical")
            root = result.root
        }
        XCTAssertEqual(try extents(of: root, in: store), model)
    }

    func testAChangedBlockOfALargeFileTouchesAFewNodes() throws {
        var random = SeededRandom("LargeRecipe")
        let store = try MemoryNodeStore()
        let model = (0..<300_000).map { _ in
            Extent.data(
                ChunkName(
                    w0: random.next(), w1: random.next(), w2: random.next(), w3: random.next()),
                length: 32768)
        }
        let root = try Edit.build(model, in: store)
        store.readCount = 0
        store.writeCount = 0
        let at: UInt64 = 123_456 * 32768
        let result = try Edit.apply(
            [.init(range: at..<at + 32768, extents: [.data(.zero, length: 32768)])], to: root,
            length: 300_000 * 32768, in: store)
        XCTAssertNotEqual(result.root, root)
        XCTAssertLessThan(store.readCount, 20)
        XCTAssertLessThan(store.writeCount, 20)
    }

    func testHolesAreSplitAndMergedButChunksAreNotCut() throws {
        let store = try MemoryNodeStore()
        let chunk = Extent.data(ChunkName(w0: 1, w1: 2, w2: 3, w3: 4), length: 100)
        let root = try Edit.build([.hole(length: 1000), chunk, .zeros(length: 50)], in: store)
        let filled = try Edit.apply(
            [.init(range: 400..<500, extents: [chunk])], to: root, length: 1150, in: store)
        XCTAssertEqual(
            try extents(of: filled.root, in: store),
            [.hole(length: 400), chunk, .hole(length: 500), chunk, .zeros(length: 50)])
        let punched = try Edit.apply(
            [.init(range: 400..<500, extents: [.hole(length: 100)])], to: filled.root,
            length: 1150, in: store)
        XCTAssertEqual(punched.root, root)
        XCTAssertThrowsError(
            try Edit.apply(
                [.init(range: 1050..<1060, extents: [])], to: root, length: 1150, in: store)
        ) { error in
            XCTAssertEqual(error as? TreeError, .splitsChunk(offset: 1000))
        }
        XCTAssertThrowsError(
            try Edit.apply(
                [.init(range: 1140..<1160, extents: [])], to: root, length: 1150, in: store))
    }

    func testATruncatedFileNeverOpensWhatItLoses() throws {
        let store = try MemoryNodeStore()
        let model = (0..<100_000).map {
            Extent.data(ChunkName(w0: UInt64($0), w1: 7, w2: 7, w3: 7), length: 10)
        }
        let root = try Edit.build(model, in: store)
        store.readCount = 0
        let result = try Edit.apply(
            [.init(range: 50..<1_000_000, extents: [])], to: root, length: 1_000_000, in: store)
        XCTAssertEqual(try Edit.build(Array(model[0..<5]), in: store), result.root)
        XCTAssertLessThan(store.readCount, 12)
    }

    /// A hole put in right behind a node that ends with a hole joins it, whichever node that is.
    func testExtentsMergeOverTheEdgesOfNodes() throws {
        var random = SeededRandom("RecipeEdges")
        let store = try MemoryNodeStore()
        let model = merged(
            (0..<12_000).map { index in
                if index % 2 == 0 { return randomExtent(&random) }
                let length = UInt64.random(in: 1...9000, using: &random)
                return index % 4 == 1 ? .hole(length: length) : .zeros(length: length)
            })
        let root = try XCTUnwrap(try Edit.build(model, in: store))
        guard case .inner(let level, let children) = try Reader(store: store).node(root) else {
            return XCTFail("expected an inner node")
        }
        XCTAssertEqual(level, 1)
        let total = length(model)
        var edge: UInt64 = 0
        for child in children {
            for extent in [Extent.hole(length: 5), .zeros(length: 5)] {
                let edited = try Edit.apply(
                    [.init(range: edge..<edge, extents: [extent])], to: root, length: total,
                    in: store)
                var expected: [Extent] = []
                var offset: UInt64 = 0
                for old in model {
                    if offset == edge { expected.append(extent) }
                    expected.append(old)
                    offset += old.length
                }
                XCTAssertEqual(edited.root, try Edit.build(merged(expected), in: store))
            }
            edge += child.measure
        }
    }
}
