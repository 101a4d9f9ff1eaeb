import Backends
import DiskFormat
import Packs
import XCTest

/// What was written is read, by table and by scan, and nothing foreign is.
final class RoundTripTests: XCTestCase {
    private let frames: [[UInt8]] = [
        [UInt8](repeating: 1, count: 100), [UInt8](repeating: 2, count: 7), [3],
    ]

    func testRecordsAreReadAsWritten() throws {
        let backend = MemoryBackend()
        let writer = try makeWriter(backend)
        XCTAssertEqual(writer.position, headerEnd)
        let chunk = try writer.append(frames: frames)
        let commit = try writer.append(commit: [9, 8, 7])
        XCTAssertEqual(chunk, headerEnd)
        XCTAssertEqual(commit % 8, 0)
        let reader = try openA(backend)
        XCTAssertEqual(reader.header, writer.header)
        let (header, prefix) = try reader.readPrefix(at: chunk)
        XCTAssertEqual(header.kind, .superChunk)
        XCTAssertEqual(prefix, makePrefix(frames))
        for (index, frame) in frames.enumerated() {
            var buffer = [UInt8](repeating: 0, count: frame.count)
            let count = try buffer.withUnsafeMutableBytes {
                try reader.readFrame(at: chunk, prefix: prefix, frame: index, into: $0)
            }
            XCTAssertEqual(count, frame.count)
            XCTAssertEqual(buffer, frame)
        }
        XCTAssertEqual(try reader.verifyFrames(at: chunk, prefix: prefix), [])
        XCTAssertEqual(try reader.readRecord(at: commit).body, [9, 8, 7])
        XCTAssertEqual(
            try reader.readRecord(at: chunk).body,
            makePrefix(frames).encoded() + frames.flatMap { $0 })
        try reader.verifyRecord(at: chunk)
        try reader.verifyRecord(at: commit)
        // A reader sees what is appended after it was opened.
        let late = try writer.append(commit: [1])
        XCTAssertEqual(try reader.readRecord(at: late).body, [1])
    }

    func testHostileOffsetsAndFramesAreErrors() throws {
        let backend = MemoryBackend()
        let writer = try makeWriter(backend)
        let chunk = try writer.append(frames: frames)
        let commit = try writer.append(commit: [1])
        let reader = try openA(backend)
        for offset in [0, 8, chunk + 1, chunk + 8, writer.position, 1 << 40, UInt64.max & ~7] {
            assertThrows(try reader.header(at: offset), isFormat)
            assertThrows(try reader.readRecord(at: offset), isFormat)
        }
        assertThrows(try reader.readPrefix(at: commit), isFormat)
        let prefix = try reader.readPrefix(at: chunk).prefix
        var buffer = [UInt8](repeating: 0, count: 200)
        try buffer.withUnsafeMutableBytes { bytes in
            for (offset, frame) in [(chunk, 3), (chunk, -1), (UInt64.max - 7, 0), (commit, 0)] {
                assertThrows(
                    try reader.readFrame(at: offset, prefix: prefix, frame: frame, into: bytes),
                    isFormat)
            }
        }
    }

    func testSeveralRecordsAreOneWriteAndOneNameSynchronisation() throws {
        let plan = FaultPlan<BackendOperation>()
        let backend = FaultInjectingBackend(MemoryBackend(), plan: plan)
        let writer = try makeWriter(backend)
        let writes = plan.callCount(.write)
        let body: [UInt8] = [1, 2, 3, 4, 5]
        let offsets = try body.withUnsafeBytes { bytes in
            let record = PendingRecord(
                kind: .commit, parts: [bytes], rawBytes: 5, checksum: BodyChecksum(of: bytes))
            return try writer.appendAll([record, record, record])
        }
        XCTAssertEqual(offsets, [headerEnd, headerEnd + 56, headerEnd + 112])
        XCTAssertEqual(plan.callCount(.write), writes + 1)
        XCTAssertEqual(writer.durablePosition, 0)
        try writer.synchronize()
        XCTAssertEqual(writer.durablePosition, writer.position)
        try writer.append(commit: body)
        XCTAssertLessThan(writer.durablePosition, writer.position)
        try writer.synchronize()
        XCTAssertEqual(plan.callCount(.synchronizeNames), 1)
        XCTAssertEqual(plan.callCount(.synchronize), 2)
    }

    func testTableAndScanTellTheSame() throws {
        let memory = MemoryBackend()
        let writer = try makeWriter(memory)
        for index in 0..<40 {
            try writer.append(commit: [UInt8](repeating: UInt8(index), count: index))
            try writer.append(frames: frames)
        }
        let entries = writer.entries
        let size = try writer.seal()
        XCTAssertEqual(try writer.seal(), size)
        assertThrows(try writer.append(commit: [1])) { $0 == .sealed(pack: packOne) }
        let sealed = try contents(memory)
        XCTAssertEqual(UInt64(sealed.count), size)
        let byTable = try openA(memory).records()
        XCTAssertTrue(byTable.isFromTable)
        XCTAssertEqual(byTable.entries, entries)
        XCTAssertEqual(byTable.damaged, [])
        XCTAssertEqual(byTable.end.tail, .trailer)
        let unsealed = try backend(with: Array(sealed.dropLast(PackTable.trailerBytes)))
        let byScan = try openA(unsealed).records()
        XCTAssertFalse(byScan.isFromTable)
        XCTAssertEqual(byScan.entries, entries)
        XCTAssertEqual(byScan.end.tail, PackEnd.Tail.none)
        // What is sealed survives a power cut that takes all that may be lost.
        XCTAssertEqual(try contents(memory.crash()), sealed)
    }

    func testEmptyPackSeals() throws {
        let memory = MemoryBackend()
        try makeWriter(memory).seal()
        let contents = try openA(memory).records()
        XCTAssertTrue(contents.isFromTable)
        XCTAssertEqual(contents.entries, [])
        XCTAssertEqual(contents.end.tail, .trailer)
    }

    func testFullPackRefusesAndPreallocationIsGivenBack() throws {
        let memory = MemoryBackend()
        let writer = try PackWriter.create(
            in: memory, parameters: parametersA, id: packOne, role: .copies, now: (0, 0),
            preallocating: true)
        try writer.append(commit: [1])
        XCTAssertFalse(writer.isFull)
        let file = try memory.openFile(packOne.fileName, writable: false)
        XCTAssertGreaterThanOrEqual(try file.allocatedBytes(), parametersA.packBytes)
        try writer.append(commit: [UInt8](repeating: 1, count: Int(parametersA.packBytes)))
        XCTAssertTrue(writer.isFull)
        assertThrows(try writer.append(commit: [1])) { $0 == .full(pack: packOne) }
        try writer.seal()
        XCTAssertLessThan(try file.allocatedBytes(), parametersA.packBytes * 2)
        XCTAssertEqual(try openA(memory).records().entries.count, 2)
        XCTAssertEqual(try openA(memory).header.role, .copies)
    }

    func testForeignPacksAndRecordsAreRefused() throws {
        let memory = MemoryBackend()
        let one = try makeWriter(memory)
        let first = try one.append(commit: [1, 2, 3])
        let second = try one.append(commit: [1, 2, 3])
        let bytes = try contents(memory)
        // Another file name, another store.
        assertThrows(try openA(try backend(with: bytes, packTwo), packTwo)) {
            $0 == .otherPack(pack: packTwo, found: packOne)
        }
        assertThrows(
            try PackReader(packOne, in: memory, expecting: StoreIdentity(parametersB))
        ) { $0 == .otherStore(pack: packOne, found: parametersA.storeID) }
        XCTAssertNoThrow(try PackReader(packOne, in: memory, expecting: nil))
        // The record at another offset of its own pack.
        let record = Array(bytes[Int(first)..<Int(second)])
        let moved = Array(bytes[..<Int(second)]) + record
        assertThrows(try openA(backend(with: moved)).header(at: second), isFormat)
        // The record at the same offset of another pack, and of another store.
        for (id, parameters) in [(packTwo, parametersA), (packOne, parametersB)] {
            let other = MemoryBackend()
            _ = try makeWriter(other, id, parameters: parameters)
            let mixed = try backend(with: try contents(other, id) + record, id)
            let reader = try PackReader(id, in: mixed, expecting: nil)
            assertThrows(try reader.header(at: first), isFormat)
            XCTAssertEqual(try ScanResult(reader).end.tail, .torn)
        }
    }
}
