// Purpose: the format as bytes, so that none changes by accident. A failure here is a change of the
// format: stores that exist would not be read. Raise the version or take the change back.

import CKernels
import XCTest

@testable import DiskFormat

final class GoldenBytesTests: XCTestCase {
    private func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private func encoded(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        write(&writer)
        return writer.bytes
    }

    private func assertGolden(_ bytes: some Sequence<UInt8>, _ key: String, line: UInt = #line) {
        XCTAssertEqual(hexadecimal(bytes), Golden.bytes[key], key, line: line)
    }

    func testPackHeader() {
        let bytes = Samples.packHeader.encoded()
        XCTAssertEqual(bytes.count, 4096)
        assertGolden(bytes[..<176], "pack header")
        assertGolden(bytes[4092...], "pack header's checksum")
        XCTAssertTrue(bytes[176..<4092].allSatisfy { $0 == 0 })
    }

    func testRecordHeader() {
        let key = RecordHeader.Key(
            secret: Samples.packHeader.parameters.secret, pack: Samples.pack)
        assertGolden(Samples.recordHeader.encoded(key: key, offset: 4096), "record header")
    }

    func testTrailer() {
        assertGolden(
            PackTable.encodedTrailer(
                tableOffset: 0x0102_0304, secret: Samples.packHeader.parameters.secret,
                pack: Samples.pack), "trailer")
    }

    func testPackTable() {
        let entry = PackTable.Entry(offset: 4096, header: Samples.recordHeader)
        assertGolden(PackTable(entries: [entry]).encoded(), "pack table")
    }

    func testSuperChunkPrefix() {
        assertGolden(Samples.prefix.encoded(), "super-chunk prefix")
    }

    func testInodeImages() {
        assertGolden(encoded { Samples.file.write(to: &$0) }, "file")
        assertGolden(encoded { Samples.device.write(to: &$0) }, "device")
        assertGolden(encoded { Samples.symbolicLink.write(to: &$0) }, "symbolic link")
    }

    func testNodes() {
        assertGolden(Samples.recipe.encoded(), "recipe")
        assertGolden(Samples.innerRecipe.encoded(), "inner recipe")
        assertGolden(Samples.directory.encoded(), "directory")
        assertGolden(LinkedInodesNode.leaf([Samples.device]).encoded(), "linked inodes")
    }

    func testCommit() {
        assertGolden(Samples.commit.encoded(), "commit")
    }

    func testRootImage() {
        let directory = InodeImage(inode: 1, generation: 0, mode: 0o040755, linkCount: 2)
        var root = RootImage(
            volumeID: Samples.volumeID, volumeName: "main", time: Samples.time, nextInode: 400,
            directory: directory,
            linkedInodes: NodeReference(name: Samples.name(15), level: 0),
            orphans: [Samples.symbolicLink])
        root.statistics.files = 1
        root.statistics.directories = 2
        root.statistics.others = 3
        root.statistics.logicalBytes = 1 << 40
        assertGolden(root.encoded(), "root")
    }

    /// The tags are hashed into the names of all nodes.
    func testDomainTags() {
        let tags = ChunkDomain.allCases.map { $0.tag.description }
        XCTAssertEqual(tags, ["", "ashlar recipe 1\n", "ashlar tree 1\n\n\n"])
        XCTAssertEqual(tags.map(\.utf8.count), [0, 16, 16])
    }
}
