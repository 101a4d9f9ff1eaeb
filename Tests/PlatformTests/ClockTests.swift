import Platform
import XCTest

final class ClockTests: XCTestCase {
    func testMonotonicClockAdvancesBySleeping() {
        let begin = monotonicNanoseconds()
        sleepNanoseconds(2_000_000)
        XCTAssertGreaterThanOrEqual(monotonicNanoseconds() - begin, 2_000_000)
    }

    func testWallClockIsInThisCentury() {
        let now = wallClock()
        XCTAssertGreaterThan(now.seconds, 1_600_000_000)
        XCTAssertLessThan(now.seconds, 4_102_444_800)
        XCTAssertLessThan(now.nanoseconds, 1_000_000_000)
    }
}
