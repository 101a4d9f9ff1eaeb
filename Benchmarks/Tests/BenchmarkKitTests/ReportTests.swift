import XCTest

@testable import BenchmarkKit

final class ReportTests: XCTestCase {
    private func report(_ samples: [Sample], scale: Double = 1, notes: [String] = []) -> Report {
        let machine = Report.Machine(
            kernel: "6.18", processor: "Test & Sons", processors: 2, memoryBytes: 1 << 34,
            began: "2026-11-27T12:00:00Z", ended: "2026-11-27T12:10:00Z", loadBefore: 0.5,
            loadAfter: 8.25, commit: "abc1234")
        return Report(
            machine: machine, rounds: 3, scale: scale,
            peers: ["ashlar", "btrfs", "restic", "borg"].map { .init(name: $0, version: "1") },
            samples: samples, notes: notes)
    }

    private func samples(_ metric: String, _ peer: String, _ values: Double...) -> [Sample] {
        values.enumerated().map {
            Sample(metric: metric, peer: peer, round: $0.offset + 1, value: $0.element)
        }
    }

    func testRatiosAreOfTheSameRound() throws {
        // Everything was ten times slower in the second round; the ratio was the same.
        let own = samples("copy-new", "ashlar", 2, 20, 2)
        let other = samples("copy-new", "btrfs", 1, 10, 1)
        let comparison = try XCTUnwrap(report(own + other).comparisons.first)
        XCTAssertEqual(comparison.ratio, 2)
        XCTAssertEqual(comparison.ratioLeast, 2)
        XCTAssertEqual(comparison.ratioGreatest, 2)
        XCTAssertEqual(comparison.rounds, 3)
    }

    func testRoundsThatMissOneDoNotCount() throws {
        let own = samples("copy-new", "ashlar", 2, 9)
        let other = samples("copy-new", "btrfs", 1)
        let comparison = try XCTUnwrap(report(own + other).comparisons.first)
        XCTAssertEqual(comparison.ratio, 2)
        XCTAssertEqual(comparison.rounds, 1)
        XCTAssertEqual(report(own).comparisons, [])
    }

    func testRatiosAreOfCostWhereMoreIsBetter() throws {
        let whole = report(
            samples("check", "ashlar", 400e6) + samples("check", "restic", 100e6))
        XCTAssertEqual(try XCTUnwrap(whole.comparisons.first).ratio, 0.25)
        XCTAssertEqual(try XCTUnwrap(whole.standings.first).verdict, .stretch)
    }

    func testTheBestOfTheOthersDecides() throws {
        let whole = report(
            samples("backup", "ashlar", 2) + samples("backup", "restic", 8)
                + samples("backup", "borg", 3))
        let standing = try XCTUnwrap(whole.standings.first)
        XCTAssertEqual(standing.peer, "borg")
        XCTAssertEqual(standing.ratio, 2.0 / 3, accuracy: 1e-9)
        XCTAssertEqual(standing.verdict, .missed)
    }

    func testPeersWithoutSamplesAreLeftOut() {
        let whole = report(samples("backup", "ashlar", 2) + samples("backup", "borg", 3))
        XCTAssertEqual(whole.peers.map(\.name), ["ashlar", "borg"])
        XCTAssertEqual(whole.metrics.map(\.name), ["backup"])
    }

    func testJSONComesBack() throws {
        let whole = report(
            samples("copy-new", "ashlar", 2, 3) + samples("copy-new", "btrfs", 1, 2),
            notes: ["casync is missing"])
        let data = try whole.json()
        XCTAssertEqual(try Report.read(data), whole)
        XCTAssertEqual(try Report.read(data).json(), data)
    }

    func testOtherVersionsAreRefused() throws {
        let text = String(decoding: try report([]).json(), as: UTF8.self)
        let other = text.replacingOccurrences(of: "\"version\" : 1", with: "\"version\" : 2")
        XCTAssertNotEqual(other, text)
        XCTAssertThrowsError(try Report.read(Data(other.utf8))) {
            XCTAssertEqual($0 as? ReportError, .otherVersion(found: 2))
        }
    }

    func testTables() {
        let whole = report(
            samples("copy-new", "ashlar", 2, 3) + samples("copy-new", "btrfs", 4, 4)
                + samples("stored", "ashlar", 80e6), scale: 0.25, notes: ["zfs: missing"])
        let tables = Tables(whole)
        let goal = tables.goals.split(separator: "\n").last.map(String.init) ?? ""
        XCTAssertEqual(
            goal.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) },
            [
                "copy in a kernel image tree, cp -a + durable", "btrfs", "≤ 1.00", "≤ 0.80",
                "0.62", "reached, stretch too",
            ])
        XCTAssertEqual(tables.goals.split(separator: "\n").count, 3)
        XCTAssertTrue(tables.all.contains("scale 0.25"))
        XCTAssertTrue(tables.all.contains("- zfs: missing\n"))
        XCTAssertTrue(tables.medians.contains("2.50 s"))
        XCTAssertTrue(tables.medians.contains("80.0 MB"))
        XCTAssertTrue(tables.ratios.contains("0.62 (0.50–0.75)"))
    }

    func testTableColumnsLineUp() {
        let table = Tables.table(["a", "bb"], [["long", "1"], ["x", "22"]])
        XCTAssertEqual(
            table,
            """
            | a    | bb |
            | ---- | -: |
            | long |  1 |
            | x    | 22 |

            """)
    }

    func testTablesWithoutRows() {
        XCTAssertEqual(Tables.table(["a", ""], []), "| a  |    |\n| -- | -: |\n")
        XCTAssertFalse(Tables(report([])).all.isEmpty)
    }

    func testChartIsWellFormed() throws {
        let whole = report(
            samples("copy-new", "ashlar", 2) + samples("copy-new", "btrfs", 4))
        let metric = try XCTUnwrap(Catalogue.metric("copy-new"))
        let svg = try XCTUnwrap(BarChart(whole, metric: metric)).svg
        XCTAssertNoThrow(try XMLCheck.check(svg))
        XCTAssertTrue(svg.contains("prefers-color-scheme: dark"))
        XCTAssertEqual(svg.components(separatedBy: "<rect").count, 3)
        // The longest bar has all the room, the other one half of it.
        XCTAssertTrue(svg.contains("width=\"420.0\"") && svg.contains("width=\"210.0\""), svg)
        XCTAssertNil(BarChart(whole, metric: Metric("copy-same", "none")))
    }

    func testChartEscapesText() throws {
        let bar = BarChart.Bar(label: "a<b", value: 0, text: "\"&\"", isSubject: true)
        let svg = BarChart(title: "x & y", bars: [bar]).svg
        XCTAssertNoThrow(try XMLCheck.check(svg))
        XCTAssertTrue(svg.contains("a&lt;b") && svg.contains("x &amp; y"))
    }
}

/// Whether tags are closed in order: enough for charts, and without a library for XML.
private enum XMLCheck {
    struct Unbalanced: Error {
        let tag: String
    }

    static func check(_ text: String) throws {
        var open: [Substring] = []
        for match in text.matches(of: /<(\/?)([a-z]+)([^<>]*)>/) where !match.3.hasSuffix("/") {
            if match.1.isEmpty {
                open.append(match.2)
            } else if open.popLast() != match.2 {
                throw Unbalanced(tag: String(match.2))
            }
        }
        if let left = open.last { throw Unbalanced(tag: String(left)) }
        let bare = text.replacing(/<[^<>]*>/, with: "").replacing(/&(amp|lt|gt|quot);/, with: "")
        if bare.contains(where: { "<>&".contains($0) }) { throw Unbalanced(tag: "text") }
    }
}
