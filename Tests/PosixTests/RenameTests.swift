import EndToEndSupport
import Foundation
import XCTest

/// rename(2) of everything onto everything, with each flag, and what is there afterwards.
final class RenameTests: PosixTestCase {
    /// What a name can be.
    private enum Kind: CaseIterable {
        case absent, file, secondName, link, fifo, emptyDirectory, fullDirectory

        var isDirectory: Bool { self == .emptyDirectory || self == .fullDirectory }

        /// - Parameter first: what a second name is one of.
        func make(_ path: String, first: String) throws(SystemError) {
            switch self {
            case .absent: break
            case .file: try System.writeFile(path, [1, 2, 3])
            case .secondName: try System.check(Glibc.link(first, path))
            case .link: try System.check(symlink("nowhere", path))
            case .fifo: try System.check(mkfifo(path, 0o644))
            case .emptyDirectory: try System.check(mkdir(path, 0o755))
            case .fullDirectory:
                try System.check(mkdir(path, 0o755))
                try System.writeFile(path + "/inside", [1])
            }
        }
    }

    private static let noReplace: UInt32 = 1
    private static let exchange: UInt32 = 2

    /// The errno that rename(2) gives, or 0.
    private static func expected(_ source: Kind, _ target: Kind, _ flags: UInt32) -> Int32 {
        if source == .absent { return ENOENT }
        switch flags {
        case noReplace where target != .absent: return EEXIST
        case exchange: return target == .absent ? ENOENT : 0
        default: break
        }
        if target == .absent { return 0 }
        if source.isDirectory {
            if !target.isDirectory { return ENOTDIR }
            return target == .fullDirectory ? ENOTEMPTY : 0
        }
        return target.isDirectory ? EISDIR : 0
    }

    func testEverythingOntoEverything() throws {
        for ground in grounds {
            for flags in [0, Self.noReplace, Self.exchange] {
                for source in Kind.allCases where source != .secondName {
                    for target in Kind.allCases {
                        if target == .secondName, source != .file { continue }
                        for isAcross in [false, true] {
                            try check(source, target, flags, isAcross, try makeBox(on: ground))
                        }
                    }
                }
            }
        }
    }

    private func check(
        _ source: Kind, _ target: Kind, _ flags: UInt32, _ isAcross: Bool, _ box: Box
    ) throws {
        let from = box / "dir/from"
        let to = box / (isAcross ? "empty/to" : "dir/to")
        try source.make(from, first: "")
        try target.make(to, first: from)
        let moved = try? System.status(from)
        let replaced = try? System.status(to)
        let before = try box.snapshot()
        let outcome = Identity.root.outcome {
            returning { () throws(SystemError) in try System.rename(from, to, flags: flags) }
        }
        let expected = Self.expected(source, target, flags)
        let note = "on \(box.ground), \(source) onto \(target), flags \(flags), across \(isAcross)"
        XCTAssertEqual(outcome, expected, "\(note): \(outcome.words)")
        let atSource = (try? System.status(from))?.st_ino
        let atTarget = (try? System.status(to))?.st_ino
        if outcome != 0 {
            XCTAssertEqual([atSource, atTarget], [moved?.st_ino, replaced?.st_ino], note)
            XCTAssertEqual(try box.snapshot(), before, note)
        } else if flags == Self.exchange {
            XCTAssertEqual([atSource, atTarget], [replaced?.st_ino, moved?.st_ino], note)
        } else if target == .secondName {
            // Both names of one file stay.
            XCTAssertEqual([atSource, atTarget], [moved?.st_ino, moved?.st_ino], note)
            XCTAssertEqual(try System.status(to).st_nlink, 2, note)
        } else {
            XCTAssertEqual([atSource, atTarget], [nil, moved?.st_ino], note)
        }
        try assertLinkCounts(box, note)
    }

    /// A directory has a link for its name, one for ".", and one for each directory in it.
    private func assertLinkCounts(_ box: Box, _ note: String) throws {
        for name in [".", "dir", "empty"] {
            let folders = try System.names(box / name).filter { entry in
                let path = box / (name + "/" + String(decoding: entry, as: UTF8.self))
                return try System.status(path).st_mode & S_IFMT == S_IFDIR
            }
            XCTAssertEqual(
                Int(try box.status(name).st_nlink), 2 + folders.count, "\(note): \(name)")
        }
    }

    func testRules() throws {
        func renaming(
            _ from: String, _ to: String, _ flags: UInt32 = 0
        ) -> @Sendable (Box) -> Int {
            { box in
                returning { () throws(SystemError) in
                    try System.rename(box / from, box / to, flags: flags)
                }
            }
        }
        try run([
            Row("a directory into itself", EINVAL, renaming("dir", "dir/new")),
            Row("a directory below itself", EINVAL, renaming("dir", "dir/sub/new")),
            Row("a directory onto its parent", ENOTEMPTY, renaming("dir/sub", "dir")),
            Row("a file onto its directory", ENOTEMPTY, renaming("dir/inside", "dir")),
            Row("a directory with its child", EINVAL, renaming("dir", "dir/sub", 2)),
            Row("a child with its directory", EINVAL, renaming("dir/sub", "dir", 2)),
            Row("a file to itself", 0, renaming("file", "file")),
            Row("a directory to itself", 0, renaming("dir", "dir")),
            Row("a link, not what it names", 0) { box in
                rename(box / "link", box / "dir/moved") < 0 || !box.exists("file")
                    || box.exists("link") ? -1 : 0
            },
            Row("no replacing, to itself", EEXIST, renaming("file", "file", 1)),
            Row("exchange with itself", 0, renaming("file", "file", 2)),
            Row("exchange, a file and a directory", 0, renaming("file", "dir", 2)),
            Row("exchange without replacing", EINVAL, renaming("file", "other", 3)),
            Row("whiteout and exchange", EINVAL, renaming("file", "other", 6)),
            Row("an unknown flag", EINVAL, renaming("file", "other", 8)),
        ])
    }

    /// Who has a file open keeps it when another takes its name.
    func testReplacedFilesStayOpen() throws {
        try onEachGround { box in
            try System.with(box / "other", O_RDWR) { (file) throws(SystemError) in
                try System.check(rename(box / "program", box / "other"))
                var status = stat()
                try System.check(fstat(file, &status))
                XCTAssertEqual(status.st_nlink, 0, "on \(box.ground)")
                XCTAssertEqual(try System.read(file, 9, at: 0), Array("other".utf8))
                try System.write(file, Array("more".utf8), at: 5)
                XCTAssertEqual(try System.read(file, 99, at: 0), Array("othermore".utf8))
            }
            XCTAssertEqual(try System.readFile(box / "other"), [])
        }
    }

    /// What is opened beneath a directory that moves is still there, and ".." follows.
    func testMovedDirectories() throws {
        try onEachGround { box in
            let inside = try System.open(box / "dir/sub", O_RDONLY)
            defer { close(inside) }
            try System.check(rename(box / "dir", box / "empty/dir"))
            try System.check(rename(box / "empty/dir/sub", box / "sub"))
            var parent = stat()
            try System.check(fstatat(inside, "..", &parent, 0))
            XCTAssertEqual(parent.st_ino, try box.status(".").st_ino, "on \(box.ground)")
            try System.check(mkdirat(inside, "new", 0o755))
            XCTAssertTrue(box.exists("sub/new"), "on \(box.ground)")
        }
    }

    /// Second names: the same inode, the same content, a count; not of directories (link(2)).
    func testLinks() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            try System.check(link(box / "file", box / "dir/third"))
            XCTAssertEqual(try box.status("file").st_nlink, 3, note)
            try System.with(box / "dir/third", O_WRONLY) { (file) throws(SystemError) in
                try System.write(file, Array("C".utf8), at: 0)
            }
            XCTAssertEqual(try System.readFile(box / "second"), Array("Content".utf8), note)
            try System.check(chmod(box / "second", 0o600))
            XCTAssertEqual(try box.mode("dir/third"), 0o600, note)
            // link(2) does not follow links, linkat(2) does when asked to.
            try System.check(link(box / "link", box / "link-2"))
            XCTAssertEqual(try box.status("link-2").st_mode & S_IFMT, S_IFLNK, note)
            XCTAssertEqual(try box.status("link").st_nlink, 2, note)
            try System.check(
                linkat(AT_FDCWD, box / "link", AT_FDCWD, box / "fourth", AT_SYMLINK_FOLLOW))
            XCTAssertEqual(try box.status("fourth").st_ino, try box.status("file").st_ino, note)
            for name in ["fifo", "socket"] {
                try System.check(link(box / name, box / (name + "-2")))
                XCTAssertEqual(try box.status(name).st_nlink, 2, note)
            }
            for (name, left) in [("file", 3), ("second", 2), ("dir/third", 1)] {
                try System.check(unlink(box / name))
                XCTAssertEqual(Int(try box.status("fourth").st_nlink), left, note)
            }
            XCTAssertEqual(try System.readFile(box / "fourth"), Array("Content".utf8), note)
        }
    }
}
