import EndToEndSupport
import Foundation
import class Platform.ConditionMutex
import XCTest

/// kill -9 of the daemon at random moments: what was acknowledged is there, what is there is
/// consistent.
final class CrashTests: EndToEndTestCase {
    private static let rounds = Machine.isLong ? 60 : 3

    /// A thread that goes on until the mount is dead, then says what it had been promised.
    private final class Writer: @unchecked Sendable {
        /// Promised by the time of the crash.
        let promised = ConditionMutex<[Int]>([])
        private let ended = DispatchSemaphore(value: 0)

        /// - Parameter step: one promise; throws when the mount is dead.
        init(_ step: @escaping @Sendable (Int) throws -> Void) {
            Thread { [self] in
                var number = 0
                while (try? step(number)) != nil {
                    let done = number
                    promised.withLock { $0.append(done) }
                    number += 1
                }
                ended.signal()
            }.start()
        }

        /// What was promised, once the thread has seen the crash.
        func finish() throws -> [Int] {
            guard ended.wait(timeout: .now() + 60) == .success else { throw SystemError(ETIMEDOUT) }
            return promised.withLock { $0 }
        }
    }

    /// Content that belongs to one number: of different lengths, and no two alike.
    private static func content(_ number: Int) -> [UInt8] {
        let mark = Array("version \(number)\n".utf8)
        let count = 1 + (number * 7919) % 90_000
        return (0..<count).map { mark[$0 % mark.count] }
    }

    /// A tree of some megabytes, which takes a while to copy.
    private func makeTree(_ random: inout SeededGenerator) throws -> String {
        let tree = try makeDirectory("tree")
        for folder in 0..<12 {
            try System.check(mkdir("\(tree)/\(folder)", 0o755))
            for file in 0..<25 {
                try System.writeFile(
                    "\(tree)/\(folder)/\(file)", random.bytes(random.below(60_000)))
            }
        }
        return tree
    }

    private func pause(_ random: inout SeededGenerator, upTo milliseconds: Int) {
        usleep(useconds_t(random.below(milliseconds * 1000)))
    }

    func testKilledInTheMiddleOfACopy() throws {
        var random = SeededGenerator()
        let tree = try makeTree(&random)
        let place = try makePlace()
        try place.mount("commit=1")
        try System.writeFile(place.path("before"), [1, 2, 3], synchronized: true)
        for round in 0..<Self.rounds {
            let target = place.path("copy-\(round)")
            let copy = try Program(["cp", "-a", tree, target], scratch: folder)
            pause(&random, upTo: 1000)
            try System.writeFile(place.path("mark-\(round)"), [7], synchronized: true)
            try place.crash { XCTAssertTrue([0, 1].contains(try copy.finish().code)) }
            let said = try place.mustBeClean(["-n", "--deep"])
            XCTAssertTrue(said.contains("log-waits"), "a crash goes unmentioned: \(said)")
            try place.mount("commit=1")
            try assertPrefixes(of: tree, target)
            XCTAssertEqual(try System.readFile(place.path("before")), [1, 2, 3])
            XCTAssertEqual(try System.readFile(place.path("mark-\(round)")), [7])
            try mustRun([
                try Machine.require("rsync"), "-aI", "--inplace", "--delete", tree + "/", target,
            ])
            try assertEqualTrees(tree, target)
        }
        try place.unmount()
        try place.mustBeClean()
    }

    /// Each file that is there has a beginning of what was copied into it: never other bytes, never
    /// zeros up to a size that came too early.
    private func assertPrefixes(of tree: String, _ target: String) throws {
        guard (try? System.status(target)) != nil else { return }
        let found = try mustRun(["find", target, "-type", "f", "-printf", "%P\\0"]).output
        for name in found.split(separator: 0).map({ String(decoding: $0, as: UTF8.self) }) {
            let copy = try System.readFile(target + "/" + name)
            let original = try System.readFile(tree + "/" + name)
            XCTAssertTrue(original.starts(with: copy), "\(name) has bytes that nobody wrote")
        }
    }

    func testAcknowledgedFsyncsAreNeverLost() throws {
        var random = SeededGenerator()
        let place = try makePlace()
        for round in 0..<Self.rounds {
            try place.mount()
            let folder = place.path("round-\(round)")
            let base = round * 100_000
            try System.check(mkdir(folder, 0o755))
            let files = Writer { number in
                try System.writeFile(
                    "\(folder)/\(number)", Self.content(base + number), synchronized: true)
            }
            let log = Writer { number in
                try System.with("\(folder)/log", O_WRONLY | O_CREAT) { file throws(SystemError) in
                    try System.write(file, [UInt8(truncatingIfNeeded: number)], at: number)
                    try System.check(fdatasync(file))
                }
            }
            wait {
                !files.promised.withLock { $0.isEmpty } && !log.promised.withLock { $0.isEmpty }
            }
            pause(&random, upTo: 700)
            var promisedFiles: [Int] = []
            var promisedBytes: [Int] = []
            try place.crash {
                promisedFiles = try files.finish()
                promisedBytes = try log.finish()
            }
            XCTAssertGreaterThan(promisedFiles.count, 0)
            try place.mustBeClean(["-n"])
            try place.mount()
            for number in promisedFiles {
                let content = try? System.readFile("\(folder)/\(number)")
                XCTAssertTrue(
                    content == Self.content(base + number), "round \(round): file \(number)")
            }
            let bytes = try System.readFile("\(folder)/log")
            XCTAssertTrue(
                bytes.starts(with: promisedBytes.map { UInt8(truncatingIfNeeded: $0) }),
                "round \(round): \(bytes.count) of \(promisedBytes.count) bytes of the log")
            try place.unmount()
        }
        try place.mustBeClean()
    }

    /// The habit of editors and package managers, without fsync.
    func testRenameOverNeverLeavesAnEmptyOrMixedFile() throws {
        var random = SeededGenerator()
        let place = try makePlace()
        try place.mount("commit=1")
        try System.writeFile(place.path("target"), Self.content(0), synchronized: true)
        for round in 0..<Self.rounds {
            let base = 1 + round * 100_000
            let target = place.path("target")
            let writer = Writer { number in
                let new = target + ".new"
                try System.writeFile(new, Self.content(base + number))
                try System.check(rename(new, target))
            }
            pause(&random, upTo: 1800)
            try place.crash { _ = try writer.finish() }
            try place.mount("commit=1")
            let found = try System.readFile(target)
            let line = String(decoding: found.prefix { $0 != 0x0a }, as: UTF8.self)
            let version = Int(line.split(separator: " ").last ?? "")
            // Of the shortest versions only a part of the first line is there.
            let isVersion = version.map { Self.content($0) == found } ?? false
            XCTAssertTrue(
                isVersion || (found.count < 16 && !found.isEmpty),
                "round \(round): \(found.count) bytes, beginning with \(line)")
        }
        try place.unmount()
        try place.mustBeClean()
    }

    /// The last commit and the checkpoint behind it, cut off anywhere.
    func testKilledDuringUnmount() throws {
        var random = SeededGenerator()
        let tree = try makeTree(&random)
        let place = try makePlace()
        try place.mount()
        try mustRun(["cp", "-a", tree, place.path("tree")])
        try mustRun(["sync", place.path("tree")])
        for round in 0..<(Self.rounds + 1) {
            try System.writeFile(place.path("round"), [UInt8(round)], synchronized: true)
            let daemon = try XCTUnwrap(place.daemon)
            try mustRun(["umount", place.mountpoint])
            pause(&random, upTo: round == 0 ? 5 : 250)
            kill(daemon, SIGKILL)
            try place.awaitDeath()
            try place.mustBeClean(["-n"])
            try place.mount()
            XCTAssertEqual(try System.readFile(place.path("round")), [UInt8(round)])
            try assertEqualTrees(tree, place.path("tree"))
        }
        try place.unmount()
        try place.mustBeClean()
    }

    /// A dead mount stays dead: a program must not take the directory below it for the volume.
    func testMountOfADeadDaemonAnswersENOTCONN() throws {
        let place = try makePlace()
        try place.mount()
        try System.writeFile(place.path("file"), [1], synchronized: true)
        kill(try XCTUnwrap(place.daemon), SIGKILL)
        // What is asked while the process ends is aborted.
        wait {
            do throws(SystemError) {
                _ = try System.status(place.path("file"))
                return false
            } catch {
                return error.code == ENOTCONN
            }
        }
        assertFails(ENOTCONN, "stat") { _ = try System.status(place.path("file")) }
        let refused = try place.tryMount()
        XCTAssertEqual(refused.code, 32)
        XCTAssertTrue(refused.errors.contains("umount"), refused.errors)
        XCTAssertEqual(try ashlar(["umount", place.mountpoint]).code, 0)
        try place.mount()
        XCTAssertEqual(try System.readFile(place.path("file")), [1])
        try place.unmount()
    }
}
