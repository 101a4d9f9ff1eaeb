import Backends
import Foundation
import Platform
import XCTest

/// What every backend must do: the same checks over the directory, the memory, and the twins that
/// pass everything through.
final class BackendConformanceTests: XCTestCase {
    private func forEachBackend(_ check: (any Backend) throws -> Void) throws {
        let kinds: [(String, (String) throws -> any Backend)] = [
            ("directory", { try DirectoryBackend(path: $0) }),
            ("memory", { _ in MemoryBackend() }),
            (
                "fault injection over directory",
                { FaultInjectingBackend(try DirectoryBackend(path: $0), plan: FaultPlan()) }
            ),
            (
                "directory over fault injection",
                {
                    try DirectoryBackend(
                        path: $0, systemCalls: FaultInjectingSystemCalls(plan: FaultPlan()))
                }
            ),
            ("recording over memory", { _ in RecordingBackend(MemoryBackend()) }),
            ("recording over directory", { RecordingBackend(try DirectoryBackend(path: $0)) }),
        ]
        for (name, make) in kinds {
            let directory = try TemporaryDirectory()
            let failures = testRun?.totalFailureCount ?? 0
            try check(try make(directory.path))
            if testRun?.totalFailureCount ?? 0 > failures { XCTFail("the backend was: \(name)") }
        }
    }

    func testCreateWriteReadBack() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("packs/0001.pack")
            XCTAssertEqual(file.name, "packs/0001.pack")
            XCTAssertEqual(try file.size(), 0)
            let a = [UInt8](repeating: 1, count: 5000)
            let b = [UInt8](repeating: 2, count: 10)
            try a.withUnsafeBytes { a in
                try b.withUnsafeBytes { b in
                    try file.write([a, UnsafeRawBufferPointer(start: nil, count: 0), b], at: 3)
                }
            }
            XCTAssertEqual(try file.size(), 5013)
            XCTAssertEqual(try file.readAll(), [0, 0, 0] + a + b)
            XCTAssertEqual(try file.read(at: 5001, count: 100), [1, 1] + b)
        }
    }

    func testReadsAreShortOnlyAtTheEnd() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("f")
            try file.write([1, 2, 3], at: 0)
            XCTAssertEqual(try file.read(at: 1, count: 10), [2, 3])
            XCTAssertEqual(try file.read(at: 3, count: 10), [])
            XCTAssertEqual(try file.read(at: 1 << 40, count: 1), [])
            XCTAssertEqual(try file.read(at: .max, count: 1), [])
            XCTAssertEqual(try file.read(at: 0, count: 0), [])
        }
    }

    func testMoreBuffersThanOneCallTakes() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("f")
            let bytes = (0..<2500).map { UInt8(truncatingIfNeeded: $0) }
            try bytes.withUnsafeBytes { all in
                let single = (0..<2500).map { UnsafeRawBufferPointer(rebasing: all[$0...$0]) }
                try file.write(single, at: 7)
            }
            XCTAssertEqual(try file.read(at: 7, count: 3000), bytes)
        }
    }

    func testImpossibleOffsets() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("f")
            let tooLarge = Errno.fileTooLarge.rawValue
            XCTAssertEqual(systemCode { try file.write([1], at: .max) }, tooLarge)
            XCTAssertEqual(systemCode { try file.write([1], at: UInt64(Int64.max)) }, tooLarge)
            XCTAssertEqual(systemCode { try file.truncate(to: .max) }, tooLarge)
            XCTAssertEqual(systemCode { try file.punchHole(1..<UInt64.max) }, tooLarge)
            XCTAssertEqual(systemCode { try file.preallocate(1..<UInt64.max) }, tooLarge)
            XCTAssertEqual(try file.size(), 0)
        }
    }

    func testCreationIsExclusive() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("a/b")
            try file.write([1], at: 0)
            assertThrows(.exists(name: "a/b")) { try backend.createFile("a/b") }
            assertThrows(.exists(name: "a")) { try backend.createFile("a") }
            XCTAssertEqual(
                systemCode { try backend.createFile("a/b/c") }, Errno.notDirectory.rawValue)
            XCTAssertEqual(try file.readAll(), [1])
            try backend.synchronizeNames()
        }
    }

    func testOpening() throws {
        try forEachBackend { backend in
            assertThrows(.noSuchFile(name: "x")) { try backend.openFile("x", writable: true) }
            try backend.createFile("x/y").write([5], at: 0)
            for writable in [false, true] {
                assertThrows(.noSuchFile(name: "x")) {
                    try backend.openFile("x", writable: writable)
                }
                assertThrows(.noSuchFile(name: "x/y/z")) {
                    try backend.openFile("x/y/z", writable: writable)
                }
            }
            let reader = try backend.openFile("x/y", writable: false)
            XCTAssertEqual(try reader.readAll(), [5])
            try reader.synchronize()
            assertThrows(.readOnly(name: "x/y")) { try reader.write([1], at: 0) }
            assertThrows(.readOnly(name: "x/y")) { try reader.truncate(to: 0) }
            assertThrows(.readOnly(name: "x/y")) { try reader.punchHole(0..<1) }
            let writer = try backend.openFile("x/y", writable: true)
            try writer.write([6], at: 1)
            XCTAssertEqual(try reader.readAll(), [5, 6])
        }
    }

    func testBadNames() throws {
        try forEachBackend { backend in
            let bad = [
                "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a\0b", "a b", "ä",
                ".ashlar-tmp.x", "a/.ashlar-tmp.x", String(repeating: "x", count: 241),
            ]
            try backend.createFile("good").write([1], at: 0)
            for name in bad {
                assertThrows(.badName(name: name)) { try backend.createFile(name) }
                assertThrows(.badName(name: name)) {
                    try backend.openFile(name, writable: false)
                }
                assertThrows(.badName(name: name)) { try backend.removeFile(name) }
                assertThrows(.badName(name: name)) { try backend.renameFile("good", to: name) }
                assertThrows(.badName(name: name)) { try backend.renameFile(name, to: "good") }
                assertThrows(.badName(name: name)) { try backend.writeWhole(name, []) }
                assertThrows(.badName(name: name)) {
                    try backend.readWhole(name, limitBytes: 1)
                }
            }
            for prefix in ["../", "/", "a/../b", "//"] {
                assertThrows(.badName(name: prefix)) { try backend.list(prefix: prefix) }
            }
            XCTAssertEqual(try backend.list(prefix: "").map { $0.name }, ["good"])
            _ = try backend.createFile(String(repeating: "x", count: 240))
            _ = try backend.createFile("a..b/.c/~!#")
        }
    }

    func testListing() throws {
        try forEachBackend { backend in
            XCTAssertEqual(try backend.list(prefix: "none/").count, 0)
            for (index, name) in ["p/b", "p/a", "p/sub/c", "pq", "Z", "p-a"].enumerated() {
                try backend.createFile(name).write([UInt8](repeating: 0, count: index), at: 0)
            }
            func names(_ prefix: String) throws -> [String] {
                try backend.list(prefix: prefix).map { "\($0.name)=\($0.size)" }
            }
            XCTAssertEqual(
                try names(""), ["Z=4", "p-a=5", "p/a=1", "p/b=0", "p/sub/c=2", "pq=3"])
            XCTAssertEqual(try names("p/"), ["p/a=1", "p/b=0", "p/sub/c=2"])
            XCTAssertEqual(try names("p/s"), ["p/sub/c=2"])
            XCTAssertEqual(try names("p"), ["p-a=5", "p/a=1", "p/b=0", "p/sub/c=2", "pq=3"])
            XCTAssertEqual(try names("pq/"), [])
            XCTAssertEqual(try names("q"), [])
        }
    }

    func testRemoving() throws {
        try forEachBackend { backend in
            assertThrows(.noSuchFile(name: "f")) { try backend.removeFile("f") }
            let file = try backend.createFile("d/f")
            try file.write([1, 2], at: 0)
            assertThrows(.noSuchFile(name: "d")) { try backend.removeFile("d") }
            assertThrows(.noSuchFile(name: "d/f/g")) { try backend.removeFile("d/f/g") }
            try backend.removeFile("d/f")
            try backend.synchronizeNames()
            XCTAssertEqual(try backend.list(prefix: "").count, 0)
            XCTAssertEqual(try file.readAll(), [1, 2], "an open file outlives its name")
            try file.write([3], at: 2)
            XCTAssertEqual(try file.size(), 3)
            XCTAssertEqual(try backend.createFile("d/f").size(), 0)
            XCTAssertEqual(try file.size(), 3)
        }
    }

    func testRenaming() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("a")
            try file.write([1], at: 0)
            try backend.createFile("b").write([2], at: 0)
            try backend.renameFile("a", to: "b")
            try backend.renameFile("b", to: "b")
            try backend.renameFile("b", to: "new/c")
            XCTAssertEqual(try backend.contents(), ["new/c": [1]])
            try file.write([9], at: 1)
            XCTAssertEqual(try backend.readWhole("new/c", limitBytes: 2), [1, 9])
            assertThrows(.noSuchFile(name: "a")) { try backend.renameFile("a", to: "x/y") }
            assertThrows(.noSuchFile(name: "new")) { try backend.renameFile("new", to: "x") }
            assertThrows(.noSuchFile(name: "new/c/d")) {
                try backend.renameFile("new/c/d", to: "x")
            }
            try backend.createFile("d").write([3], at: 0)
            XCTAssertEqual(
                systemCode { try backend.renameFile("d", to: "new") }, Errno.isDirectory.rawValue)
            XCTAssertEqual(
                systemCode { try backend.renameFile("d", to: "new/c/e") },
                Errno.notDirectory.rawValue)
            try backend.synchronizeNames()
        }
    }

    func testWholeFiles() throws {
        try forEachBackend { backend in
            try backend.writeWhole("conf/store", [1, 2, 3])
            XCTAssertEqual(try backend.readWhole("conf/store", limitBytes: 3), [1, 2, 3])
            try backend.writeWhole("conf/store", [4])
            XCTAssertEqual(try backend.readWhole("conf/store", limitBytes: 3), [4])
            try backend.writeWhole("empty", [])
            XCTAssertEqual(try backend.readWhole("empty", limitBytes: 0), [])
            XCTAssertEqual(try backend.list(prefix: "").map { $0.name }, ["conf/store", "empty"])
            XCTAssertEqual(
                systemCode { try backend.readWhole("conf/store", limitBytes: 0) },
                Errno.fileTooLarge.rawValue)
            assertThrows(.noSuchFile(name: "x")) { try backend.readWhole("x", limitBytes: 9) }
            XCTAssertEqual(
                systemCode { try backend.writeWhole("conf", [1]) }, Errno.isDirectory.rawValue)
        }
    }

    func testTruncating() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("f")
            try file.write([UInt8](repeating: 7, count: 10_000), at: 0)
            try file.truncate(to: 4100)
            XCTAssertEqual(try file.size(), 4100)
            try file.truncate(to: 9000)
            XCTAssertEqual(
                try file.readAll(),
                [UInt8](repeating: 7, count: 4100) + [UInt8](repeating: 0, count: 4900))
        }
    }

    func testPunchingAndAllocation() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("f")
            let page: UInt64 = 4096
            try file.write([UInt8](repeating: 7, count: 64 * 4096), at: 0)
            try file.synchronize()
            let before = try file.allocatedBytes()
            XCTAssertGreaterThanOrEqual(before, 64 * page)
            XCTAssertTrue(try file.punchHole(0..<0))
            XCTAssertEqual(try file.allocatedBytes(), before)
            guard try file.punchHole(page..<(33 * page + 100)) else { return }
            // Of a file in many parts the filesystem's own map may grow by a block.
            let after = try file.allocatedBytes()
            XCTAssertTrue((before - 32 * page...before - 31 * page).contains(after), "\(after)")
            XCTAssertEqual(try file.size(), 64 * page)
            let expected =
                [UInt8](repeating: 7, count: 4096)
                + [UInt8](repeating: 0, count: 32 * 4096 + 100)
                + [UInt8](repeating: 7, count: 31 * 4096 - 100)
            XCTAssertEqual(try file.readAll(), expected)
            XCTAssertTrue(try file.punchHole(200..<300))
            XCTAssertEqual(
                try file.read(at: 199, count: 102), [7] + [UInt8](repeating: 0, count: 100) + [7])
            XCTAssertTrue(try file.punchHole(page * 100..<page * 200), "beyond the end")
            XCTAssertEqual(try file.size(), 64 * page)
        }
    }

    func testPreallocation() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("f")
            XCTAssertTrue(try file.preallocate(5..<5))
            guard try file.preallocate(0..<(1 << 20)) else { return }
            XCTAssertEqual(try file.size(), 0)
            XCTAssertGreaterThanOrEqual(try file.allocatedBytes(), 1 << 20)
            try file.write([1], at: 10)
            XCTAssertEqual(try file.readAll(), [UInt8](repeating: 0, count: 10) + [1])
            file.startWriteback(0..<11)
            file.startWriteback(3..<3)
            try file.synchronize()
        }
    }

    func testSpace() throws {
        try forEachBackend { backend in
            let space = try backend.space()
            XCTAssertGreaterThan(space.totalBytes, 0)
            XCTAssertGreaterThan(space.availableBytes, 0)
            XCTAssertLessThanOrEqual(space.availableBytes, space.totalBytes)
            XCTAssertLessThanOrEqual(space.availableFiles, space.totalFiles)
        }
    }

    func testReadersBesideAWriter() throws {
        try forEachBackend { backend in
            let file = try backend.createFile("f")
            let pool = try WorkerPool(name: "conform", threadCount: 3, queueCapacity: 4)
            let wrong = ConditionMutex(0)
            for reader in 0..<8 {
                pool.submit {
                    for _ in 0..<50 {
                        let bytes = (try? file.readAll()) ?? [0]
                        if !bytes.allSatisfy({ $0 == 1 }) { wrong.withLock { $0 += 1 } }
                        if reader == 0 { try? file.synchronize() }
                    }
                }
            }
            for block in 0..<50 {
                try file.write([UInt8](repeating: 1, count: 1000), at: UInt64(block) * 1000)
            }
            pool.shutdown()
            XCTAssertEqual(wrong.withLock { $0 }, 0)
            XCTAssertEqual(try file.size(), 50_000)
        }
    }
}
