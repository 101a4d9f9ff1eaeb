import Foundation
import Platform
import XCTest

/// Memory, randomness, small files and daemons.
final class ProcessTests: XCTestCase {
    func testResidentBytesGrowWithWhatIsTouched() throws {
        // Short of memory, the kernel may take away as much meanwhile: not five times over.
        var growth: Int64 = 0
        for _ in 0..<5 where growth < 48 << 20 {
            let before = try ProcessMemory.residentBytes()
            XCTAssertGreaterThan(before, 1 << 20)
            let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 20, alignment: 4096)
            block.initializeMemory(as: UInt8.self, repeating: 1)
            growth = Int64(try ProcessMemory.residentBytes()) - Int64(before)
            XCTAssertEqual(block.last, 1)
            block.deallocate()
        }
        XCTAssertGreaterThan(growth, 48 << 20)
    }

    func testAllocatorSettingsAreTaken() throws {
        // AddressSanitizer brings an allocator of its own, which has no settings.
        let sanitizer = dlsym(UnsafeMutableRawPointer(bitPattern: 0), "__asan_init")
        try XCTSkipIf(sanitizer != nil, "not glibc's allocator")
        XCTAssertTrue(ProcessMemory.limitArenas(2))
        XCTAssertTrue(ProcessMemory.mapAllocations(from: 256 << 10))
        XCTAssertFalse(ProcessMemory.mapAllocations(from: -1))
        XCTAssertFalse(ProcessMemory.mapAllocations(from: .max))
        ProcessMemory.trim()
    }

    func testRandomBytes() {
        XCTAssertEqual(randomBytes(0), [])
        XCTAssertEqual(randomBytes(1000).count, 1000)
        XCTAssertNotEqual(randomBytes(32), randomBytes(32))
        XCTAssertNotEqual(randomUInt64(), randomUInt64())
    }

    /// The first numbers of SplitMix64 for seed 1234567, as published with its reference code.
    func testSeededGeneratorIsSplitMix64() {
        var generator = SeededGenerator(seed: 1_234_567)
        let numbers = (0..<3).map { _ in generator.next() }
        XCTAssertEqual(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423])
    }

    func testSmallFiles() throws {
        let name = try readSmallFile("/proc/self/comm", limitBytes: 100)
        XCTAssertEqual(name.last, UInt8(ascii: "\n"))
        XCTAssertEqual(try readSmallFile("/proc/self/comm", limitBytes: 1), Array(name.prefix(1)))
        XCTAssertThrowsError(try readSmallFile("/proc/none", limitBytes: 1)) {
            XCTAssertEqual($0 as? Errno, .noSuchFileOrDirectory)
        }
    }

    func testDirectoryNamesLeaveTheDescriptorUsable() throws {
        let calls = LinuxSystemCalls()
        let directory = try calls.open(at: .currentDirectory, "/proc/self", [.directory], mode: 0)
        let first = try calls.names(in: directory)
        XCTAssertTrue(first.contains("comm"))
        XCTAssertFalse(first.contains("."))
        XCTAssertFalse(first.contains(".."))
        XCTAssertEqual(Set(try calls.names(in: directory)), Set(first))
        try calls.close(directory)
        XCTAssertThrowsError(try calls.close(directory)) {
            XCTAssertEqual($0 as? Errno, .badFileDescriptor)
        }
    }

    // MARK: daemons. The child does nothing but report and end: this process has threads.

    private func outcome(_ child: (consuming DaemonReport) -> Never) throws -> DaemonOutcome? {
        switch try Daemon.fork() {
        case .daemon(let report): child(report)
        case .parent(let outcome): return outcome
        }
    }

    private func reap(_ outcome: DaemonOutcome) {
        var status: Int32 = 0
        XCTAssertEqual(waitpid(outcome.processID, &status, 0), outcome.processID)
    }

    func testReadyDaemon() throws {
        let outcome = try XCTUnwrap(
            try outcome { report in
                try? report.send(status: 0, message: "mounted")
                _exit(0)
            })
        XCTAssertEqual(outcome.status, 0)
        XCTAssertTrue(outcome.reported)
        XCTAssertEqual(outcome.message, "mounted")
        reap(outcome)
    }

    func testReadyDaemonLeavesTheTerminalAndLeadsASession() throws {
        let outcome = try XCTUnwrap(
            try outcome { report in
                var path = [CChar](repeating: 1, count: 256)
                let isLeader = getsid(0) == getpid()
                try? report.send(status: 0)
                let count = readlink("/proc/self/fd/1", &path, path.count)
                let isNull = count == 9 && strncmp(path, "/dev/null", 9) == 0
                let isAtRoot = getcwd(&path, path.count) != nil && strcmp(path, "/") == 0
                _exit(isLeader && isNull && isAtRoot ? 42 : 43)
            })
        XCTAssertEqual(outcome.status, 0)
        XCTAssertEqual(outcome.message, "")
        var status: Int32 = 0
        XCTAssertEqual(waitpid(outcome.processID, &status, 0), outcome.processID)
        XCTAssertEqual(status >> 8, 42)
    }

    func testFailingDaemonGivesItsReason() throws {
        let long = String(repeating: "x", count: 5000)
        let outcome = try XCTUnwrap(
            try outcome { report in
                try? report.send(status: 32, message: long)
                _exit(32)
            })
        XCTAssertEqual(outcome.status, 32)
        XCTAssertEqual(outcome.message, String(long.prefix(DaemonReport.messageBytesMax)))
        reap(outcome)
    }

    func testSilentDeathsAreFailures() throws {
        let killed = try XCTUnwrap(
            try outcome { _ in
                kill(getpid(), SIGKILL)
                _exit(0)
            })
        XCTAssertFalse(killed.reported)
        XCTAssertEqual(killed.status, 128 + SIGKILL)
        XCTAssertTrue(killed.message.contains("killed by signal 9"))
        XCTAssertEqual(try outcome { _ in _exit(7) }?.status, 7)
        XCTAssertEqual(try outcome { _ in _exit(0) }?.status, 1, "0 would mean ready")
    }
}
