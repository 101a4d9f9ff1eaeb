import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// Setuid, setgid and file capabilities end where somebody else could have put other bytes below
/// them (write(2), chown(2), inode(7), capabilities(7)).
final class PrivilegeTests: PosixTestCase {
    /// A way to change a file's content.
    private struct Change: Sendable {
        let what: String
        let call: @Sendable (Box) -> Int

        /// - Parameter flags: those of open(2) for the file "public/set".
        init(_ what: String, _ flags: Int32, _ body: @escaping @Sendable (Int32) -> Int) {
            self.what = what
            call = { box in
                let file = open(box / "public/set", flags)
                guard file >= 0 else { return -1 }
                let result = body(file)
                let code = errno
                close(file)
                errno = code
                return result
            }
        }

        init(_ what: String, _ body: @escaping @Sendable (Box) -> Int32) {
            self.what = what
            call = { Int(body($0)) }
        }
    }

    private static let changes: [Change] = [
        Change("write", O_WRONLY) { Glibc.write($0, "x", 1) },
        Change("append", O_WRONLY | O_APPEND) { Glibc.write($0, "x", 1) },
        Change("write directly", O_WRONLY | ASHLAR_O_DIRECT) { file in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
            defer { buffer.deallocate() }
            buffer.initializeMemory(as: UInt8.self, repeating: 1)
            return Glibc.write(file, buffer.baseAddress, 4096)
        },
        Change("ftruncate", O_WRONLY) { Int(ftruncate($0, 3)) },
        Change("open to truncate", O_WRONLY | O_TRUNC) { _ in 0 },
        Change("truncate") { truncate($0 / "public/set", 3) },
        Change("allocate", O_WRONLY) { Int(ashlar_fallocate($0, 0, 0, 9000)) },
        Change("punch", O_WRONLY) {
            let mode = ASHLAR_FALLOCATE_PUNCH_HOLE | ASHLAR_FALLOCATE_KEEP_SIZE
            return Int(ashlar_fallocate($0, mode, 0, 4096))
        },
        Change("copy a range", O_RDWR) { file in
            returning { () throws(SystemError) in
                _ = try System.copyRange(file, 0, file, 4096, 10)
            }
        },
    ]

    /// Modes, and what is left of them: setgid without execution for the group is none.
    private static let modes: [(before: mode_t, after: mode_t)] = [
        (0o4755, 0o755), (0o2755, 0o755), (0o6777, 0o777), (0o2745, 0o2745), (0o6746, 0o2746),
        (0o4644, 0o644), (0o1755, 0o1755), (0o755, 0o755),
    ]

    private func prepare(_ box: Box, _ mode: mode_t, _ owner: Identity) throws {
        try System.writeFile(box / "public/set", [UInt8](repeating: 7, count: 8192))
        try box.give("public/set", to: owner, mode: mode)
        // The kernel may know the mode already: what it knows has to change as well.
        _ = try box.mode("public/set")
    }

    /// Setgid without the group's execution, which once meant mandatory locking, stays where the
    /// writer is of the group, as he is here.
    func testModesAfterChanges() throws {
        let owner = Identity(user: 71_001, group: 72_001)
        for ground in grounds {
            for change in Self.changes {
                for (before, after) in Self.modes {
                    for caller in [owner, .root] {
                        let box = try makeBox(on: ground)
                        try prepare(box, before, owner)
                        let outcome = caller.outcome { change.call(box) }
                        let note =
                            "on \(ground), \(change.what) by \(caller) of "
                            + String(before, radix: 8)
                        XCTAssertEqual(outcome, 0, note)
                        let mode = String(try box.mode("public/set"), radix: 8)
                        let expected = caller == .root ? before : after
                        XCTAssertEqual(mode, String(expected, radix: 8), note)
                    }
                }
            }
        }
    }

    /// Who is not of the group takes that setgid, too (Linux 6.2). Of writes FUSE has another rule:
    /// there the kernel asks for setgid with execution only.
    func testSetGroupWithoutExecution() throws {
        for ground in grounds {
            for change in Self.changes
            where ["allocate", "punch", "copy a range"]
                .contains(change.what)
            {
                let box = try makeBox(on: ground)
                try prepare(box, 0o6746, .owner)
                XCTAssertEqual(Identity.stranger.outcome { change.call(box) }, 0)
                XCTAssertEqual(
                    String(try box.mode("public/set"), radix: 8), "746",
                    "on \(ground), \(change.what)")
            }
        }
    }

    /// What counts is what execve(2) goes by, from the very moment of the change.
    func testChangedProgramsRunAsWhoRunsThem() throws {
        let identify = try Machine.require("id")
        let asStranger = [
            try Machine.require("setpriv"), "--reuid=\(Identity.stranger.user)",
            "--regid=\(Identity.stranger.group)", "--clear-groups",
        ]
        for ground in grounds {
            // Such as leave a program.
            for change in ["write", "append", "allocate", "copy"] {
                let box = try makeBox(on: ground)
                try mustRun(["cp", "--dereference", identify, box / "public/set"])
                let size = try box.status("public/set").st_size
                try System.check(chmod(box / "public/set", 0o6777))
                let command = asStranger + [box / "public/set", "-u"]
                XCTAssertEqual(try mustRun(command).text, "0\n", "on \(ground)")
                let outcome = Identity.stranger.outcome {
                    let file = open(box / "public/set", O_RDWR)
                    defer { close(file) }
                    switch change {
                    case "allocate": return Int(ashlar_fallocate(file, 0, 0, Int64(size)))
                    case "append": return pwrite(file, "x", 1, size)
                    case "copy":
                        return returning { () throws(SystemError) in
                            _ = try System.copyRange(file, 0, file, size, 100)
                        }
                    default:
                        var byte: UInt8 = 0
                        return pread(file, &byte, 1, 0) == 1 ? pwrite(file, &byte, 1, 0) : -1
                    }
                }
                XCTAssertEqual(outcome, 0)
                XCTAssertEqual(
                    try mustRun(command).text, "\(Identity.stranger.user)\n",
                    "on \(ground), \(change)")
            }
        }
    }

    /// A new owner does not inherit what the old one granted, not even from root (chown(2)). Of a
    /// directory nothing is taken.
    func testModesAfterNewOwners() throws {
        for ground in grounds {
            for (before, after) in Self.modes {
                for name in ["file", "empty"] {
                    for caller in [Identity.root, .owner] {
                        let box = try makeBox(on: ground)
                        try box.give(name, to: .owner, mode: before)
                        let outcome = caller.outcome {
                            Int(chown(box / name, uid_t.max, Identity.owner.group))
                        }
                        XCTAssertEqual(outcome, 0)
                        XCTAssertEqual(
                            String(try box.mode(name), radix: 8),
                            String(name == "file" ? after : before, radix: 8),
                            "on \(ground), \(name) by \(caller)")
                    }
                }
            }
        }
    }

    /// Setgid is given by root, or by an owner who is of the group (chmod(2)).
    func testGivingSetGroup() throws {
        try onEachGround { box in
            let owner = Identity(user: 71_001, group: 72_050)
            for (group, expected) in [(72_050, 0o2755), (72_001, 0o755)] as [(gid_t, mode_t)] {
                try System.check(chown(box / "file", owner.user, group))
                XCTAssertEqual(owner.outcome { Int(chmod(box / "file", 0o2755)) }, 0)
                XCTAssertEqual(try box.mode("file"), expected, "on \(box.ground), of \(group)")
            }
            try System.check(chmod(box / "file", 0o6755))
            XCTAssertEqual(try box.mode("file"), 0o6755, "on \(box.ground)")
        }
    }

    /// `cap_net_raw+ep`, in the form of the attribute (`struct vfs_cap_data`, version 2).
    private static let capability: [UInt8] = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]

    func testCapabilitiesEnd() throws {
        let name = "security.capability"
        let others: [Change] = [
            Change("chown") { chown($0 / "public/set", 5, gid_t.max) },
            Change("chown to the same") { chown($0 / "public/set", uid_t.max, 0) },
        ]
        let harmless: [Change] = [
            Change("chmod") { chmod($0 / "public/set", 0o700) },
            Change("utimensat") { utimensat(AT_FDCWD, $0 / "public/set", nil, 0) },
            Change("rename") { rename($0 / "public/set", $0 / "public/set") },
            Change("link") { link($0 / "public/set", $0 / "public/second") },
            Change("read", O_RDONLY) { file in
                var byte: UInt8 = 0
                return Glibc.read(file, &byte, 1)
            },
        ]
        for ground in grounds {
            for change in Self.changes + others + harmless {
                let box = try makeBox(on: ground)
                try prepare(box, 0o777, .root)
                try System.setAttribute(box / "public/set", name, Self.capability)
                XCTAssertEqual(
                    try System.attribute(box / "public/set", name).prefix(20),
                    Self.capability[...], "on \(ground)")
                XCTAssertEqual(Identity.root.outcome { change.call(box) }, 0, change.what)
                let stays = harmless.contains { $0.what == change.what }
                XCTAssertEqual(
                    try System.attributes(box / "public/set").contains(name), stays,
                    "on \(ground), behind \(change.what)")
            }
        }
    }

    /// Only root gives capabilities.
    func testWhoGivesCapabilities() throws {
        try onEachGround { box in
            try box.give("file", to: .owner, mode: 0o777)
            for (identity, expected) in [(Identity.owner, EPERM), (.stranger, EPERM), (.root, 0)] {
                let outcome = identity.outcome {
                    returning { () throws(SystemError) in
                        try System.setAttribute(
                            box / "file", "security.capability", Self.capability)
                    }
                }
                XCTAssertEqual(outcome, expected, "on \(box.ground), by \(identity)")
            }
            // What is no capability is none.
            assertFails(EINVAL, "on \(box.ground)") {
                try System.setAttribute(box / "file", "security.capability", [1, 2, 3])
            }
        }
    }
}
