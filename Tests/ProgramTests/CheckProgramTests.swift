import Backends
import Console
import Control
import Foundation
import XCTest

@testable import fsck

/// fsck.ashlar as users see it: exit codes, words, JSON, and who is asked.
final class CheckProgramTests: DirectoryTestCase {
    private var store: TestStore!

    override func setUpWithError() throws {
        try super.setUpWithError()
        store = try TestStore(path: path("store"))
    }

    private func fsck(_ arguments: String...) throws -> ProgramResult {
        try BuiltProgram.run(try BuiltProgram.path("fsck.ashlar"), arguments)
    }

    /// Of the data super-chunk, which holds the only copy of the file's first chunk.
    private func damage() throws {
        try store.flip(store.main, at: store.dataOffset + 48 + 32 * 3 + 36 * 3 + 10)
    }

    func testASoundStore() throws {
        for options in [[], ["-n"], ["--quick"], ["--deep"], ["-f", "-n"]] {
            let result = try BuiltProgram.run(
                try BuiltProgram.path("fsck.ashlar"), options + [store.path])
            XCTAssertEqual(result.code, 0, result.text + result.errors)
            XCTAssertTrue(result.text.hasPrefix("clean: 2 packs"), result.text)
            XCTAssertEqual(result.errors, "")
        }
        XCTAssertEqual(try fsck("-q", store.path).text, "")
    }

    func testDamageIsNamedWithItsPaths() throws {
        try damage()
        let result = try fsck(store.path)
        XCTAssertEqual(result.code, 4, result.errors)
        XCTAssertTrue(
            result.text.contains("loss: frame-damaged: pack \(store.main), offset 4096, frame 0"),
            result.text)
        XCTAssertTrue(result.text.contains("    main:/file\n"), result.text)
        XCTAssertTrue(result.text.contains("  next: "), result.text)
        XCTAssertTrue(result.text.contains("1 problem, content is lost"), result.text)
        // A quick check does not read it.
        XCTAssertEqual(try fsck("--quick", store.path).code, 0)
    }

    func testJSON() throws {
        try damage()
        let result = try fsck("--json", store.path)
        XCTAssertEqual(result.code, 4)
        let object = try JSONSerialization.jsonObject(with: result.output) as? [String: Any]
        XCTAssertEqual(object?["verdict"] as? String, "loss")
        XCTAssertEqual(object?["exit_code"] as? Int, 4)
        let problems = object?["problems"] as? [[String: Any]]
        XCTAssertEqual(problems?.first?["kind"] as? String, "frame-damaged")
        let paths = problems?.first?["paths"] as? [[String: Any]]
        XCTAssertEqual(paths?.first?["path"] as? String, "/file")
    }

    func testUsageAndNoStores() throws {
        XCTAssertEqual(try fsck().code, 16)
        XCTAssertEqual(try fsck("--bogus", store.path).code, 16)
        XCTAssertEqual(try fsck("--quick", "--deep", store.path).code, 16)
        XCTAssertEqual(try fsck("--restart", store.path).code, 16)
        XCTAssertEqual(try fsck(path("none")).code, 8)
        let empty = try fsck(try makeDirectory("empty"))
        XCTAssertEqual(empty.code, 8)
        XCTAssertTrue(empty.errors.contains("is not an Ashlar store"), empty.errors)
        XCTAssertEqual(try fsck("-V").code, 0)
        XCTAssertEqual(try fsck("--help").code, 0)
    }

    func testProgressForPrograms() throws {
        let result = try fsck("-C1", "-q", store.path)
        XCTAssertEqual(result.code, 0)
        let lines = result.text.split(separator: "\n")
        XCTAssertFalse(lines.isEmpty)
        XCTAssertTrue(lines.allSatisfy { $0.hasSuffix(" ashlar") }, result.text)
    }

    // MARK: stores in use

    func testAMountedStoreIsLeftToItsDaemon() throws {
        let lock = try StoreLock(storePath: store.path, mode: .exclusive)
        let refused = try fsck(store.path)
        XCTAssertEqual(refused.code, 8)
        XCTAssertTrue(
            refused.errors.contains(
                "is in use by pid \(ProcessInfo.processInfo.processIdentifier)"),
            refused.errors)
        XCTAssertEqual(try fsck("-n", store.path).code, 8, "no daemon answers")

        let answer: JSONValue = .object([
            "lines": .list([.text("told by the daemon")]), "json": .text("{}\n"),
            "exitCode": .integer(4),
        ])
        let server = try ControlServer(
            storePath: store.path, holding: lock,
            handlers: [
                "fsck": { request throws(ControlError) in
                    guard request.arguments["depth"]?.text == "deep" else {
                        throw .refused(code: "failed", message: "another depth")
                    }
                    request.progress(.object(["done": .integer(1), "total": .integer(2)]))
                    return answer
                }
            ])
        defer { server.stop() }
        let asked = try fsck("-n", "--deep", store.path)
        XCTAssertEqual(asked.code, 4, asked.errors)
        XCTAssertEqual(asked.text, "told by the daemon\n")
        let wrong = try fsck("-n", store.path)
        XCTAssertEqual(wrong.code, 8)
        XCTAssertTrue(wrong.errors.contains("another depth"), wrong.errors)
    }

    func testAshlarFsckIsTheSame() throws {
        try damage()
        let result = try BuiltProgram.ashlar(["fsck", "-n", "--json", store.path])
        XCTAssertEqual(result.code, 4, result.errors)
        XCTAssertEqual(try BuiltProgram.ashlar(["fsck", "--bogus"]).code, 16)
        let link = try BuiltProgram.ashlar(
            ["-n", store.path], as: "fsck.ashlar", linkedIn: directory)
        XCTAssertEqual(link.code, 4, link.errors)
    }

    /// A signal ends a check between two steps, with the exit code for it.
    func testASignalCancels() throws {
        Interruption.catchSignals()
        defer { for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) } }
        XCTAssertNil(Interruption.signal)
        raise(SIGHUP)
        XCTAssertEqual(Interruption.signal, SIGHUP)
        let command = try FsckCommand.parse([store.path])
        let checking = StoreChecking(command: command, output: Output(program: "fsck.ashlar"))
        let ended = failure { _ = try checking.answer() }
        XCTAssertEqual(ended?.kind, .interrupted)
        XCTAssertEqual(ended.map { ProgramFamily.check.exitCode(for: $0.kind) }, 32)
    }

    // MARK: notes

    func testNotesOfADeepCheck() throws {
        for isOutside in [false, true] {
            setenv("XDG_STATE_HOME", path("state"), 1)
            defer { unsetenv("XDG_STATE_HOME") }
            let notes = CheckNotes(storePath: store.path, isOutside: isOutside)
            XCTAssertNil(notes.read())
            XCTAssertNil(notes.write([1, 2, 3]))
            XCTAssertEqual(notes.read(), [1, 2, 3])
            XCTAssertEqual(
                FileManager.default.fileExists(atPath: store.path + "/check-note"), !isOutside)
            notes.remove()
            XCTAssertNil(notes.read())
        }
    }

    /// What a note says is verified is not read again; a note that makes no sense is passed over.
    func testAForeignNoteChangesNothing() throws {
        try Data("nonsense".utf8).write(to: URL(fileURLWithPath: store.path + "/check-note"))
        try damage()
        XCTAssertEqual(try fsck("--deep", store.path).code, 4)
        XCTAssertFalse(
            FileManager.default.fileExists(atPath: store.path + "/check-note"),
            "a check that came to its end leaves no note")
    }
}
