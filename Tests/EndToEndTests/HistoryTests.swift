import EndToEndSupport
import Foundation
import XCTest

/// What was when: `diff` of parts, renames, `history`, `find-changes`, `query --all-snapshots`.
final class HistoryTests: EndToEndTestCase {
    private func lines(
        _ words: [String], code: Int32 = 0, file: StaticString = #filePath, line: UInt = #line
    ) throws -> [String] {
        let result = try ashlar(words)
        XCTAssertEqual(
            result.code, code, "\(words): \(result.errors)", file: file, line: line)
        return result.text.split(separator: "\n").map(String.init)
    }

    private func snapshot(_ place: Place, _ name: String) throws {
        XCTAssertEqual(try ashlar(["snapshot", "create", place.store, name]).code, 0)
    }

    /// Three snapshots of a few files, and the volume behind them.
    private func makeStory() throws -> Place {
        let place = try makePlace()
        try place.mount()
        for folder in ["a", "b", "b/deep"] { try System.check(mkdir(place.path(folder), 0o755)) }
        try System.writeFile(place.path("a/kept"), [1])
        try System.writeFile(place.path("a/changed"), [2])
        try System.writeFile(place.path("b/deep/moved"), [UInt8](repeating: 3, count: 20_000))
        try System.writeFile(place.path("b/copied"), [UInt8](repeating: 4, count: 20_000))
        try snapshot(place, "one")
        try System.writeFile(place.path("a/changed"), [2, 2])
        try System.check(rename(place.path("b/deep/moved"), place.path("a/elsewhere")))
        try mustRun(["cp", "-p", place.path("b/copied"), place.path("b/deep/copy")])
        try System.check(unlink(place.path("b/copied")))
        try snapshot(place, "two")
        try System.check(unlink(place.path("a/changed")))
        try snapshot(place, "three")
        try System.writeFile(place.path("a/changed"), [5])
        return place
    }

    func testDifferencesOfPartsAndRenames() throws {
        let place = try makeStory()
        let one = place.store + "@one"
        let two = place.store + "@two"
        XCTAssertEqual(
            try lines(["diff", one, two], code: 1),
            [
                "M /a/changed (content, time)", "A /a/elsewhere", "D /b/copied", "A /b/deep/copy",
                "D /b/deep/moved",
            ])
        XCTAssertEqual(
            try lines(["diff", "--find-renames", one, two], code: 1),
            [
                "M /a/changed (content, time)", "R /b/deep/moved -> /a/elsewhere",
                "R /b/copied -> /b/deep/copy",
            ])
        XCTAssertEqual(
            try lines(["diff", one, two, "/b/deep", "a/elsewhere"], code: 1),
            ["A /a/elsewhere", "A /b/deep/copy", "D /b/deep/moved"])
        XCTAssertEqual(
            try lines(["diff", one, two, "--pattern", "cop*"], code: 1),
            ["D /b/copied", "A /b/deep/copy"])
        XCTAssertEqual(
            try lines(["diff", one, two, "--exclude", "**/c*", "--exclude", "/b/**"], code: 1),
            ["A /a/elsewhere"])
        XCTAssertEqual(try lines(["diff", one, two, "a/kept"], code: 0), [])
        XCTAssertEqual(try lines(["diff", "--quick", one, two, "/b"], code: 1), [])
        XCTAssertEqual(try lines(["diff", one, two, "/none"], code: 2), [])
        XCTAssertEqual(try lines(["diff", "--json", "--table", one, two], code: 2), [])
        let zero = try ashlar(["diff", "-M", "--zero", one, two, "/b/deep", "/b/copied"])
        XCTAssertEqual(
            zero.text, "R /b/copied\0/b/deep/copy\0D /b/deep/moved\0", "of what is told alone")
        let table = try lines(["diff", "--table", one, two, "/b/copied"], code: 1)
        XCTAssertEqual(table.count, 2)
        XCTAssertTrue(table[1].hasPrefix("deleted"), table[1])
        XCTAssertTrue(table[1].contains("20000"), table[1])
        let json = try lines(
            ["diff", "--json", "-M", one, two, "/a/elsewhere", "/b/deep"], code: 1)
        let object = try XCTUnwrap(
            JSONSerialization.jsonObject(with: Data(json[0].utf8)) as? [String: Any])
        XCTAssertEqual(object["change"] as? String, "renamed")
        XCTAssertEqual(object["old_path"] as? String, "/b/deep/moved")
        try place.unmount()
    }

    func testHistoryOfAPath() throws {
        let place = try makeStory()
        for isMounted in [true, false] {
            if !isMounted { try place.unmount() }
            let told = try ashlar(["history", place.store, "/a/changed", "--json"]).json()
            let versions = try XCTUnwrap(told["versions"] as? [[String: Any]])
            XCTAssertEqual(
                versions.map { "\($0["first"] ?? "") \($0["last"] ?? "") \($0["change"] ?? "")" },
                [
                    "one one there", "two two content, time", "three three vanished",
                    "now now appeared",
                ])
            XCTAssertEqual(versions.map { $0["size"] as? Int }, [1, 2, nil, 1])
            let kept = try ashlar(["history", place.store, "a/kept", "--json"]).json()
            let only = try XCTUnwrap(kept["versions"] as? [[String: Any]])
            XCTAssertEqual(only.count, 1)
            XCTAssertEqual(only[0]["last"] as? String, "now")
            XCTAssertEqual(try lines(["history", place.store, "/never"], code: 1), [])
        }
        XCTAssertEqual(
            try lines(["find-changes", place.store, "--pattern", "changed"]),
            ["two M /a/changed (content, time)", "three D /a/changed", "now A /a/changed"])
        XCTAssertEqual(
            try lines(["find-changes", place.store, "/a", "--since", "two"]),
            ["three D /a/changed", "now A /a/changed"])
        XCTAssertEqual(
            try lines(
                ["find-changes", place.store, "/b", "-M", "--since", "one", "--until", "two"]),
            ["two R /b/copied -> /b/deep/copy", "two D /b/deep/moved"])
        XCTAssertEqual(try lines(["find-changes", place.store, "a/kept"], code: 1), [])
        expect(
            try ashlar(["find-changes", place.store, "--since", "nine"]), code: 1,
            says: "no snapshot nine")
        try place.mustBeClean()
    }

    /// What is found in all snapshots at once is what is found in each of them.
    func testAllSnapshotsTogether() throws {
        let place = try makePlace()
        try place.mount()
        var random = SeededGenerator()
        var names: [String] = []
        for round in 0..<4 {
            for _ in 0..<16 {
                let folder = place.path("d\(random.below(4))")
                _ = mkdir(folder, 0o755)
                let file = "\(folder)/\(random.below(8))"
                switch random.below(4) {
                case 0: _ = unlink(file)
                case 1: _ = chmod(file, 0o600 | mode_t(random.below(64)))
                case 2: _ = link(file, "\(folder)/l\(random.below(3))")
                default: try System.writeFile(file, random.bytes(random.below(3_000)))
                }
            }
            try snapshot(place, "s\(round)")
            names.append("s\(round)")
        }
        try place.unmount()
        var hasFilesBelow = false
        for words in [["--type", "f"], ["/d1", "--pattern", "[0-4]"]] {
            var expected: [String: Set<String>] = [:]
            for name in names {
                let result = try ashlar(["query", place.store + "@\(name)", "--json"] + words)
                for line in result.text.split(separator: "\n") {
                    let (path, key) = try Self.pathAndKey(line)
                    expected["\(path) \(key)", default: []].insert(name)
                }
            }
            var found: [String: Set<String>] = [:]
            let all = try ashlar(["query", place.store, "--all-snapshots", "--json"] + words)
            XCTAssertEqual(all.code, expected.isEmpty ? 1 : 0, all.errors)
            for line in all.text.split(separator: "\n") {
                let (path, key) = try Self.pathAndKey(line)
                let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
                let list = (object as? [String: Any])?["snapshots"] as? [String] ?? []
                for name in list {
                    XCTAssertTrue(
                        found["\(path) \(key)", default: []].insert(name).inserted,
                        "\(path) is found twice in \(name)")
                }
            }
            XCTAssertEqual(found, expected, "\(words)")
            hasFilesBelow = hasFilesBelow || expected.keys.contains { $0.hasPrefix("/d0/") }
        }
        let below = try ashlar(["query", place.store, "--all-snapshots", "/d0", "--type", "f"])
        // As grep(1): 1 where nothing is found.
        XCTAssertEqual(below.code, hasFilesBelow ? 0 : 1, below.errors)
        let text = below.text.split(separator: "\n")
        XCTAssertTrue(text.allSatisfy { $0.hasPrefix("s") && $0.contains(":/d0/") }, "\(text)")
    }

    private static func pathAndKey(_ line: Substring) throws -> (String, String) {
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        let path = try XCTUnwrap(object?["path"] as? String)
        return (path, "\(object?["key"] ?? "") \(object?["mode"] ?? "")")
    }
}
