import EndToEndSupport
import Foundation
import XCTest

/// POSIX access control lists (acl(5); POSIX.1e draft 17, 23.1).
final class AccessListTests: PosixTestCase {
    private static let accessName = "system.posix_acl_access"
    private static let defaultName = "system.posix_acl_default"

    /// An entry of a list, in the letters of setfacl(1).
    private enum Entry: Equatable {
        case owner(UInt16), user(uid_t, UInt16), group(UInt16), namedGroup(gid_t, UInt16)
        case mask(UInt16), other(UInt16)

        var words: (tag: UInt16, permissions: UInt16, id: UInt32) {
            switch self {
            case .owner(let bits): (0x01, bits, .max)
            case .user(let id, let bits): (0x02, bits, id)
            case .group(let bits): (0x04, bits, .max)
            case .namedGroup(let id, let bits): (0x08, bits, id)
            case .mask(let bits): (0x10, bits, .max)
            case .other(let bits): (0x20, bits, .max)
            }
        }
    }

    /// `version u32 = 2 · (tag u16 · permissions u16 · id u32) each`, little-endian.
    private static func bytes(_ entries: [Entry], version: UInt32 = 2) -> [UInt8] {
        var result = withUnsafeBytes(of: version.littleEndian) { Array($0) }
        for (tag, permissions, id) in entries.map(\.words) {
            withUnsafeBytes(of: tag.littleEndian) { result += $0 }
            withUnsafeBytes(of: permissions.littleEndian) { result += $0 }
            withUnsafeBytes(of: id.littleEndian) { result += $0 }
        }
        return result
    }

    private static let sample: [Entry] = [
        .owner(6), .user(71_002, 6), .user(71_003, 0), .group(4), .namedGroup(72_004, 2), .mask(6),
        .other(0),
    ]

    func testWhatIsNoList() throws {
        let sample = Self.sample
        func setting(
            _ what: String, _ entries: [Entry], _ expected: Int32 = EINVAL, version: UInt32 = 2
        ) -> Row {
            Row(what, expected) { box in
                returning { () throws(SystemError) in
                    try System.setAttribute(
                        box / "file", Self.accessName, Self.bytes(entries, version: version))
                }
            }
        }
        try run([
            setting("a list", sample, 0),
            setting("a minimal list", [.owner(6), .group(4), .other(4)], 0),
            setting("no mask", sample.filter { $0 != .mask(6) }),
            setting("no owner", Array(sample.dropFirst())),
            setting("no others", Array(sample.dropLast())),
            setting("two owners", [.owner(6)] + sample),
            setting("out of order", sample.reversed()),
            setting("unknown permissions", [.owner(8), .group(4), .other(4)]),
            setting("another version", sample, EOPNOTSUPP, version: 3),
            Row("half an entry", EINVAL) { box in
                returning { () throws(SystemError) in
                    try System.setAttribute(
                        box / "file", Self.accessName, Self.bytes(sample).dropLast(3))
                }
            },
            Row("a default of a file", EACCES) { box in
                returning { () throws(SystemError) in
                    try System.setAttribute(box / "file", Self.defaultName, Self.bytes(sample))
                }
            },
            Row("of a link", EOPNOTSUPP) { box in
                returning { () throws(SystemError) in
                    try System.setAttribute(box / "link", Self.accessName, Self.bytes(sample))
                }
            },
            Row("by someone else", EPERM, by: .stranger) { box in
                returning { () throws(SystemError) in
                    try System.setAttribute(box / "public", Self.accessName, Self.bytes(sample))
                }
            },
            Row("get a missing one", ENODATA) { box in
                returning { () throws(SystemError) in
                    _ = try System.attribute(box / "file", Self.accessName)
                }
            },
            Row("remove a missing default", 0) { box in
                returning { () throws(SystemError) in
                    try System.removeAttribute(box / "dir", Self.defaultName)
                }
            },
        ])
    }

    /// acl(5), "Access check algorithm".
    func testWhoMay() throws {
        let rows: [(what: String, list: [Entry], who: Identity, allowed: Int32)] = [
            ("the owner", [.owner(4), .group(7), .other(7)], .owner, 4),
            (
                "a named user", [.owner(0), .user(71_004, 6), .group(0), .mask(7), .other(0)],
                .stranger, 6
            ),
            (
                "a named user, masked",
                [.owner(0), .user(71_004, 7), .group(0), .mask(4), .other(7)],
                .stranger, 4
            ),
            (
                "the owner, named as well",
                [.owner(2), .user(71_001, 4), .group(0), .mask(7), .other(0)], .owner, 2
            ),
            ("the owning group", [.owner(0), .group(5), .mask(7), .other(2)], .member, 5),
            ("the owning group, masked", [.owner(0), .group(7), .mask(1), .other(7)], .member, 1),
            (
                "a named group",
                [.owner(0), .group(0), .namedGroup(72_004, 3), .mask(7), .other(4)], .stranger, 3
            ),
            (
                "no class fits", [.owner(7), .group(7), .namedGroup(1, 7), .mask(7), .other(1)],
                .stranger, 1
            ),
            (
                "a named user of the group",
                [.owner(0), .user(71_002, 0), .group(7), .mask(7), .other(7)], .member, 0
            ),
            ("others are not masked", [.owner(0), .group(0), .mask(0), .other(6)], .stranger, 6),
        ]
        try onEachGround { box in
            for row in rows {
                try box.give("file", to: .owner)
                try System.setAttribute(box / "file", Self.accessName, Self.bytes(row.list))
                for wanted: Int32 in 0..<8 {
                    let expected: Int32 = wanted & ~row.allowed == 0 ? 0 : EACCES
                    XCTAssertEqual(
                        row.who.outcome { Int(access(box / "file", wanted)) }, expected,
                        "on \(box.ground), \(row.what) wants \(wanted)")
                }
            }
            // One group that allows all that is wanted is enough; two that allow halves are not.
            let both = Identity(user: 71_009, group: 72_008, groups: [72_009])
            let list: [Entry] = [
                .owner(0), .group(0), .namedGroup(72_008, 4), .namedGroup(72_009, 2), .mask(7),
                .other(7),
            ]
            try System.setAttribute(box / "file", Self.accessName, Self.bytes(list))
            for (wanted, expected) in [(R_OK, 0), (W_OK, 0), (R_OK | W_OK, EACCES)] {
                XCTAssertEqual(
                    both.outcome { Int(access(box / "file", wanted)) }, expected,
                    "on \(box.ground), two groups")
            }
        }
    }

    /// The mode's group bits are the mask's, both ways.
    func testModesFollow() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let path = box / "file"
            try System.setAttribute(path, Self.accessName, Self.bytes(Self.sample))
            XCTAssertEqual(try box.mode("file"), 0o660, note)
            try System.check(chmod(path, 0o4741))
            let expected: [Entry] = [
                .owner(7), .user(71_002, 6), .user(71_003, 0), .group(4), .namedGroup(72_004, 2),
                .mask(4), .other(1),
            ]
            XCTAssertEqual(
                try System.attribute(path, Self.accessName), Self.bytes(expected), note)
            XCTAssertEqual(try box.mode("file"), 0o4741, note)
            XCTAssertTrue(try System.attributes(path).contains(Self.accessName), note)
            // A list that says no more than a mode is a mode.
            let minimal: [Entry] = [.owner(6), .group(2), .other(4)]
            try System.setAttribute(path, Self.accessName, Self.bytes(minimal))
            XCTAssertEqual(try box.mode("file"), 0o4624, note)
            XCTAssertFalse(try System.attributes(path).contains(Self.accessName), note)
            try System.setAttribute(path, Self.accessName, Self.bytes(Self.sample))
            try System.removeAttribute(path, Self.accessName)
            XCTAssertEqual(try box.mode("file"), 0o4660, note)
        }
    }

    /// What is made in a directory with a default list (acl(5), "Object creation and default ACLs").
    func testInheritance() throws {
        let list: [Entry] = [
            .owner(7), .user(71_002, 7), .group(5), .mask(7), .other(5),
        ]
        try onEachGround { box in
            let note = "on \(box.ground)"
            try System.setAttribute(box / "dir", Self.defaultName, Self.bytes(list))
            // The umask does not count.
            let old = umask(0o077)
            defer { umask(old) }
            close(try System.open(box / "dir/file", O_RDWR | O_CREAT, 0o644))
            XCTAssertEqual(try box.mode("dir/file"), 0o644, note)
            let given: [Entry] = [
                .owner(6), .user(71_002, 7), .group(5), .mask(4), .other(4),
            ]
            XCTAssertEqual(
                try System.attribute(box / "dir/file", Self.accessName), Self.bytes(given), note)
            try System.check(mkdir(box / "dir/folder", 0o750))
            XCTAssertEqual(try box.mode("dir/folder"), 0o750, note)
            XCTAssertEqual(
                try System.attribute(box / "dir/folder", Self.defaultName), Self.bytes(list), note)
            try System.check(mkfifo(box / "dir/pipe", 0o666))
            XCTAssertEqual(try box.mode("dir/pipe"), 0o664, note)
            try System.check(symlink("x", box / "dir/symlink"))
            XCTAssertEqual(try System.attributes(box / "dir/symlink"), [], note)
            // Below, and by a list that is a mode, which leaves no list behind.
            let minimal: [Entry] = [.owner(7), .group(5), .other(0)]
            try System.setAttribute(box / "dir/folder", Self.defaultName, Self.bytes(minimal))
            close(try System.open(box / "dir/folder/file", O_RDWR | O_CREAT, 0o666))
            XCTAssertEqual(try box.mode("dir/folder/file"), 0o640, note)
            XCTAssertEqual(try System.attributes(box / "dir/folder/file"), [], note)
            try System.removeAttribute(box / "dir/folder", Self.defaultName)
            close(try System.open(box / "dir/folder/last", O_RDWR | O_CREAT, 0o666))
            XCTAssertEqual(try box.mode("dir/folder/last"), 0o600, note)
        }
    }

    /// An owner who is not of the group loses setgid by setting a list, as by chmod(2).
    func testSetGroupEnds() throws {
        try onEachGround { box in
            try System.check(chown(box / "file", Identity.owner.user, 72_099))
            for (identity, expected) in [(Identity.root, 0o2660), (.owner, 0o660)]
                as [(Identity, mode_t)]
            {
                try System.check(chmod(box / "file", 0o2755))
                let outcome = identity.outcome {
                    returning { () throws(SystemError) in
                        try System.setAttribute(
                            box / "file", Self.accessName, Self.bytes(Self.sample))
                    }
                }
                XCTAssertEqual(outcome, 0, "on \(box.ground)")
                XCTAssertEqual(try box.mode("file"), expected, "on \(box.ground), by \(identity)")
            }
        }
    }
}
