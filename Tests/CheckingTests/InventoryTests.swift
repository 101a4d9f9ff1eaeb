// What an inventory finds in sound and in damaged packs.
import Backends
import DiskFormat
import Packs
import XCTest

@testable import Checking

final class InventoryTests: XCTestCase {
    func testSoundStoreIsFoundWhole() throws {
        let scene = try Scene()
        let inventory = try Inventory(scene.store.backend)
        XCTAssertEqual(inventory.findings, [])
        XCTAssertEqual(inventory.packs.map(\.id.sequence), [1, 2, 3, 4])
        XCTAssertEqual(inventory.packs.map(\.role), [.main, .copies, .main, .copies])
        XCTAssertEqual(inventory.packs.map(\.isSealed), [true, true, false, false])
        XCTAssertEqual(inventory.commits.map(\.sequence), [1, 2, 3, 4])
        XCTAssertEqual(inventory.commits.map(\.isCheckpoint), [true, false, false, false])
        XCTAssertEqual(
            Set(inventory.table.copies.map(\.name)), Set(scene.store.contents.keys))
        for (name, known) in scene.store.contents {
            let number = try XCTUnwrap(inventory.table.number(of: name))
            let copies = inventory.table.range(of: number)
            XCTAssertEqual(copies.count, known.domain.isMetadata ? 2 : 1)
            XCTAssertEqual(Int(inventory.table.copies[number].rawBytes), known.bytes.count)
        }
    }

    func testChunksOfEveryCopyAreRead() throws {
        let scene = try Scene()
        let inventory = try Inventory(scene.store.backend)
        let reader = ChunkReader(inventory, cacheBytes: 10_000)
        for (name, known) in scene.store.contents {
            XCTAssertEqual(try reader.chunk(name, domain: known.domain), known.bytes)
        }
        XCTAssertThrowsError(try reader.chunk(.zero, domain: .data))
    }

    func testTableSortsAsNamesDo() throws {
        var random = SeededGenerator()
        var table = ChunkTable()
        for record in 0..<5_000 {
            // Few different names, so that there are many copies of each.
            let name = random.bytes(2) + [UInt8](repeating: 0, count: 30)
            table.append(
                .init(
                    name: name.withUnsafeBytes { ChunkName($0) },
                    record: UInt32(record), frameOffset: 0, packedLength: 1 | 1 << 28, frame: 0))
        }
        table.finish()
        for (a, b) in zip(table.copies, table.copies.dropFirst()) {
            XCTAssertTrue(a.name < b.name || a.name == b.name && a.record < b.record)
        }
        let number = try XCTUnwrap(table.number(of: table.copies[2_500].name))
        XCTAssertTrue(table.range(of: number).contains(2_500))
        XCTAssertEqual(MemoryLayout<ChunkTable.Copy>.stride, 48)
    }

    func testNoStoreAndNewerStoreAreErrors() throws {
        XCTAssertThrowsError(try Inventory(MemoryBackend())) {
            guard case CheckingError.noStore = $0 else { return XCTFail("\($0)") }
        }
        let scene = try Scene(commits: false)
        let other = StoreIdentity(storeID: UniqueID(random: (1, 1)), secret: .init(high: 1, low: 1))
        XCTAssertThrowsError(try Inventory(scene.store.backend, store: other)) {
            guard case CheckingError.noStore = $0 else { return XCTFail("\($0)") }
        }
    }

    func testLogIsTheCheckpointAndWhatFollows() throws {
        let scene = try Scene()
        let inventory = try Inventory(scene.store.backend)
        let log = try CommitLog(inventory, ChunkReader(inventory))
        XCTAssertEqual(log.chain.map(\.sequence), [1, 2, 3, 4])
        XCTAssertEqual(log.findings, [])
        XCTAssertTrue(log.torn.isEmpty && log.beyond.isEmpty)
        XCTAssertEqual(log.newest?.hash, scene.store.previous)
    }
}
