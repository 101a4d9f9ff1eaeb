import Foundation
import XCTest

@testable import Metadata

final class RocksMetadataStoreTests: XCTestCase {
    private var folder: ScratchFolder?

    override func setUpWithError() throws { folder = try ScratchFolder() }

    override func tearDown() { folder = nil }

    private func path() throws -> String { try XCTUnwrap(folder).file("index") }

    func testASecondOpeningIsBusy() throws {
        let path = try path()
        let store = try openRocks(path)
        XCTAssertThrowsError(try openRocks(path)) { error in
            guard case MetadataError.busy = error else { return XCTFail("\(error)") }
        }
        XCTAssertThrowsError(try RocksMetadataStore.destroy(path: path)) { error in
            guard case MetadataError.busy = error else { return XCTFail("\(error)") }
        }
        try store.close(flushing: true)
        try openRocks(path).close(flushing: true)
    }

    /// An open-file-description lock conflicts with a record lock even within one process, and so
    /// stands for another process here.
    func testALockOfAnotherProcessIsBusyAndAStaleFileIsNot() throws {
        let path = try path()
        try openRocks(path).close(flushing: true)
        let descriptor = open(path + "/LOCK", O_RDWR)
        XCTAssertGreaterThanOrEqual(descriptor, 0)
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        let setOpenFileDescriptionLock: Int32 = 37
        XCTAssertEqual(fcntl(descriptor, setOpenFileDescriptionLock, &lock), 0)
        XCTAssertThrowsError(try openRocks(path)) { error in
            guard case MetadataError.busy = error else { return XCTFail("\(error)") }
        }
        close(descriptor)
        try openRocks(path).close(flushing: true)
    }

    func testMissingStoreIsDamagedUnlessCreated() throws {
        let path = try path()
        assertDamaged("read-write") { try openRocks(path, create: false) }
        assertDamaged("read-only") { try openRocks(path, readOnly: true, create: false) }
        assertDamaged("read-only, create") { try openRocks(path, readOnly: true, create: true) }
        try openRocks(path).close(flushing: true)
    }

    func testReadOnlyWritesNothing() throws {
        let path = try path()
        let writer = try openRocks(path)
        for number in 0..<300 { try NumberedBatches.write(number, to: writer) }
        try writer.close(flushing: true)
        let before = try listing(path)
        let reader = try openRocks(path, readOnly: true, create: false)
        XCTAssertEqual(try NumberedBatches.prefixLength(of: reader), 300)
        XCTAssertThrowsError(try reader.put([1], [1]))
        XCTAssertThrowsError(try reader.compact())
        try reader.flush()
        try reader.close(flushing: true)
        XCTAssertEqual(try listing(path), before)
    }

    func testDestroyRemovesTheFolderButNothingOfOthers() throws {
        let path = try path()
        try RocksMetadataStore.destroy(path: path)
        let store = try openRocks(path)
        try NumberedBatches.write(0, to: store)
        try store.close(flushing: true)
        try RocksMetadataStore.destroy(path: path)
        XCTAssertFalse(FileManager.default.fileExists(atPath: path))

        try openRocks(path).close(flushing: true)
        XCTAssertTrue(FileManager.default.createFile(atPath: path + "/notes", contents: Data()))
        try RocksMetadataStore.destroy(path: path)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: path), ["notes"])
        XCTAssertEqual(try openRocks(path).entries().count, 0)
    }

    func testClosingWithoutFlushingLeavesAPrefix() throws {
        let path = try path()
        let store = try openRocks(path)
        for number in 0..<100 { try NumberedBatches.write(number, to: store) }
        try store.flush()
        for number in 100..<2000 { try NumberedBatches.write(number, to: store) }
        try store.close(flushing: false)
        let survivor = try openRocks(path, create: false)
        let kept = try XCTUnwrap(try NumberedBatches.prefixLength(of: survivor))
        XCTAssertGreaterThanOrEqual(kept, 100)
        XCTAssertLessThan(kept, 2000)
    }

    /// What is on the disk at any moment is what kill -9 leaves: a copy of the folder, taken between
    /// batches while flushes and compactions go on, must open as a prefix that holds the last flush.
    /// A table may be compacted away while the copy is made; such a copy is taken again.
    func testTheFolderHoldsAPrefixAtAnyMoment() throws {
        let path = try path()
        let store = try openRocks(path)
        var flushed = 0
        var lengths: Set<Int> = []
        for number in 0..<6000 {
            try NumberedBatches.write(number, to: store)
            if number == 2000 {
                try store.flush()
                flushed = number + 1
            }
            guard number % 500 == 250 else { continue }
            let copy = try XCTUnwrap(folder).file("copy-\(number)")
            let kept = try prefixOfCopy(of: path, at: copy)
            XCTAssertGreaterThanOrEqual(kept, flushed)
            XCTAssertLessThanOrEqual(kept, number + 1)
            lengths.insert(kept)
        }
        XCTAssertGreaterThan(lengths.count, 3, "memtables should have been flushed in between")
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store), 6000)
    }

    /// The values are noise: what a compaction has made of others, at whatever moment, may be less
    /// than the budget.
    func testMemoryStaysNearTheBudget() throws {
        let store = try openRocks(path())
        var random = SeededGenerator.announced()
        for number in 0..<5_000 {
            try NumberedBatches.write(number, to: store, noise: &random)
        }
        try store.flush()
        XCTAssertGreaterThan(store.storedBytes(), 4 * UInt64(smallBudgetBytes))
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store), 5_000)
        XCTAssertLessThan(store.memoryBytes(), UInt64(smallBudgetBytes + (2 << 20)))
    }

    private func prefixOfCopy(of path: String, at copy: String) throws -> Int {
        var lastError: (any Error)?
        for _ in 0..<20 {
            try? FileManager.default.removeItem(atPath: copy)
            try FileManager.default.createDirectory(
                atPath: copy, withIntermediateDirectories: true)
            // Names what is alive first; LOCK is not touched, for closing it would end the lock.
            for part in ["CURRENT", "MANIFEST-", ".sst"] {
                for file in try storeFiles(path, part) {
                    let name = URL(fileURLWithPath: file).lastPathComponent
                    try? FileManager.default.copyItem(atPath: file, toPath: copy + "/" + name)
                }
            }
            do {
                let survivor = try openRocks(copy, create: false)
                return try XCTUnwrap(try NumberedBatches.prefixLength(of: survivor), "no prefix")
            } catch let error as MetadataError {
                lastError = error
            }
        }
        throw try XCTUnwrap(lastError)
    }

    /// Names, lengths and times of all files of a folder, and the time of the folder.
    private func listing(_ path: String) throws -> [String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted() + ["."]
        return try names.map { name in
            let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + name)
            let size = attributes[.size] ?? 0
            let time = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
            return "\(name) \(size) \(time)"
        }
    }
}
