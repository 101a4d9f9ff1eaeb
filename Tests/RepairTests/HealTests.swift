import Backends
import Checking
import Foundation
import Pipeline
import Repair
import XCTest

/// What was lost comes back from copies of the files, and from copies of the packs.
final class HealTests: XCTestCase {
    private var folder = URL(fileURLWithPath: "/nonexistent")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ashlar-heal-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(at: folder)
    }

    private func makeStore(_ random: inout SeededGenerator) throws -> TestStore {
        let store = try TestStore(copies: 1)
        try store.use { volume in
            try volume.mkdir("a")
            for number in 0..<6 { try volume.put("a/\(number)", random.bytes(300_000)) }
            // In a copy a hole is zeros: were its neighbours zeros too, nothing would tell where it
            // began, and its chunks would be others (a limit that the README names).
            var before = random.bytes(100_000)
            before[before.count - 1] |= 1
            var behind = random.bytes(50_000)
            behind[0] |= 1
            let inode = try volume.put("a/zeros", before)
            try volume.overwrite(inode, at: 400_000, behind)
            for number in 0..<20 { try volume.put("small \(number)", random.bytes(700)) }
        }
        return store
    }

    private func copyOut(_ files: [String: FoundFile], to name: String) throws -> String {
        let top = folder.appendingPathComponent(name)
        for (path, file) in files {
            guard let bytes = file.bytes, file.mode >> 12 == 8 else { continue }
            let url = top.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }
        return top.path
    }

    private func copyPacks(_ store: TestStore, to name: String) throws -> String {
        let top = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: top, withIntermediateDirectories: true)
        for (number, id) in try store.packIDs().enumerated() {
            let file = try store.backend.openFile(id.fileName, writable: false)
            var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
            _ = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
            try Data(bytes).write(to: top.appendingPathComponent("copy \(number)"))
        }
        return top.path
    }

    /// Spoils every third record of data.
    private func spoil(_ store: TestStore) throws {
        for (number, record) in try store.dataRecords().enumerated() where number % 3 == 1 {
            try store.spoilBody(record)
        }
    }

    func testFilesHealFromACopyOfTheTree() throws {
        for isRepairedFirst in [false, true] {
            var random = seeded()
            let store = try makeStore(&random)
            let files = try store.files()
            let copy = try copyOut(files, to: "tree \(isRepairedFirst)")
            try spoil(store)
            if isRepairedFirst { XCTAssertTrue(try StoreRepair.repair(store.target).isClean) }
            XCTAssertNotEqual(try store.files(), files)
            let report = try StoreRepair.heal(store.target, from: [copy])
            XCTAssertFalse(report.healed.isEmpty)
            XCTAssertEqual(report.missing, [])
            XCTAssertEqual(report.unreadable, [])
            XCTAssertEqual(try store.files(), files)
            _ = try StoreRepair.repair(store.target)
            assertClean(try store.check())
            XCTAssertEqual(try store.check().lostChunks, [])
            _ = try StoreRepair.rebuild(store.target)
            XCTAssertEqual(try store.files(), files)
        }
    }

    func testEverythingHealsFromACopyOfThePacks() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        let copy = try copyPacks(store, to: "packs")
        try spoil(store)
        let report = try StoreRepair.heal(store.target, from: [copy])
        XCTAssertGreaterThan(report.searchedPacks, 0)
        XCTAssertEqual(report.missing, [])
        XCTAssertEqual(try store.files(), files)
    }

    func testRecipesHealFromFilesAndPacks() throws {
        for isFromPacks in [false, true] {
            var random = seeded()
            let store = try makeStore(&random)
            // Recipes of their own, in records apart from the trees.
            try store.use(isCut: true) { volume in
                try volume.put("long", random.bytes(500_000))
                try volume.put("longer", random.bytes(600_000))
            }
            let record = try XCTUnwrap(try store.nodeRecords().last)
            _ = try StoreRepair.repair(store.target)
            let files = try store.files()
            let copy =
                isFromPacks
                ? try copyPacks(store, to: "p") : try copyOut(files, to: "f")
            try store.spoilBody(record)
            try XCTUnwrap(store.index as? MemoryIndexProvider).delete()
            let marked = try StoreRepair.repair(store.target)
            XCTAssertTrue(marked.isClean)
            XCTAssertTrue(marked.actions.map(\.kind).contains(.chunksLost))
            XCTAssertNil(try store.files()["/long"]?.bytes)
            let report = try StoreRepair.heal(store.target, from: [copy])
            XCTAssertEqual(report.missing, [], "from packs: \(isFromPacks)")
            XCTAssertEqual(try store.files(), files)
            assertClean(try store.check())
        }
    }

    func testWhatIsNowhereIsStillNamed() throws {
        var random = seeded()
        let store = try makeStore(&random)
        var files = try store.files()
        files["/a/1"] = nil
        let copy = try copyOut(files, to: "part")
        for record in try store.dataRecords() { try store.spoilBody(record) }
        let report = try StoreRepair.heal(
            store.target, from: [copy, folder.appendingPathComponent("nothing").path])
        XCTAssertFalse(report.healed.isEmpty)
        XCTAssertFalse(report.missing.isEmpty)
        XCTAssertEqual(report.unreadable.count, 1)
        XCTAssertEqual(Set(report.missingPaths.map(\.text)), ["/a/1"])
        let after = try store.files()
        for (path, file) in files { XCTAssertTrue(after[path] == file, path) }
        XCTAssertNil(after["/a/1"]?.bytes)
    }
}
