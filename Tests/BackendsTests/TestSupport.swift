import Backends
import Foundation
import Platform
import XCTest

/// A directory of its own, removed with the object.
final class TemporaryDirectory {
    let path: String

    init() throws {
        let base = FileManager.default.temporaryDirectory.path
        path = base + "/ashlar-test-" + String(randomUInt64(), radix: 16)
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// The seed of a random test: printed, and taken from ASHLAR_SEED where that is set.
func testSeed(_ test: String = #function) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
    let seed = given ?? randomUInt64()
    print("\(test): ASHLAR_SEED=\(seed)")
    return seed
}

extension BackendFile {
    func write(_ bytes: [UInt8], at offset: UInt64) throws(BackendError) {
        try bytes.withUnsafeBufferPointer { (buffer) throws(BackendError) in
            try write([UnsafeRawBufferPointer(buffer)], at: offset)
        }
    }

    func read(at offset: UInt64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: count)
        let got = try bytes.withUnsafeMutableBytes { try read(at: offset, into: $0) }
        return Array(bytes.prefix(got))
    }

    func readAll() throws -> [UInt8] {
        try read(at: 0, count: Int(try size()))
    }
}

extension Backend {
    /// All files with their contents.
    func contents() throws -> [String: [UInt8]] {
        var all: [String: [UInt8]] = [:]
        for file in try list(prefix: "") {
            all[file.name] = try readWhole(file.name, limitBytes: 1 << 30)
        }
        return all
    }
}

/// Checks that `body` throws exactly `expected`.
func assertThrows<Result>(
    _ expected: BackendError, file: StaticString = #filePath, line: UInt = #line,
    _ body: () throws -> Result
) {
    XCTAssertThrowsError(try body(), "expected \(expected)", file: file, line: line) { error in
        XCTAssertEqual(error as? BackendError, expected, file: file, line: line)
    }
}

/// The error number of a `.system` error.
func systemCode<Result>(_ body: () throws -> Result) -> Int32? {
    do {
        _ = try body()
        return nil
    } catch {
        guard case BackendError.system(_, let code, _) = error else { return nil }
        return code
    }
}
