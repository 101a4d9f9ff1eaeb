import Backends
import Platform
import XCTest

@testable import Pipeline

final class SpaceGateTests: XCTestCase {
    func testManyThreadsAskAtOnce() throws {
        let gate = SpaceGate(backend: MemoryBackend())
        // Each makes the others' clock readings old, at every moment of theirs.
        let threads = try (0..<4).map { number in
            try PlatformThread(name: "ask-\(number)") {
                for _ in 0..<100_000 {
                    if number == 0 { gate.note(bytes: SpaceGate.intervalBytes) }
                    _ = gate.isOpen()
                }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertTrue(gate.isOpen())
        gate.close()
        XCTAssertFalse(gate.isOpen())
        sleepNanoseconds(2 * SpaceGate.intervalNanoseconds)
        XCTAssertTrue(gate.isOpen())
    }

    /// Faster than the gate's interval of time, on a medium that holds little more than its interval of
    /// bytes.
    func testASmallMediumIsNotFullBeforeTheGateAsks() throws {
        let backend = MemoryBackend(capacityBytes: 40 << 20)
        let gate = SpaceGate(backend: backend)
        let bytes = [UInt8](repeating: 1, count: 1 << 20)
        var count = 0
        while gate.isOpen(), count < 40 {
            try backend.writeWhole("file-\(count)", bytes)
            gate.note(bytes: bytes.count)
            count += 1
        }
        let space = try backend.space()
        let limit = SpaceGate.reserveBytes(of: space) / 4 * 3
        XCTAssertLessThan(space.availableBytes, limit)
        XCTAssertGreaterThan(space.availableBytes + UInt64(bytes.count), limit)
    }

    /// A medium that is full is asked no more often than any other.
    func testAFullMediumIsAskedInIntervals() throws {
        let backend = MemoryBackend(capacityBytes: 8 << 20)
        try backend.writeWhole("file", [UInt8](repeating: 1, count: 8 << 20))
        let gate = SpaceGate(backend: backend)
        let begin = monotonicNanoseconds()
        XCTAssertFalse(gate.isOpen())
        try backend.removeFile("file")
        try backend.synchronizeNames()
        // Unless an interval has passed meanwhile, it does not look again.
        if gate.isOpen() {
            XCTAssertGreaterThanOrEqual(
                monotonicNanoseconds() - begin, SpaceGate.intervalNanoseconds)
        }
        sleepNanoseconds(2 * SpaceGate.intervalNanoseconds)
        XCTAssertTrue(gate.isOpen())
    }
}
