import XCTest

@testable import WriteBuffers

/// What each byte of a file is, one by one: the oracle of `DirtyRanges`.
private struct PlainModel: Equatable {
    enum Byte: Equatable {
        case unknown
        case data(UInt8)
        case hole
        case zeros
    }

    var bytes: [Byte]

    init(count: Int) {
        bytes = [Byte](repeating: .unknown, count: count)
    }

    mutating func set(_ range: Range<Int>, _ value: Byte) {
        for index in range { bytes[index] = value }
    }

    init(_ ranges: borrowing DirtyRanges, count: Int, within: Range<Int>? = nil) {
        self.init(count: count)
        let visited = within ?? 0..<count
        var found = bytes
        var last = visited.lowerBound
        ranges.forEach(in: UInt64(visited.lowerBound)..<UInt64(visited.upperBound)) {
            range, piece in
            let known = Int(range.lowerBound)..<Int(range.upperBound)
            XCTAssertGreaterThanOrEqual(known.lowerBound, last, "not ascending")
            XCTAssertFalse(known.isEmpty)
            XCTAssertLessThanOrEqual(known.upperBound, visited.upperBound, "not clipped")
            last = known.upperBound
            switch piece {
            case .bytes(let data):
                XCTAssertEqual(data.count, known.count)
                for index in known { found[index] = .data(data[index - known.lowerBound]) }
            case .hole: for index in known { found[index] = .hole }
            case .zeros: for index in known { found[index] = .zeros }
            }
        }
        bytes = found
    }
}

/// Names the first byte that differs; the whole of both would fill the screen.
private func assertSame(_ found: PlainModel, _ expected: PlainModel, line: UInt = #line) {
    let index = zip(found.bytes, expected.bytes).enumerated().first { $1.0 != $1.1 }?.offset
    if let index {
        XCTFail("byte \(index): \(found.bytes[index]), not \(expected.bytes[index])", line: line)
    }
    XCTAssertEqual(found.bytes.count, expected.bytes.count, line: line)
}

/// The invariants that the head comment of the module names.
private func check(_ ranges: borrowing DirtyRanges, line: UInt = #line) {
    var previous: BufferedRange?
    var blocks: [ObjectIdentifier: (block: Block, uses: [Range<Int>])] = [:]
    var count = 0
    ranges.table.forEach { range in
        count += 1
        XCTAssertGreaterThan(range.length, 0, line: line)
        if let previous {
            XCTAssertGreaterThanOrEqual(range.start, previous.end, line: line)
            if previous.end == range.start {
                XCTAssertFalse(previous.isJoined(with: range), "not joined", line: line)
            }
        }
        previous = range
        if case .bytes(let block, let at) = range.source {
            blocks[ObjectIdentifier(block), default: (block, [])].uses
                .append(at..<at + Int(range.length))
        }
    }
    XCTAssertEqual(count, ranges.rangeCount, line: line)
    var memory = count * DirtyRanges.rangeOverheadBytes
    for (block, uses) in blocks.values {
        memory += block.capacityBytes
        XCTAssertEqual(block.useCount, uses.count, line: line)
        let sorted = uses.sorted { $0.lowerBound < $1.lowerBound }
        for (a, b) in zip(sorted, sorted.dropFirst()) {
            XCTAssertLessThanOrEqual(a.upperBound, b.lowerBound, line: line)
        }
        XCTAssertLessThanOrEqual(sorted.last?.upperBound ?? 0, block.filledBytes, line: line)
    }
    XCTAssertEqual(ranges.byteCount, memory, line: line)
    for leaf in ranges.table.leaves {
        XCTAssertTrue((1...RangeTable.leafRangesMax).contains(leaf.count), line: line)
    }
}

/// The not yet stored changes of a file against a plain array of what each byte is.
final class DirtyRangesTests: XCTestCase {
    private let fileBytes = 20_000

    private func change(
        _ ranges: inout DirtyRanges, _ model: inout PlainModel,
        using generator: inout SeededGenerator
    ) {
        let longest = [1, 10, 300, 5000].randomElement(using: &generator) ?? 1
        let start = Int.random(in: 0..<fileBytes, using: &generator)
        let end = min(fileBytes, start + Int.random(in: 0...longest, using: &generator))
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<60:
            let bytes = generator.bytes(end - start)
            bytes.withUnsafeBytes { ranges.write($0, at: UInt64(start)) }
            for (index, byte) in bytes.enumerated() { model.bytes[start + index] = .data(byte) }
        case 60..<75:
            ranges.clear(UInt64(start)..<UInt64(end), as: .hole)
            model.set(start..<end, .hole)
        case 75..<90:
            ranges.clear(UInt64(start)..<UInt64(end), as: .zeros)
            model.set(start..<end, .zeros)
        case 90..<93:
            ranges.truncate(to: UInt64(start))
            model.set(start..<fileBytes, .unknown)
        case 93..<95:
            ranges.discard(below: UInt64(start / 4))
            model.set(0..<start / 4, .unknown)
        case 95..<96 where end % 7 == 0:
            ranges.removeAll()
            model = PlainModel(count: fileBytes)
        default:
            // A stream of small writes, as of a program that prints.
            var position = start
            while position < end {
                let bytes = generator.bytes(
                    min(end - position, Int.random(in: 1...90, using: &generator)))
                bytes.withUnsafeBytes { ranges.write($0, at: UInt64(position)) }
                for byte in bytes {
                    model.bytes[position] = .data(byte)
                    position += 1
                }
            }
        }
    }

    func testRandomChangesAgreeWithAPlainArray() {
        var generator = SeededGenerator()
        for _ in 0..<12 {
            var ranges = DirtyRanges()
            var model = PlainModel(count: fileBytes)
            for step in 0..<400 {
                change(&ranges, &model, using: &generator)
                check(ranges)
                guard step % 20 == 19 else { continue }
                assertSame(PlainModel(ranges, count: fileBytes), model)
                checkQuestions(ranges, model, using: &generator)
            }
        }
    }

    private func checkQuestions(
        _ ranges: borrowing DirtyRanges, _ model: PlainModel,
        using generator: inout SeededGenerator
    ) {
        let from = Int.random(in: 0..<fileBytes, using: &generator)
        let to = Int.random(in: from...fileBytes, using: &generator)
        var clipped = model
        clipped.set(0..<from, .unknown)
        clipped.set(to..<fileBytes, .unknown)
        assertSame(PlainModel(ranges, count: fileBytes, within: from..<to), clipped)

        let known = model.bytes.indices.filter { model.bytes[$0] != .unknown }
        XCTAssertEqual(ranges.isEmpty, known.isEmpty)
        XCTAssertEqual(ranges.extent?.lowerBound, known.first.map(UInt64.init))
        XCTAssertEqual(ranges.extent?.upperBound, known.last.map { UInt64($0 + 1) })
        let next = known.first { $0 >= from }
        let range = ranges.firstRange(from: UInt64(from))
        XCTAssertEqual(range?.lowerBound, next.map(UInt64.init))
        if let range {
            XCTAssertTrue(
                model.bytes[Int(range.lowerBound)..<Int(range.upperBound)]
                    .allSatisfy { $0 != .unknown })
        }
        let isData = model.bytes.map { if case .data = $0 { true } else { false } }
        let run = isData[from...].firstIndex(of: false) ?? fileBytes
        XCTAssertEqual(ranges.contiguousBytes(from: UInt64(from)), run - from)
    }

    func testWhatWasNotStoredComesBackBeneathLaterChanges() {
        var generator = SeededGenerator()
        for round in 0..<40 {
            var older = DirtyRanges()
            var olderModel = PlainModel(count: fileBytes)
            var newer = DirtyRanges()
            var newerModel = PlainModel(count: fileBytes)
            for _ in 0..<60 { change(&older, &olderModel, using: &generator) }
            for _ in 0..<(round % 4 == 0 ? 0 : 40) {
                change(&newer, &newerModel, using: &generator)
            }
            newer.merge(under: older)
            check(newer)
            for index in 0..<fileBytes where newerModel.bytes[index] == .unknown {
                newerModel.bytes[index] = olderModel.bytes[index]
            }
            assertSame(PlainModel(newer, count: fileBytes), newerModel)
            for _ in 0..<40 { change(&newer, &newerModel, using: &generator) }
            check(newer)
            assertSame(PlainModel(newer, count: fileBytes), newerModel)
            let taken = newer.takeAll()
            XCTAssertTrue(newer.isEmpty)
            XCTAssertEqual(newer.byteCount, 0)
            assertSame(PlainModel(taken, count: fileBytes), newerModel)
        }
    }

    func testSmallFilesCostLittleAndStreamsFewBlocks() {
        var ranges = DirtyRanges()
        let block = [UInt8](repeating: 7, count: 128 << 10)
        block.withUnsafeBytes { bytes in
            ranges.write(UnsafeRawBufferPointer(rebasing: bytes[..<300]), at: 0)
            XCTAssertLessThan(ranges.byteCount, 1024)
            ranges.removeAll()
            XCTAssertEqual(ranges.byteCount, 0)
            for index in 0..<64 { ranges.write(bytes, at: UInt64(index * bytes.count)) }
        }
        check(ranges)
        XCTAssertEqual(ranges.rangeCount, 8)
        XCTAssertEqual(
            ranges.byteCount, 8 * (DirtyRanges.blockBytesMax + DirtyRanges.rangeOverheadBytes))
        XCTAssertEqual(ranges.contiguousBytes(from: 5), 8 << 20 - 5)
        // Overwriting in place, over the edges of blocks, needs no more memory.
        let before = ranges.byteCount
        block.withUnsafeBytes { ranges.write($0, at: (1 << 20) - 1000) }
        XCTAssertEqual(ranges.byteCount, before)
        // What is stored is given up, block by block.
        ranges.discard(below: (3 << 20) + 1)
        XCTAssertEqual(ranges.rangeCount, 5)
        check(ranges)
    }

    func testATruncatedBlockIsAppendedToAnew() {
        var ranges = DirtyRanges()
        let bytes = [UInt8](repeating: 1, count: 500)
        bytes.withUnsafeBytes { ranges.write($0, at: 1000) }
        ranges.truncate(to: 1100)
        bytes.withUnsafeBytes { ranges.write($0, at: 1100) }
        XCTAssertEqual(ranges.rangeCount, 1)
        XCTAssertEqual(ranges.contiguousBytes(from: 1000), 600)
        check(ranges)
    }

    func testChangesUpToTheLargestOffset() {
        var ranges = DirtyRanges()
        let end = UInt64(Int64.max)
        ranges.clear(5..<end, as: .hole)
        [UInt8(9)].withUnsafeBytes { ranges.write($0, at: end - 1) }
        XCTAssertEqual(ranges.extent, 5..<end)
        XCTAssertEqual(ranges.contiguousBytes(from: end - 1), 1)
        ranges.truncate(to: 6)
        XCTAssertEqual(ranges.extent, 5..<6)
        [].withUnsafeBytes { ranges.write($0, at: 100) }
        ranges.clear(50..<50, as: .zeros)
        XCTAssertEqual(ranges.rangeCount, 1)
    }

    func testErrorsOfTheVisitorComeThrough() {
        struct Stop: Error {}
        var ranges = DirtyRanges()
        ranges.clear(0..<10, as: .zeros)
        XCTAssertThrowsError(
            try ranges.forEach(in: 0..<5) { (_, _) throws(Stop) in throw Stop() })
    }

    /// Random order over many leaves; `check` sees that no leaf grows with the number of ranges.
    func testManyScatteredRanges() {
        var generator = SeededGenerator()
        var ranges = DirtyRanges()
        let count = 100_000
        let slots = (0..<count).shuffled(using: &generator)
        let bytes = generator.bytes(100)
        let start = ContinuousClock.now
        bytes.withUnsafeBytes { for slot in slots { ranges.write($0, at: UInt64(slot) * 200) } }
        let inserted = ContinuousClock.now
        bytes.withUnsafeBytes { for slot in slots { ranges.write($0, at: UInt64(slot) * 200) } }
        print("\(count) insertions \(inserted - start), overwrites \(.now - inserted)")
        XCTAssertEqual(ranges.rangeCount, count)
        check(ranges)
        ranges.truncate(to: 0)
        XCTAssertEqual(ranges.byteCount, 0)
    }

    /// A stream of which all but the last bytes are stored and given up, 4 MiB at a time, as a
    /// writer's is. Prints how fast it is taken in; the figure counts in release builds.
    func testStreamingSpeed() {
        let block = (0..<128 << 10).map { UInt8(truncatingIfNeeded: $0 &* 167 >> 3) }
        let (batches, writes) = (256, 32)
        var ranges = DirtyRanges()
        var size: UInt64 = 0
        var bytesMax = 0
        let start = ContinuousClock.now
        for _ in 0..<batches {
            block.withUnsafeBytes { bytes in
                for _ in 0..<writes {
                    ranges.write(bytes, at: size)
                    size += UInt64(bytes.count)
                }
            }
            bytesMax = max(bytesMax, ranges.byteCount)
            ranges.discard(below: size - 40_000)
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        print("stream: \(Double(size) / seconds / 1e9) GB/s")
        XCTAssertLessThan(bytesMax, 6 << 20)
        XCTAssertEqual(ranges.contiguousBytes(from: size - 40_000), 40_000)
        ranges.forEach(in: size - 40_000..<size) { _, piece in
            guard case .bytes(let bytes) = piece else { return XCTFail("no bytes") }
            XCTAssertTrue(bytes.elementsEqual(block.suffix(40_000)))
        }
    }
}
