import Chunking
import DiskFormat
import Trees
import XCTest

@testable import Folding

/// Content that no fold can have made is an error, never a trap or made-up bytes.
final class HostileContentTests: XCTestCase {
    private let nodeName = ChunkName(w0: 1, w1: 2, w2: 3, w3: 4)

    private func folder() throws -> Folder<MemoryContentStore> {
        Folder(
            chunker: Chunker(parameters: .gear(meanBytes: 4096)), store: try MemoryContentStore())
    }

    private func content(_ node: RecipeNode, size: UInt64, level: UInt8 = 0) throws -> (
        StoredContent, Folder<MemoryContentStore>
    ) {
        let folder = try folder()
        folder.store.forge(nodeName, node.encoded())
        let key = ContentKey.recipe(NodeReference(name: nodeName, level: level))
        return (StoredContent(key: key, size: size), folder)
    }

    func testRecipesThatAreNotAsLongAsTheySay() throws {
        let leaf = RecipeNode.leaf([.hole(length: 100), .zeros(length: 50)])
        let inner = RecipeNode.inner(
            level: 1, [InnerEntry(child: nodeName, measure: 150, firstKey: [])])
        for (node, size, level) in [
            (leaf, 149 as UInt64, 0 as UInt8), (leaf, 151, 0), (inner, 149, 1), (inner, 151, 1),
            // The child is the node itself: of the wrong level.
            (inner, 150, 1),
        ] {
            let (content, folder) = try content(node, size: size, level: level)
            let reader = ContentReader(store: folder.store)
            XCTAssertThrowsError(try reader.segment(of: content, at: 120)) { error in
                guard case .format(_, let node)? = error as? TreeError else {
                    return XCTFail("\(error)")
                }
                XCTAssertEqual(node, nodeName)
            }
            XCTAssertThrowsError(
                try folder.fold(
                    content, patches: [Patch(range: 120..<130, kind: .zeros)],
                    bytes: ArrayBytes(bytes: []), newSize: size))
        }
        let (good, folder) = try content(leaf, size: 150)
        XCTAssertEqual(
            try ContentReader(store: folder.store).segment(of: good, at: 120).segment, .zeros)
    }

    func testALeafThatIsKeptIsMeasuredAgain() throws {
        let leaf = RecipeNode.leaf([.hole(length: 100), .zeros(length: 50)])
        let (good, folder) = try content(leaf, size: 150)
        folder.store.leaves = RecipeLeaves(limitBytes: 1 << 20)
        for _ in 0..<2 {
            XCTAssertEqual(
                try ContentReader(store: folder.store).segment(of: good, at: 120).segment, .zeros)
        }
        XCTAssertEqual(folder.store.nodeReads, 1)
        for size in [149 as UInt64, 151] {
            let content = StoredContent(key: good.key, size: size)
            XCTAssertThrowsError(
                try ContentReader(store: folder.store).segment(of: content, at: 120)
            ) { error in
                guard case .format(_, let node)? = error as? TreeError else {
                    return XCTFail("\(error)")
                }
                XCTAssertEqual(node, nodeName)
            }
        }
        // An inner node under a leaf's level is none, kept leaves or not.
        let inner = RecipeNode.inner(
            level: 1, [InnerEntry(child: nodeName, measure: 150, firstKey: [])])
        let (bad, other) = try content(inner, size: 150)
        other.store.leaves = RecipeLeaves(limitBytes: 1 << 20)
        XCTAssertThrowsError(try ContentReader(store: other.store).segment(of: bad, at: 120))
        XCTAssertEqual(other.store.leaves?.kept.count, 0)
    }

    func testMissingNodesAndChunks() throws {
        let folder = try folder()
        let reader = ContentReader(store: folder.store)
        var buffer = [UInt8](repeating: 9, count: 10)
        for key in [ContentKey.chunk(nodeName), .recipe(NodeReference(name: nodeName, level: 0))] {
            let content = StoredContent(key: key, size: 10)
            XCTAssertThrowsError(
                try buffer.withUnsafeMutableBytes {
                    try reader.read(of: content, at: 0, into: $0)
                }
            ) { XCTAssertEqual($0 as? TreeError, .missing(nodeName)) }
            XCTAssertThrowsError(
                try folder.fold(
                    content, patches: [Patch(range: 3..<4, kind: .zeros)],
                    bytes: ArrayBytes(bytes: []), newSize: 10)
            ) { XCTAssertEqual($0 as? TreeError, .missing(nodeName)) }
        }
    }

    func testWhatIsNotAFilesContentOrNotInOrderIsRefused() throws {
        let folder = try folder()
        let node = NodeReference(name: nodeName, level: 0)
        let zeros = Patch(range: 5..<9, kind: .zeros)
        for (content, patches) in [
            (StoredContent(key: .directory(node), size: 1), [zeros]),
            (StoredContent(key: .target([1]), size: 1), [zeros]),
            (StoredContent(key: .none, size: 1), [zeros]),
            (StoredContent(key: .chunk(nodeName), size: 0), [zeros]),
            (StoredContent(key: .chunk(nodeName), size: 1 << 40), [zeros]),
            (StoredContent(), [zeros, zeros]),
            (StoredContent(), [Patch(range: 5..<5, kind: .hole)]),
        ] {
            XCTAssertThrowsError(
                try folder.fold(
                    content, patches: patches, bytes: ArrayBytes(bytes: []), newSize: 20))
        }
        XCTAssertThrowsError(
            try folder.fold(
                StoredContent(), patches: [], bytes: ArrayBytes(bytes: []), newSize: UInt64.max))
    }
}
