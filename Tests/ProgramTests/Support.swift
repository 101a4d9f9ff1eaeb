import Console
import Foundation
import XCTest

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), begun with ASHLAR_SEED or a random seed, which it
/// prints.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ test: String = #function) {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 0...UInt64.max)
        print("\(test): ASHLAR_SEED=\(state)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

/// A test with a directory of its own, which is gone afterwards.
class DirectoryTestCase: XCTestCase {
    private(set) var directory = ""

    override func setUpWithError() throws {
        directory = NSTemporaryDirectory() + "ashlar-programs-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: false)
    }

    override func tearDown() {
        XCTAssertNoThrow(try FileManager.default.removeItem(atPath: directory))
    }

    func path(_ name: String) -> String { directory + "/" + name }

    func makeDirectory(_ name: String) throws -> String {
        try FileManager.default.createDirectory(
            atPath: path(name), withIntermediateDirectories: true)
        return path(name)
    }
}

/// What a program said and how it ended.
struct ProgramResult {
    var code: Int32
    var output: Data
    var errors: String

    var text: String { String(decoding: output, as: UTF8.self) }
}

/// Runs the executables that were built with these tests.
enum BuiltProgram {
    /// The folder of the test bundle, which is that of the executables.
    static var folder: URL {
        URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
    }

    static func path(_ name: String) throws -> String {
        let path = folder.appendingPathComponent(name).path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw XCTSkip("\(path) was not built")
        }
        return path
    }

    /// Runs `executable` with `arguments`, waiting at most `seconds`.
    static func run(
        _ executable: String, _ arguments: [String], seconds: Double = 30
    ) throws -> ProgramResult {
        let process = Process()
        let output = Pipe()
        let errors = Pipe()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let killer = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds, execute: killer)
        let reader = DispatchQueue(label: "errors")
        nonisolated(unsafe) var errorBytes = Data()
        let done = DispatchSemaphore(value: 0)
        reader.async {
            errorBytes = errors.fileHandleForReading.readDataToEndOfFile()
            done.signal()
        }
        let outputBytes = output.fileHandleForReading.readDataToEndOfFile()
        done.wait()
        process.waitUntilExit()
        killer.cancel()
        // The cancelled item keeps the process, and that its pipes, until its time has come.
        try output.fileHandleForReading.close()
        try errors.fileHandleForReading.close()
        return ProgramResult(
            code: process.terminationReason == .exit
                ? process.terminationStatus : 128 + process.terminationStatus,
            output: outputBytes, errors: String(decoding: errorBytes, as: UTF8.self))
    }

    /// Runs `ashlar`, or one of its other names by a symbolic link in `folder`.
    static func ashlar(
        _ arguments: [String], as name: String? = nil, linkedIn folder: String? = nil
    ) throws -> ProgramResult {
        var executable = try path("ashlar")
        if let name, let folder {
            let link = folder + "/" + name
            if !FileManager.default.fileExists(atPath: link) {
                try FileManager.default.createSymbolicLink(
                    atPath: link, withDestinationPath: executable)
            }
            executable = link
        }
        return try run(executable, arguments)
    }
}

/// The failure that `body` ends with, or nil.
func failure(_ body: () throws -> Void) -> CommandFailure? {
    do {
        try body()
        return nil
    } catch {
        return error as? CommandFailure
    }
}
