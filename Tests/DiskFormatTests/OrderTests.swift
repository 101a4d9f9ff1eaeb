// Purpose: lists whose order and members the format fixes, beyond what one entry tells.

import XCTest

@testable import DiskFormat

final class OrderTests: XCTestCase {
    private func table(_ places: [(offset: UInt64, storedBytes: UInt32)]) throws -> PackTable {
        let entries = places.map { place in
            var header = Samples.recordHeader
            header.storedBytes = place.storedBytes
            return PackTable.Entry(offset: place.offset, header: header)
        }
        let bytes = PackTable(entries: entries).encoded()
        return try bytes.withUnsafeBytes { raw in
            let header = RecordHeader(
                kind: .packTable, storedBytes: UInt32(raw.count), rawBytes: UInt32(raw.count),
                itemCount: UInt32(places.count), bodyChecksum: BodyChecksum(of: raw))
            return try PackTable(raw, header: header)
        }
    }

    /// Records begin at multiples of 8 behind the pack's header, and none within another.
    func testOffsetsInPackTables() throws {
        XCTAssertEqual(try table([(4096, 10), (4160, 0), (8192, 1)]).entries.count, 3)
        XCTAssertEqual(try table([]).entries, [])
        let refused: [[(UInt64, UInt32)]] = [
            [(0, 10)], [(4088, 10)], [(4097, 10)], [(4096, 10), (4156, 0)],
            [(4096, 10), (4152, 0)],
            [(4096, 0), (4096, 0)], [(8192, 0), (4096, 0)], [(UInt64.max - 7, 0)],
            [(1 << 63, 0), (4096, 0)],
        ]
        for places in refused { XCTAssertThrowsError(try table(places), "\(places)") }
    }

    private func directory(_ image: InodeImage) throws -> DirectoryNode {
        let entry = DirectoryEntry(name: [0x61], target: .only(image))
        return try DirectoryNode.leaf([entry]).encoded().withUnsafeBytes { try DirectoryNode($0) }
    }

    /// The image of an inode with several names lies in the root's table, and nowhere else.
    func testAnEntryHasNoLinkedImage() throws {
        var image = Samples.file
        XCTAssertNoThrow(try directory(image))
        image.isLinked = true
        XCTAssertThrowsError(try directory(image))
    }

    private func root(orphans: [UInt64]) throws -> RootImage {
        let images = orphans.map { InodeImage(inode: $0, generation: 1, mode: 0o100644) }
        let image = RootImage(
            volumeID: Samples.volumeID, volumeName: "main", time: Samples.time, nextInode: 400,
            directory: InodeImage(inode: 1, generation: 0, mode: 0o040755), orphans: images)
        return try image.encoded().withUnsafeBytes { try RootImage($0) }
    }

    func testOrphansAscend() throws {
        for good in [[], [7], [7, 8, 300]] as [[UInt64]] {
            XCTAssertEqual(try root(orphans: good).orphans.map(\.inode), good)
        }
        for bad in [[7, 7], [8, 7], [7, 9, 8]] as [[UInt64]] {
            XCTAssertThrowsError(try root(orphans: bad), "\(bad)")
        }
    }
}
