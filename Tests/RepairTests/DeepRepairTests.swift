import Backends
import Checking
import DiskFormat
import Packs
import Pipeline
import Repair
import XCTest

/// Faults that cost the store its structure: damaged logs, lost packs, unreadable trees, volumes
/// that contradict themselves.
final class DeepRepairTests: XCTestCase {
    /// Five directories of forty files with long names, so that there are several nodes of trees;
    /// in two sessions, so that there are several checkpoints.
    private func makeStore(_ random: inout SeededGenerator, copies: UInt8 = 1) throws -> TestStore {
        let store = try TestStore(copies: copies)
        for half in 0..<2 {
            try store.use { volume in
                for number in 0..<5 {
                    let directory = "directory \(number)"
                    if half == 0 { try volume.mkdir(directory) }
                    for file in 0..<20 {
                        try volume.put(
                            "\(directory)/a file with quite a long name \(half) \(file)",
                            random.bytes(3000))
                    }
                }
                try volume.put("top \(half)", random.bytes(200_000))
            }
        }
        try store.use { try $0.hardLink("top 0", to: "directory 1/linked") }
        return store
    }

    @discardableResult
    private func repair(_ store: TestStore, line: UInt = #line) throws -> RepairReport {
        let report = try StoreRepair.repair(store.target)
        XCTAssertEqual(report.after.complaints, "", line: line)
        let again = try StoreRepair.repair(store.target)
        XCTAssertEqual(again.actions.map { "\($0.kind): \($0.detail)" }, [], line: line)
        assertClean(try store.check(), line: line)
        // What was written can be rebuilt, and used.
        XCTAssertNil(try StoreRepair.rebuild(store.target).readOnlyReason, line: line)
        assertClean(try store.check(), line: line)
        try store.use { try $0.put("written after the repair", [1, 2, 3]) }
        assertClean(try store.check(), line: line)
        return report
    }

    func testUnreadableTreesAreWrittenFromASoundIndex() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        for record in try store.nodeRecords() { try store.spoilBody(record) }
        let report = try repair(store)
        XCTAssertTrue(report.actions.map(\.kind).contains(.treesWritten))
        XCTAssertFalse(report.actions.map(\.kind).contains(.entriesRecovered))
        // Recipes have no second source; everything else has its name and its bytes.
        let lost = report.actions.first { $0.kind == .chunksLost }?.paths.map(\.text) ?? []
        XCTAssertEqual(Set(lost), ["/top 0", "/top 1", "/directory 1/linked"])
        assertNothingLost(files, try store.files(), except: Set(lost))
    }

    func testWhatLostItsPlaceIsInLostAndFound() throws {
        var random = seeded()
        let store = try TestStore(copies: 1)
        // Each session's nodes lie in a record of their own: what is lost, its parent, the root.
        try store.use { volume in
            try volume.mkdir("p")
            try volume.mkdir("p/lost")
            try volume.mkdir("p/lost/below")
            for number in 0..<5 { try volume.put("p/lost/below/\(number)", random.bytes(2000)) }
            try volume.put("p/lost/file", random.bytes(2000))
            try volume.put("p/deleted", random.bytes(2000))
            for number in 0..<3 { try volume.put("kept \(number)", random.bytes(2000)) }
            try volume.hardLink("kept 0", to: "p/lost/below/link")
        }
        try store.use { volume in
            try volume.put("p/in a commit", random.bytes(500))
            try volume.remove("p/deleted")
        }
        try store.use { try $0.put("late", random.bytes(100)) }
        let files = try store.files()
        try store.spoilDirectory("p")
        try XCTUnwrap(store.index as? MemoryIndexProvider).delete()
        // Mounted as it is, it can be read, and is not written.
        XCTAssertNotNil(try StoreRepair.rebuild(store.target).readOnlyReason)
        XCTAssertNotNil(
            try ChunkStore.open(store.backend, index: store.index, options: TestStore.options)
                .failure,
            "an incomplete index stays one")
        let report = try repair(store)
        let found = try XCTUnwrap(
            report.actions.first { $0.kind == .entriesRecovered },
            "\(report.actions.map { "\($0.kind) \($0.detail)" })")
        XCTAssertEqual(found.count, 2, "the directory and the file beside it")
        XCTAssertTrue(found.paths.allSatisfy { $0.text.hasPrefix("/lost+found/#") })
        let after = try store.files()
        for (path, file) in files where !path.hasPrefix("/p/") {
            XCTAssertTrue(after[path] == file)
        }
        for (path, file) in files where path.hasPrefix("/p/lost/") {
            // Below a lost directory everything has its name.
            let rest = path.dropFirst("/p/lost".count)
            let place = after.first { $0.key.hasPrefix("/lost+found/#") && $0.key.hasSuffix(rest) }
            XCTAssertTrue(place?.value == file, path)
        }
        let text = try XCTUnwrap(files["/p/in a commit"]?.bytes)
        XCTAssertTrue(after.values.contains { $0.bytes == text })
    }

    func testADamagedLogIsCutAtItsNewestWholeState() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        for number in 0..<4 {
            try store.use(isCut: true) { volume in
                try volume.put("late \(number)", random.bytes(5000))
                try volume.synchronizeAll()
            }
        }
        let newest = try store.files()
        let late = try store.commits().suffix(4)
        try store.spoilBody(try XCTUnwrap(late.first))
        try XCTUnwrap(store.index as? MemoryIndexProvider).delete()
        let report = try repair(store)
        let lost = try XCTUnwrap(report.actions.first { $0.kind == .commitsLost })
        XCTAssertGreaterThan(lost.count, 0)
        XCTAssertTrue(
            lost.paths.contains { $0.text.hasSuffix("late 3") }, "\(lost.paths.map(\.text))")
        XCTAssertTrue(report.actions.map(\.kind).contains(.packsPutAside))
        assertNothingLost(files, try store.files())
        XCTAssertLessThan(try store.files().count, newest.count + 1)
    }

    func testASoundIndexSavesWhatADamagedLogHas() throws {
        var random = seeded()
        let store = try makeStore(&random)
        for number in 0..<4 {
            try store.use(isCut: true) { volume in
                try volume.put("late \(number)", random.bytes(5000))
                try volume.synchronizeAll()
            }
        }
        let newest = try store.files()
        try store.spoilBody(try XCTUnwrap(try store.commits().suffix(4).first))
        let report = try repair(store)
        XCTAssertFalse(report.actions.map(\.kind).contains(.commitsLost))
        assertNothingLost(newest, try store.files())
    }

    /// Whatever a repair is cut off at, the next one ends it, and loses no more.
    private func checkCuts(
        of store: TestStore, step: Int, _ random: inout SeededGenerator, line: UInt = #line
    ) throws {
        let whole = try store.copy()
        _ = try StoreRepair.repair(whole.target)
        let files = try whole.files()
        try CrashTwins(of: store).forEachCut(step: step, &random) { twin, context in
            let report = try StoreRepair.repair(twin.target)
            XCTAssertEqual(report.after.complaints, "", context, line: line)
            let after = try twin.files()
            for (path, file) in files where after[path] != file {
                XCTFail("\(path), \(context)", line: line)
            }
        } of: { store in
            _ = try StoreRepair.repair(store.target)
        }
    }

    func testARepairOfContentMayBeCutOff() throws {
        var random = seeded()
        let store = try makeStore(&random, copies: 2)
        try store.spoilBody(try store.dataRecords()[1])
        try checkCuts(of: store, step: 9, &random)
    }

    func testARepairOfALogMayBeCutOff() throws {
        var random = seeded()
        let store = try makeStore(&random, copies: 2)
        for number in 0..<3 {
            try store.use(isCut: true) { volume in
                try volume.put("late \(number)", random.bytes(5000))
                try volume.synchronizeAll()
            }
        }
        try store.spoilBody(try XCTUnwrap(try store.commits().suffix(3).first))
        try XCTUnwrap(store.index as? MemoryIndexProvider).delete()
        try checkCuts(of: store, step: 23, &random)
    }

    func testLostPacksAreAccepted() throws {
        for isShort in [false, true] {
            var random = seeded()
            let store = try makeStore(&random, copies: 2)
            let files = try store.files()
            let pack = try XCTUnwrap(try store.dataRecords().first).pack
            if isShort {
                try store.truncate(pack, to: 9000)
            } else {
                try store.backend.removeFile(pack.fileName)
            }
            let report = try repair(store)
            XCTAssertTrue(report.actions.map(\.kind).contains(.packsForgotten))
            let action = try XCTUnwrap(report.actions.first { $0.kind == .chunksLost })
            let after = try store.files()
            let lost = Set(action.paths.map(\.text))
            for (path, file) in files {
                if after[path]?.bytes == nil { continue }
                XCTAssertTrue(after[path] == file, path)
            }
            XCTAssertEqual(
                Set(files.keys), Set(after.keys).subtracting(["/written after the repair"]))
            XCTAssertFalse(lost.isEmpty)
        }
    }
}
