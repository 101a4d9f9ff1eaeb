import Compression
import XCTest

final class CompressorTests: XCTestCase {
    func testRoundTripsAtManySizesAndLevels() throws {
        var generator = SeededGenerator()
        let compressor = try Compressor()
        let decompressor = try Decompressor()
        for level in [1, 3, 9, 19, 1] {
            for size in [255, 256, 1000, 65_791, 65_792, 131_073, 1 << 20] {
                let bytes = Samples.text(size, using: &generator)
                let frame = try XCTUnwrap(Samples.frame(of: bytes, level: level, by: compressor))
                XCTAssertLessThan(frame.count, size)
                XCTAssertEqual(try Samples.content(of: frame, size, by: decompressor), bytes)
            }
        }
    }

    /// The record has a checksum of its own; a reader wants the size; there is no dictionary.
    func testFramesSayTheirSizeAndNothingElse() throws {
        var generator = SeededGenerator()
        let compressor = try Compressor()
        for size in [100, 1000, 300_000] {
            let bytes = Samples.text(size, using: &generator)
            let frame = try XCTUnwrap(Samples.frame(of: bytes, level: 1, by: compressor))
            XCTAssertEqual(frame.prefix(4), [0x28, 0xB5, 0x2F, 0xFD])
            let descriptor = frame[4]
            XCTAssertEqual(descriptor & 0x07, 0, "a checksum or a dictionary id")
            XCTAssertTrue(descriptor >> 6 != 0 || descriptor & 0x20 != 0, "no content size")
        }
    }

    func testGivesUpWhereNothingIsWon() throws {
        var generator = SeededGenerator()
        let compressor = try Compressor()
        for size in [0, 1, 2, 10, 1000, 1 << 20] {
            XCTAssertNil(Samples.frame(of: generator.bytes(size), level: 1, by: compressor))
        }
    }

    func testGivesUpWhereTheFrameDoesNotFit() throws {
        var generator = SeededGenerator()
        let compressor = try Compressor()
        let bytes = Samples.text(100_000, using: &generator)
        let length = try XCTUnwrap(Samples.frame(of: bytes, level: 1, by: compressor)).count
        for capacity in [0, 1, 10, length / 2, length - 1] {
            let room = [UInt8](repeating: 0xEE, count: capacity + 16)
            var destination = room
            let result = bytes.withUnsafeBytes { source in
                destination.withUnsafeMutableBytes { destination in
                    compressor.compress(
                        source,
                        into: UnsafeMutableRawBufferPointer(rebasing: destination[..<capacity]),
                        level: 1)
                }
            }
            XCTAssertNil(result, "capacity \(capacity)")
            XCTAssertEqual(destination.suffix(16), room.suffix(16))
        }
        // A failed call leaves nothing behind.
        XCTAssertEqual(Samples.frame(of: bytes, level: 1, by: compressor)?.count, length)
    }

    func testBoundHoldsTheWorst() {
        for count in [0, 1, 1000, 1 << 20] {
            XCTAssertGreaterThan(Compressor.bound(count), count)
        }
    }

    func testLabelsAreParsedAsTheyArePrinted() {
        for level in CompressionMethod.levels {
            let method = CompressionMethod(label: "zstd:\(level)")
            XCTAssertEqual(method, CompressionMethod.zstd(level: level))
            XCTAssertEqual(method?.label, "zstd:\(level)")
        }
        XCTAssertEqual(CompressionMethod(label: "none"), CompressionMethod.none)
        XCTAssertEqual(CompressionMethod.standard.label, "zstd:1")
        for label in [
            "", "zstd", "zstd:", "zstd:0", "zstd:20", "zstd:-1", "zstd:+1", "zstd:01", "lz4",
            "zstd:99999999999999999999", "NONE", "none ", "zstd:1 ",
        ] {
            XCTAssertNil(CompressionMethod(label: label), label)
        }
    }
}
