import EndToEndSupport
import Foundation
import XCTest

/// Files are found by what they are, in a store that is mounted and in one that is not.
final class QueryTests: EndToEndTestCase {
    private func makeFilled() throws -> Place {
        let place = try makePlace()
        try place.mount()
        try System.check(mkdir(place.path("lib"), 0o755))
        try System.check(mkdir(place.path("lib/deep"), 0o755))
        var random = SeededGenerator()
        let module = random.bytes(200_000)
        for name in ["lib/a.ko", "lib/deep/b.ko"] {
            try System.writeFile(place.path(name), module, synchronized: true)
        }
        try System.writeFile(place.path("lib/small.ko"), random.bytes(10), synchronized: true)
        try System.writeFile(place.path("lib/new\nline \"x\".txt"), random.bytes(50_000))
        try System.check(symlink("a.ko", place.path("lib/link.ko")))
        try System.check(link(place.path("lib/a.ko"), place.path("hard.ko")))
        let times = [timespec(tv_sec: 5, tv_nsec: 0), timespec(tv_sec: 5, tv_nsec: 0)]
        try System.check(utimensat(AT_FDCWD, place.path("lib/small.ko"), times, 0))
        return place
    }

    private func found(_ place: Place, _ options: [String], line: UInt = #line) throws -> [String] {
        let result = try ashlar(["query", place.store] + options + ["--zero"])
        XCTAssertTrue([0, 1].contains(result.code), result.errors, line: line)
        let names = result.text.split(separator: "\0").map(String.init)
        XCTAssertEqual(result.code == 0, !names.isEmpty, line: line)
        return names
    }

    func testCriteria() throws {
        let place = try makeFilled()
        for isMounted in [true, false] {
            if !isMounted { try place.unmount() }
            XCTAssertEqual(
                try found(place, ["--pattern", "**/*.ko", "--min-size", "100KB"]),
                ["/hard.ko", "/lib/a.ko", "/lib/deep/b.ko"])
            XCTAssertEqual(try found(place, ["--type", "l"]), ["/lib/link.ko"])
            XCTAssertEqual(try found(place, ["--type", "d"]), ["/lib", "/lib/deep"])
            XCTAssertEqual(
                try found(place, ["--modified-before", "1970-01-01T00:00:06Z"]), ["/lib/small.ko"])
            XCTAssertEqual(
                try found(place, ["/lib/deep", "--pattern", "*.ko"]), ["/lib/deep/b.ko"])
            XCTAssertEqual(try found(place, ["--pattern", "nothing"]), [])
            XCTAssertEqual(
                try found(place, ["--type", "f", "--exclude", "*.ko"]), ["/lib/new\nline \"x\".txt"]
            )
        }
        let csv = try ashlar(["query", place.store, "--csv", "--exclude", "*.ko", "--type", "f"])
        XCTAssertTrue(csv.text.hasSuffix(",\"/lib/new\nline \"\"x\"\".txt\"\r\n"), csv.text)
        let lines = try ashlar(["query", place.store, "--json", "--pattern", "a.ko"]).text
        let object = try JSONSerialization.jsonObject(with: Data(lines.utf8)) as? [String: Any]
        XCTAssertEqual(object?["path"] as? String, "/lib/a.ko")
        XCTAssertEqual(object?["size"] as? Int, 200_000)
        let key = try XCTUnwrap(object?["key"] as? String)
        XCTAssertEqual(
            try found(place, ["--hash", key]), ["/hard.ko", "/lib/a.ko", "/lib/deep/b.ko"])
        expect(
            try ashlar(["query", place.store, "--min-size", "many"]), code: 2, says: "not a size")
        expect(try ashlar(["query", place.store, "--type", "x"]), code: 2, says: "f d l b c p s")
        expect(try ashlar(["query", place.store, "--csv", "--json"]), code: 2, says: "choose one")
    }

    func testRanksAndDuplicates() throws {
        let place = try makeFilled()
        try place.unmount()
        let largest = try ashlar(["find-largest", place.store, "-n", "1", "--pattern", "*.txt"])
        XCTAssertEqual(largest.text, "/lib/new\nline \"x\".txt\n")
        XCTAssertEqual(
            try ashlar(["find-oldest", "-n", "1", place.store]).text, "/lib/small.ko\n")
        XCTAssertEqual(
            try ashlar(["find-newest", "-n", "9", "--zero", place.store]).text
                .split(separator: "\0").count, 5)
        let duplicates = try ashlar(["find-duplicates", "--json", place.store]).json()
        XCTAssertEqual(duplicates["shared_bytes"] as? Int, 200_000)
        let groups = try XCTUnwrap(duplicates["groups"] as? [[String: Any]])
        XCTAssertEqual(groups.count, 1)
        XCTAssertEqual(groups.first?["paths"] as? [String], ["/hard.ko", "/lib/deep/b.ko"])
    }
}
