import EndToEndSupport
import Foundation
import XCTest

/// Extended attributes (xattr(7) and the calls' pages).
final class AttributeTests: PosixTestCase {
    private func setting(
        _ target: String, _ name: String, _ value: [UInt8] = [1], _ flags: Int32 = 0
    ) -> @Sendable (Box) -> Int {
        { box in
            returning { () throws(SystemError) in
                try System.setAttribute(box / target, name, value, flags: flags)
            }
        }
    }

    private func getting(_ target: String, _ name: String) -> @Sendable (Box) -> Int {
        { box in
            returning { () throws(SystemError) in _ = try System.attribute(box / target, name) }
        }
    }

    private func removing(_ target: String, _ name: String) -> @Sendable (Box) -> Int {
        { box in
            returning { () throws(SystemError) in try System.removeAttribute(box / target, name) }
        }
    }

    func testRules() throws {
        let long = String(repeating: "n", count: 250)
        try run([
            Row("a new one", 0, setting("file", "user.x")),
            Row("of a directory", 0, setting("dir", "user.x")),
            Row("an empty value", 0, setting("file", "user.x", [])),
            Row("a name of 255 bytes", 0, setting("file", "user." + long)),
            Row("a name of 256 bytes", ERANGE, setting("file", "user.x" + long)),
            Row("no name", ERANGE, setting("file", "")),
            Row("a name without a namespace", EOPNOTSUPP, setting("file", "plain")),
            Row("an unknown namespace", EOPNOTSUPP, setting("file", "unknown.x")),
            Row("a namespace alone", EINVAL, setting("file", "user.")),
            Row("create anew", 0, setting("file", "user.x", [1], 1)),
            Row("replace a missing one", ENODATA, setting("file", "user.x", [1], 2)),
            Row("unknown flags", EINVAL, setting("file", "user.x", [1], 8)),
            Row(
                "more than 64 KiB", E2BIG,
                setting("file", "trusted.x", [UInt8](repeating: 1, count: 65_537))),
            Row("user's of a link", EPERM, setting("link", "user.x")),
            Row("user's of a FIFO", EPERM, setting("fifo", "user.x")),
            Row("user's of a socket", EPERM, setting("socket", "user.x")),
            Row("trusted of a link", 0, setting("link", "trusted.x")),
            Row("trusted of a FIFO", 0, setting("fifo", "trusted.x")),
            Row("get a missing one", ENODATA, getting("file", "user.x")),
            Row("get user's of a link", ENODATA, getting("link", "user.x")),
            Row("get an unknown namespace", EOPNOTSUPP, getting("file", "unknown.x")),
            Row("remove a missing one", ENODATA, removing("file", "user.x")),
            Row("remove user's of a link", EPERM, removing("link", "user.x")),
            Row("trusted by a user", EPERM, by: .owner, setting("public", "trusted.x")),
            Row("get trusted by a user", ENODATA, by: .owner, getting("public", "trusted.x")),
        ])
    }

    func testValues() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let path = box / "file"
            let values: [String: [UInt8]] = [
                "user.empty": [], "user.zeros": [0, 0, 0], "user.ü": Array("wide".utf8),
                "trusted.long": [UInt8](repeating: 7, count: 2000),
            ]
            for (name, value) in values { try System.setAttribute(path, name, value) }
            // By either name of the file.
            for (name, value) in values {
                XCTAssertEqual(
                    try System.attribute(box / "second", name), value, "\(note), \(name)")
            }
            XCTAssertEqual(try System.attributes(path), values.keys.sorted(), note)
            try System.setAttribute(path, "user.zeros", [9], flags: 2)
            XCTAssertEqual(try System.attribute(path, "user.zeros"), [9], note)
            assertFails(EEXIST, note) { try System.setAttribute(path, "user.zeros", [1], flags: 1) }
            try System.removeAttribute(path, "user.empty")
            XCTAssertEqual(
                try System.attributes(path), values.keys.sorted().filter { $0 != "user.empty" },
                note)
            // Others do not see root's.
            try System.check(chmod(path, 0o644))
            let seen = Identity.stranger.act {
                (try? System.attributes(path)) ?? ["refused"]
            }
            XCTAssertEqual(seen, ["user.zeros", "user.ü"], note)
        }
    }

    /// A caller asks for the length with no room, and is told when his is too small (getxattr(2)).
    func testRoom() throws {
        typealias Getting =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int
            ) -> Int
        typealias Listing =
            @convention(c) (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
        let get = unsafeBitCast(dlsym(nil, "getxattr"), to: Getting.self)
        let list = unsafeBitCast(dlsym(nil, "listxattr"), to: Listing.self)
        try onEachGround { box in
            let note = "on \(box.ground)"
            try System.setAttribute(box / "file", "user.x", [1, 2, 3, 4])
            var room = [UInt8](repeating: 0, count: 16)
            XCTAssertEqual(get(box / "file", "user.x", nil, 0), 4, note)
            XCTAssertEqual(get(box / "file", "user.x", &room, 4), 4, note)
            XCTAssertEqual(get(box / "file", "user.x", &room, 3), -1, note)
            XCTAssertEqual(errno, ERANGE, note)
            XCTAssertEqual(list(box / "file", nil, 0), 7, note)
            XCTAssertEqual(list(box / "file", &room, 7), 7, note)
            XCTAssertEqual(list(box / "file", &room, 6), -1, note)
            XCTAssertEqual(errno, ERANGE, note)
            XCTAssertEqual(list(box / "other", nil, 0), 0, note)
        }
    }

    /// Attributes in user's namespace want the permissions of the content, and in a sticky directory
    /// the owner (xattr(7)).
    func testStickyDirectories() throws {
        try onEachGround { box in
            try System.check(chmod(box / "public", 0o1777))
            for (identity, expected) in [(Identity.stranger, EPERM), (.root, 0)] {
                XCTAssertEqual(
                    identity.outcome { setting("public", "user.x")(box) }, expected,
                    "on \(box.ground), by \(identity)")
            }
        }
    }
}
