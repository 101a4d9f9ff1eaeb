import Foundation
import XCTest

@testable import Metadata

/// Damage to the files of a store: reported as `.damaged`, on opening or on reading; never a crash,
/// never a wrong value.
final class RocksDamageTests: XCTestCase {
    private var folder: ScratchFolder?
    private static let batches = 400

    override func setUpWithError() throws { folder = try ScratchFolder() }

    override func tearDown() { folder = nil }

    /// A closed store of some tables.
    private func makeStore(_ name: String = "index") throws -> String {
        let path = try XCTUnwrap(folder).file(name)
        let store = try openRocks(path)
        for number in 0..<Self.batches { try NumberedBatches.write(number, to: store) }
        try store.close(flushing: true)
        return path
    }

    private func readAll(_ path: String) throws -> Int? {
        let store = try openRocks(path, create: false)
        return try NumberedBatches.prefixLength(of: store)
    }

    func testMissingCurrentIsDamagedEvenWhenCreating() throws {
        let path = try makeStore()
        try FileManager.default.removeItem(atPath: path + "/CURRENT")
        assertDamaged("create") { try openRocks(path, create: true) }
        assertDamaged("open") { try openRocks(path, create: false) }
        assertDamaged("read-only") { try openRocks(path, readOnly: true, create: false) }
        XCTAssertFalse(try storeFiles(path, ".sst").isEmpty, "tables must not have been deleted")
        try RocksMetadataStore.destroy(path: path)
        XCTAssertEqual(try openRocks(path).entries().count, 0)
    }

    func testAlteredCurrentIsDamaged() throws {
        let texts = ["", "MANIFEST-", "nonsense\n", "MANIFEST-999999\n", "../../etc/passwd\n"]
        for (index, text) in texts.enumerated() {
            let path = try makeStore("current-\(index)")
            try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/CURRENT"))
            assertDamaged("CURRENT = \(text)") { try openRocks(path) }
        }
    }

    func testMissingManifestIsDamaged() throws {
        let path = try makeStore()
        for file in try storeFiles(path, "MANIFEST-") {
            try FileManager.default.removeItem(atPath: file)
        }
        assertDamaged("manifest") { try openRocks(path) }
    }

    func testMissingTableIsDamaged() throws {
        let path = try makeStore()
        try FileManager.default.removeItem(atPath: XCTUnwrap(storeFiles(path, ".sst").first))
        assertDamaged("table") { try readAll(path) }
    }

    func testTruncatedTableIsDamaged() throws {
        for cut in [1, 40, 5000] {
            let path = try makeStore("cut-\(cut)")
            let table = try XCTUnwrap(storeFiles(path, ".sst").first)
            try alter(table) { $0.removeLast(min(cut, $0.count)) }
            assertDamaged("\(cut) bytes less") { try readAll(path) }
        }
    }

    /// RocksDB takes a record that is cut off at the end of the manifest for one that was being
    /// written: an older state may open, which is a prefix, or the store is damaged.
    func testTruncatedManifestIsDamagedOrAPrefix() throws {
        var random = SeededGenerator.announced()
        for round in 0..<12 {
            let path = try makeStore("truncated-\(round)")
            let manifest = try XCTUnwrap(storeFiles(path, "MANIFEST-").first)
            try alter(manifest) { $0.removeLast(Int.random(in: 1...$0.count, using: &random)) }
            do {
                let kept = try readAll(path)
                XCTAssertNotNil(kept, "round \(round): not a prefix")
            } catch MetadataError.damaged {
            }
        }
    }

    func testFlippedManifestIsDamagedOrAPrefix() throws {
        var random = SeededGenerator.announced()
        var damaged = 0
        for round in 0..<12 {
            let path = try makeStore("flipped-\(round)")
            let manifest = try XCTUnwrap(storeFiles(path, "MANIFEST-").first)
            try alter(manifest) { bytes in
                let at = Int.random(in: 0..<bytes.count, using: &random)
                bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
            do {
                let kept = try readAll(path)
                XCTAssertNotNil(kept, "round \(round): not a prefix")
            } catch MetadataError.damaged {
                damaged += 1
            }
        }
        XCTAssertGreaterThan(damaged, 0)
    }

    /// One flipped bit anywhere in a table: all is read rightly (it lay in padding or in a filter, which
    /// is then not believed), or `.damaged` is thrown; and flips in the data are found. (Where a
    /// compaction meets one, RocksDB waits a second before it lets the store be closed.)
    func testFlippedBitsInTablesAreFound() throws {
        var random = SeededGenerator.announced()
        var damaged = 0
        for round in 0..<16 {
            let path = try makeStore("bits-\(round)")
            let table = try XCTUnwrap(storeFiles(path, ".sst").randomElement(using: &random))
            try alter(table) { bytes in
                let at = Int.random(in: 0..<bytes.count, using: &random)
                bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
            do {
                let kept = try readAll(path)
                XCTAssertEqual(kept, Self.batches, "round \(round)")
            } catch MetadataError.damaged {
                damaged += 1
            }
        }
        XCTAssertGreaterThan(damaged, 8)
    }

    func testGetFindsAFlippedBit() throws {
        let path = try XCTUnwrap(folder).file("get")
        let store = try openRocks(path)
        try store.put([1], Array(repeating: 7, count: 3000))
        try store.close(flushing: true)
        try alter(XCTUnwrap(storeFiles(path, ".sst").first)) { $0[1000] ^= 1 }
        assertDamaged("get") { try openRocks(path, create: false).get([1]) }
    }

    func testGarbageInEveryFileNeverCrashes() throws {
        var random = SeededGenerator.announced()
        for part in ["CURRENT", "MANIFEST-", ".sst"] {
            let path = try makeStore("garbage-\(part)")
            for file in try storeFiles(path, part) {
                try alter(file) { $0 = random.bytes($0.count) }
            }
            assertDamaged(part) { try readAll(path) }
        }
    }
}
