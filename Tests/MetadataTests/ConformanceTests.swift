import Foundation
import XCTest

@testable import Metadata

/// What every MetadataStore must do; each test runs with RocksDB and with the memory twin.
final class ConformanceTests: XCTestCase {
    /// A new, empty store, and the way to what it is after closing and opening it.
    private struct Subject {
        let name: String
        let store: any MetadataStore
        let reopen: (any MetadataStore) throws -> any MetadataStore
    }

    private func forEachStore(_ test: (Subject) throws -> Void) throws {
        let folder = try ScratchFolder()
        let path = folder.file("index")
        let rocks = Subject(name: "RocksDB", store: try openRocks(path)) { store in
            try store.close(flushing: true)
            return try openRocks(path, create: false)
        }
        // Memory has nothing to open again but what a flush and a crash leave.
        let memory = Subject(name: "memory", store: MemoryMetadataStore()) { store in
            try store.close(flushing: true)
            return try XCTUnwrap(store as? MemoryMetadataStore).crash()
        }
        for subject in [rocks, memory] {
            do { try test(subject) } catch { XCTFail("\(subject.name): \(error)") }
        }
    }

    func testGetPutDelete() throws {
        try forEachStore { subject in
            let store = subject.store
            XCTAssertNil(try store.get([1]))
            try store.put([1], [10])
            XCTAssertEqual(try store.get([1]), [10])
            try store.put([1], [11, 12])
            XCTAssertEqual(try store.get([1]), [11, 12])
            XCTAssertNil(try store.get([1, 0]))
            try store.delete([1])
            XCTAssertNil(try store.get([1]))
            try store.delete([7])
            XCTAssertEqual(try store.entries().count, 0)
        }
    }

    func testEmptyKeysAndValues() throws {
        try forEachStore { subject in
            let store = subject.store
            try store.put([], [1])
            try store.put([5], [])
            XCTAssertEqual(try store.get([]), [1])
            XCTAssertEqual(try store.get([5]), [])
            XCTAssertEqual(try store.entries().map(\.key), [[], [5]])
            XCTAssertEqual(try store.entries().map(\.value), [[1], []])
            try store.write(MetadataBatch())
        }
    }

    func testGetReplacesWhatTheBufferHeld() throws {
        try forEachStore { subject in
            let store = subject.store
            try store.put([1], [10])
            var buffer: [UInt8] = [1, 2, 3, 4]
            XCTAssertTrue(try [UInt8]([1]).withUnsafeBytes { try store.get($0, into: &buffer) })
            XCTAssertEqual(buffer, [10])
            XCTAssertFalse(try [UInt8]([2]).withUnsafeBytes { try store.get($0, into: &buffer) })
        }
    }

    func testOrderIsUnsignedBytesAndShorterFirst() throws {
        try forEachStore { subject in
            let store = subject.store
            let ordered: [[UInt8]] = [
                [0], [0, 0], [0, 0xff], [1], [0x7f], [0x80], [0x80, 0], [0xff], [0xff, 0],
                [0xff, 0xff],
                [0xff, 0xff, 0],
            ]
            for key in ordered.reversed() { try store.put(key, key) }
            XCTAssertEqual(try store.entries().map(\.key), ordered)
            try store.flush()
            XCTAssertEqual(try store.entries().map(\.key), ordered)
        }
    }

    func testPrefixScans() throws {
        try forEachStore { subject in
            let store = subject.store
            let keys: [[UInt8]] = [
                [1], [1, 2], [1, 2, 0], [1, 2, 3], [1, 2, 0xff], [1, 3], [1, 0xff],
                [1, 0xff, 0xff],
                [2],
                [0xff], [0xff, 0xff], [0xff, 0xff, 1],
            ]
            for key in keys { try store.put(key, []) }
            func scan(_ prefix: [UInt8], from: [UInt8]? = nil) throws -> [[UInt8]] {
                try store.entries(prefix: prefix, from: from).map(\.key)
            }
            XCTAssertEqual(try scan([1, 2]), Array(keys[1...4]))
            XCTAssertEqual(try scan([1, 2], from: [1, 2, 1]), [[1, 2, 3], [1, 2, 0xff]])
            XCTAssertEqual(try scan([1, 2], from: [1, 2, 3]), [[1, 2, 3], [1, 2, 0xff]])
            XCTAssertEqual(try scan([1, 2], from: [0]), Array(keys[1...4]))
            XCTAssertEqual(try scan([1, 2], from: [1, 3]), [])
            XCTAssertEqual(try scan([1, 0xff]), [[1, 0xff], [1, 0xff, 0xff]])
            XCTAssertEqual(try scan([0xff, 0xff]), [[0xff, 0xff], [0xff, 0xff, 1]])
            XCTAssertEqual(try scan([0]), [])
            XCTAssertEqual(try scan([3]), [])
            XCTAssertEqual(try scan([]), keys)
        }
    }

    func testScanStopsWhenToldTo() throws {
        try forEachStore { subject in
            let store = subject.store
            for byte in 0..<10 { try store.put([UInt8(byte)], []) }
            var seen = 0
            try store.scan(prefix: []) { _, _ in
                seen += 1
                return seen < 4
            }
            XCTAssertEqual(seen, 4)
        }
    }

    func testLastOperationOfABatchWins() throws {
        try forEachStore { subject in
            let store = subject.store
            var batch = MetadataBatch()
            batch.put([1], [1])
            batch.delete([1])
            batch.delete([2])
            batch.put([2], [2])
            batch.put([3], [3])
            batch.put([3], [4])
            try store.write(batch)
            XCTAssertEqual(try store.entries().map(\.key), [[2], [3]])
            XCTAssertEqual(try store.entries().map(\.value), [[2], [4]])
        }
    }

    func testBigValues() throws {
        try forEachStore { subject in
            let store = subject.store
            var random = SeededGenerator.announced()
            let lengths = [1023, 1024, 1025, 65_536, 3 << 20, 5 << 20]
            let values = lengths.map { random.bytes($0) }
            for (index, value) in values.enumerated() { try store.put([UInt8(index)], value) }
            for (index, value) in values.enumerated() {
                XCTAssertTrue(try store.get([UInt8(index)]) == value, "length \(value.count)")
            }
            try store.flush()
            XCTAssertTrue(try store.entries().map(\.value) == values)
        }
    }

    func testScanSeesOneStateWhileItsBodyWrites() throws {
        try forEachStore { subject in
            let store = subject.store
            for byte in 0..<5 { try store.put([UInt8(byte)], [0]) }
            var seen: [[UInt8]] = []
            try store.scan(prefix: []) { key, value in
                XCTAssertEqual(Array(value), [0])
                seen.append(Array(key))
                let first = key[0]
                var batch = MetadataBatch()
                batch.put([first], [1])
                batch.put([first + 100], [1])
                batch.delete([4])
                do { try store.write(batch) } catch { XCTFail("\(error)") }
                return true
            }
            XCTAssertEqual(seen, [[0], [1], [2], [3], [4]])
            XCTAssertEqual(try store.get([0]), [1])
            XCTAssertNil(try store.get([4]))
        }
    }

    func testAgreesWithADictionary() throws {
        try forEachStore { subject in
            var store = subject.store
            var random = SeededGenerator.announced()
            var model: [[UInt8]: [UInt8]] = [:]
            for round in 0..<300 {
                var batch = MetadataBatch()
                for _ in 0..<Int.random(in: 1...60, using: &random) {
                    let key = random.bytes(Int.random(in: 0...2, using: &random))
                    if Int.random(in: 0..<3, using: &random) == 0 {
                        batch.delete(key)
                        model[key] = nil
                    } else {
                        let value = random.bytes(Int.random(in: 0...40, using: &random))
                        batch.put(key, value)
                        model[key] = value
                    }
                }
                try store.write(batch)
                if round % 50 == 10 { try store.flush() }
                if round % 100 == 20 { try store.compact() }
                if round % 100 == 60 { store = try subject.reopen(store) }
            }
            let expected = model.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            let entries = try store.entries()
            XCTAssertTrue(entries.map(\.key) == expected.map(\.key))
            XCTAssertTrue(entries.map(\.value) == expected.map(\.value))
            for _ in 0..<200 {
                let key = random.bytes(Int.random(in: 0...2, using: &random))
                XCTAssertEqual(try store.get(key), model[key])
            }
        }
    }

    func testReopeningKeepsWhatWasWritten() throws {
        try forEachStore { subject in
            let first = subject.store
            for number in 0..<50 { try NumberedBatches.write(number, to: first) }
            let second = try subject.reopen(first)
            XCTAssertEqual(try NumberedBatches.prefixLength(of: second), 50)
            try NumberedBatches.write(50, to: second)
            let third = try subject.reopen(second)
            XCTAssertEqual(try NumberedBatches.prefixLength(of: third), 51)
        }
    }

    func testUseAfterCloseIsAnError() throws {
        try forEachStore { subject in
            let store = subject.store
            try store.put([1], [1])
            try store.close(flushing: true)
            try store.close(flushing: true)
            XCTAssertThrowsError(try store.get([1]))
            XCTAssertThrowsError(try store.put([1], [1]))
            XCTAssertThrowsError(try store.flush())
            XCTAssertThrowsError(try store.entries())
        }
    }

    /// Each batch writes one number to all of 64 keys; whoever scans must see one number only.
    func testConcurrentReadersSeeWholeBatches() throws {
        try forEachStore { subject in
            let store = subject.store
            let keys = (0..<64).map { [UInt8($0)] }
            func write(_ number: UInt8) throws {
                var batch = MetadataBatch()
                for key in keys { batch.put(key, [number]) }
                try store.write(batch)
            }
            try write(0)
            let group = DispatchGroup()
            for _ in 0..<2 {
                DispatchQueue.global().async(group: group) {
                    for _ in 0..<300 {
                        do {
                            let values = try store.entries().map(\.value)
                            XCTAssertEqual(values.count, 64)
                            XCTAssertEqual(Set(values).count, 1)
                            XCTAssertEqual(try store.get([5])?.count, 1)
                        } catch {
                            XCTFail("\(error)")
                        }
                    }
                }
            }
            for number in 1...2000 {
                try write(UInt8(truncatingIfNeeded: number))
                if number % 500 == 0 { try store.flush() }
            }
            group.wait()
        }
    }

    func testClosingWaitsForReaders() throws {
        try forEachStore { subject in
            let store = subject.store
            for number in 0..<20 { try NumberedBatches.write(number, to: store) }
            let group = DispatchGroup()
            for _ in 0..<2 {
                DispatchQueue.global().async(group: group) {
                    while (try? store.entries()) != nil {}
                }
            }
            usleep(20_000)
            try store.close(flushing: false)
            XCTAssertEqual(group.wait(timeout: .now() + 20), .success)
        }
    }

    func testSizesAreReported() throws {
        try forEachStore { subject in
            let store = subject.store
            // Less than a memtable, which would be on its way to the disk otherwise.
            for number in 0..<50 { try NumberedBatches.write(number, to: store) }
            XCTAssertGreaterThan(store.memoryBytes(), 100_000)
            try store.flush()
            XCTAssertGreaterThan(store.storedBytes(), 10_000)
        }
    }
}
