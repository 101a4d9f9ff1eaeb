import Foundation
import Platform
import XCTest

final class WorkerPoolTests: XCTestCase {
    func testEveryJobRunsOnce() throws {
        let pool = try WorkerPool(name: "every", threadCount: 3, queueCapacity: 5)
        let runs = ConditionMutex([Int](repeating: 0, count: 2000))
        for job in 0..<2000 {
            XCTAssertTrue(pool.submit { runs.withLock { $0[job] += 1 } })
        }
        pool.drain()
        XCTAssertEqual(runs.withLock { $0 }, [Int](repeating: 1, count: 2000))
        pool.shutdown()
    }

    func testOneThreadKeepsTheOrder() throws {
        let pool = try WorkerPool(name: "order", threadCount: 1, queueCapacity: 3)
        let order = ConditionMutex<[Int]>([])
        for job in 0..<100 { pool.submit { order.withLock { $0.append(job) } } }
        pool.shutdown()
        XCTAssertEqual(order.withLock { $0 }, Array(0..<100))
    }

    func testWorkersGiveWayAndTheirMakerDoesNot() throws {
        let which = Int32(PRIO_PROCESS.rawValue)
        let own = getpriority(which, 0)
        let pool = try WorkerPool(name: "nice", threadCount: 2, queueCapacity: 1, niceness: 3)
        let seen = ConditionMutex<Int32>(-100)
        pool.submit { seen.withLock { $0 = getpriority(Int32(PRIO_PROCESS.rawValue), 0) } }
        pool.shutdown()
        XCTAssertEqual(seen.withLock { $0 }, min(own + 3, 19))
        XCTAssertEqual(getpriority(which, 0), own)
    }

    func testTheQueueIsBounded() throws {
        let pool = try WorkerPool(name: "bound", threadCount: 1, queueCapacity: 2)
        let gate = ConditionMutex((started: false, open: false))
        pool.submit {
            gate.withLock { $0.started = true }
            gate.broadcast()
            gate.wait { $0.open }
        }
        gate.wait { $0.started }
        XCTAssertTrue(pool.trySubmit {})
        XCTAssertTrue(pool.trySubmit {})
        XCTAssertFalse(pool.trySubmit {}, "two are waiting")

        let isThrough = ConditionMutex(false)
        let submitter = try PlatformThread(name: "submitter") {
            pool.submit {}
            isThrough.withLock { $0 = true }
            isThrough.broadcast()
        }
        let soon = monotonicNanoseconds() + 30_000_000
        XCTAssertFalse(isThrough.wait(deadlineNanoseconds: soon) { $0 }, "submit must block")
        gate.withLock { $0.open = true }
        gate.broadcast()
        isThrough.wait { $0 }
        submitter.join()
        pool.shutdown()
    }

    func testShutdownRunsWhatIsQueuedAndRefusesMore() throws {
        let pool = try WorkerPool(name: "end", threadCount: 2, queueCapacity: 100)
        let count = ConditionMutex(0)
        for _ in 0..<100 {
            pool.submit {
                sleepNanoseconds(100_000)
                count.withLock { $0 += 1 }
            }
        }
        pool.shutdown()
        XCTAssertEqual(count.withLock { $0 }, 100)
        XCTAssertFalse(pool.submit {})
        XCTAssertFalse(pool.trySubmit {})
        pool.shutdown()
    }

    func testAForgottenPoolEnds() throws {
        let count = ConditionMutex(0)
        do {
            let pool = try WorkerPool(name: "forgotten", threadCount: 2, queueCapacity: 10)
            for _ in 0..<10 {
                pool.submit {
                    count.withLock { $0 += 1 }
                    count.broadcast()
                }
            }
        }
        let end = monotonicNanoseconds() + 10_000_000_000
        XCTAssertTrue(count.wait(deadlineNanoseconds: end) { $0 == 10 })
    }

    func testThreadsHaveNamesAndBlockedSignals() throws {
        let seen = ConditionMutex<[String]>([])
        let pool = try WorkerPool(name: "hash", threadCount: 1, queueCapacity: 1)
        pool.submit {
            let name = (try? readSmallFile("/proc/thread-self/comm", limitBytes: 100)) ?? []
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            let blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGSEGV) == 0
            seen.withLock { $0 = [String(decoding: name, as: UTF8.self), "\(blocked)"] }
        }
        pool.shutdown()
        XCTAssertEqual(seen.withLock { $0 }, ["hash-0\n", "true"])
    }

    func testLongThreadNamesAreCut() throws {
        let seen = ConditionMutex("")
        let thread = try PlatformThread(name: "a-name-of-more-than-fifteen", stackBytes: 1 << 18) {
            let name = (try? readSmallFile("/proc/thread-self/comm", limitBytes: 100)) ?? []
            seen.withLock { $0 = String(decoding: name, as: UTF8.self) }
        }
        XCTAssertFalse(thread.isCurrent)
        thread.join()
        thread.join()
        XCTAssertEqual(seen.withLock { $0 }, "a-name-of-more-\n")
    }
}
