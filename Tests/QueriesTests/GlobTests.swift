import Queries
import XCTest

final class GlobTests: XCTestCase {
    private func expect(
        _ pattern: String, matches: [String] = [], not: [String] = [], line: UInt = #line
    ) {
        let glob = Glob(pattern.utf8)
        for path in matches {
            XCTAssertTrue(glob.matches(Array(path.utf8)), "\(pattern) | \(path)", line: line)
        }
        for path in not {
            XCTAssertFalse(glob.matches(Array(path.utf8)), "\(pattern) | \(path)", line: line)
        }
    }

    func testPatterns() {
        expect("*.ko", matches: ["a.ko", "x/y/a.ko", ".ko"], not: ["a.ko/b", "a.kox", "ko"])
        expect("/*.ko", matches: ["a.ko"], not: ["x/a.ko"])
        expect("**/*.ko", matches: ["a.ko", "x/a.ko", "x/y/z/a.ko"], not: ["a.ko/b", "x/ako"])
        expect("x/**", matches: ["x/a", "x/a/b"], not: ["x", "y/x/a"])
        expect("x/**/b", matches: ["x/b", "x/a/b", "x/a/c/b"], not: ["x/ab", "xb", "x/a/bc"])
        expect("a?c", matches: ["abc", "a c", "x/abc"], not: ["ac", "a/c", "abbc"])
        expect("a*c", matches: ["ac", "abbbc", "acc"], not: ["ab", "cab"])
        expect("x/*/c", matches: ["x/b/c"], not: ["x/b/b/c", "x/c"])
        expect("[a-c]x", matches: ["ax", "bx", "cx"], not: ["dx", "x", "abx"])
        expect("[!a-c]x", matches: ["dx", "-x"], not: ["ax", "x"])
        expect("[^a]x", matches: ["bx"], not: ["ax"])
        expect("[]-]x", matches: ["]x", "-x"], not: ["ax"])
        expect("[a", matches: ["[a"], not: ["a"])
        expect("\\*", matches: ["*"], not: ["a", "\\*"])
        expect("", matches: [""], not: ["a"])
        expect("**", matches: ["", "a", "a/b"])
    }

    func testBytesThatAreNoText() {
        XCTAssertTrue(Glob([0x3f, 0xff]).matches([0x61, 0xff]))
        XCTAssertFalse(Glob([0xfe]).matches([0xff]))
    }

    /// Stars do not multiply: the time is that of pattern × path.
    func testManyStarsEnd() {
        let pattern = String(repeating: "a*", count: 60) + "b"
        XCTAssertFalse(Glob(pattern.utf8).matches([UInt8](repeating: 0x61, count: 4_000)))
    }
}
