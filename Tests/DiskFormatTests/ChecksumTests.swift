// Purpose: the checksums are the published ones, and those of headers are keyed.

import CKernels
import XCTest

@testable import DiskFormat

final class ChecksumTests: XCTestCase {
    private func crc(_ bytes: [UInt8], from start: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { ashlar_crc32c(start, $0.baseAddress, $0.count) }
    }

    /// The check value of the CRC catalogue, and the examples of RFC 3720 B.4.
    func testKnownAnswersOfCRC32C() {
        XCTAssertEqual(crc(Array("123456789".utf8)), 0xe306_9283)
        XCTAssertEqual(crc([]), 0)
        XCTAssertEqual(crc([UInt8](repeating: 0, count: 32)), 0x8a91_36aa)
        XCTAssertEqual(crc([UInt8](repeating: 0xff, count: 32)), 0x62a8_ab43)
        XCTAssertEqual(crc(Array(0..<32)), 0x46dd_794e)
        XCTAssertEqual(crc((0..<32).reversed()), 0x113f_db5c)
    }

    /// The empty input's values, from the specification's reference implementation.
    func testKnownAnswersOfXXH3() {
        XCTAssertEqual(ashlar_xxh3_64(nil, 0, 0), 0x2d06_8005_38d3_94c2)
        let empty = BodyChecksum(of: UnsafeRawBufferPointer(start: nil, count: 0))
        XCTAssertEqual(empty.low, 0x6001_c324_468d_497f)
        XCTAssertEqual(empty.high, 0x99aa_06d3_0147_98d8)
    }

    func testHardwareEqualsPortable() {
        var generator = SeededGenerator.announced("crc32c")
        let bytes = generator.bytes(8192)
        for _ in 0..<5_000 {
            let from = generator.below(64)
            let count = generator.below(generator.coin() ? 70 : bytes.count - from)
            let start = generator.half()
            bytes.withUnsafeBytes { raw in
                let place = raw.baseAddress.map { $0 + from }
                XCTAssertEqual(
                    ashlar_crc32c(start, place, count),
                    ashlar_crc32c_portable(start, place, count), "\(from)+\(count)")
            }
        }
    }

    func testChecksumsContinue() {
        var generator = SeededGenerator.announced("crc32c in parts")
        for _ in 0..<500 {
            let bytes = generator.bytes(generator.below(600))
            let middle = generator.below(bytes.count + 1)
            XCTAssertEqual(
                crc(Array(bytes[middle...]), from: crc(Array(bytes[..<middle]))), crc(bytes))
        }
    }

    func testEveryBitCountsInBodyChecksums() {
        var generator = SeededGenerator.announced("body checksum")
        for count in [1, 3, 8, 16, 17, 128, 129, 240, 241, 1025] {
            var bytes = generator.bytes(count)
            let whole = bytes.withUnsafeBytes { BodyChecksum(of: $0) }
            for bit in 0..<count * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8)
                XCTAssertNotEqual(bytes.withUnsafeBytes { BodyChecksum(of: $0) }, whole)
                bytes[bit / 8] ^= 1 << (bit % 8)
            }
        }
    }

    /// A stale tail, or a user's file that holds a pack, never looks like a record.
    func testRecordHeadersOfOtherPlacesAreRefused() throws {
        var generator = SeededGenerator.announced("keyed headers")
        let secret = StoreSecret(high: generator.next(), low: generator.next())
        let pack = generator.packID()
        let key = RecordHeader.Key(secret: secret, pack: pack)
        let header = generator.recordHeader()
        let bytes = header.encoded(key: key, offset: 8192)

        func assertRefused(_ other: RecordHeader.Key, _ offset: UInt64, _ why: String) throws {
            try bytes.withUnsafeBytes { raw in
                XCTAssertThrowsError(
                    try RecordHeader(raw, key: other, offset: offset), why
                ) { XCTAssertEqual($0 as? FormatError, .checksum("record header"), why) }
            }
        }
        for bit: UInt64 in 0..<64 {
            let flip: UInt64 = 1 << bit
            try assertRefused(key, 8192 ^ flip, "offset")
            var other = pack
            other.writer ^= flip
            try assertRefused(RecordHeader.Key(secret: secret, pack: other), 8192, "writer")
            other = pack
            other.sequence ^= flip
            try assertRefused(RecordHeader.Key(secret: secret, pack: other), 8192, "sequence")
            var foreign = secret
            foreign.high ^= flip
            try assertRefused(RecordHeader.Key(secret: foreign, pack: pack), 8192, "secret")
            foreign = secret
            foreign.low ^= flip
            try assertRefused(RecordHeader.Key(secret: foreign, pack: pack), 8192, "secret")
        }
        try bytes.withUnsafeBytes { raw in
            XCTAssertEqual(try RecordHeader(raw, key: key, offset: 8192), header)
            if let base = raw.baseAddress { XCTAssertTrue(RecordHeader.looksLikeHeader(base)) }
        }
        XCTAssertEqual(header.recordBytes % 8, 0)
        XCTAssertTrue((0..<8).contains(header.recordBytes - UInt64(header.storedBytes) - 48))
    }

    func testTrailersAreKeyedAndWhole() {
        var generator = SeededGenerator.announced("trailer")
        let secret = StoreSecret(high: generator.next(), low: generator.next())
        let pack = generator.packID()
        var bytes = PackTable.encodedTrailer(tableOffset: 123_456, secret: secret, pack: pack)
        XCTAssertEqual(bytes.count, PackTable.trailerBytes)

        func offset(_ secret: StoreSecret, _ pack: PackID) -> UInt64? {
            bytes.withUnsafeBytes {
                PackTable.tableOffset(trailer: $0, secret: secret, pack: pack)
            }
        }
        XCTAssertEqual(offset(secret, pack), 123_456)
        XCTAssertNil(offset(StoreSecret(high: secret.high ^ 1, low: secret.low), pack))
        XCTAssertNil(offset(StoreSecret(high: secret.high, low: ~secret.low), pack))
        XCTAssertNil(offset(secret, PackID(writer: pack.writer ^ 8, sequence: pack.sequence)))
        XCTAssertNil(offset(secret, PackID(writer: pack.writer, sequence: pack.sequence ^ 1)))
        for bit in 0..<bytes.count * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8)
            XCTAssertNil(offset(secret, pack), "bit \(bit)")
            bytes[bit / 8] ^= 1 << (bit % 8)
        }
        for count in 0..<bytes.count {
            bytes[..<count].withUnsafeBytes {
                XCTAssertNil(PackTable.tableOffset(trailer: $0, secret: secret, pack: pack))
            }
        }
    }

    func testDamagedTablesAreRefused() throws {
        var generator = SeededGenerator.announced("table's checksum")
        var bytes = generator.packTable().encoded()
        let header = bytes.withUnsafeBytes { raw in
            RecordHeader(
                kind: .packTable, storedBytes: UInt32(raw.count), rawBytes: UInt32(raw.count),
                itemCount: UInt32(raw.count / PackTable.entryBytes),
                bodyChecksum: BodyChecksum(of: raw))
        }
        XCTAssertNoThrow(try bytes.withUnsafeBytes { try PackTable($0, header: header) })
        var wrong = header
        wrong.itemCount += 1
        XCTAssertThrowsError(try bytes.withUnsafeBytes { try PackTable($0, header: wrong) })
        for bit in 0..<bytes.count * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8)
            XCTAssertThrowsError(try bytes.withUnsafeBytes { try PackTable($0, header: header) })
            bytes[bit / 8] ^= 1 << (bit % 8)
        }
    }
}
