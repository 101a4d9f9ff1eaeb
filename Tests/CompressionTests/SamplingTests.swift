import Compression
import XCTest

final class SamplingTests: XCTestCase {
    func testNoiseLooksIncompressible() throws {
        var generator = SeededGenerator()
        // The guess is wrong about a short block now and then: one in a thousand where none of 16
        // windows may be 4.5 standard deviations off. Eleven of 400 would be another matter.
        for size in [4096, 5000] {
            let wrong = (0..<400).count { _ in !looksIncompressible(generator.bytes(size)) }
            XCTAssertLessThanOrEqual(wrong, 10, "\(size)")
        }
        // From 32 windows on one may be off, and two are less often than once in 10^6 blocks.
        for size in [32_768, 1 << 20] {
            let wrong = (0..<10).count { _ in !looksIncompressible(generator.bytes(size)) }
            XCTAssertLessThanOrEqual(wrong, 1, "\(size)")
        }
        XCTAssertTrue(looksIncompressible(generator.bytes(20 << 20)))
    }

    func testCompressedTextLooksIncompressible() throws {
        var generator = SeededGenerator()
        let text = Samples.text(1 << 20, using: &generator)
        let frame = Samples.frame(of: text, level: 1, by: try Compressor())
        XCTAssertTrue(looksIncompressible(try XCTUnwrap(frame)))
    }

    func testWhatCompressesDoesNot() {
        var generator = SeededGenerator()
        XCTAssertFalse(looksIncompressible(Samples.text(1 << 20, using: &generator)))
        XCTAssertFalse(looksIncompressible([UInt8](repeating: 0, count: 1 << 20)))
        XCTAssertFalse(looksIncompressible(generator.bytes(1 << 20).map { $0 & 0x7F }))
        // Words whose low byte repeats: an eighth to win.
        let words = generator.bytes(1 << 20).enumerated().map { $0 % 8 == 7 ? 0 : $1 }
        XCTAssertFalse(looksIncompressible(words))
    }

    func testOneCompressiblePartAmongNoiseIsSeen() {
        var generator = SeededGenerator()
        for part in [1 << 17, 1 << 18] {
            var bytes = generator.bytes(1 << 20)
            let place = Int.random(in: 0...bytes.count - part, using: &generator)
            bytes.replaceSubrange(place..<place + part, with: Samples.text(part, using: &generator))
            XCTAssertFalse(looksIncompressible(bytes), "\(part) at \(place)")
        }
    }

    func testShortBytesAreWorthTrying() {
        var generator = SeededGenerator()
        XCTAssertFalse(looksIncompressible(generator.bytes(4095)))
        XCTAssertFalse(looksIncompressible([]))
    }

    private func looksIncompressible(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { Compressor.looksIncompressible($0) }
    }
}
