import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// What descriptors promise: flags of open(2), files without a name, sizes, several descriptors.
final class OpenFileTests: PosixTestCase {
    /// A file that has no name any more is a file all the same, until nobody has it open (unlink(2)).
    func testUnlinkedFiles() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let file = try System.open(box / "other", O_RDWR)
            defer { close(file) }
            try System.check(unlink(box / "other"))
            var status = stat()
            try System.check(fstat(file, &status))
            XCTAssertEqual(status.st_nlink, 0, note)
            try System.write(file, Array("still here".utf8), at: 3)
            XCTAssertEqual(try System.read(file, 99, at: 0), Array("othstill here".utf8), note)
            try System.check(ftruncate(file, 100_000))
            try System.allocate(file, 0, 100_000, 4096)
            try System.check(fchmod(file, 0o600))
            try System.check(fchown(file, 3, 4))
            try System.check(futimens(file, [timespec(tv_sec: 1, tv_nsec: 2), timespec()]))
            try System.check(fsync(file))
            try System.check(fstat(file, &status))
            XCTAssertEqual(status.st_size, 104_096, note)
            XCTAssertEqual(status.st_mode & 0o7777, 0o600, note)
            XCTAssertEqual([status.st_uid, status.st_gid], [3, 4], note)
            XCTAssertEqual(status.st_atim.tv_nsec, 2, note)
            // Its name is free.
            try System.writeFile(box / "other", [9])
            XCTAssertEqual(try System.read(file, 3, at: 0), Array("oth".utf8), note)
            // A mapping keeps it, too.
            let memory = mmap(nil, 4096, PROT_READ, MAP_SHARED, file, 0)
            let start = try XCTUnwrap(memory == MAP_FAILED ? nil : memory)
            defer { munmap(start, 4096) }
            XCTAssertEqual(start.loadUnaligned(as: UInt8.self), UInt8(ascii: "o"), note)
            // No way back: a count of 0 stays 0 (linkat(2)).
            assertFails(ENOENT, note) {
                try System.check(
                    linkat(
                        AT_FDCWD, "/proc/self/fd/\(file)", AT_FDCWD, box / "back",
                        AT_SYMLINK_FOLLOW))
            }
        }
    }

    /// Nothing can be made in a directory that is gone, and nothing is in it.
    func testRemovedDirectories() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let directory = try System.open(box / "empty", O_RDONLY)
            defer { close(directory) }
            try System.check(rmdir(box / "empty"))
            var status = stat()
            try System.check(fstat(directory, &status))
            XCTAssertEqual(status.st_nlink, 0, note)
            assertFails(ENOENT, "create \(note)") {
                try System.check(openat(directory, "new", O_RDWR | O_CREAT, 0o644))
            }
            assertFails(ENOENT, "mkdir \(note)") {
                try System.check(mkdirat(directory, "new", 0o755))
            }
            assertFails(ENOENT, "symlink \(note)") {
                try System.check(symlinkat("x", directory, "new"))
            }
            assertFails(ENOENT, "link \(note)") {
                try System.check(linkat(AT_FDCWD, box / "file", directory, "new", 0))
            }
            assertFails(ENOENT, "rename \(note)") {
                try System.check(renameat(AT_FDCWD, box / "file", directory, "new"))
            }
            assertFails(ENOENT, "look \(note)") {
                try System.check(fstatat(directory, "missing", &status, 0))
            }
            let listing = fdopendir(dup(directory))
            XCTAssertNil(listing.flatMap { readdir($0) }, note)
            if let listing { closedir(listing) }
        }
    }

    func testSizes() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            try System.with(box / "file", O_RDWR) { (file) throws(SystemError) in
                for size in [1, 4095, 4096, 4097, 65_535, 131_073, 3, 200_000, 0, 10] {
                    let before = try System.read(file, 300_000, at: 0)
                    try System.check(ftruncate(file, off_t(size)))
                    let expected =
                        Array(before.prefix(size))
                        + [UInt8](repeating: 0, count: max(0, size - before.count))
                    let now = try System.read(file, 300_000, at: 0)
                    XCTAssertTrue(now == expected, "\(note), size \(size)")
                    // Up to the end, so that the next cut has something to cut.
                    try System.write(file, [UInt8](repeating: 0x5a, count: size), at: 0)
                    var status = stat()
                    try System.check(fstat(file, &status))
                    XCTAssertEqual(Int(status.st_size), size, note)
                }
                // Far behind the end: what lies between is zeros.
                try System.write(file, [7], at: 1 << 30)
                XCTAssertEqual(
                    try System.read(file, 20, at: 0),
                    [UInt8](repeating: 0x5a, count: 10) + [UInt8](repeating: 0, count: 10), note)
                XCTAssertEqual(try System.read(file, 9, at: (1 << 30) - 1), [0, 7], note)
                XCTAssertEqual(try System.read(file, 9, at: (1 << 30) + 1), [], note)
            }
        }
    }

    /// Appending goes to the end that the file has at that moment, whoever moved it.
    func testAppending() throws {
        try onEachGround { box in
            let flags = O_WRONLY | O_APPEND
            let a = try System.open(box / "program", flags)
            let b = try System.open(box / "program", flags)
            let plain = try System.open(box / "program", O_RDWR)
            defer { for file in [a, b, plain] { close(file) } }
            var expected: [UInt8] = []
            for number in 0..<200 {
                let bytes = Array("line \(number)\n".utf8)
                let file = number % 2 == 0 ? a : b
                XCTAssertEqual(Glibc.write(file, bytes, bytes.count), bytes.count)
                expected += bytes
                if number % 50 == 49 {
                    expected.removeLast(3)
                    try System.check(ftruncate(plain, off_t(expected.count)))
                }
            }
            // On Linux pwrite(2) appends as well (BUGS).
            try System.write(a, [0x21], at: 0)
            expected.append(0x21)
            XCTAssertEqual(try System.read(plain, 10_000, at: 0), expected, "on \(box.ground)")
        }
    }

    /// Several writers that append at once lose nothing, and tear nothing apart.
    func testAppendingAtOnce() throws {
        try onEachGround { box in
            let path = box / "program"
            DispatchQueue.concurrentPerform(iterations: 4) { writer in
                let file = open(path, O_WRONLY | O_APPEND)
                for number in 0..<100 {
                    let line = Array(
                        "\(writer) \(number) \(String(repeating: "x", count: 50))\n".utf8)
                    _ = Glibc.write(file, line, line.count)
                }
                close(file)
            }
            let text = String(decoding: try System.readFile(path), as: UTF8.self)
            let lines = text.split(separator: "\n")
            XCTAssertEqual(lines.count, 400, "on \(box.ground)")
            XCTAssertEqual(Set(lines).count, 400, "on \(box.ground)")
            for writer in 0..<4 {
                let own = lines.filter { $0.hasPrefix("\(writer) ") }
                let numbers = own.compactMap { Int($0.split(separator: " ")[1]) }
                XCTAssertEqual(numbers, Array(0..<100), "on \(box.ground), writer \(writer)")
            }
        }
    }

    /// A mode without permissions counts from the next open on, not for this one (open(2)).
    func testModeOfWhatIsJustMade() throws {
        try onEachGround { box in
            let outcome = Identity.owner.outcome {
                let file = open(box / "public/new", O_RDWR | O_CREAT | O_EXCL, 0)
                guard file >= 0, Glibc.write(file, "x", 1) == 1 else { return -1 }
                close(file)
                return open(box / "public/new", O_RDONLY) < 0 && errno == EACCES ? 0 : -1
            }
            XCTAssertEqual(outcome, 0, "on \(box.ground)")
            // What was opened stays open, whatever becomes of the mode.
            try System.with(box / "file", O_RDWR) { (file) throws(SystemError) in
                try System.check(fchmod(file, 0))
                try System.write(file, [1], at: 0)
                XCTAssertEqual(try System.read(file, 1, at: 0), [1])
            }
        }
    }

    /// A program that runs is not written to, and what is written to does not run (open(2), execve(2)).
    func testRunningPrograms() throws {
        let sleep = try Machine.require("sleep")
        try onEachGround { box in
            let program = box / "public/sleep"
            try mustRun(["cp", "--dereference", sleep, program])
            let running = try Program([program, "30"], scratch: folder)
            let isBusy = wait {
                let file = open(program, O_WRONLY)
                if file >= 0 { close(file) }
                return file < 0 && errno == ETXTBSY
            }
            XCTAssertTrue(isBusy, "on \(box.ground)")
            running.signal(SIGKILL)
            _ = try running.finish()
            try System.with(program, O_WRONLY) { (_) throws(SystemError) in
                XCTAssertThrowsError(
                    try Program([program, "0"], scratch: folder), "on \(box.ground)")
            }
            try mustRun([program, "0"])
            try System.check(chmod(program, 0o644))
            XCTAssertThrowsError(try Program([program, "0"], scratch: folder), "on \(box.ground)")
        }
    }

    /// Descriptors of a path alone read nothing (open(2), O_PATH).
    func testPathDescriptors() throws {
        try onEachGround { box in
            let flags = ASHLAR_O_PATH | ASHLAR_O_NOFOLLOW
            try System.with(box / "link", flags) { (file) throws(SystemError) in
                var status = stat()
                try System.check(fstat(file, &status))
                XCTAssertEqual(status.st_mode & S_IFMT, S_IFLNK, "on \(box.ground)")
                XCTAssertEqual(fchmod(file, 0o600), -1)
                XCTAssertEqual(errno, EBADF, "on \(box.ground)")
                var byte: UInt8 = 0
                XCTAssertEqual(Glibc.read(file, &byte, 1), -1)
                XCTAssertEqual(errno, EBADF, "on \(box.ground)")
            }
        }
    }

    /// FIFOs and sockets of the volume connect processes of this machine.
    func testPipesAndSockets() throws {
        try onEachGround { box in
            let reader = try System.open(box / "fifo", O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            let writer = try System.open(box / "fifo", O_WRONLY)
            defer { close(writer) }
            XCTAssertEqual(Glibc.write(writer, "through", 7), 7, "on \(box.ground)")
            var bytes = [UInt8](repeating: 0, count: 99)
            XCTAssertEqual(Glibc.read(reader, &bytes, 99), 7, "on \(box.ground)")
            // An address has room for 107 bytes: by way of a descriptor.
            let directory = try System.open(box / "public", O_RDONLY)
            defer { close(directory) }
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) {
                $0.copyBytes(from: "/proc/self/fd/\(directory)/socket".utf8)
            }
            let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            defer {
                close(listener)
                close(client)
            }
            let size = socklen_t(MemoryLayout<sockaddr_un>.size)
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    (
                        bind(listener, address, size), listen(listener, 1),
                        connect(client, address, size)
                    )
                }
            }
            XCTAssertEqual([bound.0, bound.1, bound.2], [0, 0, 0], "on \(box.ground)")
            XCTAssertEqual(try box.status("public/socket").st_mode & S_IFMT, S_IFSOCK)
            let again = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(client, $0, size) }
            }
            XCTAssertEqual(again, -1, "on \(box.ground)")
        }
    }
}
