import Platform
import XCTest

final class ConditionMutexTests: XCTestCase {
    func testLockExcludes() throws {
        let counter = ConditionMutex(0)
        let threads = try (0..<4).map { index in
            try PlatformThread(name: "count-\(index)") {
                for _ in 0..<10_000 { counter.withLock { $0 += 1 } }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertEqual(counter.withLock { $0 }, 40_000)
    }

    func testWaitingForACondition() throws {
        let turn = ConditionMutex(0)
        let other = try PlatformThread(name: "other") {
            for step in stride(from: 1, to: 200, by: 2) {
                turn.wait(until: { $0 == step }, then: { $0 += 1 })
                turn.broadcast()
            }
        }
        for step in stride(from: 0, to: 200, by: 2) {
            turn.wait(until: { $0 == step }, then: { $0 += 1 })
            turn.broadcast()
        }
        other.join()
        XCTAssertEqual(turn.withLock { $0 }, 200)
    }

    func testConditionsAreSeparate() throws {
        let state = ConditionMutex([false, false], conditions: 2)
        let waiter = try PlatformThread(name: "waiter") {
            state.wait(on: 1, until: { $0[1] }, then: { $0[0] = true })
            state.signal(0)
        }
        state.withLock { $0[1] = true }
        state.signal(1)
        state.wait(on: 0) { $0[0] }
        waiter.join()
    }

    func testDeadline() {
        let state = ConditionMutex(false)
        let begin = monotonicNanoseconds()
        let end = begin + 20_000_000
        XCTAssertFalse(state.wait(deadlineNanoseconds: end) { $0 })
        XCTAssertGreaterThanOrEqual(monotonicNanoseconds(), end)
        XCTAssertFalse(state.wait(deadlineNanoseconds: 0) { $0 }, "a deadline that has passed")
        state.withLock { $0 = true }
        XCTAssertTrue(state.wait(deadlineNanoseconds: 0) { $0 })
        let text = state.wait(
            deadlineNanoseconds: 0, until: { !$0 }, then: { _, holds in "\(holds)" })
        XCTAssertEqual(text, "false")
    }

    func testTypedErrorsAndValuesThatAreNotCopied() {
        struct Token: ~Copyable {
            var value: Int
        }
        let state = ConditionMutex(Token(value: 3))
        do {
            try state.withLock { (token) throws(Errno) in
                token.value = 4
                throw .noSpace
            }
            XCTFail("the error was lost")
        } catch {
            XCTAssertEqual(error, .noSpace)
        }
        XCTAssertEqual(state.withLock { $0.value }, 4, "the lock is free again")
    }

    func testStateIsReleased() {
        final class Witness: Sendable {}
        weak var witness: Witness?
        do {
            let object = Witness()
            witness = object
            let state = ConditionMutex([object])
            XCTAssertEqual(state.withLock { $0.count }, 1)
        }
        XCTAssertNil(witness)
    }
}
