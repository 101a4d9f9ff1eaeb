// Hostile bytes lead to the right error, and damage stays in its frame.
import DiskFormat
import Platform
import XCTest

@testable import SuperChunks

final class DamageTests: XCTestCase {
    private let pool = BufferPool(capacityBytes: 4096, keptBytesMax: 1 << 20)
    private let codec = ZstdFrameCodec()

    /// Three frames, one of them stored raw.
    private func small(_ generator: inout SeededGenerator) throws -> SealedSuperChunk {
        // A hundred random bytes are seldom, but sometimes, other than they are meant to be.
        for _ in 0..<100 {
            let builder = SuperChunkBuilder(
                domainIsMetadata: false, rawBytesMax: 1000, frameBytesMax: 100, pool: pool)
            for index in 0..<3 {
                XCTAssertTrue(
                    builder.append(randomChunk(100, compressible: index != 1, &generator)))
            }
            let sealed = try builder.close(using: codec)
            if sealed.prefix.frames.map(\.codec) == [1, 0, 1] { return sealed }
        }
        XCTFail("the codec compresses nothing, or everything")
        throw SuperChunkError.empty
    }

    func testEveryFlippedBitIsRefused() throws {
        var generator = seededGenerator()
        let sealed = try small(&generator)
        var body = sealed.body
        let prefixBytes = sealed.prefix.byteCount
        for bit in 0..<body.count * 8 {
            body[bit / 8] ^= 1 << (bit % 8)
            XCTAssertThrowsError(try openAll(sealed.header, body, codec, pool)) { error in
                switch error as? SuperChunkError {
                case .format: XCTAssertLessThan(bit / 8, prefixBytes)
                case .checksum: XCTAssertGreaterThanOrEqual(bit / 8, prefixBytes)
                default: XCTFail("\(error) for bit \(bit)")
                }
            }
            body[bit / 8] ^= 1 << (bit % 8)
        }
        XCTAssertNoThrow(try openAll(sealed.header, body, codec, pool))
    }

    func testDamageOfOneFrameLeavesTheOthersReadable() throws {
        var generator = seededGenerator()
        let sealed = try small(&generator)
        var body = sealed.body
        body.withUnsafeMutableBytes { $0[$0.count - 1] ^= 1 }
        try body.withUnsafeBytes { bytes in
            let opener = try SuperChunkOpener(header: sealed.header, body: bytes)
            XCTAssertNoThrow(try opener.frame(0, body: bytes, using: codec, pool: pool))
            XCTAssertNoThrow(try opener.frame(1, body: bytes, using: codec, pool: pool))
            XCTAssertThrowsError(try opener.frame(2, body: bytes, using: codec, pool: pool)) {
                XCTAssertEqual($0 as? SuperChunkError, .checksum(frame: 2))
            }
        }
    }

    func testCutBodiesAreRefused() throws {
        var generator = seededGenerator()
        let sealed = try small(&generator)
        let body = sealed.body
        for count in 0..<body.count {
            XCTAssertThrowsError(
                try openAll(sealed.header, Array(body[0..<count]), codec, pool)
            ) {
                guard case .format(.truncated) = $0 as? SuperChunkError else {
                    return XCTFail("\($0) for \(count) bytes")
                }
            }
        }
    }

    func testLyingHeadersAreRefused() throws {
        var generator = seededGenerator()
        let sealed = try small(&generator)
        let body = sealed.body
        let lies: [(inout RecordHeader) -> Void] = [
            { $0.kindByte = RecordHeader.Kind.commit.rawValue },
            { $0.kindByte = 99 },
            { $0.codec = 1 },
            { $0.frameCount = 0 },
            { $0.itemCount = 0 },
            { $0.frameCount += 1 },
            { $0.frameCount = UInt16.max },
            { $0.itemCount -= 1 },
            { $0.itemCount = UInt32.max },
            { $0.storedBytes -= 1 },
            { $0.storedBytes = UInt32.max },
            { $0.storedBytes = 0 },
            { $0.rawBytes += 1 },
            { $0.rawBytes = UInt32.max },
            { $0.bodyChecksum.low ^= 1 },
        ]
        for (index, lie) in lies.enumerated() {
            var header = sealed.header
            lie(&header)
            XCTAssertThrowsError(try openAll(header, body, codec, pool), "lie \(index)") {
                guard case .format = $0 as? SuperChunkError else {
                    return XCTFail("\($0) for lie \(index)")
                }
            }
        }
    }

    /// A prefix whose checksums are right and whose frames do not keep what it promises.
    func testFramesOfAnotherLengthAreRefused() throws {
        var generator = seededGenerator()
        let sealed = try small(&generator)
        for rawBytes in [UInt32(99), 101, 60 << 20] {
            var prefix = sealed.prefix
            prefix.frames[0].rawBytes = rawBytes
            prefix.chunks[0].rawBytes = rawBytes
            let head = prefix.encoded()
            var header = sealed.header
            header.rawBytes = rawBytes + 200
            header.bodyChecksum = head.withUnsafeBytes { BodyChecksum(of: $0) }
            let body = head + sealed.body[head.count...]
            XCTAssertThrowsError(try openAll(header, body, codec, pool)) {
                XCTAssertEqual($0 as? SuperChunkError, .codec(frame: 0, .damaged))
            }
        }
    }

    func testFramesThatAreNotThere() throws {
        var generator = seededGenerator()
        let sealed = try small(&generator)
        try sealed.body.withUnsafeBytes { bytes in
            let opener = try SuperChunkOpener(header: sealed.header, body: bytes)
            for index in [-1, 3, Int.max] {
                XCTAssertNil(opener.storedRange(ofFrame: index))
                XCTAssertThrowsError(
                    try opener.frame(index, body: bytes, using: codec, pool: pool)
                ) {
                    XCTAssertEqual($0 as? SuperChunkError, .noSuchFrame(index))
                }
            }
        }
    }
}
