// Purpose: what a newer program wrote is recognised as such, and read where its writer allows it.

import CKernels
import XCTest

@testable import DiskFormat

final class FutureFormatTests: XCTestCase {
    /// A valid pack header with some bytes changed and the checksum made right again.
    private func header(changing offset: Int, to change: [UInt8]) -> [UInt8] {
        var bytes = Samples.packHeader.encoded()
        bytes.replaceSubrange(offset..<offset + change.count, with: change)
        let checksum = bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, 4092) }
        for index in 0..<4 { bytes[4092 + index] = UInt8(checksum >> (8 * index) & 0xff) }
        return bytes
    }

    private func decode(_ bytes: [UInt8]) throws -> PackHeader {
        try bytes.withUnsafeBytes { try PackHeader($0) }
    }

    private func assertThrows(
        _ bytes: [UInt8], _ error: FormatError, line: UInt = #line
    ) {
        XCTAssertThrowsError(try decode(bytes), line: line) {
            XCTAssertEqual($0 as? FormatError, error, line: line)
        }
    }

    func testNewerVersionsAreNamed() {
        assertThrows(header(changing: 8, to: [2, 0, 0, 0]), .newerVersion(2))
        assertThrows(header(changing: 8, to: [0, 0, 0, 1]), .newerVersion(1 << 24))
        XCTAssertThrowsError(try decode(header(changing: 8, to: [0, 0, 0, 0])))
        XCTAssertThrowsError(try decode(header(changing: 12, to: [0, 32, 0, 0])))
    }

    /// Whatever else a newer version changed, its number is what is told.
    func testNewerVersionsAreNamedBeforeAnythingElseIsRead() {
        var generator = SeededGenerator.announced("newer version")
        for _ in 0..<50 {
            assertThrows(
                header(changing: 8, to: [2, 0, 0, 0] + generator.bytes(400)), .newerVersion(2))
        }
    }

    func testUnknownIncompatibleFeaturesAreRefused() {
        assertThrows(
            header(changing: 32, to: [0, 0, 0, 0, 0, 0, 0, 0x80]), .unknownFeatures(1 << 63))
        assertThrows(header(changing: 32, to: [5]), .unknownFeatures(5))
    }

    func testUnknownReadOnlyCompatibleFeaturesForbidWriting() throws {
        let read = try decode(header(changing: 24, to: [2]))
        XCTAssertEqual(read.parameters.features.readOnlyCompatible, 2)
        XCTAssertFalse(try read.parameters.features.check())
        XCTAssertTrue(try Samples.packHeader.parameters.features.check())
    }

    func testUnknownCompatibleFeaturesForbidNothing() throws {
        let read = try decode(header(changing: 16, to: [0xff]))
        XCTAssertTrue(try read.parameters.features.check())
    }

    func testValuesThatNoWriterMakesAreRefused() {
        let refused: [(Int, [UInt8])] = [
            (88, [3]), (89, [0]), (90, [2]), (91, [0]), (91, [3]), (92, [0, 0, 0, 0]),
            (96, [1, 0, 0, 0]), (100, [0, 0, 0, 0]), (128, [0, 0, 0, 0]), (132, [0, 0, 0, 0]),
            (136, [0, 0, 0, 0, 0, 0, 0, 1]), (144, [2]), (146, [3, 0]), (148, [1]),
            (160, [0x00, 0xca, 0x9a, 0x3b]), (160, [0xff, 0xff, 0xff, 0xff]), (164, [1]),
            (2000, [0x80]), (4091, [1]),
        ]
        for (offset, change) in refused {
            XCTAssertThrowsError(
                try decode(header(changing: offset, to: change)), "offset \(offset)")
        }
    }

    func testOtherFilesAreNotPacks() {
        assertThrows(header(changing: 0, to: [0x42]), .notMagic("pack header"))
        assertThrows([UInt8](repeating: 0, count: 4096), .notMagic("pack header"))
        assertThrows([], .truncated("pack header: magic"))
    }

    func testUnknownRecordKinds() throws {
        let key = RecordHeader.Key(
            secret: Samples.packHeader.parameters.secret, pack: Samples.packHeader.id)
        var header = Samples.recordHeader
        header.kindByte = 77
        header.flags = [.optional]
        try header.encoded(key: key, offset: 8).withUnsafeBytes { raw in
            let read = try RecordHeader(raw, key: key, offset: 8)
            XCTAssertNil(read.kind)
            XCTAssertEqual(read.kindByte, 77)
            XCTAssertEqual(read.recordBytes, header.recordBytes)
        }
        header.flags = [.metadata]
        assertNewer(header.encoded(key: key, offset: 8), key, kind: 77)
    }

    /// A known kind in a form that this version does not know: encrypted, or compressed by another
    /// codec.
    func testUnknownFormsOfKnownRecords() throws {
        let key = RecordHeader.Key(
            secret: Samples.packHeader.parameters.secret, pack: Samples.packHeader.id)
        for (offset, value) in [(5, 16), (6, 2), (7, 2), (18, 1), (19, 1), (20, 1)]
            as [(Int, UInt8)]
        {
            var bytes = Samples.recordHeader.encoded(key: key, offset: 8)
            bytes[offset] |= value
            let checksum = bytes.withUnsafeBytes { key.checksum(offset: 8, $0) }
            for index in 0..<4 { bytes[44 + index] = UInt8(checksum >> (8 * index) & 0xff) }
            assertNewer(bytes, key, kind: 1, "byte \(offset)")
        }
    }

    private func assertNewer(
        _ bytes: [UInt8], _ key: RecordHeader.Key, kind: UInt8, _ what: String = "",
        line: UInt = #line
    ) {
        XCTAssertThrowsError(
            try bytes.withUnsafeBytes { try RecordHeader($0, key: key, offset: 8) }, what,
            line: line
        ) {
            XCTAssertEqual($0 as? FormatError, .newerRecord(kind), what, line: line)
        }
    }

    private func section(tag: UInt16, flags: UInt16, _ body: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.u16(tag)
        writer.u16(flags)
        writer.u32(UInt32(body.count))
        writer.raw(body)
        return writer.bytes
    }

    private func commit(_ bytes: [UInt8]) throws -> Commit {
        try bytes.withUnsafeBytes { try Commit($0) }
    }

    func testUnknownSectionsOfCommits() throws {
        let known = Samples.commit.encoded()
        let optional = section(tag: 99, flags: 1, [1, 2, 3])
        XCTAssertEqual(try commit(known + optional), Samples.commit)
        let two = optional + section(tag: 100, flags: 1, [])
        XCTAssertEqual(try commit(known + two), Samples.commit)
        XCTAssertThrowsError(try commit(known + section(tag: 99, flags: 0, [1, 2, 3]))) {
            XCTAssertEqual($0 as? FormatError, .newerRecord(2))
        }
        XCTAssertThrowsError(try commit(known + section(tag: 99, flags: 3, [1, 2, 3])))
        XCTAssertThrowsError(try commit(known + optional + optional), "a tag twice")
        XCTAssertThrowsError(try commit(optional), "no head")
    }

    func testKnownSectionsHaveOneForm() throws {
        let head = Commit(epoch: 1, sequence: 2, previous: .zero, time: .zero).encoded()
        let packs = [UInt8](repeating: 7, count: 16)
        XCTAssertEqual(
            try commit(head + section(tag: 5, flags: 0, [1] + packs)).condemnedPacks.count, 1)
        XCTAssertThrowsError(
            try commit(head + section(tag: 5, flags: 1, [1] + packs)), "marked optional")
        XCTAssertThrowsError(try commit(head + section(tag: 5, flags: 0, [0])), "empty")
        XCTAssertThrowsError(try commit(head + section(tag: 5, flags: 0, [1] + packs + [0])))
        XCTAssertThrowsError(try commit(head + section(tag: 0, flags: 1, [])), "tag 0")
        let late = section(tag: 5, flags: 0, [1] + packs)
        let early = section(tag: 4, flags: 0, [1] + packs + packs)
        XCTAssertNoThrow(try commit(head + early + late))
        XCTAssertThrowsError(try commit(head + late + early), "order")
    }
}
