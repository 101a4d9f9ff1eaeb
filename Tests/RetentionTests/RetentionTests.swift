import DiskFormat
import Retention
import XCTest

final class RetentionTests: XCTestCase {
    private static let day: Int64 = 86_400
    /// 2026-11-27, a Friday, 08:00 UTC.
    private static let friday: Int64 = 1_795_766_400

    private func snapshot(
        _ name: String, _ seconds: Int64, volume: String = "main", tags: [String] = [],
        isPinned: Bool = false
    ) -> RetainedSnapshot {
        RetainedSnapshot(
            volume: volume, name: name, time: DiskTime(seconds: seconds, nanoseconds: 0),
            tags: tags, isPinned: isPinned)
    }

    private func kept(
        _ snapshots: [RetainedSnapshot], _ policy: String, line: UInt = #line
    ) throws -> [String] {
        let decisions = try RetentionPolicy(text: policy)
            .decide(snapshots, calendar: CalendarMoment.universal)
        XCTAssertEqual(decisions.count, snapshots.count, "each is decided about", line: line)
        return decisions.filter(\.isKept).map(\.snapshot.name)
    }

    /// One each six hours, the newest first: d0.0 (08:00), d0.1 (02:00), d1.0, …
    private var everySixHours: [RetainedSnapshot] {
        (0..<400).map { index in
            snapshot("s\(index)", Self.friday - Int64(index) * Self.day / 4)
        }
    }

    func testEachRuleAlone() throws {
        let all = everySixHours
        XCTAssertEqual(try kept(all, "keep-last=3"), ["s0", "s1", "s2"])
        XCTAssertEqual(try kept(all, "keep-within=12h"), ["s0", "s1", "s2"])
        XCTAssertEqual(try kept(all, "keep-hourly=2"), ["s0", "s1"])
        // 08:00 and 02:00 of Friday, 20:00 of Thursday is the newest of the day before.
        XCTAssertEqual(try kept(all, "keep-daily=3"), ["s0", "s2", "s6"])
        // The newest of the week before is of Sunday, 20:00.
        XCTAssertEqual(try kept(all, "keep-weekly=2"), ["s0", "s18"])
        XCTAssertEqual(try kept(all, "keep-monthly=2"), ["s0", "s106"])
        XCTAssertEqual(try kept(all, "keep-yearly=5"), ["s0"])
    }

    func testRulesAddUp() throws {
        XCTAssertEqual(
            try kept(everySixHours, "keep-last=2 keep-daily=2 keep-weekly=2"),
            ["s0", "s1", "s2", "s18"])
        let decisions = try RetentionPolicy(text: "keep-last=1 keep-daily=1 keep-yearly=1")
            .decide(everySixHours, calendar: CalendarMoment.universal)
        XCTAssertEqual(
            decisions[0].reasons, ["1 of the last 1", "daily 2026-11-27", "yearly 2026"])
        XCTAssertEqual(decisions[1].reasons, [])
    }

    func testTagsPinsAndEmptyPolicies() throws {
        let all = [
            snapshot("a", 300), snapshot("b", 200, tags: ["x", "release"]),
            snapshot("c", 100, isPinned: true), snapshot("d", 50, tags: ["x"]),
        ]
        XCTAssertEqual(try kept(all, "keep-tag=release"), ["b", "c"])
        XCTAssertEqual(try kept(all, "keep-last=1"), ["a", "c"])
        XCTAssertEqual(try kept(all, ""), ["a", "b", "c", "d"], "no rule deletes nothing")
        XCTAssertEqual(try kept(all, "keep-last=0"), ["a", "b", "c", "d"])
        XCTAssertEqual(try kept([], "keep-last=1"), [])
    }

    func testVolumesAreApart() throws {
        let all = [
            snapshot("a", 300), snapshot("b", 200), snapshot("c", 100, volume: "other"),
            snapshot("d", 50, volume: "other"),
        ]
        XCTAssertEqual(try kept(all, "keep-last=1"), ["a", "c"])
        XCTAssertEqual(try kept(all.reversed(), "keep-last=1"), ["a", "c"])
    }

    /// Counted back from the newest snapshot, to the nanosecond.
    func testWithin() throws {
        var old = snapshot("old", 0)
        let new = snapshot("new", 3_600)
        XCTAssertEqual(try kept([old, new], "keep-within=1h"), ["new", "old"])
        old.time.seconds = -1
        XCTAssertEqual(try kept([old, new], "keep-within=1h"), ["new"])
        old.time = DiskTime(seconds: Int64.min, nanoseconds: 0)
        let far = snapshot("far", Int64.max)
        XCTAssertEqual(try kept([old, far], "keep-within=1h"), ["far"])
    }

    /// Weeks of ISO 8601 at the turns of years.
    func testWeeks() {
        let cases: [(Int64, String)] = [
            (1_230_768_000, "2009-W01"),  // 2009-01-01, a Thursday
            (1_262_217_600, "2009-W53"),  // 2009-12-31
            (1_262_304_000, "2009-W53"),  // 2010-01-01
            (1_262_563_200, "2010-W01"),  // 2010-01-04, a Monday
            (1_609_459_200, "2020-W53"),  // 2021-01-01
            (1_735_516_800, "2025-W01"),  // 2024-12-30, a Monday
            (-3_600, "1970-W01"),  // 1969-12-31 23:00
        ]
        for (seconds, label) in cases {
            let time = DiskTime(seconds: seconds, nanoseconds: 0)
            XCTAssertEqual(CalendarMoment.universal(time).label(of: .week), label, "\(seconds)")
        }
    }

    func testTexts() throws {
        let text =
            "keep-last=3 keep-within=7d keep-hourly=24 keep-daily=7 keep-weekly=4 "
            + "keep-monthly=12 keep-yearly=10 keep-tag=audit keep-tag=release"
        XCTAssertEqual(try RetentionPolicy(text: text).text, text)
        XCTAssertEqual(
            try RetentionPolicy(text: "keep-tag=b keep-tag=a keep-within=2w keep-tag=b").text,
            "keep-within=14d keep-tag=a keep-tag=b")
        XCTAssertEqual(try RetentionPolicy(text: "keep-daily=0").text, "")
        let bad: [(String, RetentionError)] = [
            ("keep-everything=1", .unknownRule("keep-everything")),
            ("daily", .unknownRule("daily")),
            ("keep-last=-1", .badCount(rule: "keep-last", value: "-1")),
            ("keep-daily=x", .badCount(rule: "keep-daily", value: "x")),
            ("keep-within=7", .badDuration("7")),
            ("keep-within=2740y", .badDuration("2740y")), ("keep-within=d", .badDuration("d")),
            ("keep-tag=", .badTag("")),
        ]
        for (text, expected) in bad {
            XCTAssertThrowsError(try RetentionPolicy(text: text), text) {
                XCTAssertEqual($0 as? RetentionError, expected)
            }
        }
    }
}
