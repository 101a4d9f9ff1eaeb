import Backends
import Foundation
import Platform
import XCTest

/// What a directory backend's system calls leave, replayed: no more than POSIX promises.
final class SystemCallReplayTests: XCTestCase {
    private var folder = ""
    private var calls = RecordingSystemCalls()

    override func setUp() {
        folder = NSTemporaryDirectory() + "/ashlar-replay-\(UUID().uuidString)"
        calls = RecordingSystemCalls()
    }

    override func tearDown() {
        try? FileManager.default.removeItem(atPath: folder)
    }

    private func write(_ file: any BackendFile, _ bytes: [UInt8], at offset: UInt64 = 0) throws {
        try bytes.withUnsafeBytes { try file.write([$0], at: offset) }
    }

    private func content(_ backend: MemoryBackend, _ name: String) throws -> [UInt8]? {
        do {
            return try backend.readWhole(name, limitBytes: 1 << 20)
        } catch BackendError.noSuchFile {
            return nil
        }
    }

    /// The survivors behind every call, strictly.
    private func survivors(_ name: String) throws -> [[UInt8]?] {
        let replay = SystemCallReplay(calls.calls)
        return try (0...calls.calls.count).map { end in
            try replay.advance(to: end)
            return try content(replay.crash(), name)
        }
    }

    func testAFileNeedsItsBytesItsNameAndItsDirectory() throws {
        let backend = try DirectoryBackend(path: folder, create: true, systemCalls: calls)
        let file = try backend.createFile("packs/a")
        try write(file, [1, 2, 3])
        try file.synchronize()
        XCTAssertEqual(try survivors("packs/a").compactMap { $0 }, [])
        try backend.synchronizeNames()
        let all = try survivors("packs/a")
        XCTAssertEqual(all.last, [1, 2, 3])
        // The fsyncs of two directories: the file is there when the last of them has returned.
        XCTAssertEqual(all.compactMap { $0 }.count, 1)
        XCTAssertEqual(
            calls.calls.suffix(2).map { if case .fsync = $0 { true } else { false } }, [true, true])
    }

    func testWholeFilesAreOldOrNewAtEveryMoment() throws {
        let backend = try DirectoryBackend(path: folder, create: true, systemCalls: calls)
        try backend.writeWhole("settings", [1])
        let first = calls.calls.count
        try backend.writeWhole("settings", [2, 2])
        for (position, found) in try survivors("settings").enumerated() where position >= first {
            XCTAssertTrue(found == [1] || found == [2, 2], "\(position): \(found ?? [])")
        }
        let replay = SystemCallReplay(calls.calls)
        var random = SeededGenerator(seed: 7)
        for position in first...calls.calls.count {
            try replay.advance(to: position)
            for _ in 0..<20 {
                let survivor = try replay.crash(using: &random)
                let found = try content(survivor, "settings")
                XCTAssertTrue(found == [1] || found == [2, 2], "\(position): \(found ?? [])")
                XCTAssertEqual(try survivor.list(prefix: "").map(\.name), ["settings"])
            }
        }
    }

    func testARandomCutLosesAndKeeps() throws {
        let backend = try DirectoryBackend(path: folder, create: true, systemCalls: calls)
        let file = try backend.createFile("a")
        try backend.synchronizeNames()
        let bytes = [UInt8](repeating: 9, count: 4096)
        try write(file, bytes)
        let replay = SystemCallReplay(calls.calls)
        try replay.advance(to: calls.calls.count)
        var random = SeededGenerator(seed: 1)
        var found: Set<[UInt8]> = []
        for _ in 0..<60 { found.insert(try content(replay.crash(using: &random), "a") ?? []) }
        XCTAssertTrue(found.contains([]) && found.contains(bytes))
        XCTAssertTrue(found.contains { $0.count == 4096 && $0.contains(0) && $0.contains(9) })
    }
}
