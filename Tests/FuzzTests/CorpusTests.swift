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

    func testFilesOfSnapshotsAnswerEveryInput() throws {
        let inputs = try inputs("Streams")
        XCTAssertGreaterThan(inputs.count, 10)
        let target = try StreamTarget()
        for (name, bytes) in inputs {
            let complaint = bytes.withUnsafeBytes { target.run($0) }
            XCTAssertNil(complaint, name)
        }
        print("\(inputs.count) inputs")
    }

    /// Each of the four files as it is, with all that is done with it; then edits of one kind each, of
    /// the packs, of the head and of the end, with every kind of checksums.
    func testEveryFileAndEveryKindOfEdit() throws {
        let target = try StreamTarget()
        for plan in UInt8(0)..<64 where plan & 12 == 0 {
            XCTAssertNil([plan].withUnsafeBytes { target.run($0) }, "\(plan)")
        }
        for operation in UInt8(0)..<12 {
            for round in UInt8(0)..<8 {
                var input = [round &* 37]
                input += [operation, round &* 5, round &* 91, round, 255 - round, 0x80, round, 3]
                XCTAssertNil(input.withUnsafeBytes { target.run($0) }, "\(input)")
            }
        }
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
