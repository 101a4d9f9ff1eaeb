import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// What each call refuses, and with which words (the ERRORS sections of the manual pages).
final class CallErrorTests: PosixTestCase {
    func testOpening() throws {
        func opening(_ name: String, _ flags: Int32) -> @Sendable (Box) -> Int32 {
            { PathCall.closing(open($0 / name, flags | O_NONBLOCK, 0o644)) }
        }
        let direct = ASHLAR_O_DIRECTORY
        let noFollow = ASHLAR_O_NOFOLLOW
        try run([
            Row("a directory for writing", EISDIR, opening("dir", O_WRONLY)),
            Row("a directory for both", EISDIR, opening("dir", O_RDWR)),
            Row("a directory to be created", EISDIR, opening("dir", O_RDONLY | O_CREAT)),
            Row("a directory to be truncated", EISDIR, opening("dir", O_WRONLY | O_TRUNC)),
            Row("a file as directory", ENOTDIR, opening("file", O_RDONLY | direct)),
            Row("a link as directory", ENOTDIR, opening("link", O_RDONLY | direct)),
            Row("a directory by a link", 0, opening("link-to-dir", O_RDONLY | direct)),
            Row("a link not to be followed", ELOOP, opening("link", O_RDONLY | noFollow)),
            Row(
                "a link not to be followed to a directory", ENOTDIR,
                opening("link-to-dir", O_RDONLY | direct | noFollow)),
            Row("a dangling link", ENOENT, opening("dangling", O_RDONLY)),
            Row("what a dangling link names", 0, opening("dangling", O_RDWR | O_CREAT)),
            Row("exclusively what is there", EEXIST, opening("file", O_RDWR | O_CREAT | O_EXCL)),
            Row(
                "exclusively by a dangling link", EEXIST,
                opening("dangling", O_RDWR | O_CREAT | O_EXCL)),
            Row("a FIFO that nobody reads", ENXIO, opening("fifo", O_WRONLY)),
            Row("a FIFO for reading", 0, opening("fifo", O_RDONLY)),
            Row("a socket", ENXIO, opening("socket", O_RDONLY)),
            Row(
                "a file without a name", EOPNOTSUPP, on: [.tmpfs: 0, .ext4: 0],
                opening("dir", O_RDWR | 0o20_200_000)),
        ])
    }

    func testNames() throws {
        try run([
            Row("mkdir of .", EEXIST) { mkdir($0 / "dir/.", 0o755) },
            Row("rmdir of .", EINVAL) { rmdir($0 / "empty/.") },
            Row("rmdir of ..", ENOTEMPTY) { rmdir($0 / "dir/sub/..") },
            Row("rmdir of a file", ENOTDIR) { rmdir($0 / "file") },
            Row("rmdir of a link to a directory", ENOTDIR) { rmdir($0 / "link-to-dir") },
            Row("rmdir of a directory with something in it", ENOTEMPTY) { rmdir($0 / "dir") },
            Row("rmdir of the top of a filesystem", EBUSY) { rmdir($0.ground.top) },
            Row("unlink of a directory", EISDIR) { unlink($0 / "empty") },
            Row("link to a directory", EPERM) { link($0 / "dir", $0 / "new") },
            Row("link from another filesystem", EXDEV) { link("/proc/version", $0 / "new") },
            Row("link to another filesystem", EXDEV) { link($0 / "file", "/dev/shm/new") },
            Row("rename to another filesystem", EXDEV) { rename($0 / "file", "/dev/shm/new") },
            Row("rename of .", EBUSY) { rename($0 / "dir/.", $0 / "new") },
            Row("rename to ..", EBUSY) { rename($0 / "file", $0 / "dir/..") },
            Row("symlink without a target", ENOENT) { symlink("", $0 / "new") },
            Row("symlink to 4095 bytes") {
                symlink(String(repeating: "t", count: 4095), $0 / "new")
            },
            Row("symlink to 4096 bytes", ENAMETOOLONG) {
                symlink(String(repeating: "t", count: 4096), $0 / "new")
            },
            Row("readlink of a file", EINVAL) { box in
                returning { () throws(SystemError) in _ = try System.readLink(box / "file") }
            },
            Row("opendir of a file", ENOTDIR) { opendir($0 / "file") == nil ? -1 : 0 },
            Row("mknod of a directory", EPERM) { mknod($0 / "new", S_IFDIR | 0o755, 0) },
            Row("mknod of a link", EINVAL) { mknod($0 / "new", S_IFLNK | 0o755, 0) },
            Row("mknod of a device by a user", EPERM, by: .owner) { box in
                mknod(box / "public/new", S_IFCHR | 0o644, 0x103)
            },
        ])
    }

    func testContent() throws {
        func using(
            _ name: String, _ flags: Int32, _ body: @escaping @Sendable (Int32) -> Int
        ) -> @Sendable (Box) -> Int {
            { box in
                let file = open(box / name, flags)
                defer { close(file) }
                let result = body(file)
                let code = errno
                defer { errno = code }
                return result
            }
        }
        try run([
            Row("truncate to a negative size", EINVAL) { truncate($0 / "file", -1) },
            Row("truncate of a directory", EISDIR) { truncate($0 / "dir", 0) },
            Row("truncate of a FIFO", EINVAL) { truncate($0 / "fifo", 0) },
            Row(
                "ftruncate of what is open for reading", EINVAL,
                using("file", O_RDONLY) { Int(ftruncate($0, 1)) }),
            Row(
                "ftruncate of a directory", EINVAL, using("dir", O_RDONLY) { Int(ftruncate($0, 1)) }
            ),
            Row(
                "ftruncate to a negative size", EINVAL,
                using("file", O_RDWR) { Int(ftruncate($0, -1)) }),
            Row(
                "read of a directory", EISDIR,
                using("dir", O_RDONLY) { file in
                    var byte: UInt8 = 0
                    return Glibc.read(file, &byte, 1)
                }),
            Row(
                "read of what is open for writing", EBADF,
                using("file", O_WRONLY) { file in
                    var byte: UInt8 = 0
                    return Glibc.read(file, &byte, 1)
                }),
            Row(
                "write of what is open for reading", EBADF,
                using("file", O_RDONLY) { Glibc.write($0, "x", 1) }),
            Row(
                "write behind the largest offset", EINVAL,
                using("file", O_WRONLY) { pwrite($0, "x", 1, off_t(Int64.max)) }),
            Row(
                "write before the start", EINVAL, using("file", O_WRONLY) { pwrite($0, "x", 1, -1) }
            ),
            Row(
                "seek before the start", EINVAL,
                using("file", O_RDONLY) { Int(lseek($0, -1, SEEK_SET)) }),
            Row("seek from nowhere", EINVAL, using("file", O_RDONLY) { Int(lseek($0, 0, 99)) }),
            Row(
                "seek for data behind the end", ENXIO,
                using("file", O_RDONLY) { Int(lseek($0, 7, 3)) }),
            Row(
                "seek for a hole behind the end", ENXIO,
                using("file", O_RDONLY) { Int(lseek($0, 8, 4)) }),
        ])
    }

    func testAllocation() throws {
        let keep = ASHLAR_FALLOCATE_KEEP_SIZE
        let punch = ASHLAR_FALLOCATE_PUNCH_HOLE
        func allocating(
            _ mode: Int32, _ offset: Int64, _ length: Int64, _ name: String = "file",
            _ flags: Int32 = O_RDWR
        ) -> @Sendable (Box) -> Int32 {
            { box in
                let file = open(box / name, flags | O_NONBLOCK)
                defer { close(file) }
                let result = ashlar_fallocate(file, mode, offset, length)
                let code = errno
                defer { errno = code }
                return result
            }
        }
        // Of the modes that move content (collapse 8, insert 32) ours has none, nor has tmpfs.
        try run([
            Row("nothing", EINVAL, allocating(0, 0, 0)),
            Row("a negative length", EINVAL, allocating(0, 0, -1)),
            Row("a negative offset", EINVAL, allocating(0, -1, 1)),
            Row("behind the largest size", EFBIG, allocating(0, Int64.max - 1, 2)),
            Row("of what is open for reading", EBADF, allocating(0, 0, 1, "file", O_RDONLY)),
            Row("of a directory", EBADF, allocating(0, 0, 1, "dir", O_RDONLY)),
            Row("of a FIFO", ESPIPE, allocating(0, 0, 1, "fifo")),
            Row("punching without keeping the size", EOPNOTSUPP, allocating(punch, 0, 1)),
            Row("punching and zeroing", EOPNOTSUPP, allocating(punch | keep | 0x10, 0, 1)),
            Row("an unknown mode", EOPNOTSUPP, allocating(0x4000, 0, 1)),
            Row("collapsing", EOPNOTSUPP, on: [.ext4: EINVAL], allocating(0x08, 1, 1)),
            Row("inserting", EOPNOTSUPP, on: [.ext4: EINVAL], allocating(0x20, 1, 1)),
            Row("collapsing and keeping", EOPNOTSUPP, allocating(0x09, 0, 4096)),
        ])
    }

    func testTimes() throws {
        func setting(
            _ access: timespec, _ change: timespec, _ name: String = "file"
        ) -> @Sendable (Box) -> Int32 {
            { utimensat(AT_FDCWD, $0 / name, [access, change], 0) }
        }
        let fine = timespec(tv_sec: 1, tv_nsec: 0)
        let now = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1)
        try run([
            Row(
                "a whole second of nanoseconds", EINVAL,
                setting(timespec(tv_sec: 1, tv_nsec: 1_000_000_000), fine)),
            Row("negative nanoseconds", EINVAL, setting(fine, timespec(tv_sec: 1, tv_nsec: -1))),
            Row("times by someone else", EPERM, by: .stranger, setting(fine, fine)),
            Row("one time by someone else", EPERM, by: .stranger, setting(now, fine)),
            Row("now by someone who may not write", EACCES, by: .stranger, setting(now, now)),
            Row("of a missing file", ENOENT, setting(fine, fine, "missing")),
        ])
    }
}
