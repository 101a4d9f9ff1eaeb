// A store takes less after it was recompressed, and nothing else changes.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class OptimizeTests: XCTestCase {
    private func name(_ number: Int) -> [UInt8] { Array("f\(number)".utf8) }

    /// Files of twelve families, far from each other in the packs: those of a family differ in a few
    /// bytes of each chunk, so that no chunk is there twice.
    private static func content(_ number: Int) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(number % 12))
        var bytes = random.bytes(24_000)
        let version = UInt8(number / 12)
        guard version > 0 else { return bytes }
        for place in stride(from: 500, to: bytes.count, by: 1500) { bytes[place] ^= version }
        return bytes
    }

    private let numbers = 0..<120

    private func options() -> OptimizeOptions {
        var options = OptimizeOptions()
        options.recompression.superChunkBytes = 256 << 10
        options.recompression.threadCount = 2
        return options
    }

    private func fill(_ volume: Volume) throws {
        for number in numbers {
            let made = try volume.makeFile(name(number), in: 1)
            try volume.put(Self.content(number), into: made.inode)
            volume.forget(made.inode, count: 1)
        }
    }

    private func expectAll(in volume: Volume, _ context: String = "") throws {
        for number in numbers {
            let found = try XCTUnwrap(try volume.find(name(number), in: 1), "\(number) \(context)")
            let bytes = try volume.get(found.inode, count: Int(found.size) + 1)
            XCTAssertTrue(bytes == Self.content(number), "file \(number) \(context)")
            volume.forget(found.inode, count: 1)
        }
    }

    /// A store whose packs are all sealed.
    private func filled(
        _ backend: some Backend, _ index: MemoryIndexProvider
    ) throws -> OpenStore {
        try makeStore(backend, index)
        let first = try OpenStore(backend, index)
        try fill(first.volume)
        try first.live.close()
        return try OpenStore(backend, index)
    }

    func testSimilarChunksCompressEachOther() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        let open = try filled(backend, index)
        var told: [ReclaimProgress] = []
        let report = try open.live.optimize(options(), progress: { told.append($0) })
        XCTAssertGreaterThan(report.rewrittenPacks, 1)
        XCTAssertEqual(report.keptPacks, 0)
        XCTAssertGreaterThan(report.movedBytes, 2_000_000)
        // Each family is stored about once, where each of its members was.
        XCTAssertLessThan(report.bytesAfter, report.bytesBefore / 3, "\(report)")
        XCTAssertFalse(told.isEmpty)
        XCTAssertEqual(try complaints(backend, index), [])
        try expectAll(in: open.volume)
        // There is nothing more to be had.
        let again = try open.live.optimize(options())
        XCTAssertEqual(again.rewrittenPacks, 0)
        XCTAssertEqual(again.movedBytes, 0)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        let rebuilt = MemoryIndexProvider()
        let reopened = try OpenStore(backend, rebuilt)
        try expectAll(in: reopened.volume)
        let third = try reopened.live.optimize(options())
        XCTAssertEqual(third.rewrittenPacks, 0, "what was sealed since is dense, too")
        try reopened.live.close()
        XCTAssertEqual(try complaints(backend, rebuilt), [])
    }

    func testWritersGoOnMeanwhile() throws {
        let seed = printedSeed()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        let open = try filled(backend, index)
        let volume = open.volume
        let isDone = ConditionMutex(false)
        let failures = ConditionMutex<[String]>([])
        let writer = try PlatformThread(name: "writer") {
            var random = SeededGenerator(seed: seed)
            var copies = 0
            while !isDone.withLock({ $0 }) || copies < 20, copies < 400 {
                do {
                    let made = try volume.makeFile(Array("copy\(copies)".utf8), in: 1)
                    try volume.put(Self.content(random.below(140)), into: made.inode)
                    if copies % 5 == 0 { try volume.synchronizeAll() }
                    volume.forget(made.inode, count: 1)
                    if copies % 3 == 2 {
                        try volume.removeFile(Array("copy\(copies - 1)".utf8), in: 1)
                    }
                } catch {
                    failures.withLock { $0.append("\(error)") }
                }
                copies += 1
            }
        }
        _ = try open.live.optimize(options())
        isDone.withLock { $0 = true }
        writer.join()
        XCTAssertEqual(failures.withLock { $0 }, [])
        try expectAll(in: volume)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [], "ASHLAR_SEED=\(seed)")
        let rebuilt = MemoryIndexProvider()
        let again = try OpenStore(backend, rebuilt)
        try expectAll(in: again.volume)
        try again.live.close()
        XCTAssertEqual(try complaints(backend, rebuilt), [], "ASHLAR_SEED=\(seed)")
    }

    func testCutsWhileOptimizing() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let recording = RecordingBackend(MemoryBackend())
        let index = MemoryIndexProvider()
        let open = try filled(recording, index)
        let first = recording.recording.operations.count
        XCTAssertGreaterThan(try open.live.optimize(options()).rewrittenPacks, 0)
        try open.live.close()
        let operations = recording.recording.operations
        let replay = BackendReplay(operations)
        let step = isLong ? 1 : max(1, (operations.count - first) / 25)
        for position in stride(from: first, through: operations.count, by: step) {
            try replay.advance(to: position)
            let backend =
                random.chance(1, in: 2)
                ? replay.backend.crash() : replay.backend.crash(using: &random)
            let context = "cut at \(position), ASHLAR_SEED=\(seed)"
            let rebuilt = MemoryIndexProvider()
            let again = try OpenStore(backend, rebuilt)
            try expectAll(in: again.volume, context)
            try again.live.close()
            XCTAssertEqual(try complaints(backend, rebuilt), [], context)
        }
    }

    /// Interrupted, it has done no harm, and begins anew.
    func testInterrupted() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        let open = try filled(backend, index)
        var asked = 0
        XCTAssertThrowsError(
            try open.live.optimize(
                options(),
                isCancelled: {
                    asked += 1
                    return asked > 45
                })
        ) { XCTAssertEqual($0 as? FileError, .interrupted) }
        try expectAll(in: open.volume)
        try open.live.commit()
        XCTAssertEqual(try complaints(backend, index), [])
        XCTAssertGreaterThan(try open.live.optimize(options()).rewrittenPacks, 1)
        try expectAll(in: open.volume)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// Without room nothing is moved, and nothing lost.
    func testWithoutRoom() throws {
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        let open = try filled(backend, index)
        let space = try backend.space()
        let file = try backend.createFile("foreign")
        let count = Int(space.availableBytes - space.totalBytes / 16)
        try [UInt8](repeating: 1, count: count).withUnsafeBytes { try file.write([$0], at: 0) }
        let report = try open.live.optimize(options())
        XCTAssertEqual(report.rewrittenPacks, 0)
        XCTAssertGreaterThan(report.keptPacks, 0)
        try expectAll(in: open.volume)
        try open.live.close()
        try backend.removeFile("foreign")
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// The store does it by itself when nobody writes.
    func testByItself() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try filled(backend, index).live.close()
        var timing = quietTiming()
        timing.reclaimSeconds = nil
        timing.optimizeIdleSeconds = 0.1
        let open = try OpenStore(backend, index, timing: timing)
        let before = try open.store.packUse().reduce(0) { $0 + $1.validBytes }
        let end = Date().addingTimeInterval(120)
        var now = before
        while now > before / 2, Date() < end {
            Thread.sleep(forTimeInterval: 0.05)
            now = try open.store.packUse().reduce(0) { $0 + $1.validBytes }
        }
        XCTAssertLessThan(now, before / 2)
        try expectAll(in: open.volume)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }
}
