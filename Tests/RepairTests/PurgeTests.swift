import Backends
import Checking
import ChunkIndex
import Metadata
import Pipeline
import Repair
import XCTest

/// Space comes back, and nothing that lives is harmed.
final class PurgeTests: XCTestCase {
    /// A store of which most was deleted: large files, and every other small one.
    private func makeHollow(_ random: inout SeededGenerator) throws -> TestStore {
        let store = try TestStore()
        try store.use { volume in
            try volume.mkdir("big")
            try volume.mkdir("small")
            for number in 0..<8 { try volume.put("big/\(number)", random.bytes(700_000)) }
            for number in 0..<120 { try volume.put("small/\(number)", random.bytes(9_000)) }
            try volume.hardLink("small/1", to: "big/link")
        }
        try store.use { volume in
            for number in 1..<8 { try volume.remove("big/\(number)") }
            for number in stride(from: 0, to: 120, by: 2) { try volume.remove("small/\(number)") }
        }
        return store
    }

    func testBytesGoDownAndFilesStay() throws {
        var random = seeded()
        let store = try makeHollow(&random)
        let before = try store.files()
        let bytes = store.packBytes
        let report = try StoreRepair.purge(store.target)
        XCTAssertEqual(report.before.bytes, bytes)
        XCTAssertEqual(report.after.bytes, store.packBytes)
        XCTAssertLessThan(store.packBytes * 2, bytes, "\(report)")
        XCTAssertGreaterThan(report.removedChunks, 0)
        XCTAssertFalse(report.rewrittenPacks.isEmpty, "\(report)")
        XCTAssertEqual(report.keptPacks, [])
        XCTAssertEqual(try store.files(), before)
        assertClean(try store.check())
        // A second purge finds little to do, and the index is no part of the truth.
        let again = try StoreRepair.purge(store.target)
        XCTAssertEqual(again.rewrittenPacks, [], "\(again)")
        XCTAssertEqual(again.removedChunks, 0)
        (store.index as? MemoryIndexProvider)?.delete()
        XCTAssertEqual(try store.files(), before)
        _ = try StoreRepair.rebuild(store.target)
        assertClean(try store.check())
        XCTAssertEqual(try store.files(), before)
    }

    /// An index that counts more dead chunks than it lists once kept a purge going for ever.
    func testAWrongCountOfTheDeadDoesNotGoOnForEver() throws {
        var random = seeded()
        let store = try makeHollow(&random)
        let files = try store.files()
        let index = try XCTUnwrap((store.index as? MemoryIndexProvider)?.current)
            .crash(keepingBatches: .max)
        var dead: [[UInt8]] = []
        try index.scan(prefix: [IndexKey.deadPrefix], from: []) { key, _ in
            dead.append(Array(key))
            return true
        }
        var batch = MetadataBatch()
        batch.delete(try XCTUnwrap(dead.first))
        try index.write(batch)
        let wrong = StoreToRepair(backend: store.backend, index: MemoryIndexProvider(index))
        let report = try StoreRepair.purge(wrong)
        XCTAssertGreaterThan(report.removedChunks, 0)
        XCTAssertEqual(try store.files(), files)
    }

    func testAPurgeMayBeCutOffAtAnyWrite() throws {
        var random = seeded()
        let store = try makeHollow(&random)
        let files = try store.files()
        try CrashTwins(of: store).forEachCut(step: 3, &random) { twin, context in
            XCTAssertEqual(try twin.files(), files, context)
            _ = try StoreRepair.purge(twin.target)
            XCTAssertEqual(try twin.files(), files, context)
            let report = try twin.check(.full)
            XCTAssertEqual(report.complaints, "", context)
        } of: { store in
            _ = try StoreRepair.purge(store.target)
        }
    }

    func testAPurgeStopsWhereItIsTold() throws {
        var random = seeded()
        let store = try makeHollow(&random)
        let files = try store.files()
        for patience in 0..<6 {
            var asked = 0
            let monitor = RepairMonitor(isCancelled: {
                asked += 1
                return asked > patience * 4
            })
            do {
                _ = try StoreRepair.purge(store.target, monitor: monitor)
            } catch RepairError.cancelled {}
            XCTAssertEqual(try store.files(), files)
            assertClean(try store.check())
        }
    }

    func testAFullMediumIsNoError() throws {
        var random = seeded()
        let store = try makeHollow(&random)
        let files = try store.files()
        let memory = try XCTUnwrap(store.backend as? MemoryBackend)
        let report = try StoreRepair.purge(
            StoreToRepair(backend: FullBackend(memory), index: store.index))
        XCTAssertFalse(report.packsWithoutRoom.isEmpty)
        XCTAssertLessThan(report.after.bytes, report.before.bytes, "what is dead needs no room")
        XCTAssertEqual(try store.files(), files)
        assertClean(try store.check())
    }
}

final class RebuildTests: XCTestCase {
    func testAnIndexIsMadeAnew() throws {
        var random = seeded()
        let store = try TestStore()
        try store.use(isCut: true) { volume in
            for number in 0..<20 { try volume.put("f\(number)", random.bytes(30_000)) }
        }
        let before = try store.files()
        XCTAssertEqual(before.count, 20)
        let report = try StoreRepair.rebuild(store.target)
        XCTAssertNil(report.readOnlyReason)
        XCTAssertGreaterThan(report.chunks, 20)
        XCTAssertEqual(try store.files(), before)
        assertClean(try store.check())
    }

    func testAnIndexIsKeptWhereItIsAllThatIsLeft() throws {
        var random = seeded()
        let store = try TestStore(copies: 1)
        try store.use { try $0.put("f", random.bytes(5000)) }
        let before = try store.files()
        for record in try store.nodeRecords() { try store.spoilBody(record) }
        XCTAssertThrowsError(try StoreRepair.rebuild(store.target)) { error in
            guard case RepairError.store(.noCommit) = error else { return XCTFail("\(error)") }
        }
        XCTAssertEqual(try store.files(), before)
    }

    func testAPlaceWithoutAStoreIsLeftAlone() throws {
        let index = MemoryIndexProvider()
        XCTAssertThrowsError(
            try StoreRepair.rebuild(StoreToRepair(backend: MemoryBackend(), index: index)))
        XCTAssertNil(index.current)
    }
}
