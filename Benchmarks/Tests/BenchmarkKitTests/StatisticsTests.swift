import XCTest

@testable import BenchmarkKit

final class StatisticsTests: XCTestCase {
    func testMedian() {
        XCTAssertNil(Statistics.median([]))
        XCTAssertEqual(Statistics.median([4]), 4)
        XCTAssertEqual(Statistics.median([9, 1, 4]), 4)
        XCTAssertEqual(Statistics.median([9, 1, 4, 6]), 5)
    }

    func testRange() {
        XCTAssertNil(Statistics.range([]))
        XCTAssertEqual(Statistics.range([3, 1, 2]), 1...3)
    }

    func testVerdictsAtTheirBounds() {
        let goal = Goal("copy-new", against: ["btrfs"], reach: 1, stretch: 0.8)
        XCTAssertEqual(goal.verdict(0.8), .stretch)
        XCTAssertEqual(goal.verdict(0.81), .reached)
        XCTAssertEqual(goal.verdict(1), .reached)
        XCTAssertEqual(goal.verdict(1.01), .missed)
    }

    func testCatalogueIsWhole() {
        let names = Catalogue.metrics.map(\.name)
        XCTAssertEqual(Set(names).count, names.count)
        for goal in Catalogue.goals {
            XCTAssertNotNil(Catalogue.metric(goal.metric), goal.metric)
            XCTAssertLessThan(goal.stretch, goal.reach)
            XCTAssertFalse(goal.peers.contains(BenchmarkKit.subject))
        }
        XCTAssertEqual(Set(Catalogue.goals.map(\.metric)), Set(names))
    }
}
