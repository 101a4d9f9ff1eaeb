import Backends
import Checking
import DiskFormat
import Metadata
import Pipeline
import Repair
import XCTest

/// One fault each: found, named, repaired, the second run clean, and nothing lost but what the
/// fault took.
final class RepairTests: XCTestCase {
    private func makeStore(_ random: inout SeededGenerator, copies: UInt8 = 2) throws -> TestStore {
        let store = try TestStore(copies: copies)
        try store.use { volume in
            try volume.mkdir("a")
            try volume.mkdir("a/b")
            for number in 0..<12 { try volume.put("a/\(number)", random.bytes(20_000)) }
            for number in 0..<3 { try volume.put("a/b/\(number)", random.bytes(200_000)) }
            try volume.hardLink("a/1", to: "a/b/link")
        }
        return store
    }

    /// Repairs, and says that the second run finds nothing to do.
    @discardableResult
    private func repair(
        _ store: TestStore, depth: CheckDepth = .deep, line: UInt = #line
    ) throws -> RepairReport {
        let report = try StoreRepair.repair(store.target, options: RepairOptions(depth: depth))
        XCTAssertEqual(report.after.complaints, "", line: line)
        XCTAssertTrue(report.isClean, line: line)
        let again = try StoreRepair.repair(store.target, options: RepairOptions(depth: depth))
        XCTAssertEqual(again.actions.map { "\($0.kind): \($0.detail)" }, [], line: line)
        XCTAssertFalse(again.hadErrors, line: line)
        let independent = try store.check()
        XCTAssertEqual(independent.complaints, "", line: line)
        return report
    }

    func testASoundStoreIsLeftAlone() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let before = try XCTUnwrap(store.backend as? MemoryBackend).list(prefix: "").map(\.size)
        let report = try repair(store)
        XCTAssertEqual(report.actions, [])
        XCTAssertFalse(report.hadErrors)
        let after = try XCTUnwrap(store.backend as? MemoryBackend).list(prefix: "").map(\.size)
        XCTAssertEqual(before, after)
    }

    func testAnUncleanEndIsCompleted() throws {
        var random = seeded()
        let store = try makeStore(&random)
        try store.use(isCut: true) { try $0.put("new", random.bytes(30_000)) }
        let files = try store.files()
        let report = try repair(store)
        XCTAssertEqual(report.actions.map(\.kind), [.logCompleted])
        XCTAssertFalse(report.hadErrors, "an unclean end is no error")
        XCTAssertEqual(report.after.summary.commitsToReplay, 0)
        XCTAssertEqual(try store.files(), files)
    }

    func testAMissingIndexIsMadeAnew() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        try XCTUnwrap(store.index as? MemoryIndexProvider).delete()
        let report = try repair(store)
        XCTAssertTrue(report.actions.map(\.kind).contains(.indexRebuilt))
        XCTAssertEqual(try store.files(), files)
    }

    func testAWrongCountIsMadeRight() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        let index = try XCTUnwrap((store.index as? MemoryIndexProvider)?.current)
        var batch = MetadataBatch()
        try index.crash(keepingBatches: .max).scan(prefix: [UInt8(ascii: "C")]) { key, value in
            var changed = Array(value)
            changed[0] &+= 1
            batch.put(Array(key), changed)
            return false
        }
        // The provider hands out what its last store had.
        let open = try XCTUnwrap(try store.index.open(readOnly: false, memoryBytes: 1 << 20))
        try open.write(batch)
        try open.close(flushing: true)
        XCTAssertTrue(try store.check().problems.contains { $0.kind == .indexCount })
        let report = try repair(store)
        XCTAssertEqual(report.actions.map(\.kind), [.indexRebuilt])
        XCTAssertEqual(try store.files(), files)
    }

    func testLostContentIsMarkedAndTheRestStays() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        let record = try store.dataRecords()[1]
        try store.spoilBody(record)
        let report = try repair(store)
        XCTAssertTrue(report.hadErrors)
        let action = try XCTUnwrap(report.actions.first { $0.kind == .chunksLost })
        let lost = Set(action.paths.map(\.text))
        XCTAssertFalse(lost.isEmpty)
        let after = try store.files()
        XCTAssertEqual(after.keys.sorted(), files.keys.sorted(), "every file keeps its name")
        assertNothingLost(files, after, except: lost)
        for path in lost { XCTAssertNil(after[path]?.bytes, "\(path) must not be made up") }
        XCTAssertFalse(try store.packIDs().contains(record.pack), "the damaged pack is gone")
        XCTAssertEqual(try store.backend.list(prefix: "quarantine/").count, 1)
        // Known losses are told, as information, also without the index.
        try XCTUnwrap(store.index as? MemoryIndexProvider).delete()
        _ = try StoreRepair.rebuild(store.target)
        let check = try store.check()
        assertClean(check)
        XCTAssertTrue(
            check.problems.contains { $0.kind == .chunkMissing && $0.severity == .information })
        XCTAssertTrue(check.lostChunks.allSatisfy(\.isKnown) && !check.lostChunks.isEmpty)
        XCTAssertNil(try StoreRepair.rebuild(store.target).readOnlyReason)
        // The rest of the file is still to be read, and the store to be used.
        try store.use { volume in
            try volume.put("more", random.bytes(1000))
            for path in lost where path.hasPrefix("/a/b/") && path != "/a/b/link" {
                try volume.remove(path)
            }
        }
        assertClean(try store.check())
    }

    func testADamagedCopyOfANodeIsReplaced() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        let record = try XCTUnwrap(
            try store.nodeRecords().last { !$0.header.flags.contains(.copy) })
        try store.spoilBody(record)
        let report = try repair(store)
        XCTAssertTrue(report.hadErrors)
        XCTAssertTrue(report.actions.map(\.kind).contains(.packsRewritten))
        XCTAssertFalse(report.actions.map(\.kind).contains(.chunksLost))
        XCTAssertEqual(try store.files(), files)
        XCTAssertEqual(try store.backend.list(prefix: "quarantine/").count, 0)
    }

    func testSwappedPacksGetTheirNames() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        let ids = try store.packIDs()
        try store.backend.renameFile(ids[0].fileName, to: "packs/x")
        try store.backend.renameFile(ids[1].fileName, to: ids[0].fileName)
        try store.backend.renameFile("packs/x", to: ids[1].fileName)
        let report = try repair(store)
        XCTAssertEqual(report.actions.first?.kind, .packsRenamed)
        XCTAssertEqual(try store.files(), files)
    }

    func testADamagedHeaderOrTableCostsNothing() throws {
        for isHeader in [true, false] {
            var random = seeded()
            let store = try makeStore(&random)
            let files = try store.files()
            let pack = try XCTUnwrap(try store.dataRecords().first).pack
            let size = try store.backend.list(prefix: pack.fileName)[0].size
            try store.flip(pack, at: isHeader ? 20 : size - 40)
            XCTAssertNotEqual(try store.check().complaints, "")
            try repair(store)
            XCTAssertEqual(try store.files(), files)
        }
    }

    /// What could not be folded lies beside the trees, in the checkpoint's commit alone: checkpoints
    /// that change no volume once left it out, and with the index it was gone.
    func testPiecesBesideDamageOutliveEveryCheckpoint() throws {
        var random = seeded()
        let store = try TestStore()
        try store.use {
            try $0.put("big", random.bytes(700_000))
            try $0.put("gone", random.bytes(100_000))
        }
        try store.spoilBody(try XCTUnwrap(try store.dataRecords().dropFirst(3).first))
        let change = random.bytes(300)
        var place: UInt64 = 0
        try store.use { volume in
            let inode = try volume.inode("big")
            var page = [UInt8](repeating: 0, count: 4096)
            let bad = stride(from: UInt64(0), to: 700_000, by: 4096).filter { offset in
                page.withUnsafeMutableBytes { try? volume.read(inode, at: offset, into: $0) } == nil
            }
            XCTAssertFalse(bad.isEmpty)
            place = bad[bad.count / 2] + 100
            try volume.overwrite(inode, at: place, change)
            try volume.remove("gone")
        }
        func piece() throws -> [UInt8] {
            var found = [UInt8](repeating: 0, count: 300)
            try store.use { volume in
                let inode = try volume.inode("big")
                _ = try found.withUnsafeMutableBytes {
                    try volume.read(inode, at: place, into: $0)
                }
            }
            return found
        }
        XCTAssertEqual(try piece(), change)
        _ = try StoreRepair.purge(store.target)
        (store.index as? MemoryIndexProvider)?.delete()
        XCTAssertEqual(try piece(), change)
        _ = try StoreRepair.repair(store.target)
        _ = try StoreRepair.purge(store.target)
        assertClean(try store.check())
        (store.index as? MemoryIndexProvider)?.delete()
        XCTAssertEqual(try piece(), change)
    }

    /// A commit that others follow was durable: damage in what it vouches for costs that, and not the
    /// commits, though the store was killed and has no index that knows them.
    func testDamageBehindTheCheckpointCostsNoCommit() throws {
        for isData in [true, false] {
            var random = seeded()
            let store = try TestStore()
            try store.use { try $0.put("old", random.bytes(20_000)) }
            let known = try store.records { $0.kind == .superChunk }.count
            try store.use(isCut: true) { volume in
                try volume.put("first", random.bytes(200_000))
                try volume.synchronizeAll()
                try volume.put("second", random.bytes(30_000))
            }
            let files = try store.files()
            let fresh = try store.records { $0.kind == .superChunk }.dropFirst(known)
            try store.spoilBody(
                try XCTUnwrap(fresh.first { $0.header.flags.contains(.metadata) != isData }))
            (store.index as? MemoryIndexProvider)?.delete()
            let report = try repair(store)
            XCTAssertFalse(report.actions.map(\.kind).contains(.commitsLost), "\(report.actions)")
            let after = try store.files()
            assertNothingLost(files, after, except: ["/first"])
            XCTAssertNotNil(after["/first"])
            XCTAssertNil(after["/first"]?.bytes)
        }
    }
}
