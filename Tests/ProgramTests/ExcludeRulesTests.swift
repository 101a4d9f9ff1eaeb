import XCTest

@testable import ashlar

/// Rules of what is left out, as gitignore(5) has them.
final class ExcludeRulesTests: XCTestCase {
    private func rules(_ lines: String...) -> ExcludeRules {
        var rules = ExcludeRules()
        for line in lines { rules.add(line.utf8) }
        return rules
    }

    func testATable() {
        let rows: [(rules: ExcludeRules, path: String, isDirectory: Bool, isOut: Bool)] = [
            (rules("*.o"), "a.o", false, true), (rules("*.o"), "deep/down/a.o", false, true),
            (rules("*.o"), "a.oo", false, false), (rules("build/"), "build", true, true),
            (rules("build/"), "build", false, false), (rules("build/"), "x/build", true, true),
            (rules("/build"), "build", true, true), (rules("/build"), "x/build", true, false),
            (rules("a/b"), "a/b", false, true), (rules("a/b"), "x/a/b", false, false),
            (rules("**/a/b"), "x/a/b", false, true), (rules("a/**"), "a/x/y", false, true),
            (rules("a/**"), "a", true, false), (rules("a/**/b"), "a/b", false, true),
            (rules("*.o", "!keep.o"), "keep.o", false, false),
            (rules("!keep.o", "*.o"), "keep.o", false, true),
            (rules("# *"), "# *", false, false), (rules("\\#a"), "#a", false, true),
            (rules("\\!a"), "!a", false, true), (rules("a  "), "a", false, true),
            (rules("a\\ "), "a ", false, true), (rules("a\r"), "a", false, true),
            (rules(""), "a", false, false), (rules("/"), "a", true, false),
            (rules("x/y/"), "x/y", true, true), (rules("x/y/"), "x/y", false, false),
            (rules("[ab]?"), "a1", false, true), (rules("[!ab]?"), "a1", false, false),
        ]
        for (number, row) in rows.enumerated() {
            XCTAssertEqual(
                row.rules.excludes(Array(row.path.utf8), isDirectory: row.isDirectory), row.isOut,
                "row \(number): \(row.path)")
        }
    }
}
