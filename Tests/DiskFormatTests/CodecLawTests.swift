// Purpose: the laws of CodecLaws.swift, for every codec of the format.

import XCTest

@testable import DiskFormat

final class CodecLawTests: XCTestCase {
    func testPackHeader() throws {
        let codec = Codec<PackHeader>(
            subject: "pack header", make: { $0.packHeader() }, encode: { $0.encoded() },
            decode: { bytes in try bytes.withUnsafeBytes { try PackHeader($0) } },
            isChecksummed: true, takesHead: true)
        try assertLaws(codec)
    }

    func testRecordHeader() throws {
        let key = RecordHeader.Key(
            secret: StoreSecret(high: 1, low: 2), pack: PackID(writer: 3, sequence: 4))
        let codec = Codec<RecordHeader>(
            subject: "record header", make: { $0.recordHeader() },
            encode: { $0.encoded(key: key, offset: 4096) },
            decode: { bytes in
                try bytes.withUnsafeBytes { try RecordHeader($0, key: key, offset: 4096) }
            },
            isChecksummed: true, takesHead: true)
        try assertLaws(codec)
    }

    /// The header is made to fit whatever the bytes are, so the checksum hides nothing.
    func testPackTable() throws {
        let codec = Codec<PackTable>(
            subject: "pack table", make: { $0.packTable() }, encode: { $0.encoded() },
            decode: { bytes in
                try bytes.withUnsafeBytes { raw in
                    let header = RecordHeader(
                        kind: .packTable, storedBytes: UInt32(raw.count),
                        rawBytes: UInt32(raw.count),
                        itemCount: UInt32(raw.count / PackTable.entryBytes),
                        bodyChecksum: BodyChecksum(of: raw))
                    return try PackTable(raw, header: header)
                }
            },
            isOpenEnded: true)
        try assertLaws(codec)
    }

    /// Two bytes of numbers stand in front, for the header that is made to fit.
    func testSuperChunkPrefix() throws {
        let codec = Codec<SuperChunkPrefix>(
            subject: "super-chunk prefix", make: { $0.superChunkPrefix() },
            encode: { [UInt8($0.frames.count), UInt8($0.chunks.count)] + $0.encoded() },
            decode: { bytes in
                guard bytes.count >= 2 else { throw FormatError.truncated("numbers") }
                return try bytes[2...].withUnsafeBytes { raw in
                    let header = try SuperChunkPrefixTests.fittingHeader(
                        raw, frames: Int(bytes[0]), chunks: Int(bytes[1]))
                    let prefix = try SuperChunkPrefix(raw, header: header)
                    guard prefix.placements().count == prefix.chunks.count else {
                        throw FormatError.badValue("placements")
                    }
                    return prefix
                }
            },
            isOpenEnded: false)
        try assertLaws(codec)
    }

    func testInodeImage() throws {
        try assertLaws(
            .fromReader(
                "inode image", make: { $0.inodeImage() }, write: { $0.write(to: &$1) },
                read: { reader throws(FormatError) in try InodeImage(from: &reader) }))
    }

    func testAttributeSet() throws {
        let codec = Codec<AttributeSet>(
            subject: "attribute set", make: { $0.attributeSet() }, encode: { $0.encoded() },
            decode: { bytes in try bytes.withUnsafeBytes { try AttributeSet($0) } },
            isOpenEnded: true)
        try assertLaws(codec)
    }

    func testExtent() throws {
        try assertLaws(
            .fromReader(
                "extent", make: { $0.extents()[0] }, write: { $0.write(to: &$1) },
                read: { reader throws(FormatError) in try Extent(from: &reader) }))
    }

    func testRecipeNode() throws {
        let codec = Codec<RecipeNode>(
            subject: "recipe node", make: { $0.recipeNode() }, encode: { $0.encoded() },
            decode: { bytes in try bytes.withUnsafeBytes { try RecipeNode($0) } })
        try assertLaws(codec)
    }

    func testDirectoryNode() throws {
        let codec = Codec<DirectoryNode>(
            subject: "directory node", make: { $0.directoryNode() }, encode: { $0.encoded() },
            decode: { bytes in try bytes.withUnsafeBytes { try DirectoryNode($0) } })
        try assertLaws(codec)
    }

    func testLinkedInodesNode() throws {
        let codec = Codec<LinkedInodesNode>(
            subject: "linked inodes node", make: { $0.linkedInodesNode() },
            encode: { $0.encoded() },
            decode: { bytes in try bytes.withUnsafeBytes { try LinkedInodesNode($0) } })
        try assertLaws(codec)
    }

    func testRootImage() throws {
        let codec = Codec<RootImage>(
            subject: "root image", make: { $0.rootImage() }, encode: { $0.encoded() },
            decode: { bytes in try bytes.withUnsafeBytes { try RootImage($0) } })
        try assertLaws(codec)
    }

    func testNameChange() throws {
        try assertLaws(
            .fromReader(
                "name change", make: { $0.nameChange() }, write: { $0.write(to: &$1) },
                read: { reader throws(FormatError) in try NameChange(from: &reader) }))
    }

    func testExtentChange() throws {
        try assertLaws(
            .fromReader(
                "extent change", make: { $0.extentChange() }, write: { $0.write(to: &$1) },
                read: { reader throws(FormatError) in try ExtentChange(from: &reader) }))
    }

    func testVolumeChanges() throws {
        try assertLaws(
            .fromReader(
                "volume changes", make: { $0.volumeChanges() }, write: { $0.write(to: &$1) },
                read: { reader throws(FormatError) in try VolumeChanges(from: &reader) }))
    }

    func testCommit() throws {
        let codec = Codec<Commit>(
            subject: "commit", make: { $0.commit() }, encode: { $0.encoded() },
            decode: { bytes in try bytes.withUnsafeBytes { try Commit($0) } },
            isOpenEnded: true, skipsUnknown: true)
        try assertLaws(codec)
    }
}
