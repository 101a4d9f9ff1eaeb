import Foundation
import XCTest

@testable import Platform

/// How a crash is asked for. That each point is reached is shown end to end.
final class CrashPointTests: XCTestCase {
    func testNamesAreUniqueAndPlain() {
        let names = CrashPoint.allCases.map(\.rawValue)
        XCTAssertEqual(Set(names).count, names.count)
        for name in names {
            XCTAssertTrue(name.utf8.allSatisfy { $0 == 0x2d || (0x61...0x7a).contains($0) }, name)
        }
    }

    func testAPlanIsDueOnceAtItsPass() throws {
        let plan = try XCTUnwrap(CrashPlan("commit-durable:3"))
        XCTAssertFalse(plan.isDue(.commitDurable))
        XCTAssertFalse(plan.isDue(.commitIndexed))
        XCTAssertFalse(plan.isDue(.commitDurable))
        XCTAssertTrue(plan.isDue(.commitDurable))
        XCTAssertFalse(plan.isDue(.commitDurable))
        XCTAssertTrue(try XCTUnwrap(CrashPlan("pack-begun")).isDue(.packBegun))
    }

    func testWhatNamesNoPointArmsNothing() {
        for text in [
            "", ":", "commit", "commit-durable:", "commit-durable:0", "commit-durable:-1",
            "commit-durable:x", "commit-durable:1:1", "COMMIT-DURABLE:1",
        ] {
            XCTAssertNil(CrashPlan(text), text)
        }
    }

    /// The tests of a store pass hundreds of points: none may be armed here.
    func testUnarmedPointsPass() {
        XCTAssertNil(ProcessInfo.processInfo.environment["ASHLAR_CRASH_AT"])
        for point in CrashPoint.allCases { point.pass() }
    }
}
