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
