// Space comes back while volumes are in use.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class ReclaimTests: XCTestCase {
    private func name(_ number: Int) -> [UInt8] { Array("f\(number)".utf8) }

    private static func content(_ number: Int, _ version: Int = 0) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(number * 1000 + version))
        return random.bytes(30_000 + number % 7 * 5_000)
    }

    private func write(_ number: Int, _ version: Int = 0, to volume: Volume) throws {
        let made = try volume.makeFile(name(number), in: 1)
        try volume.put(Self.content(number, version), into: made.inode)
        volume.forget(made.inode, count: 1)
    }

    private func expect(_ numbers: some Sequence<Int>, in volume: Volume, line: UInt = #line) throws
    {
        for number in numbers {
            let found = try XCTUnwrap(try volume.find(name(number), in: 1), "\(number)", line: line)
            let bytes = try volume.get(found.inode, count: Int(found.size) + 1)
            XCTAssertEqual(bytes, Self.content(number), "file \(number)", line: line)
            volume.forget(found.inode, count: 1)
        }
    }

    private func packBytes(_ backend: MemoryBackend) throws -> UInt64 {
        try backend.list(prefix: "packs/").reduce(0) { $0 + $1.size }
    }

    /// Packs of which most is dead, and one of which little is.
    private func fill(_ open: OpenStore) throws {
        for number in 0..<120 { try write(number, to: open.volume) }
        try open.live.commit()
        for number in 0..<120 where number % 6 != 0 && number < 90 {
            try open.volume.removeFile(name(number), in: 1)
        }
        try open.live.commit()
    }

    private let kept = (0..<120).filter { $0 % 6 == 0 || $0 >= 90 }

    func testMostlyDeadPacksAreRewritten() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open)
        let before = try packBytes(backend)
        let report = try open.live.reclaim()
        XCTAssertGreaterThan(report.rewrittenPacks, 0)
        XCTAssertGreaterThan(report.removedChunks, 100)
        XCTAssertGreaterThan(report.movedBytes, 0)
        XCTAssertEqual(report.keptPacks, 0)
        let after = try packBytes(backend)
        XCTAssertLessThan(after, before * 7 / 10, "\(report)")
        XCTAssertEqual(try complaints(backend, index), [])
        try expect(kept, in: open.volume)
        // There is nothing more to be had, and nothing is written to find that out.
        let sequence = open.sequence
        let again = try open.live.reclaim()
        XCTAssertEqual(again.rewrittenPacks, 0)
        XCTAssertLessThanOrEqual(open.sequence, sequence + 3)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        let rebuilt = try OpenStore(backend, MemoryIndexProvider())
        try expect(kept, in: rebuilt.volume)
        try rebuilt.live.close()
    }

    /// Writers that put what is being moved, or what has just died, lose nothing.
    func testWritersGoOnMeanwhile() throws {
        let seed = printedSeed()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open)
        let volume = open.volume
        let isDone = ConditionMutex(false)
        let failures = ConditionMutex<[String]>([])
        let writer = try PlatformThread(name: "writer") {
            var random = SeededGenerator(seed: seed)
            var copies = 0
            while !isDone.withLock({ $0 }), copies < 400 {
                // Contents that are there, that were deleted, and new ones, under other names.
                let number = random.below(130)
                do {
                    let other = Array("copy\(copies)".utf8)
                    let made = try volume.makeFile(other, in: 1)
                    try volume.put(Self.content(number), into: made.inode)
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
        for _ in 0..<3 {
            var options = ReclaimOptions()
            options.deadShareMin = 0.05
            _ = try open.live.reclaim(options)
        }
        isDone.withLock { $0 = true }
        writer.join()
        XCTAssertEqual(failures.withLock { $0 }, [])
        try expect(kept, in: volume)
        try open.live.commit()
        XCTAssertEqual(try complaints(backend, index), [], "ASHLAR_SEED=\(seed)")
        try open.live.close()
        let rebuilt = MemoryIndexProvider()
        let again = try OpenStore(backend, rebuilt)
        try expect(kept, in: again.volume)
        try again.live.close()
        XCTAssertEqual(try complaints(backend, rebuilt), [], "ASHLAR_SEED=\(seed)")
    }

    func testCutsWhileReclaiming() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let recording = RecordingBackend(MemoryBackend())
        let index = MemoryIndexProvider()
        try makeStore(recording, index)
        let open = try OpenStore(recording, index)
        try fill(open)
        let first = recording.recording.operations.count
        let report = try open.live.reclaim()
        XCTAssertGreaterThan(report.rewrittenPacks, 0)
        try open.live.close()
        let operations = recording.recording.operations
        let replay = BackendReplay(operations)
        let step = isLong ? 1 : max(1, (operations.count - first) / 40)
        for position in stride(from: first, through: operations.count, by: step) {
            try replay.advance(to: position)
            let backend =
                random.chance(1, in: 2)
                ? replay.backend.crash() : replay.backend.crash(using: &random)
            let context = "cut at \(position), ASHLAR_SEED=\(seed)"
            let fresh = MemoryIndexProvider()
            let survivor = try OpenStore(backend, fresh)
            XCTAssertFalse(survivor.store.isReadOnly, context)
            try expect(kept, in: survivor.volume)
            try survivor.live.close()
            XCTAssertEqual(try complaints(backend, fresh), [], context)
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
    }

    func testOneAtATimeAndEndedEarly() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open)
        let second = ConditionMutex<FileError?>(nil)
        XCTAssertThrowsError(
            try open.live.reclaim(
                isCancelled: {
                    do throws(FileError) {
                        _ = try open.live.reclaim()
                    } catch {
                        second.withLock { $0 = error }
                    }
                    return true
                })
        ) { XCTAssertEqual($0 as? FileError, .interrupted) }
        XCTAssertEqual(second.withLock { $0 }, .busy)
        try expect(kept, in: open.volume)
        XCTAssertGreaterThan(try open.live.reclaim().freedBytes, 0)
        try expect(kept, in: open.volume)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// What a store does by itself ends when somebody asks: he is not told that it is busy.
    func testWhatGivesWayIsWaitedFor() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open)
        var options = ReclaimOptions()
        options.givesWay = true
        let asked = ConditionMutex<Result<ReclaimReport, FileError>?>(nil)
        var asking: PlatformThread?
        var looks = 0
        XCTAssertThrowsError(
            try open.live.reclaim(
                options,
                isCancelled: {
                    looks += 1
                    if asking == nil {
                        asking = try? PlatformThread(name: "asking") {
                            let result = Result { () throws(FileError) in try open.live.reclaim() }
                            asked.withLock { $0 = result }
                        }
                    }
                    sleepNanoseconds(1_000_000)
                    return looks > 60_000
                })
        ) { XCTAssertEqual($0 as? FileError, .interrupted) }
        asking?.join()
        XCTAssertLessThan(looks, 60_000)
        let report = try XCTUnwrap(asked.withLock { $0 }).get()
        XCTAssertGreaterThan(report.freedBytes, 0)
        var refused: FileError?
        XCTAssertThrowsError(
            try open.live.reclaim(
                isCancelled: {
                    do throws(FileError) {
                        _ = try open.live.reclaim(options)
                    } catch {
                        refused = error
                    }
                    return true
                }))
        XCTAssertEqual(refused, .busy, "who gives way does not wait")
        try expect(kept, in: open.volume)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// Nobody asks: the store looks by itself.
    func testSpaceComesBackByItself() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var timing = quietTiming()
        timing.reclaimSeconds = 0.05
        timing.reclaimBytesMin = 1
        let open = try OpenStore(backend, index, timing: timing)
        try fill(open)
        let full = try packBytes(backend)
        let deadline = Date(timeIntervalSinceNow: 60)
        while try packBytes(backend) > full * 7 / 10, Date() < deadline {
            Thread.sleep(forTimeInterval: 0.02)
        }
        XCTAssertLessThanOrEqual(try packBytes(backend), full * 7 / 10)
        try expect(kept, in: open.volume)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// Whoever is refused space finds some a little later, when much was deleted before.
    func testShortageHurriesIt() throws {
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var timing = quietTiming()
        timing.reclaimSeconds = 86_400
        let open = try OpenStore(backend, index, timing: timing)
        var written = 0
        do throws(FileError) {
            while true {
                let made = try open.volume.makeFile(name(written), in: 1)
                try open.volume.put(Self.content(written), into: made.inode)
                try open.live.commit()
                open.volume.forget(made.inode, count: 1)
                written += 1
            }
        } catch {
            XCTAssertEqual(error, .noSpace)
        }
        XCTAssertGreaterThan(written, 100)
        for number in 0..<written where number % 10 != 0 {
            try open.volume.removeFile(name(number), in: 1)
        }
        try open.live.commit()
        let deadline = Date(timeIntervalSinceNow: 60)
        var hasRoom = false
        while !hasRoom, Date() < deadline {
            let made = try open.volume.makeFile(Array("late".utf8), in: 1)
            do throws(FileError) {
                try open.volume.put([UInt8](repeating: 7, count: 4_000_000), into: made.inode)
                hasRoom = true
            } catch {
                XCTAssertEqual(error, .noSpace)
                Thread.sleep(forTimeInterval: 0.05)
            }
            try open.volume.removeFile(Array("late".utf8), in: 1)
            open.volume.forget(made.inode, count: 1)
        }
        XCTAssertTrue(hasRoom, "deleted space did not come back")
        try expect(stride(from: 0, to: written - 1, by: 10), in: open.volume)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }
}
