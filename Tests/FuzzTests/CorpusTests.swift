import Foundation
import FuzzTargets
import XCTest

/// What the fuzzers have found worth keeping, run once more: an answer, never a trap.
final class CorpusTests: XCTestCase {
    private func inputs(_ folder: String) throws -> [(name: String, bytes: Data)] {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Corpus/\(folder)")
        return try FileManager.default.contentsOfDirectory(atPath: url.path)
            .filter { !$0.hasPrefix(".") }.sorted()
            .map { ($0, try Data(contentsOf: url.appendingPathComponent($0))) }
    }

    func testDecodersAnswerEveryInput() throws {
        let inputs = try inputs("Decoders")
        XCTAssertGreaterThan(inputs.count, 20)
        let accepted = inputs.count { $0.bytes.withUnsafeBytes { DecoderTarget.run($0) } }
        print("\(inputs.count) inputs, \(accepted) accepted")
    }

    func testStoresAnswerEveryInput() throws {
        let inputs = try inputs("Stores")
        XCTAssertGreaterThan(inputs.count, 20)
        let target = try StoreTarget()
        for (name, bytes) in inputs {
            let complaint = bytes.withUnsafeBytes { target.run($0) }
            XCTAssertNil(complaint, name)
        }
        print("\(inputs.count) inputs")
    }

    /// Edits of one kind each, at places spread over the store: all of `StoreTarget` is walked.
    func testEveryKindOfEdit() throws {
        let target = try StoreTarget()
        for operation in UInt8(0)..<12 {
            for round in UInt8(0)..<4 {
                var input = [round &* 37 | 0x10]
                input += [operation, round &* 5, round &* 91, round, 255 - round, 0x80, round, 3]
                let complaint = input.withUnsafeBytes { target.run($0) }
                XCTAssertNil(complaint, "\(input)")
            }
        }
    }
}
