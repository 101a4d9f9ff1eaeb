import FileModel
import Foundation
import Mount
import XCTest

/// Attributes plain and extended, owners, and set-id bits.
class AttributeTests: MountTestCase {
    private static let nobody = 65_534

    /// Runs a shell command as a user without privileges.
    private func asNobody(_ command: String) throws -> Int32 {
        let setpriv = "/usr/bin/setpriv"
        guard getuid() == 0, FileManager.default.fileExists(atPath: setpriv) else {
            throw XCTSkip("another user is needed: run as root, with setpriv installed")
        }
        let identity = "\(Self.nobody)"
        return try System.run(
            setpriv,
            ["--reuid", identity, "--regid", identity, "--clear-groups", "/bin/sh", "-c", command]
        ).0
    }

    func testModesOwnersAndTimes() throws {
        let path = volume.file("a")
        try System.writeFile(path, [1])
        try System.check(chmod(path, 0o4751))
        XCTAssertEqual(try System.status(path).st_mode & 0o7777, 0o4751)
        var times = [timespec(tv_sec: -5, tv_nsec: 123_456_789), timespec(tv_sec: 7, tv_nsec: 1)]
        try System.check(utimensat(AT_FDCWD, path, &times, 0))
        let status = try System.status(path)
        XCTAssertEqual(status.st_atim.tv_sec, -5)
        XCTAssertEqual(status.st_atim.tv_nsec, 123_456_789)
        XCTAssertEqual(status.st_mtim.tv_sec, 7)
        XCTAssertEqual(status.st_mtim.tv_nsec, 1)
        try System.check(utimensat(AT_FDCWD, path, nil, 0))
        XCTAssertGreaterThan(try System.status(path).st_mtim.tv_sec, 1_000_000)
    }

    func testUmaskIsAppliedByTheVolume() throws {
        let old = umask(0o027)
        defer { umask(old) }
        try System.with(volume.file("a"), O_WRONLY | O_CREAT, 0o666) { _ in }
        try System.check(mkdir(volume.file("d"), 0o777))
        XCTAssertEqual(try System.status(volume.file("a")).st_mode & 0o777, 0o640)
        XCTAssertEqual(try System.status(volume.file("d")).st_mode & 0o777, 0o750)
    }

    func testFilesBelongToTheirMakers() throws {
        try System.check(chmod(volume.path, 0o777))
        XCTAssertEqual(try asNobody("echo x > \(volume.file("theirs"))"), 0)
        XCTAssertEqual(Int(try System.status(volume.file("theirs")).st_uid), Self.nobody)
        try System.writeFile(volume.file("ours"), [1])
        try System.check(chmod(volume.file("ours"), 0o600))
        XCTAssertNotEqual(try asNobody("cat \(volume.file("ours"))"), 0)
    }

    func testWritingByAUserDropsSetIdBits() throws {
        let path = volume.file("program")
        try System.writeFile(path, [1, 2, 3])
        try System.check(chmod(path, 0o6777))
        XCTAssertEqual(try System.status(path).st_mode & 0o7777, 0o6777)
        try System.with(path, O_WRONLY) { try System.write($0, [9]) }
        XCTAssertEqual(try System.status(path).st_mode & 0o7777, 0o6777, "root keeps them")
        XCTAssertEqual(try asNobody("printf x >> \(path)"), 0)
        XCTAssertEqual(try System.status(path).st_mode & 0o7777, 0o777)
        try System.check(chmod(path, 0o6777))
        XCTAssertEqual(try asNobody("truncate -s 1 \(path)"), 0)
        XCTAssertEqual(try System.status(path).st_mode & 0o7777, 0o777)
        try System.check(chmod(path, 0o6777))
        XCTAssertEqual(try asNobody(": > \(path)"), 0)
        XCTAssertEqual(try System.status(path).st_mode & 0o7777, 0o777)
    }

    func testChangingOwnerDropsSetIdBits() throws {
        let path = volume.file("program")
        try System.writeFile(path, [1])
        try System.check(chmod(path, 0o6755))
        try System.check(chown(path, 12, 34))
        let status = try System.status(path)
        XCTAssertEqual(status.st_uid, 12)
        XCTAssertEqual(status.st_gid, 34)
        XCTAssertEqual(status.st_mode & 0o7777, 0o755)
    }

    func testExtendedAttributes() throws {
        let path = volume.file("a")
        try System.writeFile(path, [1])
        let value = (0..<60_000).map { UInt8(truncatingIfNeeded: $0) }
        try System.setAttribute(path, "user.big", value)
        try System.setAttribute(path, "user.empty", [])
        assertFails(EEXIST) { try System.setAttribute(path, "user.big", [1], flags: 1) }
        assertFails(ENODATA) { try System.setAttribute(path, "user.none", [1], flags: 2) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        XCTAssertEqual(try System.getAttribute(path, "user.big"), value.count)
        XCTAssertEqual(try System.getAttribute(path, "user.empty"), 0)
        XCTAssertEqual(
            try buffer.withUnsafeMutableBytes {
                try System.getAttribute(path, "user.big", into: $0)
            }, value.count)
        XCTAssertEqual(Array(buffer.prefix(value.count)), value)
        XCTAssertEqual(try System.listAttributes(path), 20)
        XCTAssertEqual(
            try buffer.withUnsafeMutableBytes { try System.listAttributes(path, into: $0) }, 20)
        XCTAssertEqual(Array(buffer.prefix(20)), Array("user.big\0user.empty\0".utf8))
        var short = [UInt8](repeating: 0, count: 10)
        short.withUnsafeMutableBytes { short in
            assertFails(ERANGE) { _ = try System.getAttribute(path, "user.big", into: short) }
            assertFails(ERANGE) { _ = try System.listAttributes(path, into: short) }
        }
        try System.removeAttribute(path, "user.big")
        assertFails(ENODATA) { try System.removeAttribute(path, "user.big") }
    }

    func testAccessListByAnOutsiderClearsSetGroup() throws {
        let path = volume.file("a")
        try System.writeFile(path, [1])
        // Owned by nobody, group root, of which nobody is no member.
        try System.check(chown(path, uid_t(Self.nobody), 0))
        try System.check(chmod(path, 0o2755))
        guard FileManager.default.fileExists(atPath: "/usr/bin/setfacl") else {
            throw XCTSkip("setfacl is not installed")
        }
        XCTAssertEqual(try asNobody("setfacl -m u:1:r \(path)"), 0)
        XCTAssertEqual(try System.status(path).st_mode & 0o2000, 0)
    }

    func testWithoutAccessLists() throws {
        let plain = try MountedVolume { $0.accessControlLists = false }
        defer { plain.finish() }
        let path = plain.file("a")
        try System.writeFile(path, [1])
        let list = "system.posix_acl_access"
        let nobody: [UInt8] = [255, 255, 255, 255]
        let value: [UInt8] =
            [2, 0, 0, 0, 1, 0, 6, 0] + nobody + [4, 0, 4, 0] + nobody + [32, 0, 4, 0] + nobody
        assertFails(EOPNOTSUPP) { try System.setAttribute(path, list, value) }
        assertFails(EOPNOTSUPP) { _ = try System.getAttribute(path, list) }
        try System.setAttribute(path, "user.a", [1])
        let walks = try plain.requests {
            XCTAssertEqual(try asNobody("for i in 1 2 3 4 5; do test -e \(path); done"), 0)
        }
        XCTAssertNil(walks.counts[.getxattr])
    }

    func testUsage() throws {
        var usage = statvfs()
        try System.check(statvfs(volume.path, &usage))
        XCTAssertEqual(usage.f_bsize, usage.f_frsize)
        XCTAssertEqual(UInt64(usage.f_blocks) * UInt64(usage.f_frsize), 1 << 40)
        XCTAssertEqual(UInt64(usage.f_bavail) * UInt64(usage.f_frsize), 1 << 38)
        XCTAssertEqual(usage.f_namemax, 255)
        XCTAssertEqual(usage.f_files, 1 << 30)
    }

    func testBirthTime() throws {
        let path = volume.file("a")
        try System.writeFile(path, [1])
        let inode = InodeNumber(try System.status(path).st_ino)
        let birth = try volume.filesystem.attributes(of: inode).birthTime
        let (status, text) = try System.run("/usr/bin/stat", ["-c", "%W %s", path])
        XCTAssertEqual(status, 0)
        XCTAssertEqual(text, "\(birth.seconds) 1\n")
    }

    func testFileFlagsAreRefused() throws {
        guard FileManager.default.fileExists(atPath: "/usr/bin/chattr") else {
            throw XCTSkip("chattr is not installed")
        }
        let (status, text) = try System.run("/usr/bin/chattr", ["+i", volume.path])
        XCTAssertNotEqual(status, 0)
        XCTAssertTrue(
            text.contains("Inappropriate ioctl") || text.contains("not supported"), text)
    }
}
