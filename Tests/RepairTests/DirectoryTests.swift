import Backends
import Checking
import Foundation
import Pipeline
import Repair
import XCTest

/// The same on a real directory, with the index on disk.
final class DirectoryTests: XCTestCase {
    private var folder = URL(fileURLWithPath: "/nonexistent")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ashlar-repair-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(at: folder)
    }

    func testAStoreIsPurgedRepairedAndHealed() throws {
        var random = seeded()
        let path = folder.appendingPathComponent("store").path
        let backend = try DirectoryBackend(path: path, isReadOnly: false, create: true)
        let store = try TestStore(backend, RocksIndexProvider(path: path + "/index"))
        try store.use { volume in
            for number in 0..<6 { try volume.put("kept \(number)", random.bytes(150_000)) }
            for number in 0..<6 { try volume.put("gone \(number)", random.bytes(600_000)) }
        }
        try store.use { volume in
            for number in 0..<6 { try volume.remove("gone \(number)") }
        }
        let files = try store.files()
        let target = StoreToRepair(backend: backend, index: store.index, path: path)
        let purged = try StoreRepair.purge(target)
        XCTAssertLessThan(purged.after.bytes * 2, purged.before.bytes)
        XCTAssertEqual(try store.files(), files)
        let copies = folder.appendingPathComponent("copies")
        try FileManager.default.createDirectory(at: copies, withIntermediateDirectories: true)
        for (path, file) in files {
            try Data(try XCTUnwrap(file.bytes))
                .write(to: copies.appendingPathComponent(String(path.dropFirst())))
        }
        for record in try store.dataRecords() { try store.spoilBody(record) }
        let repaired = try StoreRepair.repair(target)
        XCTAssertTrue(repaired.isClean, repaired.after.complaints)
        XCTAssertTrue(repaired.actions.map(\.kind).contains(.packsPutAside))
        XCTAssertTrue(try store.files().values.allSatisfy { $0.bytes == nil })
        // The whole folder as a source: the store in it is passed over.
        let healed = try StoreRepair.heal(target, from: [folder.path])
        XCTAssertEqual(healed.missing, [])
        XCTAssertEqual(healed.searchedPacks, 0)
        XCTAssertEqual(try store.files(), files)
        try FileManager.default.removeItem(atPath: path + "/index")
        XCTAssertNil(try StoreRepair.rebuild(target).readOnlyReason)
        assertClean(try store.check())
        XCTAssertEqual(try store.files(), files)
    }
}
