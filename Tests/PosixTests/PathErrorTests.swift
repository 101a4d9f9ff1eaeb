import EndToEndSupport
import Foundation
import XCTest

/// Paths that lead nowhere, for each call that takes one (path_resolution(7)).
final class PathErrorTests: PosixTestCase {
    private static let longName = String(repeating: "n", count: 256)
    /// A path of `count` characters that means `name` in the box.
    private static func padded(_ box: Box, _ name: String, to count: Int) -> String {
        let rest = count - box.path.utf8.count - 1 - name.utf8.count
        return box.path + (rest % 2 == 1 ? "//" : "/")
            + String(repeating: "./", count: rest / 2) + name
    }

    private struct BadPath: Sendable {
        var what: String
        var expected: Int32
        var path: @Sendable (Box) -> String
        var identity = Identity.root
    }

    /// Wrong in the middle: wrong for every call.
    private static let badPrefixes: [BadPath] = [
        BadPath(what: "an empty path", expected: ENOENT) { _ in "" },
        BadPath(what: "a missing directory", expected: ENOENT) { $0 / "missing/x" },
        BadPath(what: "a file as directory", expected: ENOTDIR) { $0 / "file/x" },
        BadPath(what: "a link to a file as directory", expected: ENOTDIR) { $0 / "link/x" },
        BadPath(what: "a FIFO as directory", expected: ENOTDIR) { $0 / "fifo/x" },
        BadPath(what: "a dangling link as directory", expected: ENOENT) { $0 / "dangling/x" },
        BadPath(what: "a loop as directory", expected: ELOOP) { $0 / "loop/x" },
        BadPath(what: "a name of 256 bytes", expected: ENAMETOOLONG) { $0 / longName },
        BadPath(what: "a directory of 256 bytes", expected: ENAMETOOLONG) {
            $0 / (longName + "/x")
        },
        BadPath(what: "a path of 4096 bytes", expected: ENAMETOOLONG) {
            padded($0, "other", to: 4096)
        },
        BadPath(
            what: "a directory that must not be searched", expected: EACCES,
            path: { $0 / "locked/inside" }, identity: .stranger),
    ]

    func testBadPaths() throws {
        try run(
            (PathCall.ofExisting + PathCall.making).flatMap { call in
                Self.badPrefixes.map { bad in
                    Row("\(call.name) of \(bad.what)", bad.expected, by: bad.identity) {
                        call.call($0, bad.path($0))
                    }
                }
            })
    }

    func testMissingNames() throws {
        try run(
            PathCall.ofExisting.flatMap { call in
                [
                    Row("\(call.name) of a missing name", ENOENT) { call.call($0, $0 / "missing") },
                    Row(
                        "\(call.name) of a loop",
                        call.followsLink ? ELOOP : call.name == "rmdir" ? ENOTDIR : 0
                    ) { call.call($0, $0 / "loop") },
                ]
            })
    }

    /// What exists cannot be made, also where it is a link to nowhere. (rename(2) replaces.)
    func testExistingNames() throws {
        let names = ["file", "dir", "link", "link-to-dir", "dangling", "loop", "fifo", "socket"]
        try run(
            PathCall.making.filter { $0.name != "rename to" }.flatMap { call in
                names.map { name in
                    Row("\(call.name) where \(name) is", EEXIST) { call.call($0, $0 / name) }
                }
            })
    }

    /// The longest names and paths that there may be.
    func testLongestNames() throws {
        let longest = String(repeating: "n", count: 255)
        // 255 bytes that are not 255 characters.
        let wide = String(repeating: "ü", count: 127) + "x"
        try run(
            PathCall.making.flatMap { call in
                [longest, wide].map { name in
                    Row("\(call.name) of 255 bytes") { box in
                        call.call(box, box / name) < 0 || !box.exists(name) ? -1 : 0
                    }
                } + [
                    Row("\(call.name) by a path of 4095 bytes") { box in
                        call.call(box, Self.padded(box, "new", to: 4095)) < 0 || !box.exists("new")
                            ? -1 : 0
                    }
                ]
            })
    }

    /// Linux follows 40 links, and no more.
    func testChainsOfLinks() throws {
        try onEachGround { box in
            for number in 1...41 {
                try System.check(
                    symlink(
                        number == 1 ? "file" : "chain-\(number - 1)", box / "chain-\(number)"))
            }
            var status = stat()
            XCTAssertEqual(stat(box / "chain-40", &status), 0, "on \(box.ground)")
            assertFails(ELOOP, "on \(box.ground): 41 links") {
                try System.check(stat(box / "chain-41", &status))
            }
        }
    }

    /// A slash at the end asks for a directory (path_resolution(7)).
    func testTrailingSlashes() throws {
        try run([
            Row("stat file/", ENOTDIR) { access($0 / "file/", F_OK) },
            Row("stat link/", ENOTDIR) { access($0 / "link/", F_OK) },
            Row("stat link-to-dir/") { access($0 / "link-to-dir/", F_OK) },
            Row("unlink file/", ENOTDIR) { unlink($0 / "file/") },
            Row("create new/", EISDIR) {
                PathCall.closing(open($0 / "new/", O_WRONLY | O_CREAT, 0o644))
            },
            Row("mkfifo new/", ENOENT) { mkfifo($0 / "new/", 0o644) },
            Row("symlink to new/", ENOENT) { symlink("target", $0 / "new/") },
            Row("link to new/", ENOENT) { link($0 / "file", $0 / "new/") },
            Row("mkdir new/") { mkdir($0 / "new/", 0o755) },
            Row("rmdir empty/") { rmdir($0 / "empty/") },
            Row("rmdir link-to-dir/", ENOTDIR) { rmdir($0 / "link-to-dir/") },
            Row("rename file to new/", ENOTDIR) { rename($0 / "file", $0 / "new/") },
            Row("rename empty to new/") { rename($0 / "empty", $0 / "new/") },
            Row("truncate file/", ENOTDIR) { truncate($0 / "file/", 0) },
        ])
    }
}
