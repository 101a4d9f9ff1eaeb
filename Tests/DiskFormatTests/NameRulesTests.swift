// Purpose: what may be a name, and the texts that stand for identifiers.

import XCTest

@testable import DiskFormat

final class NameRulesTests: XCTestCase {
    func testEntryNames() {
        let good = ["a", "...", "..a", ".a", " ", "\u{7f}", "ä", "a\\b", "-rf", "\n"]
        for name in good { XCTAssertTrue(DirectoryEntry.isAcceptable(Array(name.utf8)), name) }
        let bad = ["", ".", "..", "/", "a/b", "/a", "a/", "../x", "\0", "a\0", "\0a"]
        for name in bad { XCTAssertFalse(DirectoryEntry.isAcceptable(Array(name.utf8)), name) }
        XCTAssertTrue(DirectoryEntry.isAcceptable([UInt8](repeating: 0xff, count: 255)))
        XCTAssertFalse(DirectoryEntry.isAcceptable([UInt8](repeating: 0x61, count: 256)))
    }

    /// A hostile store's names are refused by the decoders, not only by those who ask.
    func testEntriesOfBadNamesAreRefused() throws {
        for name in ["", ".", "..", "a/b", "a\0b"] {
            let target = DirectoryEntry.Target.linked(inode: 7, kind: 8)
            let entry = DirectoryEntry(name: Array(name.utf8), target: target)
            let node = DirectoryNode.leaf([entry]).encoded()
            XCTAssertThrowsError(try node.withUnsafeBytes { try DirectoryNode($0) }, name)
            var writer = ByteWriter()
            NameChange(parent: 1, name: Array(name.utf8), collision: 0, target: nil)
                .write(to: &writer)
            try writer.bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw, "test")
                XCTAssertThrowsError(try NameChange(from: &reader), name)
            }
        }
    }

    func testEntriesOutOfOrderAreRefused() {
        func leaf(_ names: [String]) -> [UInt8] {
            DirectoryNode.leaf(
                names.map {
                    DirectoryEntry(name: Array($0.utf8), target: .linked(inode: 7, kind: 8))
                }
            ).encoded()
        }
        XCTAssertNoThrow(try leaf(["a", "ab", "b"]).withUnsafeBytes { try DirectoryNode($0) })
        for names in [["b", "a"], ["a", "a"], ["ab", "a"], []] {
            XCTAssertThrowsError(try leaf(names).withUnsafeBytes { try DirectoryNode($0) })
        }
    }

    func testRecipesOfTwoFormsAreRefused() {
        let refused: [[Extent]] = [
            [], [.hole(length: 1), .hole(length: 1)], [.zeros(length: 1), .zeros(length: 1)],
            [.hole(length: 0)], [.data(.zero, length: 0)],
            [.data(.zero, length: ChunkerParameters.maximumBytesLimit + 1)],
            [.hole(length: 1 << 63)],
            [.hole(length: UInt64(Int64.max)), .zeros(length: 1)],
        ]
        for extents in refused {
            let bytes = RecipeNode.leaf(extents).encoded()
            XCTAssertThrowsError(
                try bytes.withUnsafeBytes { try RecipeNode($0) }, "\(extents)")
        }
    }

    func testObjectNames() {
        let good = ["a", "0", "_", "+x", "main", "a.b-c_d+e", String(repeating: "x", count: 128)]
        for name in good { XCTAssertTrue(ObjectName.isAcceptable(name), name) }
        let bad = [
            "", ".", "..", ".a", "-a", "a b", "a/b", "ä", "a\0", "a\n", "@",
            String(repeating: "x", count: 129),
        ]
        for name in bad { XCTAssertFalse(ObjectName.isAcceptable(name), name) }
    }

    func testPackIDs() {
        let id = Samples.pack
        XCTAssertEqual(id.description, "deadbeef01020304-0000000000000005")
        XCTAssertEqual(id.fileName, "packs/deadbeef01020304-0000000000000005.pack")
        XCTAssertLessThan(id, PackID(writer: id.writer, sequence: 6))
        XCTAssertLessThan(PackID(writer: 1, sequence: .max), PackID(writer: 2, sequence: 0))
        var generator = SeededGenerator.announced("pack ids")
        for _ in 0..<500 {
            let random = generator.packID()
            XCTAssertEqual(PackID(text: random.description), random)
            XCTAssertEqual(PackID(fileName: random.fileName), random)
        }
    }

    /// One name for a pack, or a listing would have it twice.
    func testOtherTextsAreNotPackIDs() {
        let bad = [
            "", "-", "deadbeef01020304", "deadbeef01020304-5", "deadbeef01020304-000000000000000g",
            "DEADBEEF01020304-0000000000000005", "+eadbeef01020304-0000000000000005",
            "deadbeef01020304-+000000000000005", "deadbeef01020304-0000000000000005-",
            "deadbeef010203040000000000000005-", " eadbeef01020304-0000000000000005",
        ]
        for text in bad {
            XCTAssertNil(PackID(text: text), text)
            XCTAssertNil(PackID(fileName: "packs/\(text).pack"), text)
        }
        let good = Samples.pack.description
        for name in ["packs/\(good)", "\(good).pack", "packs/\(good).pack.tmp", "packs/.pack"] {
            XCTAssertNil(PackID(fileName: name), name)
        }
    }

    func testUniqueIDs() {
        XCTAssertEqual(Samples.volumeID.description, "00112233-4455-4677-8899-aabbccddeeff")
        var generator = SeededGenerator.announced("unique ids")
        for _ in 0..<500 {
            let text = Array(generator.uniqueID().description)
            XCTAssertEqual(text.count, 36)
            XCTAssertEqual(text.indices.filter { text[$0] == "-" }, [8, 13, 18, 23])
            XCTAssertEqual(text[14], "4", "version")
            XCTAssertTrue("89ab".contains(text[19]), "variant")
        }
    }

    func testChunkNamesAreOrderedAsTheirBytes() {
        var generator = SeededGenerator.announced("chunk names")
        for _ in 0..<5_000 {
            let a = generator.chunkName()
            var bytes = a.bytes
            bytes[generator.below(32)] = generator.byte()
            let b = bytes.withUnsafeBytes { ChunkName($0) }
            XCTAssertEqual(b.bytes, bytes)
            XCTAssertEqual(a < b, a.bytes.lexicographicallyPrecedes(bytes))
            XCTAssertEqual(b < a, bytes.lexicographicallyPrecedes(a.bytes))
            XCTAssertEqual(a == b, a.bytes == bytes)
        }
    }

    func testChunkNamesInHexadecimal() {
        var generator = SeededGenerator.announced("hexadecimal")
        for _ in 0..<500 {
            let name = generator.chunkName()
            XCTAssertEqual(ChunkName(hexadecimal: name.hexadecimal), name)
            XCTAssertEqual(ChunkName(hexadecimal: name.hexadecimal.uppercased()), name)
        }
        let bytes = (0..<32).map { UInt8($0) }.withUnsafeBytes { ChunkName($0) }
        XCTAssertEqual(
            bytes.hexadecimal, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
        let digits = String(repeating: "0", count: 63)
        for bad in ["", digits, digits + "g", digits + "00", digits + " ", digits + "+"] {
            XCTAssertNil(ChunkName(hexadecimal: bad), bad)
        }
        XCTAssertTrue(ChunkName.zero.isZero)
        XCTAssertFalse(bytes.isZero)
    }

    func testHashAlgorithmLabels() {
        for hash in HashAlgorithm.allCases {
            XCTAssertEqual(HashAlgorithm(label: hash.label), hash)
        }
        XCTAssertNil(HashAlgorithm(label: "md5"))
    }
}
