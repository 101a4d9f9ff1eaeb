import Console
import DiskFormat
import Foundation
import XCTest

@testable import ashlar

/// `ashlar dump` on a store laid by hand, sound and damaged.
final class DumpTests: DirectoryTestCase {
    private var store: TestStore!
    private var complaints: [String] = []

    override func setUpWithError() throws {
        try super.setUpWithError()
        store = try TestStore(path: path("store"))
    }

    private func dump() throws -> Dump {
        Dump(try PackFolder(path: store.path)) { self.complaints.append($0) }
    }

    private func table(_ report: Report, _ key: String) -> ReportTable? {
        if case .table(let table)? = report[key] { table } else { nil }
    }

    func testPack() throws {
        let report = try dump().report(.pack, "abcd-0000000000000001")
        let records = try XCTUnwrap(table(report, "records"))
        XCTAssertEqual(
            records.rows.map { $0[1] },
            [.text("superchunk"), .text("superchunk"), .text("commit"), .text("commit")])
        XCTAssertEqual(records.rows[0][0], .number(4096))
        XCTAssertEqual(records.rows[0][5], .number(3))
        XCTAssertEqual(report["record_count"], .number(4))
        let all = try dump().report(.pack, nil)
        XCTAssertEqual(
            table(all, "packs")?.rows.map { $0[1] }, [.text("main"), .text("copies")])
    }

    func testPackNames() throws {
        let dump = try dump()
        XCTAssertEqual(failure { _ = try dump.report(.pack, "0000") }?.kind, .usage)
        XCTAssertEqual(failure { _ = try dump.report(.pack, "ffff") }?.kind, .notFound)
        XCTAssertEqual(failure { _ = try dump.report(.pack, "") }?.kind, .notFound)
    }

    func testSuperChunk() throws {
        let report = try dump().report(.superchunk, "\(store.main):\(store.dataOffset)")
        XCTAssertEqual(
            table(report, "chunks")?.rows.map { $0[1] },
            store.names.map { .text($0.hexadecimal) })
        let frames = try XCTUnwrap(table(report, "frames"))
        XCTAssertEqual(frames.rows.count, 3)
        XCTAssertTrue(frames.rows.allSatisfy { $0[6] == .text("sound") })
        XCTAssertEqual(
            failure { _ = try dump().report(.superchunk, "\(store.main):\(store.commitOffset)") }?
                .kind, .damaged)
        XCTAssertEqual(failure { _ = try dump().report(.superchunk, "abc") }?.kind, .usage)
        XCTAssertEqual(
            failure { _ = try dump().report(.superchunk, "\(store.main):0x7fffffffffffff00") }?
                .kind, .damaged)
    }

    func testChunkByNameAndPrefix() throws {
        let name = store.names[1].hexadecimal
        XCTAssertEqual(try dump().chunkBytes(name), store.chunks[1])
        XCTAssertEqual(try dump().chunkBytes(String(name.prefix(12)).uppercased()), store.chunks[1])
        XCTAssertEqual(failure { _ = try dump().chunkBytes("abc") }?.kind, .usage)
        XCTAssertEqual(failure { _ = try dump().chunkBytes("zzzz") }?.kind, .usage)
        XCTAssertEqual(
            failure { _ = try dump().chunkBytes(ChunkName.zero.hexadecimal) }?.kind, .notFound)
    }

    func testPlacesOfCopies() throws {
        let report = try dump().report(.chunk, store.rootName.hexadecimal)
        let places = try XCTUnwrap(table(report, "places"))
        XCTAssertEqual(places.rows.map { $0[5] }, [.flag(false), .flag(true)])
        XCTAssertEqual(report["domain"], .text("tree"))
    }

    func testCommits() throws {
        let seven = try dump().report(.commit, "7")
        XCTAssertEqual(seven["sequence"], .number(7))
        XCTAssertEqual(seven["offset"], .number(store.commitOffset))
        let last = try dump().report(.commit, "last")
        XCTAssertEqual(last["sequence"], .number(8))
        XCTAssertEqual(last["checkpoint"], .flag(true))
        guard case .list(let volumes)? = last["volumes"], case .object(let volume)? = volumes.first
        else { return XCTFail("no volume") }
        XCTAssertEqual(table(volume, "names")?.rows.first?[1], .name(TestStore.oddName))
        XCTAssertTrue(try last.json().contains(#""name_base64" : "b2Rk/wo=""#))
        XCTAssertEqual(failure { _ = try dump().report(.commit, "9") }?.kind, .notFound)
        XCTAssertEqual(failure { _ = try dump().report(.commit, "x") }?.kind, .usage)
        let place = "\(store.main):\(store.dataOffset)"
        XCTAssertEqual(failure { _ = try dump().report(.commit, place) }?.kind, .usage)
    }

    func testNodes() throws {
        let recipe = try dump().report(.recipe, store.recipeName.hexadecimal)
        XCTAssertEqual(recipe["length"], .bytes(store.recipe.length))
        XCTAssertEqual(
            table(recipe, "extents")?.rows.map { $0[2] },
            [.text("data"), .text("hole"), .text("data")])
        let tree = try dump().report(.tree, store.directoryName.hexadecimal)
        XCTAssertEqual(
            table(tree, "entries")?.rows.map { $0[0] },
            [.name(Array("file".utf8)), .name(TestStore.oddName)])
        let root = try dump().report(.tree, store.rootName.hexadecimal)
        XCTAssertEqual(root["volume"], .text("main"))
        // A recipe's name is none of a tree.
        XCTAssertEqual(
            failure { _ = try dump().report(.tree, store.recipeName.hexadecimal) }?.kind,
            .notFound)
    }

    // MARK: damage

    func testDamagedFrameIsNamedAndTheOthersAreRead() throws {
        // The last byte of the data super-chunk's body lies in its third frame, with chunk 2.
        let records = try XCTUnwrap(
            table(try dump().report(.pack, "\(store.main)"), "records"))
        guard case .bytes(let bytes) = records.rows[0][3] else { return XCTFail("no length") }
        try store.flip(store.main, at: store.dataOffset + 48 + bytes - 1)
        let report = try dump().report(.superchunk, "\(store.main):\(store.dataOffset)")
        XCTAssertEqual(
            table(report, "frames")?.rows.map { $0[6] },
            [.text("sound"), .text("sound"), .text("damaged")])
        XCTAssertEqual(try dump().chunkBytes(store.names[0].hexadecimal), store.chunks[0])
        let error = failure { _ = try dump().chunkBytes(store.names[2].hexadecimal) }
        XCTAssertEqual(error?.kind, .damaged)
    }

    func testSecondCopyServesWhenTheFirstIsDamaged() throws {
        let report = try dump().report(.chunk, store.rootName.hexadecimal)
        guard case .number(let offset)? = table(report, "places")?.rows[0][1] else {
            return XCTFail("no place")
        }
        // Within the prefix: the whole super-chunk is lost.
        try store.flip(store.main, at: offset + 48 + 40)
        XCTAssertEqual(
            try dump().report(.tree, store.rootName.hexadecimal)["volume"], .text("main"))
        XCTAssertEqual(complaints.count, 1)
    }

    func testPackWithoutHeaderIsSalvaged() throws {
        try store.flip(store.main, at: 100)
        let report = try dump().report(.pack, "\(store.main)")
        XCTAssertNotNil(report["header_damage"])
        XCTAssertEqual(table(report, "records")?.rows.count, 4)
        XCTAssertEqual(try dump().chunkBytes(store.names[0].hexadecimal), store.chunks[0])
    }

    func testDamagedRecordHeaderIsListed() throws {
        try store.flip(store.main, at: store.commitOffset + 10)
        let report = try dump().report(.pack, "\(store.main)")
        XCTAssertEqual(table(report, "damaged_ranges")?.rows.first?[0], .number(store.commitOffset))
        XCTAssertEqual(try dump().report(.commit, "last")["sequence"], .number(8))
    }

    func testNoStores() throws {
        XCTAssertEqual(failure { _ = try PackFolder(path: path("none")) }?.kind, .notFound)
        let empty = try makeDirectory("empty")
        XCTAssertEqual(failure { _ = try PackFolder(path: empty) }?.kind, .notAStore)
    }

    // MARK: as users see it

    func testAResultThatCannotBeWrittenIsAFailure() throws {
        let program = try BuiltProgram.path("ashlar")
        let name = store.names[0].hexadecimal
        let result = try BuiltProgram.run(
            "/bin/sh", ["-c", "exec '\(program)' dump '\(store.path)' chunk \(name) >/dev/full"])
        XCTAssertEqual(result.code, 1)
        XCTAssertTrue(result.errors.contains("cannot write to standard output"), result.errors)
    }

    func testProgram() throws {
        let chunk = try BuiltProgram.ashlar([
            "dump", store.path, "chunk", store.names[0].hexadecimal,
        ])
        XCTAssertEqual(chunk.code, 0, chunk.errors)
        XCTAssertEqual(Array(chunk.output), store.chunks[0])
        let json = try BuiltProgram.ashlar(["dump", store.path, "commit", "last", "--json"])
        let object = try JSONSerialization.jsonObject(with: json.output) as? [String: Any]
        XCTAssertEqual(object?["sequence"] as? Int, 8)
        let none = try BuiltProgram.ashlar(["dump", path("none"), "pack"])
        XCTAssertEqual(none.code, 1)
        XCTAssertEqual(none.errors, "ashlar: \(path("none")): no such directory\n")
        let empty = try BuiltProgram.ashlar(["dump", try makeDirectory("empty"), "pack"])
        XCTAssertEqual(empty.code, 10)
        let usage = try BuiltProgram.ashlar(["dump", store.path, "stone", "x"])
        XCTAssertEqual(usage.code, 2)
        XCTAssertTrue(usage.text.isEmpty)
        let help = try BuiltProgram.ashlar(["--help"])
        XCTAssertEqual(help.code, 0)
        XCTAssertTrue(help.text.contains("dump"))
    }
}
