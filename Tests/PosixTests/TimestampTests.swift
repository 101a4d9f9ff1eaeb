import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// Which calls mark which times for update (POSIX, "File Times Update", and each call's page).
final class TimestampTests: PosixTestCase {
    private enum Time: String {
        case access, modification, change
    }

    /// A call and the times that it changes, by the names that the files had before it.
    private struct Effect: Sendable {
        var what: String
        var expected: [String: Set<Time>]
        var call: @Sendable (Box) throws(SystemError) -> Void

        init(
            _ what: String, _ expected: [String: Set<Time>],
            _ call: @escaping @Sendable (Box) throws(SystemError) -> Void
        ) {
            self.what = what
            self.expected = expected
            self.call = call
        }
    }

    private static let content: Set<Time> = [.modification, .change]
    private static let change: Set<Time> = [.change]

    private static let names: [Effect] = [
        Effect("create", [".": content]) { (box) throws(SystemError) in
            close(try System.open(box / "new", O_RDWR | O_CREAT))
        },
        Effect("open what is there", [:]) { (box) throws(SystemError) in
            close(try System.open(box / "file", O_RDWR | O_CREAT))
        },
        Effect("mkdir", ["dir": content]) { (box) throws(SystemError) in
            try System.check(mkdir(box / "dir/new", 0o755))
        },
        Effect("mkfifo", ["dir": content]) { (box) throws(SystemError) in
            try System.check(mkfifo(box / "dir/new", 0o644))
        },
        Effect("symlink", ["dir": content]) { (box) throws(SystemError) in
            try System.check(symlink("x", box / "dir/new"))
        },
        Effect("link", ["dir": content, "file": change]) { (box) throws(SystemError) in
            try System.check(link(box / "file", box / "dir/new"))
        },
        Effect("unlink", [".": content, "file": change]) { (box) throws(SystemError) in
            try System.check(unlink(box / "second"))
        },
        Effect("unlink the last name", [".": content, "other": change]) {
            (box) throws(SystemError) in try System.check(unlink(box / "other"))
        },
        Effect("rmdir", [".": content, "empty": change]) { (box) throws(SystemError) in
            try System.check(rmdir(box / "empty"))
        },
        Effect("rename", [".": content, "other": change]) { (box) throws(SystemError) in
            try System.check(rename(box / "other", box / "new"))
        },
        Effect("rename to another directory", [".": content, "dir": content, "other": change]) {
            (box) throws(SystemError) in
            try System.check(rename(box / "other", box / "dir/new"))
        },
        Effect("rename a directory", [".": content, "dir": content, "empty": change]) {
            (box) throws(SystemError) in
            try System.check(rename(box / "empty", box / "dir/new"))
        },
        Effect("rename over", [".": content, "other": change, "program": change]) {
            (box) throws(SystemError) in
            try System.check(rename(box / "other", box / "program"))
        },
        Effect("rename to a second name", [:]) { (box) throws(SystemError) in
            try System.check(rename(box / "file", box / "second"))
        },
        Effect(
            "exchange", [".": content, "dir": content, "other": change, "dir/inside": change]
        ) { (box) throws(SystemError) in
            try System.rename(box / "other", box / "dir/inside", flags: 2)
        },
    ]

    private static func open(
        _ name: String = "file", _ flags: Int32 = O_RDWR,
        _ body: @escaping @Sendable (Int32) throws(SystemError) -> Void
    ) -> @Sendable (Box) throws(SystemError) -> Void {
        { (box) throws(SystemError) in try System.with(box / name, flags, 0o644, body) }
    }

    private static let contents: [Effect] = [
        Effect(
            "write", ["file": content],
            open { (file) throws(SystemError) in
                try System.write(file, [1], at: 0)
            }),
        Effect(
            "write nothing", [:],
            open { (file) throws(SystemError) in
                try System.write(file, [], at: 0)
            }),
        Effect("truncate to the same size", ["file": content]) { (box) throws(SystemError) in
            try System.check(truncate(box / "file", 7))
        },
        Effect("truncate to less", ["file": content]) { (box) throws(SystemError) in
            try System.check(truncate(box / "file", 1))
        },
        Effect(
            "ftruncate to more", ["file": content],
            open { (file) throws(SystemError) in
                try System.check(ftruncate(file, 9000))
            }),
        Effect(
            "open to truncate", ["file": content],
            open("file", O_WRONLY | O_TRUNC) {
                (_) throws(SystemError) in
            }),
        Effect(
            "open to truncate an empty file", ["program": content],
            open("program", O_WRONLY | O_TRUNC) { (_) throws(SystemError) in }),
        Effect(
            "allocate", ["file": content],
            open { (file) throws(SystemError) in
                try System.allocate(file, 0, 0, 100_000)
            }),
        Effect(
            "punch", ["file": content],
            open { (file) throws(SystemError) in
                try System.allocate(
                    file, ASHLAR_FALLOCATE_PUNCH_HOLE | ASHLAR_FALLOCATE_KEEP_SIZE, 0, 4096)
            }),
        Effect("copy a range", ["other": content]) { (box) throws(SystemError) in
            let source = try System.open(box / "file", O_RDONLY)
            defer { close(source) }
            try System.with(box / "other", O_WRONLY) { (target) throws(SystemError) in
                _ = try System.copyRange(source, 0, target, 0, 7)
            }
        },
        Effect(
            "write by a mapping", ["file": content],
            open { (file) throws(SystemError) in
                let memory = mmap(nil, 7, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                guard let memory, memory != MAP_FAILED else { throw SystemError(errno) }
                memory.storeBytes(of: 0x41, as: UInt8.self)
                try System.check(msync(memory, 7, MS_SYNC))
                munmap(memory, 7)
            }),
        Effect(
            "read", ["file": [.access]],
            open { (file) throws(SystemError) in
                // What the kernel still has of the writing would not be asked for.
                try System.check(fsync(file))
                posix_fadvise(file, 0, 0, 4)
                _ = try System.read(file, 7, at: 0)
            }),
        Effect(
            "read without access time", [:],
            open("file", O_RDONLY | ASHLAR_O_NOATIME) {
                (file) throws(SystemError) in _ = try System.read(file, 7, at: 0)
            }),
        Effect("list", ["dir": [.access]]) { (box) throws(SystemError) in
            _ = try System.names(box / "dir")
        },
        Effect("readlink", ["link": [.access]]) { (box) throws(SystemError) in
            _ = try System.readLink(box / "link")
        },
    ]

    private static let attributes: [Effect] = [
        Effect("chmod", ["file": change]) { (box) throws(SystemError) in
            try System.check(chmod(box / "file", 0o600))
        },
        Effect("chmod to the same", ["file": change]) { (box) throws(SystemError) in
            try System.check(chmod(box / "file", 0o644))
        },
        Effect("chown", ["file": change]) { (box) throws(SystemError) in
            try System.check(chown(box / "file", 1, 2))
        },
        Effect("lchown", ["link": change]) { (box) throws(SystemError) in
            try System.check(lchown(box / "link", 1, 2))
        },
        Effect("setxattr", ["file": change]) { (box) throws(SystemError) in
            try System.setAttribute(box / "file", "trusted.x", [1])
        },
        Effect("getxattr", [:]) { (box) throws(SystemError) in
            _ = try System.attributes(box / "file")
        },
        Effect("stat", [:]) { (box) throws(SystemError) in _ = try System.status(box / "file") },
        Effect("access", [:]) { (box) throws(SystemError) in
            try System.check(access(box / "file", R_OK))
        },
        Effect(
            "fsync", [:],
            open { (file) throws(SystemError) in
                try System.check(fsync(file))
            }),
        Effect("utimensat to now", ["file": [.access, .modification, .change]]) {
            (box) throws(SystemError) in try System.check(utimensat(AT_FDCWD, box / "file", nil, 0))
        },
        Effect("utimensat of the access time", ["file": [.access, .change]]) {
            (box) throws(SystemError) in
            let times = [timespec(tv_sec: 5, tv_nsec: 6), TimestampTests.omit]
            try System.check(utimensat(AT_FDCWD, box / "file", times, 0))
        },
        Effect("utimensat of neither", [:]) { (box) throws(SystemError) in
            try System.check(
                utimensat(AT_FDCWD, box / "file", [TimestampTests.omit, TimestampTests.omit], 0))
        },
    ]

    private static let omit = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)

    func testWhichCallsChangeWhichTimes() throws {
        for ground in grounds {
            for effect in Self.names + Self.contents + Self.attributes {
                try check(effect, in: try makeBox(on: ground))
            }
        }
    }

    private func check(_ effect: Effect, in box: Box) throws {
        // Held open, so that they are found under whatever name.
        var held: [(name: String, file: Int32)] = []
        defer { for (_, file) in held { close(file) } }
        for name in ["."] + Box.names where name != "second" {
            let flags = ASHLAR_O_PATH | ASHLAR_O_NOFOLLOW
            held.append((name, try System.open(box / name, flags)))
        }
        let before = try held.map { try Self.times($0.file) }
        // Longer than a tick of the kernel's coarse clock, on whatever machine.
        usleep(12_000)
        try effect.call(box)
        for ((name, file), old) in zip(held, before) {
            let new = try Self.times(file)
            let expected = effect.expected[name] ?? []
            var changed: Set<Time> = []
            for time in [Time.access, .modification, .change] where old[time] != new[time] {
                changed.insert(time)
            }
            // Links are read on the way, and what is made by us is read by nobody else.
            if !expected.contains(.access) { changed.remove(.access) }
            XCTAssertEqual(
                changed, expected,
                "on \(box.ground), \(effect.what): \(name) has changed \(changed.map(\.rawValue))")
        }
    }

    private static func times(_ file: Int32) throws(SystemError) -> [Time: [Int]] {
        var status = stat()
        try System.check(fstat(file, &status))
        return [
            .access: [status.st_atim.tv_sec, status.st_atim.tv_nsec],
            .modification: [status.st_mtim.tv_sec, status.st_mtim.tv_nsec],
            .change: [status.st_ctim.tv_sec, status.st_ctim.tv_nsec],
        ]
    }

    /// Moments that come back to the nanosecond, also after a remount.
    func testTimesAreExact() throws {
        let moments: [(Int, Int)] = [
            (0, 0), (0, 1), (-1, 999_999_999), (1, 500_000_000), (2_147_483_647, 999_999_999),
            (2_147_483_648, 0), (4_294_967_296, 123_456_789), (8_589_934_592, 1),
        ]
        try onEachGround { box in
            for (index, moment) in moments.enumerated() {
                let name = box / "moment-\(index)"
                try System.writeFile(name, [])
                let times = [
                    timespec(tv_sec: moment.0, tv_nsec: moment.1),
                    timespec(tv_sec: -moment.0, tv_nsec: moment.1),
                ]
                // ext4 goes from 1901 to 2446.
                try System.check(utimensat(AT_FDCWD, name, times, 0))
            }
            for isSecond in [false, true] {
                if isSecond {
                    guard box.ground.kind == .volume else { return }
                    try place.remount("allow_other")
                }
                for (index, moment) in moments.enumerated() {
                    let status = try box.status("moment-\(index)")
                    if box.ground.kind == .ext4, moment.0 > 2_147_483_648 { continue }
                    XCTAssertEqual(
                        [status.st_atim.tv_sec, status.st_mtim.tv_sec], [moment.0, -moment.0],
                        "on \(box.ground)")
                    XCTAssertEqual(
                        [status.st_atim.tv_nsec, status.st_mtim.tv_nsec], [moment.1, moment.1],
                        "on \(box.ground)")
                }
            }
        }
    }
}
