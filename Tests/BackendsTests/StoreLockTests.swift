import Backends
import Foundation
import Platform
import XCTest

final class StoreLockTests: XCTestCase {
    private func assertHeld(
        _ path: String, _ mode: StoreLockMode, file: StaticString = #filePath, line: UInt = #line
    ) throws -> LockHolder? {
        do {
            _ = try StoreLock(storePath: path, mode: mode)
            XCTFail("the lock was free", file: file, line: line)
            return nil
        } catch StoreLockError.held(let wanted, let holder) {
            XCTAssertEqual(wanted, mode, file: file, line: line)
            return holder
        }
    }

    func testExclusiveExcludesAll() throws {
        let store = try TemporaryDirectory()
        let lock = try StoreLock(
            storePath: store.path, mode: .exclusive, command: "ashlar mount\n/mnt")
        let holder = try XCTUnwrap(try assertHeld(store.path, .exclusive))
        XCTAssertEqual(holder.processID, getpid())
        XCTAssertEqual(holder.command, "ashlar mount?/mnt", "no line breaks")
        XCTAssertEqual(holder.mode, .exclusive)
        XCTAssertLessThan(abs(holder.sinceSeconds - wallClock().seconds), 60)
        XCTAssertTrue(holder.description.hasPrefix("pid \(getpid()) (ashlar mount?/mnt) on "))
        XCTAssertTrue(holder.description.hasSuffix("Z"))
        XCTAssertNotNil(try assertHeld(store.path, .shared))
        lock.release()
        lock.release()
        _ = try StoreLock(storePath: store.path, mode: .exclusive)
    }

    func testReadersShare() throws {
        let store = try TemporaryDirectory()
        let first = try StoreLock(storePath: store.path, mode: .shared)
        let second = try StoreLock(storePath: store.path, mode: .shared)
        XCTAssertEqual(try assertHeld(store.path, .exclusive)?.mode, .shared)
        first.release()
        _ = try assertHeld(store.path, .exclusive)
        second.release()
        _ = try StoreLock(storePath: store.path, mode: .exclusive)
    }

    func testLockGoesWithItsObject() throws {
        let store = try TemporaryDirectory()
        do {
            let lock = try StoreLock(storePath: store.path, mode: .exclusive)
            _ = try assertHeld(store.path, .shared)
            XCTAssertEqual(lock.mode, .exclusive)
        }
        _ = try StoreLock(storePath: store.path, mode: .shared)
    }

    func testWaiting() throws {
        let store = try TemporaryDirectory()
        let lock = try StoreLock(storePath: store.path, mode: .exclusive)
        let begin = monotonicNanoseconds()
        XCTAssertThrowsError(
            try StoreLock(storePath: store.path, mode: .shared, waitNanoseconds: 60_000_000))
        XCTAssertGreaterThanOrEqual(monotonicNanoseconds() - begin, 60_000_000)
        let releaser = try PlatformThread(name: "releaser") {
            sleepNanoseconds(50_000_000)
            lock.release()
        }
        _ = try StoreLock(storePath: store.path, mode: .shared, waitNanoseconds: .max)
        releaser.join()
    }

    /// A process that inherited the lock holds it until it dies, by kill -9 too; no hand is needed.
    func testLockOfAKilledProcessIsFree() throws {
        let store = try TemporaryDirectory()
        let lock = try StoreLock(storePath: store.path, mode: .exclusive, isInheritable: true)
        let child = try spawnSleeper()
        lock.release()
        _ = try assertHeld(store.path, .exclusive)
        XCTAssertEqual(kill(child, SIGKILL), 0)
        var status: Int32 = 0
        XCTAssertEqual(waitpid(child, &status, 0), child)
        _ = try StoreLock(storePath: store.path, mode: .exclusive)
    }

    func testProgramsDoNotInheritUnlessAsked() throws {
        let store = try TemporaryDirectory()
        let lock = try StoreLock(storePath: store.path, mode: .exclusive)
        let child = try spawnSleeper()
        lock.release()
        // The child's copies are closed a moment after its maker has gone on.
        _ = try StoreLock(
            storePath: store.path, mode: .exclusive, waitNanoseconds: 20_000_000_000)
        kill(child, SIGKILL)
        var status: Int32 = 0
        XCTAssertEqual(waitpid(child, &status, 0), child)
    }

    private func spawnSleeper() throws -> pid_t {
        var child = pid_t()
        let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
        defer { for argument in arguments { free(argument) } }
        XCTAssertEqual(posix_spawn(&child, "/bin/sleep", nil, nil, arguments, nil), 0)
        return child
    }

    func testTextOfADeadProcessIsNotBelieved() throws {
        let store = try TemporaryDirectory()
        let path = store.path + "/" + StoreLock.fileName
        let lock = try StoreLock(storePath: store.path, mode: .exclusive)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        XCTAssertTrue(text.contains("pid=\(getpid())\n"))
        // The same number, but a process that started at another time.
        try overwrite(path, text.replacing(/started=\d+/, with: "started=1"))
        XCTAssertNil(try assertHeld(store.path, .exclusive))
        for garbage in ["", "pid=", "\0\u{1b}[2J", String(repeating: "=", count: 100_000)] {
            try overwrite(path, garbage)
            XCTAssertNil(try assertHeld(store.path, .exclusive))
        }
        lock.announce()
        XCTAssertEqual(try assertHeld(store.path, .exclusive)?.processID, getpid())
        XCTAssertEqual(try String(contentsOfFile: path, encoding: .utf8), text)
    }

    /// In place: a new file of that name would be another lock.
    private func overwrite(_ path: String, _ text: String) throws {
        let handle = try XCTUnwrap(FileHandle(forWritingAtPath: path))
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }

    func testErrorsOfTheSystem() throws {
        let store = try TemporaryDirectory()
        XCTAssertThrowsError(try StoreLock(storePath: store.path + "/none", mode: .shared)) {
            XCTAssertEqual(
                $0 as? StoreLockError,
                .system(path: store.path + "/none/lock", code: ENOENT, call: "open"))
        }
        let plan = FaultPlan<SystemCall>([Fault([.fcntl], error: .noLocks)])
        let faulty = FaultInjectingSystemCalls(plan: plan)
        XCTAssertThrowsError(
            try StoreLock(storePath: store.path, mode: .exclusive, systemCalls: faulty)
        ) {
            XCTAssertEqual(
                $0 as? StoreLockError,
                .system(path: store.path + "/lock", code: ENOLCK, call: "fcntl"))
        }
        _ = try StoreLock(storePath: store.path, mode: .exclusive, systemCalls: faulty)
    }

    func testReadersOfAReadOnlyMedium() throws {
        let store = try TemporaryDirectory()
        _ = try StoreLock(storePath: store.path, mode: .exclusive)
        let plan = FaultPlan<SystemCall>([
            Fault([.open], error: .readOnlyFileSystem),
            Fault([.open], firstCall: 3, error: .readOnlyFileSystem),
        ])
        let faulty = FaultInjectingSystemCalls(plan: plan)
        let reader = try StoreLock(storePath: store.path, mode: .shared, systemCalls: faulty)
        XCTAssertEqual(plan.callCount(.pwritev), 0)
        XCTAssertThrowsError(
            try StoreLock(storePath: store.path, mode: .exclusive, systemCalls: faulty)
        ) {
            XCTAssertEqual(
                $0 as? StoreLockError,
                .system(path: store.path + "/lock", code: EROFS, call: "open"))
        }
        reader.release()
    }
}
