import Foundation
import XCTest

/// What a program said and how it ended.
public struct ProgramResult {
    /// The exit code, or 128 and the signal that ended it.
    public var code: Int32
    public var output: [UInt8]
    public var errors: String

    public var text: String { String(decoding: output, as: UTF8.self) }

    /// The output as the one JSON object that it should be.
    public func json() throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(output))
        return try XCTUnwrap(value as? [String: Any], "not a JSON object: \(text)")
    }
}

/// A program that could not be run to its end.
public enum ProgramError: Error {
    case cannotStart(String, code: Int32)
    case tookTooLong([String], seconds: Double, said: String)
}

/// A running program. Its output goes to files, not pipes: a daemon that keeps them open cannot keep
/// the test waiting. One thread at a time.
public final class Program {
    public let process: pid_t
    private let command: [String]
    private let outputPath: String
    private var status: Int32?

    /// - Parameter scratch: the folder for the files that take its output.
    public init(_ command: [String], scratch: String) throws {
        self.command = command
        outputPath = scratch + "/output-\(UUID().uuidString)"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let writing = O_WRONLY | O_CREAT | O_TRUNC
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, writing, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, outputPath + "-errors", writing, 0o600)
        // What the tests themselves were started with, or have open, is not the program's: a limit of
        // descriptors means the same wherever they run.
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            // One that is closed by now does not fail the start.
            if let number = Int32(name), number > 2 {
                posix_spawn_file_actions_addclose(&actions, number)
            }
        }
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var started: pid_t = 0
        let code = posix_spawnp(&started, command[0], &actions, nil, words, environ)
        guard code == 0 else { throw ProgramError.cannotStart(command[0], code: code) }
        process = started
    }

    public func signal(_ number: Int32) {
        if status == nil { kill(process, number) }
    }

    public var isRunning: Bool {
        reap(WNOHANG)
        return status == nil
    }

    private func reap(_ options: Int32) {
        var found: Int32 = 0
        if status == nil, waitpid(process, &found, options) == process { status = found }
    }

    /// Waits for the end; kills what takes longer than `seconds`.
    public func finish(seconds: Double = 60) throws -> ProgramResult {
        let deadline = Date(timeIntervalSinceNow: seconds * Machine.patience)
        var pause: useconds_t = 500
        var isLate = false
        while isRunning {
            if !isLate && Date() > deadline {
                isLate = true
                kill(process, SIGKILL)
            }
            usleep(pause)
            pause = min(pause * 2, 10_000)
        }
        let status = status ?? 0
        let result = ProgramResult(
            code: status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f),
            output: Array(FileManager.default.contents(atPath: outputPath) ?? Data()),
            errors: String(
                decoding: FileManager.default.contents(atPath: outputPath + "-errors") ?? Data(),
                as: UTF8.self))
        unlink(outputPath)
        unlink(outputPath + "-errors")
        if isLate {
            throw ProgramError.tookTooLong(command, seconds: seconds, said: result.errors)
        }
        return result
    }

    /// The folder of the test bundle, which is that of the executables.
    private static let builtFolder = URL(fileURLWithPath: CommandLine.arguments[0])
        .resolvingSymlinksInPath().deletingLastPathComponent()

    /// The path of a program that was built with these tests.
    public static func built(_ name: String) throws -> String {
        let path = builtFolder.appendingPathComponent(name).path
        guard access(path, X_OK) == 0 else {
            throw ProgramError.cannotStart(path, code: ENOENT)
        }
        return path
    }
}
