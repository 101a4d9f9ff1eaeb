// Bounds, order of eviction, single flight, and all of it under threads.
import Platform
import Synchronization
import XCTest

@testable import SuperChunks

final class FrameCacheTests: XCTestCase {
    private struct LoadFailed: Error, Equatable {
        let number: Int
    }

    /// What threads count together.
    private final class Tally: Sendable {
        let loads = Atomic<Int>(0)
        let right = Atomic<Int>(0)
        let wrong = Atomic<Int>(0)
        let asked = Atomic<Int>(0)
    }

    private func key(_ pack: UInt32, _ offset: UInt64 = 0, _ frame: UInt16 = 0) -> FrameKey {
        FrameKey(pack: pack, offset: offset, frame: frame)
    }

    private func run(threads: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
        let running = try (0..<threads).map { number in
            try PlatformThread(name: "frame-\(number)") { body(number) }
        }
        for thread in running { thread.join() }
    }

    func testTheLeastRecentlyUsedGoesFirst() throws {
        let frame = try makeFrame(length: 4000, value: 1)
        let cache = FrameCache<LoadFailed>(limitBytes: 3 * frame.memoryBytes)
        for pack in UInt32(0)..<3 {
            _ = try cache.frame(for: key(pack)) { () throws(LoadFailed) in frame }
        }
        XCTAssertNotNil(cache.keptFrame(for: key(0)))
        _ = try cache.frame(for: key(3)) { () throws(LoadFailed) in frame }
        XCTAssertEqual(
            (0..<4).map { cache.keptFrame(for: key($0)) != nil },
            [
                true, false, true, true,
            ])
        XCTAssertEqual(
            cache.counters,
            .init(
                hits: 0, misses: 4, joins: 0, evictions: 1, bytes: 3 * frame.memoryBytes,
                frames: 3))
        // Used last: 3, then 2; so two survive a limit for two.
        cache.limitBytes = 2 * frame.memoryBytes
        XCTAssertEqual(cache.counters.frames, 2)
        XCTAssertNil(cache.keptFrame(for: key(0)))
        cache.limitBytes = 0
        XCTAssertEqual(cache.counters.bytes, 0)
        _ = try cache.frame(for: key(9)) { () throws(LoadFailed) in frame }
        XCTAssertEqual(cache.counters.frames, 0)
    }

    func testKeysDifferInEveryField() throws {
        let cache = FrameCache<LoadFailed>(limitBytes: 1 << 20)
        let keys = [key(0), key(1), key(0, 8), key(0, 0, 1)]
        for (index, key) in keys.enumerated() {
            let frame = try makeFrame(length: 10, value: UInt8(index))
            _ = try cache.frame(for: key) { () throws(LoadFailed) in frame }
        }
        for (index, key) in keys.enumerated() {
            XCTAssertEqual(cache.keptFrame(for: key)?.bytes.first, UInt8(index))
        }
    }

    func testEvictionLeavesFramesInUseAlone() throws {
        let cache = FrameCache<LoadFailed>(limitBytes: 1 << 20)
        weak var watched: DecodedFrame?
        do {
            let held = try cache.frame(for: key(1)) { () throws(LoadFailed) in
                do { return try makeFrame(length: 5000, value: 7) } catch {
                    throw LoadFailed(number: 0)
                }
            }
            watched = held
            cache.limitBytes = 0
            XCTAssertNil(cache.keptFrame(for: key(1)))
            XCTAssertEqual(Array(held.bytes), [UInt8](repeating: 7, count: 5000))
            withExtendedLifetime(held) {}
        }
        XCTAssertNil(watched)
    }

    func testRemovingAPack() throws {
        let frame = try makeFrame(length: 10, value: 1)
        let cache = FrameCache<LoadFailed>(limitBytes: 1 << 20)
        for offset in UInt64(0)..<10 {
            _ = try cache.frame(for: key(1, offset)) { () throws(LoadFailed) in frame }
            _ = try cache.frame(for: key(2, offset)) { () throws(LoadFailed) in frame }
        }
        cache.remove(pack: 1)
        XCTAssertEqual(cache.counters.frames, 10)
        XCTAssertEqual(cache.counters.bytes, 10 * frame.memoryBytes)
        XCTAssertNil(cache.keptFrame(for: key(1, 3)))
        XCTAssertNotNil(cache.keptFrame(for: key(2, 3)))
        // Removed while it is being loaded: the asker gets it, nobody after that.
        _ = try cache.frame(for: key(3)) { () throws(LoadFailed) in
            cache.remove(pack: 3)
            return frame
        }
        XCTAssertNil(cache.keptFrame(for: key(3)))
    }

    func testAnErrorIsNotKept() throws {
        let frame = try makeFrame(length: 10, value: 1)
        let cache = FrameCache<LoadFailed>(limitBytes: 1 << 20)
        for number in 0..<3 {
            XCTAssertThrowsError(
                try cache.frame(for: key(1)) { () throws(LoadFailed) in
                    throw LoadFailed(number: number)
                }
            ) { XCTAssertEqual($0 as? LoadFailed, LoadFailed(number: number)) }
        }
        XCTAssertTrue(try cache.frame(for: key(1)) { () throws(LoadFailed) in frame } === frame)
        XCTAssertEqual(cache.counters.misses, 4)
    }

    /// One loads until all others wait for it; then all have its frame, or its error.
    func testOneLoadForAllWhoAsk() throws {
        let frame = try makeFrame(length: 10, value: 1)
        for fails in [false, true] {
            let cache = FrameCache<LoadFailed>(limitBytes: 1 << 20)
            let tally = Tally()
            let key = key(1)
            try run(threads: 8) { _ in
                do throws(LoadFailed) {
                    let got = try cache.frame(for: key) { () throws(LoadFailed) in
                        tally.loads.add(1, ordering: .relaxed)
                        while cache.counters.joins < 7 { sched_yield() }
                        if fails { throw LoadFailed(number: 5) }
                        return frame
                    }
                    if !fails && got === frame { tally.right.add(1, ordering: .relaxed) }
                } catch {
                    if fails && error.number == 5 { tally.right.add(1, ordering: .relaxed) }
                }
            }
            XCTAssertEqual(tally.loads.load(ordering: .relaxed), 1)
            XCTAssertEqual(tally.right.load(ordering: .relaxed), 8)
            XCTAssertEqual(cache.counters.joins, 7)
            XCTAssertEqual(cache.counters.frames, fails ? 0 : 1)
        }
    }

    /// Eight threads ask, fail, remove and change the limit; the bound and the frames stay right.
    func testBoundsUnderThreads() throws {
        var generator = seededGenerator()
        let frames = try (0..<32).map {
            try makeFrame(length: 1000 + Int(generator.next() % 20_000), value: UInt8($0))
        }
        let seeds = (0..<8).map { _ in generator.next() }
        let limit = frames.reduce(0) { $0 + $1.memoryBytes } / 4
        let cache = FrameCache<LoadFailed>(limitBytes: limit)
        let tally = Tally()
        let work: @Sendable (Int) -> Void = { number in
            var generator = SeededGenerator(seed: seeds[number])
            for _ in 0..<4000 {
                let which = Int(generator.next() % 32)
                switch generator.next() % 100 {
                case 0: cache.remove(pack: UInt32(which))
                case 1: cache.limitBytes = limit / (1 + which % 2)
                default:
                    let fails = generator.next() % 10 == 0
                    tally.asked.add(1, ordering: .relaxed)
                    let key = FrameKey(pack: UInt32(which), offset: 64, frame: 0)
                    let got = try? cache.frame(for: key) { () throws(LoadFailed) in
                        if fails { throw LoadFailed(number: which) }
                        return frames[which]
                    }
                    if let got, got !== frames[which] { tally.wrong.add(1, ordering: .relaxed) }
                }
                if cache.counters.bytes > limit { tally.wrong.add(1, ordering: .relaxed) }
            }
        }
        try run(threads: 8, work)
        XCTAssertEqual(tally.wrong.load(ordering: .relaxed), 0)
        let counters = cache.counters
        XCTAssertEqual(
            Int(counters.hits + counters.misses + counters.joins),
            tally.asked.load(ordering: .relaxed))
        XCTAssertGreaterThan(counters.hits, 0)
        XCTAssertGreaterThan(counters.evictions, 0)
        let kept = frames.enumerated().filter {
            cache.keptFrame(for: FrameKey(pack: UInt32($0.offset), offset: 64, frame: 0)) != nil
        }
        XCTAssertEqual(kept.count, counters.frames)
        XCTAssertEqual(kept.reduce(0) { $0 + $1.element.memoryBytes }, counters.bytes)
    }
}
