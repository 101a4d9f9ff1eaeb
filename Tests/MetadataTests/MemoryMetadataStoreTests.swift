import XCTest

@testable import Metadata

final class MemoryMetadataStoreTests: XCTestCase {
    func testCrashLosesWhatCameAfterTheFlush() throws {
        let store = MemoryMetadataStore()
        for number in 0..<10 { try NumberedBatches.write(number, to: store) }
        try store.flush()
        for number in 10..<25 { try NumberedBatches.write(number, to: store) }
        XCTAssertEqual(store.batchesFlushed, 10)
        XCTAssertEqual(store.batchesWritten, 25)
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store.crash()), 10)
        for kept in 10...25 {
            let survivor = store.crash(keepingBatches: kept)
            XCTAssertEqual(try NumberedBatches.prefixLength(of: survivor), kept)
        }
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store.crash(keepingBatches: 3)), 10)
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store.crash(keepingBatches: 99)), 25)
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store), 25)
    }

    func testSurvivorIsIndependent() throws {
        let store = MemoryMetadataStore()
        try store.put([1], [1])
        try store.flush()
        let survivor = store.crash()
        try survivor.put([1], [2])
        try store.put([3], [3])
        XCTAssertEqual(try store.get([1]), [1])
        XCTAssertNil(try survivor.get([3]))
        XCTAssertEqual(try survivor.crash().get([1]), [1])
    }

    func testClosingWithoutFlushingKeepsTheJournalForACrash() throws {
        let store = MemoryMetadataStore()
        for number in 0..<5 { try NumberedBatches.write(number, to: store) }
        try store.close(flushing: false)
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store.crash()), 0)
        XCTAssertEqual(try NumberedBatches.prefixLength(of: store.crash(keepingBatches: 5)), 5)
    }
}
