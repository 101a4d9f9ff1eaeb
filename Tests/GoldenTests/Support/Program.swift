// The programs that were built with these tests.
import Foundation
import XCTest

enum Program {
    /// What a program said and how it ended.
    struct Result {
        var code: Int32
        var output: Data
        var errors: String

        var text: String { String(decoding: output, as: UTF8.self) }
    }

    /// Longest time that a program may take, in seconds.
    private static let secondsMax = 60.0

    /// Runs a program, in UTC, and waits for its end.
    static func run(_ name: String, _ arguments: [String]) throws -> Result {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
        let executable = folder.appendingPathComponent(name)
        guard FileManager.default.isExecutableFile(atPath: executable.path) else {
            throw XCTSkip("\(executable.path) was not built")
        }
        let process = Process()
        let output = Pipe()
        let errors = Pipe()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TZ": "UTC"]) { $1 }
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let killer = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + secondsMax, execute: killer)
        // The images' messages fit into a pipe: nothing waits for its reader.
        let outputBytes = output.fileHandleForReading.readDataToEndOfFile()
        let errorBytes = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        killer.cancel()
        // The cancelled item keeps the process, and that its pipes, until its time has come.
        try output.fileHandleForReading.close()
        try errors.fileHandleForReading.close()
        return Result(
            code: process.terminationReason == .exit
                ? process.terminationStatus : 128 + process.terminationStatus,
            output: outputBytes, errors: String(decoding: errorBytes, as: UTF8.self))
    }
}
