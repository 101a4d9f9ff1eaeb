// Power cuts at every change of the backend, and what must have survived them.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class CrashTests: XCTestCase {
    /// What a scripted run has promised by a moment, read from the marks passed.
    private struct Promises {
        var version = 0
        var logBytes = 0
        var inodes: Set<UInt64> = []

        init(_ marks: [String]) {
            for mark in marks {
                let value = Int(mark.dropFirst()) ?? 0
                switch mark.first {
                case "v": version = max(version, value)
                case "l": logBytes = max(logBytes, value)
                default: inodes.insert(UInt64(value))
                }
            }
        }
    }

    private let target = Array("target".utf8)
    private let temporary = Array("target.new".utf8)
    private let journal = Array("journal".utf8)

    /// Every version says in each of its bytes which one it is.
    private func content(of version: Int) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(version))
        let bytes = random.bytes(9_000 + 3_000 * (version % 4))
        return bytes.enumerated().map { $0.offset % 2 == 0 ? UInt8(version) : $0.element }
    }

    private func record() throws -> [RecordedOperation] {
        let backend = RecordingBackend(MemoryBackend())
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let volume = open.volume
        let recording = backend.recording
        let log = try volume.makeFile(journal, in: 1).inode
        recording.mark("i\(log)")
        var logBytes: [UInt8] = []
        for version in 1...24 {
            let made = try volume.makeFile(temporary, in: 1)
            recording.mark("i\(made.inode)")
            try volume.put(content(of: version), into: made.inode)
            volume.forget(made.inode, count: 1)
            if version % 5 == 0 { try open.live.commit() }
            try volume.move(temporary, in: 1, to: target, in: 1)
            let line = content(of: version).prefix(700)
            try volume.put(Array(line), into: log, at: UInt64(logBytes.count))
            logBytes += line
            switch version % 3 {
            case 0:
                try volume.synchronize(log, dataOnly: true)
                recording.mark("l\(logBytes.count)")
                recording.mark("v\(version)")
            case 1:
                try open.live.checkpoint()
                recording.mark("l\(logBytes.count)")
                recording.mark("v\(version)")
            default: break
            }
        }
        try open.live.close()
        return recording.operations
    }

    func testCutsAtEveryChange() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let operations = try record()
        let replay = BackendReplay(operations)
        // The store's own making is the pipeline's affair.
        let first = operations.firstIndex { if case .mark = $0 { true } else { false } } ?? 0
        let step = isLong ? 1 : 17
        for position in stride(from: first + 1, through: operations.count, by: step) {
            try replay.advance(to: position)
            let backend =
                random.chance(1, in: 2)
                ? replay.backend.crash() : replay.backend.crash(using: &random)
            try check(backend, Promises(replay.marks), "cut at \(position), ASHLAR_SEED=\(seed)")
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
    }

    private func check(_ backend: MemoryBackend, _ promises: Promises, _ context: String) throws {
        let index = MemoryIndexProvider()
        let open = try OpenStore(backend, index)
        let volume = open.volume
        XCTAssertFalse(open.store.isReadOnly, context)
        var version = 0
        if let found = try volume.find(target, in: 1) {
            let bytes = try volume.get(found.inode, count: Int(found.size) + 1)
            version = Int(bytes.first ?? 0)
            XCTAssertEqual(bytes, content(of: version), "mixed or empty: \(context)")
        }
        XCTAssertGreaterThanOrEqual(version, promises.version, context)
        if let found = try volume.find(journal, in: 1) {
            XCTAssertGreaterThanOrEqual(Int(found.size), promises.logBytes, context)
            let bytes = try volume.get(found.inode, count: Int(found.size) + 1)
            let expected = (1...24).flatMap { content(of: $0).prefix(700) }
            XCTAssertTrue(expected.starts(with: bytes), context)
        } else {
            XCTAssertEqual(promises.logBytes, 0, context)
        }
        let fresh = try volume.makeFile(Array("fresh".utf8), in: 1).inode
        XCTAssertFalse(promises.inodes.contains(fresh), "number \(fresh) again: \(context)")
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [], context)
    }

    /// A commit must not name a renamed file whose content could not be stored.
    func testRenamedFileIsNeverCommittedWithoutItsContent() throws {
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let volume = open.volume
        let old = try volume.makeFile(target, in: 1).inode
        try volume.put(content(of: 1), into: old)
        try volume.synchronizeAll()
        let new = try volume.makeFile(temporary, in: 1).inode
        try volume.put(content(of: 2), into: new)
        try volume.move(temporary, in: 1, to: target, in: 1)
        // Somebody else fills the medium behind the volume's back.
        let stranger = try backend.createFile("stranger")
        var random = SeededGenerator(seed: 1)
        var offset: UInt64 = 0
        while true {
            let bytes = random.bytes(64 << 10)
            do {
                try bytes.withUnsafeBytes { try stranger.write([$0], at: offset) }
            } catch { break }
            offset += UInt64(bytes.count)
        }
        Thread.sleep(forTimeInterval: 0.1)
        XCTAssertThrowsError(try volume.synchronizeAll()) {
            XCTAssertEqual($0 as? FileError, .noSpace)
        }
        let crashed = try OpenStore(backend.crash(), MemoryIndexProvider())
        let found = try XCTUnwrap(try crashed.volume.find(target, in: 1))
        XCTAssertEqual(
            try crashed.volume.get(found.inode, count: Int(found.size) + 1), content(of: 1))
        try crashed.live.close()
        try stranger.truncate(to: 0)
        try stranger.synchronize()
        Thread.sleep(forTimeInterval: 0.3)
        try volume.synchronizeAll()
        try open.live.close()
        let again = try OpenStore(backend, MemoryIndexProvider())
        let last = try XCTUnwrap(try again.volume.find(target, in: 1))
        XCTAssertEqual(
            try again.volume.get(last.inode, count: Int(last.size) + 1), content(of: 2))
        try again.live.close()
    }
}
