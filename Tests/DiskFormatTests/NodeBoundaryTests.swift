// Purpose: nodes end where they always did, are of the size that was aimed at, and find their
// boundaries again behind a change.

import XCTest

@testable import DiskFormat

final class NodeBoundaryTests: XCTestCase {
    /// Entries of 20 bytes more or less around `meanBytes`.
    private func entries(_ count: Int, meanBytes: Int, seed: UInt64) -> [[UInt8]] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            generator.bytes(meanBytes - 20 + generator.below(41))
        }
    }

    /// Numbers of the entries behind which a node ends.
    private func ends(_ entries: [[UInt8]], level: UInt8, _ domain: ChunkDomain) -> [Int] {
        var result: [Int] = []
        var nodeBytes = 0
        for (index, entry) in entries.enumerated() {
            if nodeBytes + entry.count > NodeBoundary.maximumBytes {
                result.append(index - 1)
                nodeBytes = 0
            }
            nodeBytes += entry.count
            let isEnd = entry.withUnsafeBytes {
                NodeBoundary.ends($0, nodeBytes: nodeBytes, level: level, domain: domain)
            }
            if isEnd {
                result.append(index)
                nodeBytes = 0
            }
        }
        return result
    }

    private func digest(_ positions: [Int]) -> String {
        var writer = ByteWriter()
        for position in positions { writer.u64(UInt64(position)) }
        let sum = writer.bytes.withUnsafeBytes { BodyChecksum(of: $0) }
        return UniqueID(high: sum.high, low: sum.low).description
    }

    func testBoundariesAreTheOldOnes() {
        let recipe = entries(100_000, meanBytes: 36, seed: 1)
        let tree = entries(100_000, meanBytes: 130, seed: 2)
        XCTAssertEqual(digest(ends(recipe, level: 0, .recipe)), Golden.recipeBoundaries)
        XCTAssertEqual(digest(ends(recipe, level: 1, .recipe)), Golden.innerRecipeBoundaries)
        XCTAssertEqual(digest(ends(tree, level: 0, .tree)), Golden.treeBoundaries)
    }

    func testNodesAreOfTheSizeAimedAt() {
        let list = entries(100_000, meanBytes: 36, seed: 3)
        let nodes = ends(list, level: 0, .recipe).count
        let mean = list.reduce(0) { $0 + $1.count } / max(1, nodes)
        XCTAssertTrue((24 << 10...44 << 10).contains(mean), "mean of \(mean) bytes")
    }

    func testLevelsAndDomainsEndElsewhere() {
        let list = entries(20_000, meanBytes: 36, seed: 4)
        let first = ends(list, level: 0, .recipe)
        XCTAssertNotEqual(first, ends(list, level: 1, .recipe))
        XCTAssertNotEqual(first, ends(list, level: 0, .tree))
    }

    func testShortNodesGoOn() {
        var generator = SeededGenerator.announced("short nodes")
        for _ in 0..<5_000 {
            let entry = generator.bytes(1 + generator.below(60))
            let bytes = generator.below(NodeBoundary.minimumBytes)
            entry.withUnsafeBytes {
                XCTAssertFalse(
                    NodeBoundary.ends($0, nodeBytes: bytes, level: 0, domain: .recipe))
            }
        }
    }

    /// One entry more in front moves few boundaries: the lists have most nodes in common.
    func testBoundariesAreFoundAgainBehindAChange() {
        let list = entries(50_000, meanBytes: 36, seed: 5)
        let before = Set(ends(list, level: 0, .recipe))
        let after = Set(ends([[1, 2, 3]] + list, level: 0, .recipe).map { $0 - 1 })
        XCTAssertGreaterThan(before.count, 30)
        XCTAssertLessThan(before.symmetricDifference(after).count, before.count / 2)
    }
}
