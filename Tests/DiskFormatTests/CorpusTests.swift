import DiskFormat
import Foundation
import XCTest

/// What the fuzzer has found worth keeping, decoded once more: a value or an error, never a trap. The
/// first byte of an input chooses the decoder, as in `Tests/Fuzzers`.
final class CorpusTests: XCTestCase {
    private func decode(_ kind: UInt8, _ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        switch kind % 8 {
        case 0: _ = try AttributeSet(bytes)
        case 1: _ = try Commit(bytes)
        case 2: _ = try PackHeader(bytes)
        case 3: _ = try RecipeNode(bytes)
        case 4: _ = try RootImage(bytes)
        case 5: _ = try SnapshotImage(bytes)
        case 6: _ = try TreeNode(bytes)
        default: _ = try DirectoryNode(bytes)
        }
    }

    func testEveryInputIsAnswered() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Corpus")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { !$0.hasPrefix(".") }
        XCTAssertGreaterThan(names.count, 20)
        var accepted = 0
        for name in names {
            let input = try Data(contentsOf: folder.appendingPathComponent(name))
            input.withUnsafeBytes { bytes in
                guard let kind = bytes.first else { return }
                let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
                if (try? decode(kind, rest)) != nil { accepted += 1 }
            }
        }
        print("\(names.count) inputs, \(accepted) accepted")
    }
}
