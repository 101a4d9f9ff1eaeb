import EndToEndSupport
import Foundation
import XCTest

/// What is atomic stays so when several do it at once.
final class RaceTests: PosixTestCase {
    private static let threads = 4

    /// How many of several threads that call at once succeed, and the errnos of the others.
    private func contend(_ call: @Sendable (Int) -> Int) -> (winners: Int, refusals: Set<Int32>) {
        let results = UnsafeMutableBufferPointer<Int32>.allocate(capacity: Self.threads)
        defer { results.deallocate() }
        nonisolated(unsafe) let shared = results
        DispatchQueue.concurrentPerform(iterations: Self.threads) { number in
            shared[number] = call(number) < 0 ? errno : 0
        }
        let refused = results.filter { $0 != 0 }
        return (Self.threads - refused.count, Set(refused))
    }

    /// Of all who want to be the only one, one is.
    func testOnlyOneWins() throws {
        let contests: [(what: String, refusal: Int32, call: @Sendable (Box, Int, Int) -> Int)] = [
            (
                "create", EEXIST,
                { (box, round, _) in
                    Int(
                        PathCall.closing(
                            open(box / "empty/\(round)", O_RDWR | O_CREAT | O_EXCL, 0o644)))
                }
            ),
            ("mkdir", EEXIST, { (box, round, _) in Int(mkdir(box / "empty/d\(round)", 0o755)) }),
            (
                "link", EEXIST,
                { (box, round, _) in Int(link(box / "file", box / "empty/l\(round)")) }
            ),
            (
                "rename without replacing", EEXIST,
                { (box, round, number) in
                    close(open(box / "dir/\(number)", O_RDWR | O_CREAT, 0o644))
                    return returning { () throws(SystemError) in
                        try System.rename(
                            box / "dir/\(number)", box / "empty/r\(round)", flags: 1)
                    }
                }
            ),
            ("rmdir", ENOENT, { (box, round, _) in Int(rmdir(box / "empty/d\(round)")) }),
            ("unlink", ENOENT, { (box, round, _) in Int(unlink(box / "empty/l\(round)")) }),
            (
                "rename", ENOENT,
                { (box, round, _) in Int(rename(box / "empty/\(round)", box / "empty/m\(round)")) }
            ),
        ]
        try onEachGround { box in
            for (what, refusal, call) in contests {
                for round in 0..<40 {
                    let (winners, refusals) = contend { call(box, round, $0) }
                    XCTAssertEqual(winners, 1, "on \(box.ground), \(what)")
                    XCTAssertEqual(refusals, [refusal], "on \(box.ground), \(what)")
                }
            }
            XCTAssertEqual(Int(try box.status("file").st_nlink), 2, "on \(box.ground)")
            XCTAssertEqual(Int(try box.status("empty").st_nlink), 2, "on \(box.ground)")
        }
    }

    /// A name that is replaced is there all the while, with the one content or the other (rename(2)).
    func testReplacedNamesAreAlwaysThere() throws {
        try onEachGround { box in
            let target = box / "target"
            let contents = [[UInt8](repeating: 1, count: 9000), [UInt8](repeating: 2, count: 100)]
            try System.writeFile(target, contents[0])
            let (_, refusals) = contend { number in
                for round in 0..<150 {
                    if number == 0 {
                        let code = returning { () throws(SystemError) in
                            try System.writeFile(box / "next", contents[round % 2])
                            try System.check(rename(box / "next", target))
                        }
                        if code < 0 { return -1 }
                        continue
                    }
                    guard let found = try? System.readFile(target) else { return -1 }
                    if !contents.contains(found) {
                        errno = EIO
                        return -1
                    }
                }
                return 0
            }
            XCTAssertEqual(refusals, [], "on \(box.ground)")
        }
    }

    /// Exchanging is atomic: both names are there, and never mean the same file.
    func testExchangesAreAtomic() throws {
        try onEachGround { box in
            let (_, refusals) = contend { number in
                for _ in 0..<150 {
                    let code = returning { () throws(SystemError) in
                        if number < 2 {
                            try System.rename(box / "other", box / "empty", flags: 2)
                        } else {
                            _ = try System.status(box / "other")
                            _ = try System.status(box / "empty")
                        }
                    }
                    if code < 0 { return -1 }
                }
                return 0
            }
            XCTAssertEqual(refusals, [], "on \(box.ground)")
            // An even number of exchanges.
            XCTAssertEqual(try box.status("empty").st_mode & S_IFMT, S_IFDIR, "on \(box.ground)")
        }
    }

    /// Directories that are moved into each other at once never make a circle.
    func testNoCircles() throws {
        try onEachGround { box in
            for round in 0..<40 {
                try System.check(mkdir(box / "public/a\(round)", 0o755))
                try System.check(mkdir(box / "public/b\(round)", 0o755))
                let (winners, refusals) = contend { number in
                    let a = box / "public/a\(round)"
                    let b = box / "public/b\(round)"
                    return Int(number % 2 == 0 ? rename(a, b + "/x") : rename(b, a + "/x"))
                }
                XCTAssertEqual(winners, 1, "on \(box.ground)")
                // The other direction finds itself below itself, or nothing any more.
                XCTAssertTrue(
                    refusals.isSubset(of: [ENOENT, EINVAL, ENOTEMPTY]), "\(refusals)")
            }
        }
    }
}
