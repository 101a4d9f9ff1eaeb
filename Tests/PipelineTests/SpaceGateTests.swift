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
}
