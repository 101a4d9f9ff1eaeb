import Backends
import Platform
import XCTest

/// Random calls to a directory and a memory backend: same results, same errors, same bytes.
final class ModelComparisonTests: XCTestCase {
    private let names = ["a", "b", "d/a", "d/b", "d/e/f"]

    func testDirectoryAndMemoryAgree() throws {
        var generator = SeededGenerator(seed: testSeed())
        for _ in 0..<20 {
            let temporary = try TemporaryDirectory()
            let directory = try DirectoryBackend(path: temporary.path)
            let memory = MemoryBackend()
            var files: [(any BackendFile, any BackendFile)] = []
            for step in 0..<150 {
                let choice = Int.random(in: 0..<12, using: &generator)
                let context = "step \(step), choice \(choice)"
                if choice < 6 {
                    try changeNames(directory, memory, &files, choice, &generator, context)
                } else if let pair = files.randomElement(using: &generator) {
                    try changeContents(pair.0, pair.1, choice, &generator, context)
                }
            }
            XCTAssertEqual(try directory.contents(), try memory.contents())
            for (real, twin) in files { XCTAssertEqual(try real.readAll(), try twin.readAll()) }
        }
    }

    private func changeNames(
        _ directory: DirectoryBackend, _ memory: MemoryBackend,
        _ files: inout [(any BackendFile, any BackendFile)], _ choice: Int,
        _ generator: inout SeededGenerator, _ context: String
    ) throws {
        let name = names.randomElement(using: &generator) ?? "a"
        let other = names.randomElement(using: &generator) ?? "b"
        switch choice {
        case 0, 1:
            if let pair = both(
                context, { try directory.createFile(name) }, { try memory.createFile(name) })
            {
                files.append(pair)
            }
        case 2:
            if let pair = both(
                context, { try directory.openFile(name, writable: true) },
                { try memory.openFile(name, writable: true) })
            {
                files.append(pair)
            }
        case 3:
            _ = both(context, { try directory.removeFile(name) }, { try memory.removeFile(name) })
        case 4:
            _ = both(
                context, { try directory.renameFile(name, to: other) },
                { try memory.renameFile(name, to: other) })
        default:
            let bytes = randomContents(&generator)
            _ = both(
                context, { try directory.writeWhole(name, bytes) },
                { try memory.writeWhole(name, bytes) })
        }
        if files.count > 12 { files.removeFirst() }
    }

    private func changeContents(
        _ real: any BackendFile, _ twin: any BackendFile, _ choice: Int,
        _ generator: inout SeededGenerator, _ context: String
    ) throws {
        let offset = UInt64.random(in: 0..<20_000, using: &generator)
        let range = offset..<(offset + UInt64.random(in: 0..<15_000, using: &generator))
        switch choice {
        case 6, 7, 8:
            let bytes = randomContents(&generator)
            try real.write(bytes, at: offset)
            try twin.write(bytes, at: offset)
        case 9:
            try real.truncate(to: offset)
            try twin.truncate(to: offset)
        case 10:
            _ = try real.punchHole(range)
            _ = try twin.punchHole(range)
        default:
            try real.synchronize()
            try twin.synchronize()
        }
        XCTAssertEqual(try real.size(), try twin.size(), context)
        XCTAssertEqual(try real.readAll(), try twin.readAll(), context)
    }

    private func randomContents(_ generator: inout SeededGenerator) -> [UInt8] {
        (0..<Int.random(in: 0..<9000, using: &generator)).map { _ in
            UInt8.random(in: 0...255, using: &generator)
        }
    }

    /// Runs both; nil when both failed, with the same error.
    private func both<Result>(
        _ context: String, _ real: () throws -> Result, _ twin: () throws -> Result
    ) -> (Result, Result)? {
        let results = (
            Swift.Result(catching: real).mapError { "\($0)" as TextError },
            Swift.Result(catching: twin).mapError { "\($0)" as TextError }
        )
        switch results {
        case (.success(let real), .success(let twin)): return (real, twin)
        case (.failure(let real), .failure(let twin)):
            XCTAssertEqual(real.text, twin.text, context)
        default: XCTFail("\(context): only one failed: \(results)")
        }
        return nil
    }
}

private struct TextError: Error, ExpressibleByStringInterpolation {
    var text: String

    init(stringLiteral text: String) {
        self.text = text
    }
}
