import DiskFormat
import XCTest

@testable import ChunkIndex

/// Keys order as what they stand for; records come back as they were, and nothing else is accepted.
final class IndexCodingTests: XCTestCase {
    private let chunk = ChunkName(w0: 0x0102, w1: .max, w2: 0, w3: 42)

    private func records() -> [ChunkRecord] {
        let place = ChunkPlace(
            pack: 7, recordOffset: (1 << 35) - 8, recordBytes: 300_000, frame: 3,
            frameOffset: 65_536)
        return [
            ChunkRecord(count: 1, rawBytes: 32768, domain: .data, places: [place]),
            ChunkRecord(
                count: 0, rawBytes: (1 << 28) - 1, domain: .tree, isDamaged: true,
                deadSince: .max, places: [place, place]),
            ChunkRecord(count: .max, rawBytes: 1, domain: .recipe, places: []),
        ]
    }

    func testRecordsRoundTrip() throws {
        for record in records() {
            XCTAssertEqual(try record.encoded().withUnsafeBytes { try ChunkRecord($0) }, record)
        }
    }

    func testTruncatedAndLengthenedRecordsAreRefused() {
        for record in records() {
            let bytes = record.encoded()
            for count in 0..<bytes.count {
                XCTAssertThrowsError(
                    try Array(bytes[0..<count]).withUnsafeBytes { try ChunkRecord($0) })
            }
            XCTAssertThrowsError(try (bytes + [0]).withUnsafeBytes { try ChunkRecord($0) })
        }
    }

    func testFlippedBitsAreRefusedOrMeanThemselves() throws {
        for record in records() {
            let bytes = record.encoded()
            for bit in 0..<bytes.count * 8 {
                var flipped = bytes
                flipped[bit / 8] ^= 1 << UInt8(bit % 8)
                guard let decoded = try? flipped.withUnsafeBytes({ try ChunkRecord($0) }) else {
                    continue
                }
                XCTAssertEqual(decoded.encoded(), flipped)
            }
        }
    }

    func testKeysGiveTheirPartsBack() {
        IndexKey.chunk(chunk).withUnsafeBytes { key in
            XCTAssertEqual(IndexKey.chunkName(key), chunk)
            XCTAssertNil(IndexKey.deadChunk(key))
        }
        IndexKey.dead(since: 9, chunk).withUnsafeBytes { key in
            XCTAssertEqual(IndexKey.deadChunk(key)?.checkpoint, 9)
            XCTAssertEqual(IndexKey.deadChunk(key)?.name, chunk)
            XCTAssertNil(IndexKey.chunkName(key))
        }
    }

    func testDeadChunksAreInOrderOfTheirCheckpoints() {
        let numbers: [UInt64] = [0, 1, 255, 256, 1 << 32, .max]
        let keys = numbers.map { IndexKey.dead(since: $0, chunk) }
        for (a, b) in zip(keys, keys.dropFirst()) {
            XCTAssertTrue(a.lexicographicallyPrecedes(b))
        }
        XCTAssertTrue(IndexKey.pack(255).lexicographicallyPrecedes(IndexKey.pack(256)))
    }
}
