import Compression
import XCTest

final class HostileFrameTests: XCTestCase {
    private static let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]

    /// A raw block that is the last: header (size << 3 | type << 1 | last) and bytes.
    private func rawBlock(_ bytes: [UInt8]) -> [UInt8] {
        let header = UInt32(bytes.count) << 3 | 1
        return [UInt8(header & 255), UInt8(header >> 8 & 255), UInt8(header >> 16)] + bytes
    }

    func testFramesOfOtherWritersAreTaken() throws {
        // A window of 1 MiB, and no content size.
        let streamed = Self.magic + [0x00, 10 << 3] + rawBlock([1, 2, 3])
        XCTAssertEqual(try restored(streamed, 3), [1, 2, 3])
        // A single segment with one byte of content size.
        let single = Self.magic + [0x20, 3] + rawBlock([1, 2, 3])
        XCTAssertEqual(try restored(single, 3), [1, 2, 3])
        // No content at all.
        XCTAssertEqual(try restored(Self.magic + [0x20, 0] + rawBlock([]), 0), [])
    }

    func testWhatIsNoFrameIsRefused() {
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]
        let version07: [UInt8] = [0x27, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0, 0, 0]
        for bytes in [[], [0x28], Array(Self.magic.prefix(3)), Self.magic, skippable, version07] {
            assertThrows(.notAFrame, bytes, 0)
            assertThrows(.notAFrame, bytes, 100)
        }
    }

    func testRandomBytesAreRefused() throws {
        var generator = SeededGenerator()
        let decompressor = try Decompressor()
        for _ in 0..<2000 {
            let noise = generator.bytes(Int.random(in: 0...300, using: &generator))
            XCTAssertThrowsError(try Samples.content(of: noise, 1000, by: decompressor)) {
                XCTAssertTrue($0 is CompressionError, "\($0)")
            }
            // Behind a header that is right, blocks of noise.
            let behind = Self.magic + [0x60, 0xE8, 0x02] + noise
            do {
                let content = try Samples.content(of: behind, 1000, by: decompressor)
                XCTAssertEqual(content.count, 1000)
            } catch {
                XCTAssertTrue(error is CompressionError, "\(error)")
            }
        }
    }

    func testEveryTruncationIsRefused() throws {
        var generator = SeededGenerator()
        let (frame, content) = try sample(3000, using: &generator)
        let decompressor = try Decompressor()
        for length in 0..<frame.count {
            let cut = Array(frame[..<length])
            XCTAssertThrowsError(
                try Samples.content(of: cut, content.count, by: decompressor), "\(length)")
        }
        XCTAssertEqual(try Samples.content(of: frame, content.count, by: decompressor), content)
    }

    /// Damage may go unseen here (the record's checksum is for that), but never writes elsewhere.
    func testFlippedBitsNeverOverrun() throws {
        var generator = SeededGenerator()
        let (frame, content) = try sample(2000, using: &generator)
        let decompressor = try Decompressor()
        for bit in 0..<frame.count * 8 {
            var damaged = frame
            damaged[bit / 8] ^= 1 << (bit % 8)
            do {
                let result = try Samples.content(of: damaged, content.count, by: decompressor)
                XCTAssertEqual(result.count, content.count)
            } catch {
                XCTAssertTrue(error is CompressionError, "\(error)")
            }
        }
    }

    func testAnotherLengthThanKnownIsRefused() throws {
        var generator = SeededGenerator()
        let (frame, content) = try sample(5000, using: &generator)
        for count in [0, 1, 4999, 5001, 1 << 20] {
            assertThrows(.wrongContentLength(expected: count, found: 5000), frame, count)
        }
        XCTAssertEqual(try restored(frame, 5000), content)
    }

    func testLyingSizesAreRefused() throws {
        // Three bytes that are said to be 2^40, and the caller's number.
        let huge = Self.magic + [0xE0, 0, 0, 0, 0, 0, 1, 0, 0] + rawBlock([1, 2, 3])
        assertThrows(.wrongContentLength(expected: 3, found: 1 << 40), huge, 3)
        let most = Self.magic + [0xE0] + [UInt8](repeating: 255, count: 8) + rawBlock([1, 2, 3])
        assertThrows(.wrongContentLength(expected: 3, found: .max), most, 3)
        assertThrows(.corrupt, Self.magic + [0x20, 5] + rawBlock([1, 2, 3]), 5)
        // Without a size only decoding tells.
        let unsized = Self.magic + [0x00, 10 << 3] + rawBlock([1, 2, 3])
        assertThrows(.wrongContentLength(expected: 5, found: 3), unsized, 5)
        assertThrows(.corrupt, unsized, 2)
        // A block that repeats one byte as often as a block can, into a small destination.
        let bomb = Self.magic + [0x00, 7 << 3] + [0x03, 0x00, 0x10, 0x41]
        assertThrows(.corrupt, bomb, 100)
    }

    func testBigWindowsAreRefused() throws {
        // 8 MiB is allowed, an eighth more is not; 2^41 * 15/8 is the format's most.
        XCTAssertEqual(
            try restored(Self.magic + [0x00, 13 << 3] + rawBlock([1, 2, 3]), 3), [1, 2, 3])
        assertThrows(
            .windowTooLarge(windowBytes: 9 << 20),
            Self.magic + [0x00, 13 << 3 | 1] + rawBlock([1, 2, 3]), 3)
        assertThrows(
            .windowTooLarge(windowBytes: (1 << 41) / 8 * 15),
            Self.magic + [0x00, 255] + rawBlock([1, 2, 3]), 3)
    }

    func testDictionariesAreRefused() {
        let body = rawBlock([1, 2, 3])
        assertThrows(.dictionaryNeeded(id: 7), Self.magic + [0x21, 7, 3] + body, 3)
        assertThrows(.dictionaryNeeded(id: 0x0807), Self.magic + [0x22, 7, 8, 3] + body, 3)
        assertThrows(
            .dictionaryNeeded(id: 0x0A09_0807), Self.magic + [0x23, 7, 8, 9, 10, 3] + body, 3)
    }

    func testReservedBitIsRefused() {
        assertThrows(.corrupt, Self.magic + [0x28, 3] + rawBlock([1, 2, 3]), 3)
    }

    func testOneFrameAndNothingBehindIt() throws {
        var generator = SeededGenerator()
        let (frame, content) = try sample(3000, using: &generator)
        let expected = { (count: Int) in
            CompressionError.wrongFrameLength(sourceBytes: count, frameBytes: frame.count)
        }
        assertThrows(expected(frame.count + 1), frame + [0], content.count)
        assertThrows(expected(frame.count * 2), frame + frame, content.count)
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]
        assertThrows(expected(frame.count + 8), frame + skippable, content.count)
    }

    func testADecompressorOutlivesBadFrames() throws {
        var generator = SeededGenerator()
        let decompressor = try Decompressor()
        let (frame, content) = try sample(3000, using: &generator)
        let memory = decompressor.memoryBytes
        for _ in 0..<50 {
            var damaged = frame
            damaged[Int.random(in: 9..<frame.count, using: &generator)] ^= 0xFF
            _ = try? Samples.content(of: damaged, content.count, by: decompressor)
            XCTAssertEqual(
                try Samples.content(of: frame, content.count, by: decompressor), content)
        }
        XCTAssertEqual(decompressor.memoryBytes, memory, "a frame made it allocate")
    }
}

extension HostileFrameTests {
    private func sample(
        _ count: Int, using generator: inout SeededGenerator
    ) throws -> (frame: [UInt8], content: [UInt8]) {
        let content = Samples.text(count, using: &generator)
        let frame = Samples.frame(of: content, level: 3, by: try Compressor())
        return (try XCTUnwrap(frame), content)
    }

    private func restored(_ frame: [UInt8], _ count: Int) throws -> [UInt8] {
        try Samples.content(of: frame, count, by: Decompressor())
    }

    private func assertThrows(
        _ expected: CompressionError, _ frame: [UInt8], _ count: Int, line: UInt = #line
    ) {
        XCTAssertThrowsError(try restored(frame, count), line: line) {
            XCTAssertEqual($0 as? CompressionError, expected, line: line)
        }
    }
}
