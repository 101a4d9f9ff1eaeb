import Backends
import DiskFormat
import Packs
import XCTest

/// Whatever happens to a pack's bytes: an error at that place, and all else is found.
final class DamageTests: XCTestCase {
    private struct Sample {
        var bytes: [UInt8]
        var offsets: [UInt64]
        /// Where the table's record begins, or the end of an unsealed pack.
        var end: UInt64
    }

    private func makeSample(sealed: Bool) throws -> Sample {
        let memory = MemoryBackend()
        let writer = try makeWriter(memory)
        try writer.append(commit: [1, 2, 3, 4, 5])
        try writer.append(frames: [[1, 2, 3], [4, 5, 6, 7]])
        try writer.append(commit: [])
        try writer.append(commit: [UInt8](repeating: 7, count: 16))
        let end = writer.position
        if sealed { try writer.seal() }
        return Sample(
            bytes: try contents(memory), offsets: writer.entries.map(\.offset), end: end)
    }

    /// The numbers of the records that do not verify or are not found.
    private func badRecords(_ reader: PackReader, _ sample: Sample) throws -> [Int] {
        let found = Set(try reader.records().entries.map(\.offset))
        XCTAssertTrue(found.isSubset(of: sample.offsets), "a record that nobody wrote")
        return sample.offsets.indices.filter { index in
            guard found.contains(sample.offsets[index]) else { return true }
            return (try? reader.verifyRecord(at: sample.offsets[index])) == nil
        }
    }

    func testEveryFlippedByteIsReportedWhereItIs() throws {
        for sealed in [false, true] {
            let sample = try makeSample(sealed: sealed)
            let records = sample.offsets + [sample.end]
            for place in 0..<sample.bytes.count {
                // Most of the pack's header is zeros: a sample of them is enough.
                if place > 200 && place < 4000 && place % 97 != 0 { continue }
                var bytes = sample.bytes
                bytes[place] ^= UInt8(1 << (place % 8))
                let damaged = try backend(with: bytes)
                if place < Int(headerEnd) {
                    assertThrows(try openA(damaged), isFormat)
                    let reader = try PackReader(
                        salvaging: packOne, in: damaged, parameters: parametersA)
                    XCTAssertNotNil(reader.headerDamage)
                    XCTAssertEqual(try badRecords(reader, sample), [])
                    continue
                }
                let hit = (0..<sample.offsets.count).filter {
                    (records[$0]..<records[$0 + 1]).contains(UInt64(place))
                }
                let reader = try openA(damaged)
                XCTAssertEqual(try badRecords(reader, sample), hit, "byte \(place)")
                let scan = try ScanResult(reader)
                if sealed, place < sample.bytes.count - PackTable.trailerBytes {
                    XCTAssertEqual(scan.end.tail, .trailer, "byte \(place)")
                }
                // Damage of a header that has a successor (or the trailer) is told from a tail.
                if let index = hit.first, UInt64(place) < records[index] + 48 {
                    let isLast = index == sample.offsets.count - 1
                    if sealed || !isLast {
                        XCTAssertEqual(scan.damaged, [records[index]..<records[index + 1]])
                    } else {
                        XCTAssertEqual(scan.damaged, [])
                        XCTAssertEqual(scan.end.tail, .torn)
                        XCTAssertEqual(scan.end.offset, records[index])
                    }
                }
            }
        }
    }

    func testTruncationAtEveryByte() throws {
        for sealed in [false, true] {
            let sample = try makeSample(sealed: sealed)
            for count in 0..<sample.bytes.count {
                if count < 4090 && count % 101 != 0 { continue }
                let cut = try backend(with: Array(sample.bytes[..<count]))
                if count < Int(headerEnd) {
                    assertThrows(try openA(cut), isFormat)
                    continue
                }
                let reader = try openA(cut)
                let ends = sample.offsets.dropFirst() + [sample.end]
                let whole = zip(sample.offsets, ends).filter { $0.1 <= UInt64(count) }
                let contents = try reader.records()
                XCTAssertEqual(contents.entries.map(\.offset), whole.map(\.0), "\(count) bytes")
                XCTAssertEqual(contents.damaged, [])
                XCTAssertFalse(contents.isFromTable)
                if UInt64(count) < sample.end {
                    let end = whole.last?.1 ?? headerEnd
                    XCTAssertEqual(contents.end.offset, end)
                    XCTAssertEqual(contents.end.tail, end == UInt64(count) ? .none : .torn)
                }
                // Sealing at the last valid record gives a pack of just these.
                let end = whole.last?.1 ?? headerEnd
                try PackWriter.resumeSealing(
                    packOne, in: cut, expecting: StoreIdentity(parametersA), validEnd: end)
                let resumed = try openA(cut).records()
                XCTAssertTrue(resumed.isFromTable)
                XCTAssertEqual(resumed.entries, contents.entries)
            }
        }
    }

    func testPacksWithinBodiesAreNeverRecords() throws {
        let other = MemoryBackend()
        let foreign = try makeWriter(other, packTwo)
        try foreign.append(commit: [1, 2, 3])
        try foreign.seal()
        let memory = MemoryBackend()
        let writer = try makeWriter(memory)
        try writer.append(commit: [5, 5])
        let bodies = [try contents(other, packTwo), try contents(memory)]
        let holders = try bodies.map { try writer.append(commit: $0) }
        let last = try writer.append(commit: [6])
        for index in 0..<2 {
            var bytes = try contents(memory)
            bytes[Int(holders[index]) + 10] ^= 1
            let scan = try ScanResult(try openA(try backend(with: bytes)))
            let next = index == 0 ? holders[1] : last
            XCTAssertEqual(scan.damaged, [holders[index]..<next])
            XCTAssertEqual(
                scan.offsets,
                ([headerEnd] + holders + [last]).filter {
                    $0 != holders[index]
                })
        }
        // At the pack's end too: what looks like a sealed pack's end is a body.
        var bytes = try contents(memory)
        bytes.removeSubrange(Int(holders[0])...)
        bytes += bodies[0]
        let scan = try ScanResult(try openA(try backend(with: bytes)))
        XCTAssertEqual(scan.end.tail, .torn)
        XCTAssertEqual(scan.end.offset, holders[0])
    }

    func testSearchCrossesWindows() throws {
        // Windows of 4 KiB, doubled up to 256 KiB, overlapping by what a header may need.
        var border = 0
        for window in [4, 8, 16, 32, 64, 128, 256, 256].map({ $0 << 10 }) {
            border += window - 40
            for distance in stride(from: border - 64, through: border + 64, by: 8) {
                let memory = MemoryBackend()
                let writer = try makeWriter(memory)
                let first = try writer.append(
                    commit: [UInt8](repeating: 0x41, count: distance - 48))
                let second = try writer.append(commit: [1])
                XCTAssertEqual(second - first, UInt64(distance))
                let file = try memory.openFile(packOne.fileName, writable: true)
                try [UInt8(0)].withUnsafeBytes { try file.write([$0], at: first) }
                let scan = try ScanResult(try openA(memory))
                XCTAssertEqual(scan.offsets, [second], "\(distance) bytes apart")
                XCTAssertEqual(scan.damaged, [first..<second])
            }
        }
    }

    func testUnknownOptionalRecordsAreSkippedByLength() throws {
        let memory = MemoryBackend()
        let writer = try makeWriter(memory)
        try writer.append(commit: [1])
        let place = writer.position
        let key = RecordHeader.Key(secret: parametersA.secret, pack: packOne)
        let checksum = BodyChecksum(low: 0, high: 0)
        for isOptional in [true, false] {
            var header = RecordHeader(
                kind: .filler, flags: isOptional ? .optional : [], storedBytes: 5, rawBytes: 0,
                bodyChecksum: checksum)
            header.kindByte = 99
            let record = header.encoded(key: key, offset: place) + [1, 2, 3, 4, 5, 0, 0, 0]
            let known = RecordHeader(
                kind: .filler, storedBytes: 0, rawBytes: 0,
                bodyChecksum: [UInt8]().withUnsafeBytes { BodyChecksum(of: $0) })
            let next = place + header.recordBytes
            let bytes =
                try contents(memory) + record + known.encoded(key: key, offset: next)
            let reader = try openA(try backend(with: bytes))
            let scan = try ScanResult(reader)
            if isOptional {
                XCTAssertEqual(scan.offsets, [headerEnd, place, next])
                XCTAssertNoThrow(try reader.verifyRecord(at: place))
                assertThrows(try reader.readRecord(at: place), isFormat)
            } else {
                XCTAssertEqual(scan.damaged, [place..<next])
            }
        }
    }

    func testUnreadableMediumIsDamageNotATornTail() throws {
        let memory = MemoryBackend()
        let writer = try makeWriter(memory)
        try writer.append(commit: [1])
        let second = try writer.append(commit: [UInt8](repeating: 1, count: 20_000))
        let plan = FaultPlan<BackendOperation>()
        let reader = try openA(FaultInjectingBackend(memory, plan: plan))
        var scanner = try PackScanner(reader)
        guard case .record = try scanner.next() else { return XCTFail("no record") }
        plan.add(Fault([.read], isLasting: true, error: .ioError))
        guard case .end(let end) = try scanner.next() else { return XCTFail("no end") }
        XCTAssertEqual(end.offset, second)
        XCTAssertEqual(end.tail, .unreadable)
        // Other errors are no damage: they end the walk.
        plan.clear()
        var again = try PackScanner(reader)
        plan.add(Fault([.read], error: .permissionDenied))
        assertThrows(try again.next()) { !$0.isDamage }
        guard case .record = try again.next() else { return XCTFail("no record") }
    }

    func testDamagedTableFallsBackToTheScan() throws {
        let sample = try makeSample(sealed: true)
        for place in [sample.end, sample.end + 50] {
            var bytes = sample.bytes
            bytes[Int(place)] ^= 1
            let contents = try openA(try backend(with: bytes)).records()
            XCTAssertFalse(contents.isFromTable)
            XCTAssertEqual(contents.entries.map(\.offset), sample.offsets)
            XCTAssertEqual(contents.end.tail, .trailer)
        }
    }
}
