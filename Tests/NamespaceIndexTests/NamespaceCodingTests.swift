import DiskFormat
import XCTest

@testable import NamespaceIndex

/// Keys order as what they stand for; records come back as they were, and nothing else is accepted.
final class NamespaceCodingTests: XCTestCase {
    private let chunk = ChunkName(w0: 1, w1: 2, w2: 3, w3: 4)

    private func check<Record: Equatable>(
        _ record: Record, _ encoded: [UInt8],
        _ decode: (UnsafeRawBufferPointer) throws -> Record, _ encode: (Record) -> [UInt8]
    ) throws {
        XCTAssertEqual(try encoded.withUnsafeBytes(decode), record)
        for count in 0..<encoded.count {
            guard let cut = try? Array(encoded[0..<count]).withUnsafeBytes(decode) else { continue }
            XCTAssertEqual(encode(cut), Array(encoded[0..<count]), "a name may be cut, no more")
        }
        for bit in 0..<encoded.count * 8 {
            var flipped = encoded
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let decoded = try? flipped.withUnsafeBytes(decode) else { continue }
            XCTAssertEqual(encode(decoded), flipped)
        }
    }

    func testRecordsRoundTripAndDamageIsRefusedOrMeansItself() throws {
        let image = InodeImage(
            inode: 77, generation: 3, mode: 0o100600, size: 5, content: .chunk(chunk))
        let inode = InodeRecord(cookie: 1 << 62, image: image)
        try check(inode, inode.encoded(), { try InodeRecord($0) }, { $0.encoded() })
        for name in [
            NameRecord.tombstone, .entry(name: Array("näme\n".utf8), inode: 5, kind: 8),
        ] {
            try check(name, name.encoded(), { try NameRecord($0) }, { $0.encoded() })
        }
        for source in [
            ExtentChange.Piece.Source.hole, .zeros, .data(chunk, chunkBytes: 8192, offset: 100),
        ] {
            let piece = PieceRecord(.init(offset: 9, length: 8000, source: source))
            try check(piece, piece.encoded(), { try PieceRecord($0) }, { $0.encoded() })
        }
        let volume = VolumeRecord(
            volumeID: UniqueID(high: 1, low: 2), name: "main", epoch: 1, sequence: 9,
            nextInode: 100, root: chunk, statistics: RootImage.Statistics())
        try check(volume, volume.encoded(), { try VolumeRecord($0) }, { $0.encoded() })
        let origin = OriginRecord(
            root: chunk, snapshot: UniqueID(high: 3, low: 4), inodesEnd: 70_000, unloaded: 2)
        try check(origin, origin.encoded(), { try OriginRecord($0) }, { $0.encoded() })
        let unloaded = UnloadedRecord(position: 70_000)
        try check(unloaded, unloaded.encoded(), { try UnloadedRecord($0) }, { $0.encoded() })
        var ruled = volume
        ruled.rules.retention = "keep-last=3"
        try check(ruled, ruled.encoded(), { try VolumeRecord($0) }, { $0.encoded() })
    }

    func testKeysOrderAsTheirNumbersAndGiveThemBack() {
        let numbers: [UInt64] = [0, 1, 255, 256, 1 << 40, .max]
        for (a, b) in zip(numbers, numbers.dropFirst()) {
            let low = NamespaceKey.name(1, parent: a, cookie: .max)
            let high = NamespaceKey.name(1, parent: b, cookie: 0)
            XCTAssertTrue(low.lexicographicallyPrecedes(high))
            XCTAssertTrue(high.starts(with: NamespaceKey.names(1, parent: b)))
            NamespaceKey.piece(9, inode: a, offset: b).withUnsafeBytes {
                XCTAssertEqual(NamespaceKey.pair($0)?.0, a)
                XCTAssertEqual(NamespaceKey.pair($0)?.1, b)
                XCTAssertEqual(NamespaceKey.volumeNumber($0), 9)
                XCTAssertNil(NamespaceKey.inodeNumber($0))
            }
        }
        for key in [NamespaceKey.inode(3, 44), NamespaceKey.unloaded(3, 44)] {
            key.withUnsafeBytes {
                XCTAssertEqual(NamespaceKey.inodeNumber($0), 44)
                XCTAssertNil(NamespaceKey.pair($0))
            }
        }
    }

    func testCookiesAreKeyedAndKeepTheirCollision() {
        let name = Array("file".utf8)
        name.withUnsafeBytes { bytes in
            let secret = StoreSecret(high: 5, low: 6)
            let first = DirectoryCookie.cookie(of: bytes, collision: 0, secret: secret)
            let second = DirectoryCookie.cookie(of: bytes, collision: 255, secret: secret)
            XCTAssertEqual(second - first, 255)
            XCTAssertEqual(DirectoryCookie.collision(of: second), 255)
            XCTAssertLessThan(second, 1 << 63)
            XCTAssertGreaterThanOrEqual(first, 1 << 15)
            let other = DirectoryCookie.cookie(
                of: bytes, collision: 0, secret: StoreSecret(high: 5, low: 7))
            XCTAssertNotEqual(first, other)
        }
    }
}
