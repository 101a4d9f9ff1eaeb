import EndToEndSupport
import Foundation
import XCTest

/// Snapshots go by rules, on a mounted store and on one that is not.
final class RetentionCommandTests: EndToEndTestCase {
    private func snapshots(_ place: Place) throws -> [String] {
        let list = try ashlar(["snapshot", "list", "--json", place.store]).json()
        let rows = try XCTUnwrap(list["snapshots"] as? [[String: Any]])
        return rows.compactMap { $0["name"] as? String }
    }

    private func make(_ name: String, in place: Place, _ options: [String] = []) throws {
        try System.writeFile(place.path(name), Array(name.utf8))
        let made = try ashlar(["snapshot", "create", place.store, name] + options)
        XCTAssertEqual(made.code, 0, made.errors)
    }

    func testRulesAreApplied() throws {
        let place = try makePlace()
        try place.mount()
        try make("a", in: place)
        try make("b", in: place, ["--tag", "release"])
        try make("c", in: place, ["--pin"])
        try make("d", in: place)
        try make("e", in: place)
        let rules = ["--keep-last", "1", "--keep-tag", "release"]
        let dry = try ashlar(["retention", "apply", "--dry-run", place.store] + rules)
        XCTAssertEqual(dry.code, 0, dry.errors)
        XCTAssertTrue(dry.text.contains("would delete main@a: no rule keeps it"), dry.text)
        XCTAssertTrue(dry.text.contains("kept main@b: tag release"), dry.text)
        XCTAssertTrue(dry.text.contains("kept main@c: pinned"), dry.text)
        XCTAssertTrue(dry.text.contains("3 kept, 2 to delete"), dry.text)
        XCTAssertEqual(try snapshots(place), ["a", "b", "c", "d", "e"])

        let done = try ashlar(["retention", "apply", "--json", place.store] + rules).json()
        let rows = try XCTUnwrap(done["snapshots"] as? [[String: Any]])
        XCTAssertEqual(rows.filter { $0["kept"] as? Bool == false }.count, 2)
        XCTAssertEqual(try snapshots(place), ["b", "c", "e"])
        XCTAssertEqual(
            try System.readFile(place.path(".snapshots/b/b")), Array("b".utf8))
        try place.unmount()
        XCTAssertEqual(
            try ashlar(["retention", "apply", place.store, "--keep-hourly", "1"]).code, 0)
        XCTAssertEqual(try snapshots(place), ["c", "e"], "pinned, and the newest of the hour")
        try place.mustBeClean()
    }

    func testRulesThatTheStoreKeeps() throws {
        let place = try makePlace()
        try place.mount()
        try mustRun([try Program.built("ashlar"), "volume", "create", place.store, "other"])
        for name in ["a", "b", "c"] { try make(name, in: place) }
        try make("x", in: place, ["--volume", "other"])
        try make("y", in: place, ["--volume", "other"])
        let set = try ashlar(["retention", "set", place.store, "--keep-last", "1", "--json"])
        XCTAssertEqual(set.code, 0, set.errors)
        XCTAssertEqual(try set.json()["retention"] as? String, "keep-last=1")
        XCTAssertEqual(try snapshots(place).count, 5, "nothing goes by that")
        try place.crash()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        let shown = try ashlar(["retention", "show", place.store, "--json"]).json()
        let rows = try XCTUnwrap(shown["volumes"] as? [[String: Any]])
        XCTAssertEqual(rows.map { $0["retention"] as? String }, ["keep-last=1", nil])
        let applied = try ashlar(["retention", "apply", place.store])
        XCTAssertEqual(applied.code, 0, applied.errors)
        XCTAssertEqual(try snapshots(place), ["c", "x", "y"], "of the volume that has rules")
        expect(
            try ashlar(["retention", "set", place.store]), code: 2, says: "no rule is given")
        expect(
            try ashlar(["retention", "set", place.store, "--clear", "--keep-last", "1"]), code: 2,
            says: "not both")
        XCTAssertEqual(try ashlar(["retention", "set", "--clear", place.store]).code, 0)
        expect(
            try ashlar(["retention", "apply", place.store]), code: 2, says: "keeps none")
        try place.mustBeClean()
    }

    func testSnapshotsByThemselves() throws {
        let place = try makePlace()
        try place.mount()
        try make("mine", in: place)
        let set = try ashlar([
            "snapshot", "schedule", "set", place.store, "--every", "1s", "--tag", "often",
        ])
        XCTAssertEqual(set.code, 0, set.errors)
        XCTAssertEqual(
            try ashlar(["retention", "set", place.store, "--keep-last", "2"]).code, 0)
        var seen: Set<String> = []
        wait(120) {
            let names = (try? snapshots(place)) ?? []
            seen.formUnion(names.filter { $0.hasPrefix("auto-") })
            return seen.count >= 4
        }
        XCTAssertGreaterThanOrEqual(seen.count, 4, "\(seen)")
        let cleared = try ashlar(["snapshot", "schedule", "clear", place.store])
        XCTAssertEqual(cleared.code, 0, cleared.errors)
        // One that was being made is made, and what it was one too many for is gone.
        let names = try snapshots(place)
        XCTAssertTrue(names.contains("mine"), "what nobody scheduled stays: \(names)")
        XCTAssertEqual(names.count, 3)
        sleep(2)
        XCTAssertEqual(try snapshots(place), names, "none is made any more")
        // While it is not mounted none is made; then the missed ones at once, as one.
        try place.unmount()
        XCTAssertEqual(
            try ashlar(["snapshot", "schedule", "set", place.store, "--every", "365d"]).code, 0)
        XCTAssertEqual(try snapshots(place), names)
        try place.mount()
        sleep(2)
        XCTAssertEqual(try snapshots(place), names, "the year has one")
        XCTAssertEqual(
            try ashlar(["snapshot", "delete", place.store] + names.filter { $0 != "mine" }).code, 0)
        try place.remount()
        wait(60) { ((try? snapshots(place)) ?? []).count == 2 }
        XCTAssertEqual(try snapshots(place).count, 2)
        let shown = try ashlar(["snapshot", "schedule", "show", place.store]).text
        XCTAssertTrue(shown.contains("every=365d prefix=auto"), shown)
        expect(
            try ashlar(["snapshot", "schedule", "set", place.store, "--every", "soon"]), code: 2,
            says: "--every: soon")
        try place.unmount()
        try place.mustBeClean()
    }

    func testWhatIsRefused() throws {
        let place = try makePlace()
        expect(
            try ashlar(["retention", "apply", place.store]), code: 2, says: "no rule is given")
        expect(
            try ashlar(["retention", "apply", place.store, "--keep-daily", "many"]), code: 2,
            says: "--keep-daily: many is not a number")
        expect(
            try ashlar(["retention", "apply", place.store, "--keep-within", "7"]), code: 2,
            says: "--keep-within: 7")
        expect(
            try ashlar(
                ["retention", "apply", place.store, "--keep-last", "1", "--volume", "none"]),
            code: 1, says: "no volume none")
    }
}
