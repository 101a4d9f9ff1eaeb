import DiskFormat
import Retention
import XCTest

/// When a snapshot is due, whatever the clock does.
final class ScheduleTests: XCTestCase {
    private func time(_ seconds: Int64) -> DiskTime { DiskTime(seconds: seconds, nanoseconds: 0) }

    func testTexts() throws {
        let schedule = try SnapshotSchedule(
            everySeconds: 3_600, prefix: "hourly", tags: ["b", "a", "b"])
        XCTAssertEqual(schedule.text, "every=1h prefix=hourly tag=a tag=b")
        XCTAssertEqual(
            try SnapshotSchedule(text: schedule.text),
            try SnapshotSchedule(everySeconds: 3_600, prefix: "hourly", tags: ["a", "b"]))
        for bad in [
            "", "prefix=a", "every=0s", "every=1", "every=2y", "every=1h prefix=-", "every=1h x",
            "every=1h more=1", "every=1h tag=.",
            "every=1h prefix=" + String(repeating: "a", count: 65),
        ] { XCTAssertThrowsError(try SnapshotSchedule(text: bad), bad) }
    }

    func testMissedOnesAreMadeUpForOnce() throws {
        let hourly = try SnapshotSchedule(everySeconds: 3_600)
        func due(_ now: Int64, _ last: Int64?, _ waited: UInt64 = 0) -> Bool {
            hourly.isDue(at: time(now), last: last.map(time), secondsWaited: waited)
        }
        XCTAssertTrue(due(100, nil))
        XCTAssertFalse(due(7_199, 3_600))
        XCTAssertTrue(due(7_200, 7_199), "on the hour")
        XCTAssertTrue(due(999_999_999, 3_600), "however long ago")
        XCTAssertFalse(due(999_999_999, 999_999_998), "once")
        XCTAssertTrue(due(0, -1))
        XCTAssertFalse(due(-3_600, -1))
    }

    /// A clock that was ahead and is put right keeps no snapshots from being made for long, and one
    /// that goes to and fro makes no flood of them.
    func testClocksThatJump() throws {
        let hourly = try SnapshotSchedule(everySeconds: 3_600)
        let future = time(4_000_000_000)
        XCTAssertFalse(hourly.isDue(at: time(1_000), last: future, secondsWaited: 3_599))
        XCTAssertTrue(hourly.isDue(at: time(1_000), last: future, secondsWaited: 3_600))
        var made = 0
        var last = time(10_000)
        var waited: UInt64 = 0
        for step in 0..<7_200 {
            let now = time(step % 2 == 0 ? 1_000 : 10_000)
            waited += 1
            if hourly.isDue(at: now, last: last, secondsWaited: waited) {
                made += 1
                last = now
                waited = 0
            }
        }
        XCTAssertLessThanOrEqual(made, 4)
    }

    func testNamesAndWaiting() throws {
        let schedule = try SnapshotSchedule(everySeconds: 900, prefix: "q")
        let now = time(1_795_783_507)
        XCTAssertEqual(schedule.name(at: now) { _ in false }, "q-20261127T124507Z")
        var taken: Set = ["q-20261127T124507Z", "q-20261127T124507Z.2"]
        let name = schedule.name(at: now) { taken.contains($0) }
        XCTAssertEqual(name, "q-20261127T124507Z.3")
        taken.insert(name)
        XCTAssertTrue(ObjectName.isAcceptable(schedule.name(at: now) { taken.contains($0) }))
        for seconds in [Int64.min, -62_000_000_000, -1, 0, Int64.max] {
            XCTAssertTrue(
                ObjectName.isAcceptable(schedule.name(at: time(seconds)) { _ in false }))
        }
        for seconds in [-901, -900, -1, 0, 1, 899, 900] as [Int64] {
            let wait = schedule.secondsToNext(after: time(seconds))
            XCTAssertTrue((1...900).contains(wait))
            XCTAssertEqual((seconds + Int64(wait)) % 900, 0)
        }
    }
}
