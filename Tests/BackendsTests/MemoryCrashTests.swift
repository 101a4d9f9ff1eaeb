import Backends
import Platform
import XCTest

/// What a memory backend keeps through a power cut.
final class MemoryCrashTests: XCTestCase {
    func testUnsyncedIsLost() throws {
        let backend = MemoryBackend()
        let file = try backend.createFile("f")
        try file.write([1, 2], at: 0)
        try file.synchronize()
        XCTAssertEqual(try backend.crash().contents(), [:], "its name was not synchronised")
        try backend.synchronizeNames()
        try file.write([3, 4, 5], at: 1)
        XCTAssertEqual(backend.unsyncedChangeCount, 1)
        XCTAssertEqual(try backend.crash().contents(), ["f": [1, 2]])
        XCTAssertEqual(try backend.contents(), ["f": [1, 3, 4, 5]], "the original goes on")
        try file.synchronize()
        XCTAssertEqual(backend.unsyncedChangeCount, 0)
        XCTAssertEqual(try backend.crash().contents(), ["f": [1, 3, 4, 5]])
    }

    func testNameWithoutContents() throws {
        let backend = MemoryBackend()
        try backend.createFile("f").write([1], at: 0)
        try backend.synchronizeNames()
        XCTAssertEqual(try backend.crash().contents(), ["f": []])
    }

    func testRenamesAndRemovals() throws {
        let backend = MemoryBackend()
        try backend.writeWhole("old", [1])
        try backend.writeWhole("gone", [2])
        try backend.renameFile("old", to: "new")
        try backend.removeFile("gone")
        XCTAssertEqual(try backend.crash().contents(), ["old": [1], "gone": [2]])
        XCTAssertEqual(try backend.crash(keeping: 1).contents(), ["new": [1], "gone": [2]])
        try backend.synchronizeNames()
        XCTAssertEqual(try backend.crash().contents(), ["new": [1]])
    }

    func testWholeFileIsDurableAlone() throws {
        let backend = MemoryBackend()
        _ = try backend.createFile("other")
        try backend.writeWhole("f", [1])
        try backend.removeFile("f")
        try backend.writeWhole("f", [2])
        XCTAssertEqual(try backend.crash().contents(), ["f": [2]])
        XCTAssertEqual(try backend.crash(keeping: 9).contents(), ["f": [2], "other": []])
    }

    func testPrefixesOfWrites() throws {
        let backend = MemoryBackend()
        let file = try backend.createFile("f")
        try backend.synchronizeNames()
        try file.write([1, 1, 1, 1], at: 0)
        try file.truncate(to: 2)
        try file.write([2], at: 3)
        let states = try (0...4).map { try backend.crash(keeping: $0).contents()["f"] }
        XCTAssertEqual(states, [[], [1, 1, 1, 1], [1, 1], [1, 1, 0, 2], [1, 1, 0, 2]])
    }

    func testPunchIsPendingToo() throws {
        let backend = MemoryBackend()
        let file = try backend.createFile("f")
        try backend.synchronizeNames()
        try file.write([UInt8](repeating: 1, count: 8192), at: 0)
        try file.synchronize()
        _ = try file.punchHole(0..<4096)
        XCTAssertEqual(
            try backend.crash().openFile("f", writable: false).allocatedBytes(), 8192)
        try file.synchronize()
        XCTAssertEqual(
            try backend.crash().openFile("f", writable: false).allocatedBytes(), 4096)
    }

    func testCopyIsWholeAndReadOnly() throws {
        let backend = MemoryBackend()
        try backend.createFile("f").write([1], at: 0)
        let copy = backend.copy(isReadOnly: true)
        XCTAssertEqual(try copy.contents(), ["f": [1]])
        assertThrows(.readOnly(name: "g")) { try copy.createFile("g") }
        assertThrows(.readOnly(name: "f")) { try copy.removeFile("f") }
        assertThrows(.readOnly(name: "f")) { try copy.openFile("f", writable: true) }
        assertThrows(.readOnly(name: "f")) { try copy.writeWhole("f", []) }
    }

    func testCapacity() throws {
        let backend = MemoryBackend(capacityBytes: 3 * 4096)
        let file = try backend.createFile("f")
        try file.write([UInt8](repeating: 1, count: 8192), at: 0)
        assertThrows(.noSpace(name: "f")) {
            try file.write([UInt8](repeating: 1, count: 8192), at: 8192)
        }
        XCTAssertEqual(try file.size(), 8192)
        assertThrows(.noSpace(name: "f")) { try file.preallocate(0..<(1 << 60)) }
        XCTAssertEqual(try backend.space().availableBytes, 4096)
        try backend.writeWhole("g", [1])
        assertThrows(.noSpace(name: "h")) { try backend.writeWhole("h", [1]) }
        try backend.removeFile("g")
        try backend.synchronizeNames()
        XCTAssertEqual(try backend.space().availableBytes, 4096)
        _ = try file.punchHole(0..<8192)
        XCTAssertEqual(try backend.space().availableBytes, 3 * 4096)
    }

    func testRandomCutsKeepWhatWasSynchronised() throws {
        var generator = SeededGenerator(seed: testSeed())
        var losses = 0
        var survivors = 0
        for _ in 0..<200 {
            let backend = MemoryBackend()
            let log = try backend.createFile("log")
            try backend.synchronizeNames()
            var synced = 0
            var length = 0
            for _ in 0..<Int.random(in: 1..<20, using: &generator) {
                let count = Int.random(in: 1..<5000, using: &generator)
                let bytes = (length..<(length + count)).map { Self.byte(at: $0) }
                try log.write(bytes, at: UInt64(length))
                length += count
                if Bool.random(using: &generator) {
                    try log.synchronize()
                    synced = length
                }
            }
            let seed = generator.next()
            var first = SeededGenerator(seed: seed)
            var again = SeededGenerator(seed: seed)
            let after = try backend.crash(using: &first).contents()["log"] ?? []
            XCTAssertEqual(try backend.crash(using: &again).contents()["log"], after)
            XCTAssertGreaterThanOrEqual(after.count, synced)
            XCTAssertLessThanOrEqual(after.count, length)
            for (index, byte) in after.enumerated() {
                let isRight = byte == Self.byte(at: index)
                XCTAssertTrue(isRight || (index >= synced && byte == 0), "byte \(index)")
                if index >= synced {
                    if isRight { survivors += 1 } else { losses += 1 }
                }
            }
        }
        // Both happen, or the cuts would be too kind or too simple.
        XCTAssertGreaterThan(losses, 0)
        XCTAssertGreaterThan(survivors, 0)
    }

    /// Never zero, so that a hole is told from data.
    private static func byte(at index: Int) -> UInt8 {
        UInt8(1 + index % 251)
    }

    func testASectorIsWhatItWasAtSomeMoment() throws {
        var generator = SeededGenerator(seed: testSeed())
        var seen: Set<[UInt8]> = []
        for _ in 0..<300 {
            let backend = MemoryBackend()
            let file = try backend.createFile("f")
            try backend.synchronizeNames()
            try file.write([0, 0], at: 0)
            try file.synchronize()
            try file.write([1], at: 0)
            try file.write([2], at: 1)
            seen.insert(try backend.crash(using: &generator).contents()["f"] ?? [])
        }
        XCTAssertEqual(seen, [[0, 0], [1, 0], [1, 2]], "the second write alone is impossible")
    }
}
