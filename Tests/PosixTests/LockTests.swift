import EndToEndSupport
import Foundation
import XCTest

/// Advisory locks: flock(2), and record locks of processes and of open file descriptions (fcntl(2)).
final class LockTests: PosixTestCase {
    private static let setDescriptionLock: Int32 = 37
    private static let getDescriptionLock: Int32 = 36

    private func record(_ kind: Int32, _ start: Int, _ length: Int) -> flock {
        flock(
            l_type: Int16(kind), l_whence: Int16(SEEK_SET), l_start: off_t(start),
            l_len: off_t(length), l_pid: 0)
    }

    /// Sets a lock of the open file description, without waiting: an errno or 0.
    private func lock(_ file: Int32, _ kind: Int32, _ start: Int, _ length: Int) -> Int32 {
        var wanted = record(kind, start, length)
        return fcntl(file, Self.setDescriptionLock, &wanted) == 0 ? 0 : errno
    }

    func testWholeFileLocks() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let a = try System.open(box / "file", O_RDWR)
            let b = try System.open(box / "second", O_RDONLY)
            defer { for file in [a, b] { close(file) } }
            func take(_ file: Int32, _ kind: Int32) -> Int32 {
                flock(file, kind | LOCK_NB) == 0 ? 0 : errno
            }
            // Steps of two holders of one file, by two of its names.
            let steps: [(file: Int32, kind: Int32, expected: Int32)] = [
                (a, LOCK_SH, 0), (b, LOCK_SH, 0), (a, LOCK_EX, EWOULDBLOCK), (b, LOCK_UN, 0),
                (a, LOCK_EX, 0), (b, LOCK_SH, EWOULDBLOCK), (b, LOCK_EX, EWOULDBLOCK),
                (a, LOCK_SH, 0), (b, LOCK_SH, 0), (a, LOCK_UN, 0), (b, LOCK_EX, 0),
                (b, LOCK_UN, 0), (b, LOCK_UN, 0), (a, 0, EINVAL),
            ]
            for (number, step) in steps.enumerated() {
                XCTAssertEqual(take(step.file, step.kind), step.expected, "\(note), step \(number)")
            }
            // A copy of a descriptor holds the same lock, until the last of them is closed.
            let copy = dup(a)
            XCTAssertEqual(take(a, LOCK_EX), 0, note)
            XCTAssertEqual(take(copy, LOCK_EX), 0, note)
            close(copy)
            XCTAssertEqual(take(b, LOCK_SH), EWOULDBLOCK, note)
            // Locks of the two kinds do not know each other.
            XCTAssertEqual(lock(b, F_RDLCK, 0, 0), 0, note)
        }
    }

    /// Another process meets a lock, and gets it when its holder ends, however that ends.
    func testLocksOfProcesses() throws {
        let locker = try Machine.require("flock")
        try onEachGround { box in
            let note = "on \(box.ground)"
            func isFree() throws -> Bool {
                try run([locker, "-n", box / "file", "true"]).code == 0
            }
            try System.with(box / "file", O_RDWR) { (file) throws(SystemError) in
                try System.check(flock(file, LOCK_EX))
                XCTAssertEqual(try? isFree(), false, note)
            }
            XCTAssertTrue(try isFree(), note)
            let holder = try Program(
                [locker, "--no-fork", box / "file", "sleep", "60"], scratch: folder)
            XCTAssertTrue(try wait { try !isFree() }, note)
            holder.signal(SIGKILL)
            _ = try holder.finish()
            XCTAssertTrue(try wait { try isFree() }, note)
        }
    }

    func testRecordLocks() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let a = try System.open(box / "file", O_RDWR)
            let b = try System.open(box / "file", O_RDWR)
            let reader = try System.open(box / "file", O_RDONLY)
            defer { for file in [a, b, reader] { close(file) } }
            let steps: [(file: Int32, kind: Int32, start: Int, length: Int, expected: Int32)] = [
                (a, F_WRLCK, 0, 10, 0), (b, F_WRLCK, 10, 10, 0), (b, F_RDLCK, 9, 1, EAGAIN),
                (a, F_WRLCK, 5, 10, EAGAIN), (b, F_UNLCK, 0, 0, 0), (a, F_WRLCK, 5, 10, 0),
                (a, F_RDLCK, 0, 15, 0), (b, F_RDLCK, 0, 0, 0), (a, F_WRLCK, 0, 1, EAGAIN),
                (b, F_UNLCK, 0, 5, 0), (a, F_WRLCK, 0, 5, 0), (b, F_RDLCK, 4, 1, EAGAIN),
                // Far behind the end, and up to wherever the file will end.
                (b, F_WRLCK, 1 << 40, 1, 0), (a, F_WRLCK, 1 << 39, 0, EAGAIN),
                // A lock to write wants a descriptor to write.
                (reader, F_WRLCK, 100, 1, EBADF), (reader, F_RDLCK, 100, 1, 0),
                (a, F_WRLCK, -5, 1, EINVAL), (a, 9, 0, 1, EINVAL),
            ]
            for (number, step) in steps.enumerated() {
                XCTAssertEqual(
                    lock(step.file, step.kind, step.start, step.length), step.expected,
                    "\(note), step \(number)")
            }
            var found = record(F_WRLCK, 0, 3)
            XCTAssertEqual(fcntl(b, Self.getDescriptionLock, &found), 0, note)
            XCTAssertEqual([Int(found.l_start), Int(found.l_len)], [0, 5], note)
            XCTAssertEqual(Int32(found.l_type), F_WRLCK, note)
        }
    }

    /// A process' locks go with the first descriptor of the file that it closes (fcntl(2)); those of
    /// a description do not.
    func testClosingGivesLocksBack() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let a = try System.open(box / "file", O_RDWR)
            let b = try System.open(box / "file", O_RDWR)
            defer { for file in [a, b] { close(file) } }
            var whole = record(F_WRLCK, 0, 0)
            XCTAssertEqual(fcntl(a, F_SETLK, &whole), 0, note)
            XCTAssertEqual(lock(b, F_WRLCK, 0, 1), EAGAIN, note)
            close(try System.open(box / "second", O_RDONLY))
            XCTAssertEqual(lock(b, F_WRLCK, 0, 1), 0, note)
            close(try System.open(box / "second", O_RDONLY))
            XCTAssertEqual(fcntl(a, F_SETLK, &whole), -1, note)
            XCTAssertEqual(errno, EAGAIN, note)
        }
    }

    /// Who waits for a lock gets it.
    func testWaiting() throws {
        try onEachGround { box in
            let path = box / "file"
            let a = try System.open(path, O_RDWR)
            defer { close(a) }
            try System.check(flock(a, LOCK_EX))
            let got = DispatchSemaphore(value: 0)
            Thread {
                let b = open(path, O_RDWR)
                if flock(b, LOCK_EX) == 0 { got.signal() }
                close(b)
            }.start()
            XCTAssertEqual(got.wait(timeout: .now() + 0.05), .timedOut, "on \(box.ground)")
            // The mount works meanwhile: nobody waits inside of the daemon.
            try System.writeFile(box / "other", [1])
            try System.check(flock(a, LOCK_UN))
            XCTAssertEqual(got.wait(timeout: .now() + 30), .success, "on \(box.ground)")
        }
    }
}
