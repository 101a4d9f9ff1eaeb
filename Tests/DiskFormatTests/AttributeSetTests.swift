// Purpose: sets of extended attributes: their order, what they refuse, and how long they are.

import XCTest

@testable import DiskFormat

final class AttributeSetTests: XCTestCase {
    private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func assertRefuses(
        _ set: AttributeSet, _ name: [UInt8], _ value: [UInt8], line: UInt = #line
    ) {
        var changed = set
        XCTAssertThrowsError(try changed.set(name, to: value), line: line) {
            guard case FormatError.badValue = $0 else { return XCTFail("\($0)", line: line) }
        }
        XCTAssertEqual(changed, set, "nothing is changed", line: line)
    }

    private func assertConsistent(_ set: AttributeSet, line: UInt = #line) throws {
        let bytes = set.encoded()
        XCTAssertEqual(bytes.count, set.encodedBytes, line: line)
        XCTAssertEqual(
            try bytes.withUnsafeBytes { try AttributeSet($0) }, set, line: line)
    }

    func testOrderAndRemoval() throws {
        var set = AttributeSet()
        for text in ["user.b", "user.a", "user.c", "user.b"] {
            try set.set(name(text), to: name("value of " + text))
        }
        XCTAssertEqual(
            set.attributes.map { String(decoding: $0.name, as: UTF8.self) },
            ["user.a", "user.b", "user.c"])
        try assertConsistent(set)
        set.remove(name("user.a"))
        set.remove(name("user.x"))
        XCTAssertNil(set[name("user.a")])
        XCTAssertEqual(set[name("user.c")], name("value of user.c"))
        try assertConsistent(set)
        set.remove(name("user.b"))
        set.remove(name("user.c"))
        XCTAssertEqual(set, AttributeSet())
        XCTAssertEqual(set.encodedBytes, 0)
    }

    func testNamesThatNoStoreMayHoldAreRefused() throws {
        var set = AttributeSet()
        try set.set(name("user.a"), to: [1])
        assertRefuses(set, [], [1])
        assertRefuses(set, [0x61, 0, 0x62], [1])
        assertRefuses(set, [UInt8](repeating: 0x61, count: 256), [1])
        let longest = [UInt8](repeating: 0xff, count: 255)
        try set.set(longest, to: [])
        XCTAssertEqual(set[longest], [])
        try assertConsistent(set)
    }

    /// Lengths around the places where a length takes one byte more.
    func testLengthsOfValues() throws {
        for count in [0, 1, 127, 128, 16_383, 16_384, 65_536] {
            var set = AttributeSet()
            try set.set(name("user.a"), to: [UInt8](repeating: 7, count: count))
            try assertConsistent(set)
        }
    }

    func testTheBoundOfAllTogether() throws {
        // name length, "a", three bytes of length
        let longest = DiskFormat.attributeBytesMax - 5
        var set = AttributeSet()
        assertRefuses(set, [0x61], [UInt8](repeating: 0, count: longest + 1))
        try set.set([0x61], to: [UInt8](repeating: 0, count: longest))
        XCTAssertEqual(set.encodedBytes, DiskFormat.attributeBytesMax)
        try assertConsistent(set)
        assertRefuses(set, [0x62], [])
        assertRefuses(set, [0x61], [UInt8](repeating: 0, count: longest + 1))
        // What is replaced makes room for what replaces it.
        try set.set([0x61], to: [UInt8](repeating: 1, count: longest))
        try set.set([0x61], to: [UInt8](repeating: 1, count: longest - 3))
        try set.set([0x62], to: [])
        XCTAssertEqual(set.encodedBytes, DiskFormat.attributeBytesMax)
        try assertConsistent(set)
    }

    func testBytesThatNoWriterMakesAreRefused() {
        var refused: [[UInt8]] = [
            [0, 0], [1, 0, 0], [1, 0x62, 0, 1, 0x61, 0], [1, 0x61, 0, 1, 0x61, 0], [2, 0x61],
        ]
        let half = DiskFormat.attributeBytesMax / 2
        var writer = ByteWriter()
        for letter in [UInt8(0x61), 0x62] {
            writer.raw([1, letter])
            writer.counted([UInt8](repeating: 0, count: half))
        }
        refused.append(writer.bytes)
        for bytes in refused {
            XCTAssertThrowsError(
                try bytes.withUnsafeBytes { try AttributeSet($0) }, "\(bytes.prefix(8))")
        }
    }
}
