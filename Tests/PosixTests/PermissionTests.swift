import EndToEndSupport
import Foundation
import XCTest

/// Who may do what: every permission bit, for the owner, the group, a supplementary group, others and
/// root, for each call (path_resolution(7), "Permissions").
final class PermissionTests: PosixTestCase {
    private static let identities: [Identity] = [.owner, .member, .guest, .stranger, .root]
    private static let read = 4
    private static let write = 2
    private static let search = 1

    /// The mode that gives `bits` to the class that `identity` is in, and the opposite to the others:
    /// exactly one class counts.
    private static func mode(_ bits: Int, for identity: Identity) -> mode_t {
        let opposite = 7 & ~bits
        let isOwner = identity.user == Identity.owner.user
        let isGroup = !isOwner && identity.isIn(Identity.owner.group)
        let owner = isOwner ? bits : opposite
        let group = isGroup ? bits : opposite
        let other = isOwner || isGroup ? opposite : bits
        return mode_t(owner << 6 | group << 3 | other)
    }

    /// Runs each call with each identity on `name`, which has each set of bits in turn, and compares
    /// with `expected`.
    private func check(
        _ name: String, _ calls: [PermittedCall], line: UInt = #line,
        prepare: (Box) throws(SystemError) -> Void = { (_) throws(SystemError) in }
    ) throws {
        for ground in grounds {
            for identity in Self.identities {
                for call in calls {
                    let isFolder = name == "dir"
                    let box = try makeBox(on: ground, foldersOnly: isFolder)
                    try prepare(box)
                    for bits in 0..<8 {
                        let target =
                            call.succeedsOnce
                            ? try makeBox(on: ground, foldersOnly: isFolder) : box
                        if call.succeedsOnce { try prepare(target) }
                        try target.give(name, to: .owner, mode: Self.mode(bits, for: identity))
                        let expected = call.expected(identity, bits)
                        let outcome = identity.outcome { call.call(target) }
                        XCTAssertEqual(
                            outcome, expected,
                            "on \(ground), \(call.what) by \(identity) with "
                                + "\(String(bits, radix: 2)): \(outcome.words)", line: line)
                    }
                }
            }
        }
    }

    /// A call, what it needs, and what it answers without.
    private struct PermittedCall: Sendable {
        enum Need: Sendable {
            /// These bits, which root has always (but for execution, by the file's own bits).
            case bits(Int)
            /// To be the owner, or root; else EPERM.
            case owner
            /// To be the owner, or to have these bits; else EACCES.
            case ownerOrBits(Int)
        }

        let what: String
        let need: Need
        let succeedsOnce: Bool
        let call: @Sendable (Box) -> Int

        init<Result: SignedInteger & Sendable>(
            _ what: String, _ need: Need, succeedsOnce: Bool = false,
            _ call: @escaping @Sendable (Box) -> Result
        ) {
            self.what = what
            self.need = need
            self.succeedsOnce = succeedsOnce
            self.call = { Int(call($0)) }
        }

        func expected(_ identity: Identity, _ bits: Int) -> Int32 {
            if identity == .root { return 0 }
            let isOwner = identity.user == Identity.owner.user
            switch need {
            case .bits(let needed): return bits & needed == needed ? 0 : EACCES
            case .owner: return isOwner ? 0 : EPERM
            case .ownerOrBits(let needed):
                return isOwner || bits & needed == needed ? 0 : EACCES
            }
        }
    }

    func testFiles() throws {
        let r = Self.read
        let w = Self.write
        func opening(_ flags: Int32) -> @Sendable (Box) -> Int32 {
            { PathCall.closing(open($0 / "file", flags)) }
        }
        let old = timespec(tv_sec: 7, tv_nsec: 7)
        try check(
            "file",
            [
                PermittedCall("open for reading", .bits(r), opening(O_RDONLY)),
                PermittedCall("open for writing", .bits(w), opening(O_WRONLY)),
                PermittedCall("open for both", .bits(r | w), opening(O_RDWR)),
                PermittedCall("open to append", .bits(w), opening(O_WRONLY | O_APPEND)),
                PermittedCall("open to create", .bits(r), opening(O_RDONLY | O_CREAT)),
                PermittedCall("open to truncate", .bits(w), opening(O_WRONLY | O_TRUNC)),
                PermittedCall("truncate", .bits(w)) { truncate($0 / "file", 3) },
                PermittedCall("access for reading", .bits(r)) { access($0 / "file", R_OK) },
                PermittedCall("access for writing", .bits(w)) { access($0 / "file", W_OK) },
                PermittedCall("access for both", .bits(r | w)) { access($0 / "file", R_OK | W_OK) },
                PermittedCall("access at all", .bits(0)) { access($0 / "file", F_OK) },
                PermittedCall("stat", .bits(0)) { (box: Box) -> Int in
                    returning { () throws(SystemError) in _ = try box.status("file") }
                },
                PermittedCall("utimensat to now", .ownerOrBits(w)) {
                    utimensat(AT_FDCWD, $0 / "file", nil, 0)
                },
                PermittedCall("utimensat", .owner) {
                    utimensat(AT_FDCWD, $0 / "file", [old, old], 0)
                },
                PermittedCall("list attributes", .bits(0)) { (box: Box) -> Int in
                    returning { () throws(SystemError) in _ = try System.attributes(box / "file") }
                },
                PermittedCall("set an attribute", .bits(w)) { (box: Box) -> Int in
                    returning { () throws(SystemError) in
                        try System.setAttribute(box / "file", "user.mine", [1])
                    }
                },
                PermittedCall("read an attribute", .bits(r)) { (box: Box) -> Int in
                    returning { () throws(SystemError) in
                        _ = try System.attribute(box / "file", "user.there")
                    }
                },
            ]
        ) { (box) throws(SystemError) in
            try System.setAttribute(box / "file", "user.there", [1])
        }
    }

    /// Modes and owners are the owner's to change, whatever the bits.
    func testOwnership() throws {
        try check(
            "file",
            [
                PermittedCall("chmod", .owner) { chmod($0 / "file", 0o640) },
                PermittedCall("fchmodat", .owner) { fchmodat(AT_FDCWD, $0 / "file", 0o640, 0) },
            ])
        try run(
            Self.identities.flatMap { identity -> [Row] in
                let isRoot = identity == .root
                // The rows' boxes are root's: nobody else may give anything away.
                return [
                    Row("give away", isRoot ? 0 : EPERM, by: identity) {
                        chown($0 / "file", 5, uid_t.max)
                    },
                    Row("to a group", isRoot ? 0 : EPERM, by: identity) {
                        chown($0 / "file", uid_t.max, Identity.owner.group)
                    },
                    Row("to the same group", isRoot ? 0 : EPERM, by: identity) {
                        chown($0 / "file", uid_t.max, 0)
                    },
                ]
            })
        try onEachGround { box in
            let who = Identity(user: 71_001, group: 72_001, groups: [72_009])
            let cases: [(what: String, user: uid_t, group: gid_t, expected: Int32)] = [
                ("to nobody", uid_t.max, gid_t.max, 0),
                ("to himself", 71_001, gid_t.max, 0),
                ("to someone else", 71_002, gid_t.max, EPERM),
                ("to a group of his", uid_t.max, 72_009, 0),
                ("to another group", uid_t.max, 72_010, EPERM),
                ("to himself and a group of his", 71_001, 72_009, 0),
                ("to someone else and a group of his", 71_002, 72_009, EPERM),
            ]
            for each in cases {
                try box.give("file", to: .owner, mode: 0o644)
                let outcome = who.outcome { Int(chown(box / "file", each.user, each.group)) }
                XCTAssertEqual(
                    outcome, each.expected, "on \(box.ground), the owner's \(each.what)")
            }
        }
    }

    func testDirectories() throws {
        let r = Self.read
        let wx = Self.write | Self.search
        let x = Self.search
        func call<Result: SignedInteger & Sendable>(
            _ what: String, _ bits: Int, _ body: @escaping @Sendable (Box) -> Result
        ) -> PermittedCall {
            PermittedCall(what, .bits(bits), succeedsOnce: bits == wx, body)
        }
        try check(
            "dir",
            [
                call("list", r) { (box: Box) -> Int in
                    guard let directory = opendir(box / "dir") else { return -1 }
                    return Int(closedir(directory))
                },
                call("look up", x) { access($0 / "dir/inside", F_OK) },
                call("look up what is missing", x) { (box: Box) -> Int32 in
                    access(box / "dir/missing", F_OK) < 0 && errno == ENOENT
                        ? 0 : access(box / "dir/missing", F_OK)
                },
                call("create", wx) {
                    PathCall.closing(open($0 / "dir/new", O_RDWR | O_CREAT | O_EXCL, 0o600))
                },
                call("mkdir", wx) { mkdir($0 / "dir/new", 0o700) },
                call("mkfifo", wx) { mkfifo($0 / "dir/new", 0o600) },
                call("symlink", wx) { symlink("x", $0 / "dir/new") },
                call("link into", wx) { link($0 / "public/hers", $0 / "dir/new") },
                call("unlink", wx) { unlink($0 / "dir/inside") },
                call("rmdir", wx) { rmdir($0 / "dir/sub") },
                call("rename within", wx) { rename($0 / "dir/inside", $0 / "dir/new") },
                call("rename into", wx) { rename($0 / "public/hers", $0 / "dir/new") },
                call("rename over", wx) { rename($0 / "public/hers", $0 / "dir/inside") },
                call("rename out of", wx) { rename($0 / "dir/inside", $0 / "public/new") },
            ]
        ) { (box) throws(SystemError) in
            // Where hard links are restricted, only one's own may be linked to: all may write it.
            try System.writeFile(box / "public/hers", [1])
            try System.check(chmod(box / "public/hers", 0o666))
        }
    }

    /// A directory that moves to another one has its ".." written: that wants to be permitted, too.
    func testMovingADirectory() throws {
        try onEachGround { box in
            for (mode, expected) in [(0o755, Int32(0)), (0o555, EACCES)] as [(mode_t, Int32)] {
                try System.check(mkdir(box / "public/moving", 0o755))
                try box.give("public/moving", to: .owner, mode: mode)
                try System.check(mkdir(box / "public/target", 0o755))
                try box.give("public/target", to: .owner)
                let within = Identity.owner.outcome {
                    Int(rename(box / "public/moving", box / "public/moved"))
                }
                XCTAssertEqual(within, 0, "on \(box.ground), within a directory")
                let across = Identity.owner.outcome {
                    Int(rename(box / "public/moved", box / "public/target/moved"))
                }
                XCTAssertEqual(across, expected, "on \(box.ground), of mode \(mode)")
                XCTAssertEqual(Cleaning.removeTree(box / "public/target"), 0)
                XCTAssertEqual(Cleaning.removeTree(box / "public/moved"), 0)
            }
        }
    }

    /// In a sticky directory only the owner of the entry, that of the directory, and root remove.
    func testStickyDirectories() throws {
        let removals: [(what: String, call: @Sendable (Box, String) -> Int32)] = [
            ("unlink", { unlink($0 / ($1 + "/file")) }),
            ("rmdir", { rmdir($0 / ($1 + "/folder")) }),
            ("rename away", { rename($0 / ($1 + "/file"), $0 / "public/away") }),
            ("rename within", { rename($0 / ($1 + "/file"), $0 / ($1 + "/new")) }),
            ("rename over", { rename($0 / "public/own", $0 / ($1 + "/file")) }),
            ("rename a folder", { rename($0 / ($1 + "/folder"), $0 / ($1 + "/new")) }),
        ]
        let people: [Identity] = [.owner, .member, .stranger, .root]
        for ground in grounds {
            for (what, call) in removals {
                for caller in people {
                    for directory in people where directory != .member {
                        for entry in people {
                            let box = try makeBox(on: ground, foldersOnly: true)
                            for (name, owner) in [
                                ("empty", directory), ("empty/file", entry),
                                ("empty/folder", entry),
                                ("public/own", caller),
                            ] {
                                if name == "empty/folder" {
                                    try System.check(mkdir(box / name, 0o777))
                                } else if name != "empty" {
                                    try System.writeFile(box / name, [])
                                }
                                try box.give(name, to: owner)
                            }
                            try System.check(chmod(box / "empty", 0o1777))
                            let mayRemove = [0, directory.user, entry.user].contains(caller.user)
                            XCTAssertEqual(
                                caller.outcome { Int(call(box, "empty")) }, mayRemove ? 0 : EPERM,
                                "on \(ground), \(what) by \(caller) of \(entry)'s "
                                    + "in \(directory)'s")
                        }
                    }
                }
            }
        }
    }

    /// Who belongs to what is made: the caller's user; the group the caller's, or the directory's
    /// where that has setgid (mkdir(2), inode(7)).
    func testOwnersOfNewFiles() throws {
        let makers: [(what: String, call: @Sendable (Box) -> Int32)] = [
            ("create", { PathCall.closing(open($0 / "public/new", O_RDWR | O_CREAT, 0o2775)) }),
            ("mkdir", { mkdir($0 / "public/new", 0o775) }),
            ("mkfifo", { mkfifo($0 / "public/new", 0o775) }),
            ("symlink", { symlink("x", $0 / "public/new") }),
        ]
        for ground in grounds {
            for (what, call) in makers {
                for isSetGroup in [false, true] {
                    let box = try makeBox(on: ground)
                    try System.check(chown(box / "public", 0, 72_050))
                    try System.check(chmod(box / "public", isSetGroup ? 0o2777 : 0o777))
                    XCTAssertEqual(Identity.stranger.outcome { Int(call(box)) }, 0)
                    let status = try box.status("public/new")
                    let note = "on \(ground), \(what), setgid \(isSetGroup)"
                    XCTAssertEqual(status.st_uid, Identity.stranger.user, note)
                    XCTAssertEqual(
                        status.st_gid, isSetGroup ? 72_050 : Identity.stranger.group, note)
                    let expected: mode_t =
                        switch what {
                        case "symlink": 0o777
                        case "mkdir": isSetGroup ? 0o2755 : 0o755
                        // Setgid is not given to who is not of the group.
                        case "create": isSetGroup ? 0o755 : 0o2755
                        default: 0o755
                        }
                    XCTAssertEqual(status.st_mode & 0o7777, expected, note)
                }
            }
        }
    }

    /// umask(2) takes from what is asked for, in all kinds of new files.
    func testMask() throws {
        try onEachGround { box in
            for mask: mode_t in [0, 0o022, 0o077, 0o777] {
                let old = umask(mask)
                defer { umask(old) }
                let names = ["created", "folder", "pipe", "device"].map { "\($0)-\(mask)" }
                close(try System.open(box / names[0], O_RDWR | O_CREAT, 0o6777))
                try System.check(mkdir(box / names[1], 0o1777))
                try System.check(mkfifo(box / names[2], 0o666))
                try System.check(mknod(box / names[3], S_IFCHR | 0o666, 0x103))
                let asked: [mode_t] = [0o6777, 0o1777, 0o666, 0o666]
                for (name, mode) in zip(names, asked) {
                    XCTAssertEqual(
                        try box.mode(name), mode & ~mask, "on \(box.ground), \(name)")
                }
            }
        }
    }
}
