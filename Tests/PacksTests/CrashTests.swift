import Backends
import DiskFormat
import Packs
import XCTest

/// Power cuts, failed writes and failed synchronisations.
final class CrashTests: XCTestCase {
    func testTornTailsNeverReachWhatWasDurable() throws {
        var generator = SeededGenerator()
        for _ in 0..<150 {
            let memory = MemoryBackend()
            let writer = try makeWriter(memory)
            try writer.synchronize()
            var bodies: [UInt64: [UInt8]] = [:]
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                let count = Int.random(in: 0...3000, using: &generator)
                let body = [UInt8](repeating: generator.next() > 1 << 63 ? 1 : 2, count: count)
                bodies[try writer.append(commit: body)] = body
                if Int.random(in: 0..<4, using: &generator) == 0 { try writer.synchronize() }
            }
            let durable = writer.durablePosition
            let after = memory.crash(using: &generator)
            let reader = try openA(after)
            let contents = try reader.records()
            let offsets = contents.entries.map(\.offset)
            XCTAssertEqual(
                offsets.filter { $0 < durable }, bodies.keys.filter { $0 < durable }.sorted())
            var validEnd = headerEnd
            for entry in contents.entries {
                XCTAssertNotNil(bodies[entry.offset], "a record that nobody wrote")
                guard let read = try? reader.readRecord(at: entry.offset) else {
                    XCTAssertGreaterThanOrEqual(entry.offset, durable)
                    continue
                }
                XCTAssertEqual(read.body, bodies[entry.offset])
                if validEnd == entry.offset { validEnd += read.header.recordBytes }
            }
            XCTAssertGreaterThanOrEqual(validEnd, durable)
            XCTAssertTrue(contents.damaged.allSatisfy { $0.lowerBound >= durable })
            try PackWriter.resumeSealing(packOne, in: after, expecting: nil, validEnd: validEnd)
            let sealed = try openA(after.crash()).records()
            XCTAssertTrue(sealed.isFromTable)
            XCTAssertEqual(
                sealed.entries.map(\.offset), bodies.keys.filter { $0 < validEnd }.sorted())
        }
    }

    /// The records of a new pack may all arrive and its header not.
    func testATornHeaderIsWrittenAnew() throws {
        for role in [PackHeader.Role.main, .copies] {
            let memory = MemoryBackend()
            let writer = try makeWriter(memory)
            let flags: RecordHeader.Flags = role == .copies ? [.metadata, .copy] : []
            let body = [UInt8](repeating: 3, count: 500)
            let place = try body.withUnsafeBytes { bytes in
                try writer.append(
                    PendingRecord(
                        kind: .superChunk, flags: flags, parts: [bytes], rawBytes: 500,
                        frameCount: 1, itemCount: 1, checksum: BodyChecksum(of: bytes)))
            }
            try writer.synchronize()
            let file = try memory.openFile(packOne.fileName, writable: true)
            let zeros = [UInt8](repeating: 0, count: PackHeader.byteCount)
            try zeros.withUnsafeBytes { try file.write([$0], at: 0) }
            assertThrows(
                try PackWriter.resumeSealing(
                    packOne, in: memory, expecting: nil, validEnd: writer.position)
            ) { if case .format = $0 { true } else { false } }
            try PackWriter.resumeSealing(
                packOne, in: memory, expecting: nil, validEnd: writer.position,
                restoringHeaderBy: writer.header.parameters)
            let reader = try openA(memory.crash())
            XCTAssertNil(reader.headerDamage)
            XCTAssertEqual(reader.header.role, role)
            XCTAssertEqual(try reader.records().entries.map(\.offset), [headerEnd])
            XCTAssertEqual(try reader.header(at: place).flags, flags)
        }
    }

    func testTrailerProvesThatRecordsAndTableWereDurable() throws {
        var generator = SeededGenerator()
        for _ in 0..<100 {
            let memory = MemoryBackend()
            let plan = FaultPlan<BackendOperation>([
                Fault([.synchronize], firstCall: Int.random(in: 1...3, using: &generator))
            ])
            let writer = try makeWriter(FaultInjectingBackend(memory, plan: plan))
            for _ in 0..<5 { try writer.append(commit: [UInt8](repeating: 9, count: 700)) }
            XCTAssertThrowsError(try writer.seal())
            XCTAssertTrue(writer.isBroken)
            assertThrows(try writer.seal()) {
                $0 == .broken(pack: packOne, durable: writer.durablePosition)
            }
            try memory.synchronizeNames()
            guard let reader = try? openA(memory.crash(using: &generator)) else { continue }
            let scan = try ScanResult(reader)
            guard scan.end.tail == .trailer else { continue }
            for entry in writer.entries { try reader.verifyRecord(at: entry.offset) }
            XCTAssertTrue(try reader.records().isFromTable, "a torn table before a trailer")
        }
    }

    func testFailedWriteBreaksTheWriterAndKeepsWhatWasGood() throws {
        for written in [0, 10, 60, 300] {
            let memory = MemoryBackend()
            let plan = FaultPlan<BackendOperation>()
            let writer = try makeWriter(FaultInjectingBackend(memory, plan: plan))
            try writer.append(commit: [1])
            try writer.synchronize()
            let good = writer.position
            plan.add(Fault([.write], error: .noSpace, effect: .partial(bytes: written)))
            assertThrows(try writer.append(commit: [UInt8](repeating: 2, count: 400))) {
                $0 == .backend(.noSpace(name: packOne.fileName), pack: packOne)
            }
            XCTAssertTrue(writer.isBroken)
            XCTAssertEqual(writer.position, good)
            XCTAssertEqual(writer.entries.count, 1)
            let broken = PackError.broken(pack: packOne, durable: good)
            assertThrows(try writer.append(commit: [3])) { $0 == broken }
            assertThrows(try writer.synchronize()) { $0 == broken }
            assertThrows(try writer.seal()) { $0 == broken }
            XCTAssertEqual(try ScanResult(try openA(memory)).offsets, [headerEnd])
            try PackWriter.resumeSealing(packOne, in: memory, expecting: nil, validEnd: good)
            XCTAssertEqual(try openA(memory).records().entries.map(\.offset), [headerEnd])
        }
    }

    func testFailedSynchroniseIsFinal() throws {
        for operation in [BackendOperation.synchronize, .synchronizeNames] {
            let plan = FaultPlan<BackendOperation>([Fault([operation])])
            let writer = try makeWriter(FaultInjectingBackend(MemoryBackend(), plan: plan))
            try writer.append(commit: [1])
            XCTAssertThrowsError(try writer.synchronize())
            XCTAssertEqual(writer.durablePosition, 0)
            let calls = plan.callCount(.synchronize)
            for _ in 0..<2 {
                assertThrows(try writer.synchronize()) { $0 == .broken(pack: packOne, durable: 0) }
            }
            XCTAssertEqual(plan.callCount(.synchronize), calls, "a second one proves nothing")
        }
    }

    func testFailedCreationLeavesNoFile() throws {
        let memory = MemoryBackend()
        let plan = FaultPlan<BackendOperation>([Fault([.write], error: .noSpace)])
        assertThrows(try makeWriter(FaultInjectingBackend(memory, plan: plan))) {
            $0 == .backend(.noSpace(name: packOne.fileName), pack: packOne)
        }
        XCTAssertEqual(try memory.list(prefix: "packs/").count, 0)
        _ = try makeWriter(memory)
        assertThrows(try makeWriter(memory)) {
            $0 == .backend(.exists(name: packOne.fileName), pack: packOne)
        }
        XCTAssertEqual(try memory.list(prefix: "packs/").count, 1)
    }

    func testResumeSealingRefusesWhatItMust() throws {
        let memory = MemoryBackend()
        let writer = try makeWriter(memory)
        try writer.append(commit: [1, 2])
        let end = writer.position
        for bad in [headerEnd + 8, end - 1, end + 8, 0] {
            assertThrows(
                try PackWriter.resumeSealing(
                    packOne, in: memory, expecting: nil, validEnd: bad), isFormat)
        }
        XCTAssertEqual(try openA(memory).size(), end)
        // What is readable after kill -9 need not be durable: sealing makes it so.
        try PackWriter.resumeSealing(packOne, in: memory, expecting: nil, validEnd: end)
        XCTAssertEqual(try openA(memory.crash()).records().entries.count, 1)
        assertThrows(
            try PackWriter.resumeSealing(packOne, in: memory, expecting: nil, validEnd: end)
        ) { $0 == .sealed(pack: packOne) }
    }
}
