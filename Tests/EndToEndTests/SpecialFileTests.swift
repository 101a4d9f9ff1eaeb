import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// Everything that is not a plain file with a plain name, before and after a remount.
final class SpecialFileTests: EndToEndTestCase {
    /// A tree with one of each kind, made the same way on any filesystem.
    private func makeKinds(in top: String) throws {
        let oldMask = umask(0)
        defer { umask(oldMask) }
        try System.check(mkdir(top, 0o2775))
        try System.check(chmod(top, 0o2775))
        try System.writeFile(top + "/file", Array("content\n".utf8))
        try System.check(mkdir(top + "/sub", 0o700))
        try System.check(link(top + "/file", top + "/second name"))
        try System.check(link(top + "/file", top + "/sub/third name"))
        try System.check(symlink("no/such/target", top + "/dangling"))
        try System.check(symlink(String(repeating: "x/", count: 2000), top + "/long link"))
        try System.check(symlink("file", top + "/link"))
        try System.check(lchown(top + "/link", 12, 34))
        try System.check(mkfifo(top + "/fifo", 0o622))
        try System.check(mknod(top + "/null", S_IFCHR | 0o666, makeDevice(1, 3)))
        try System.check(mknod(top + "/block", S_IFBLK | 0o660, makeDevice(259, 1_048_575)))
        try System.check(mknod(top + "/socket", S_IFSOCK | 0o755, 0))
        try System.writeFile(top + "/setuid", [1, 2, 3])
        try System.check(chown(top + "/setuid", 1000, 1001))
        try System.check(chmod(top + "/setuid", 0o6755))
        try System.writeFile(top + "/sticky", [])
        try System.check(chmod(top + "/sticky", 0o1000))
        try System.setAttribute(top + "/file", "user.short", Array("value".utf8))
        try System.setAttribute(top + "/file", "user.long", [UInt8](repeating: 7, count: 3000))
        try System.setAttribute(top + "/sub", "trusted.of-root", [])
        try setTimes(top)
    }

    private func makeDevice(_ major: UInt64, _ minor: UInt64) -> dev_t {
        dev_t(
            (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xff) << 12 | (major & ~0xfff) << 32)
    }

    /// Times before 1970 and behind 2038, to the nanosecond.
    private func setTimes(_ top: String) throws {
        let moments = [(-2, 999_999_999), (5_000_000_000, 1), (1_234_567_890, 123_456_789)]
        for (index, name) in ["file", "dangling", "fifo", "sub"].enumerated() {
            let (seconds, nanoseconds) = moments[index % moments.count]
            let times = [
                timespec(tv_sec: seconds, tv_nsec: nanoseconds),
                timespec(tv_sec: seconds + 7, tv_nsec: 999_999_999 - nanoseconds),
            ]
            try System.check(
                utimensat(AT_FDCWD, top + "/" + name, times, AT_SYMLINK_NOFOLLOW))
        }
    }

    func testEveryKindOfFile() throws {
        let place = try makePlace()
        try place.mount()
        let outside = path("kinds")
        try makeKinds(in: outside)
        try makeKinds(in: place.path("made"))
        try mustRun(["cp", "-a", outside, place.path("copied")])
        for isSecond in [false, true] {
            if isSecond { try place.remount() }
            try compareKinds(outside, place.path("copied"))
            try compareKinds(outside, place.path("made"))
        }
        // A device of the volume works as one.
        XCTAssertEqual(try System.readFile(place.path("made/null")), [])
        try place.unmount()
        try place.mustBeClean()
        let listed = try ashlar(["ls", "-l", place.store, "/made"]).text
        for kind in ["prw--w--w-", "crw-rw-rw-", "brw-rw----", "srwxr-xr-x", "-rwsr-sr-x"] {
            XCTAssertTrue(listed.contains(kind), "\(kind) is not listed")
        }
        XCTAssertTrue(listed.contains("dangling -> no/such/target"))
    }

    private func compareKinds(_ a: String, _ b: String) throws {
        let rsync = try mustRun(
            [try Machine.require("rsync"), "-anciHAXD", "--specials", "--delete", a + "/", b + "/"])
        XCTAssertEqual(rsync.text, "")
        XCTAssertEqual(try System.names(a), try System.names(b))
        for name in ["file", "sub", "dangling", "long link", "link", "fifo", "null", "block"]
            + ["socket", "setuid", "sticky", "."]
        {
            let old = try System.status(a + "/" + name)
            let new = try System.status(b + "/" + name)
            XCTAssertEqual(old.st_mode, new.st_mode, name)
            XCTAssertEqual(old.st_rdev, new.st_rdev, name)
            XCTAssertEqual([old.st_uid, old.st_gid], [new.st_uid, new.st_gid], name)
            XCTAssertEqual(old.st_nlink, new.st_nlink, name)
            XCTAssertEqual(old.st_size, name == "sub" || name == "." ? old.st_size : new.st_size)
            if ["file", "dangling", "fifo", "sub"].contains(name) {
                XCTAssertEqual(old.st_mtim.tv_sec, new.st_mtim.tv_sec, name)
                XCTAssertEqual(old.st_mtim.tv_nsec, new.st_mtim.tv_nsec, name)
            }
        }
        XCTAssertEqual(try System.readLink(b + "/long link").count, 4000)
        XCTAssertEqual(
            try System.status(b + "/file").st_ino, try System.status(b + "/sub/third name").st_ino)
        XCTAssertEqual(try System.attributes(b + "/file"), ["user.long", "user.short"])
        XCTAssertEqual(
            try System.attribute(b + "/file", "user.long"), [UInt8](repeating: 7, count: 3000))
        XCTAssertEqual(try System.attribute(b + "/sub", "trusted.of-root"), [])
    }

    func testAccessControlLists() throws {
        let setfacl = try Machine.require("setfacl")
        let getfacl = try Machine.require("getfacl")
        let place = try makePlace()
        try place.mount()
        let shared = place.path("shared")
        try System.check(mkdir(shared, 0o750))
        try mustRun([setfacl, "-m", "u:1234:rwx,g:77:r-x", shared])
        try mustRun([setfacl, "-d", "-m", "u:1234:rw-,m::rw-", shared])
        try System.writeFile(shared + "/inherits", [1])
        let before = try mustRun([getfacl, "-nR", "--absolute-names", shared]).text
        XCTAssertTrue(before.contains("user:1234:rwx"), before)
        XCTAssertTrue(before.contains("default:user:1234:rw-"), before)
        let file = try mustRun([getfacl, "-n", "--absolute-names", shared + "/inherits"]).text
        XCTAssertTrue(file.contains("user:1234:rw-"), file)
        try place.remount()
        XCTAssertEqual(
            try mustRun([getfacl, "-nR", "--absolute-names", shared]).text, before)
        // The list is not only kept: the kernel asks it.
        let asUser = [
            try Machine.require("setpriv"), "--reuid=1234", "--regid=1234", "--clear-groups",
        ]
        let other = try run(asUser + ["cat", shared + "/inherits"])
        XCTAssertEqual(
            try place.isReachableByOthers() ? other.code : 0, 0, "1234 may read: \(other.errors)")
        try place.unmount()
        try place.mustBeClean()
    }

    func testSparseFiles() throws {
        let place = try makePlace()
        try place.mount()
        let path = place.path("sparse")
        let data: Int32 = 3
        let hole: Int32 = 4
        try System.with(path, O_RDWR | O_CREAT) { file throws(SystemError) in
            try System.write(file, [UInt8](repeating: 1, count: 65536), at: 1 << 20)
            try System.check(ftruncate(file, 1 << 33))
            try System.write(file, [9], at: (1 << 32) + 4096)
        }
        for isSecond in [false, true] {
            if isSecond { try place.remount() }
            try System.with(path, O_RDONLY) { file throws(SystemError) in
                XCTAssertEqual(try System.seek(file, 0, hole), 0)
                XCTAssertEqual(try System.seek(file, 0, data), 1 << 20)
                XCTAssertEqual(try System.seek(file, 1 << 20, hole), (1 << 20) + 65536)
                let second = try System.seek(file, 1 << 21, data)
                XCTAssertGreaterThan(second, (1 << 32) - (1 << 20))
                XCTAssertLessThanOrEqual(second, (1 << 32) + 4096)
                do throws(SystemError) {
                    _ = try System.seek(file, (1 << 32) + 65536 * 4, data)
                    XCTFail("data behind the last")
                } catch {
                    XCTAssertEqual(error.code, ENXIO)
                }
                XCTAssertEqual(try System.read(file, 3, at: (1 << 32) + 4095), [0, 9, 0])
                XCTAssertEqual(try System.read(file, 3, at: 1 << 32), [0, 0, 0])
            }
            let status = try System.status(path)
            XCTAssertEqual(status.st_size, 1 << 33)
            XCTAssertLessThan(status.st_blocks * 512, 1 << 20, "holes take no blocks")
        }
        // Holes survive programs that know of them.
        try mustRun(["cp", "-a", "--sparse=auto", path, place.path("copy")])
        XCTAssertLessThan(try System.status(place.path("copy")).st_blocks * 512, 1 << 20)
        try place.unmount()
        try place.mustBeClean()
    }

    func testPunchedAndPreallocatedFiles() throws {
        let place = try makePlace()
        try place.mount()
        let path = place.path("file")
        let keep = ASHLAR_FALLOCATE_KEEP_SIZE
        try System.with(path, O_RDWR | O_CREAT) { file throws(SystemError) in
            try System.write(file, [UInt8](repeating: 5, count: 1 << 20), at: 0)
            try System.allocate(file, ASHLAR_FALLOCATE_PUNCH_HOLE | keep, 65536, 131_072)
            try System.allocate(file, ASHLAR_FALLOCATE_ZERO_RANGE, 300_000, 1000)
            try System.allocate(file, keep, 1 << 20, 1 << 20)
            try System.check(fsync(file))
        }
        var expected = [UInt8](repeating: 5, count: 1 << 20)
        for index in 65536..<(65536 + 131_072) { expected[index] = 0 }
        for index in 300_000..<301_000 { expected[index] = 0 }
        for isSecond in [false, true] {
            if isSecond { try place.remount() }
            XCTAssertTrue(try System.readFile(path) == expected)
            XCTAssertEqual(try System.status(path).st_size, 1 << 20)
            try System.with(path, O_RDONLY) { file throws(SystemError) in
                XCTAssertEqual(try System.seek(file, 0, 4), 65536)
                XCTAssertEqual(try System.seek(file, 65536, 3), 65536 + 131_072)
            }
        }
        try place.unmount()
        try place.mustBeClean()
    }
}

extension Place {
    /// Whether other users than the mount's own may enter it.
    fileprivate func isReachableByOthers() throws -> Bool {
        let table = FileManager.default.contents(atPath: "/proc/self/mounts") ?? Data()
        return String(decoding: table, as: UTF8.self).split(separator: "\n")
            .contains { $0.contains(" \(mountpoint) ") && $0.contains("allow_other") }
    }
}
