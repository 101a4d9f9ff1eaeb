import Chunking
import DiskFormat
import XCTest

final class ChunkerTests: XCTestCase {
    func testOneCallCutsAsTheRulesSay() {
        var generator = SeededGenerator()
        for _ in 0..<60 {
            let parameters = Samples.parameters(using: &generator)
            let bytes = Samples.content(parameters, using: &generator)
            XCTAssertEqual(
                joined(cut(bytes, parameters)), joined(Twins.cuts(bytes, parameters)),
                "\(parameters), \(bytes.count) bytes")
        }
    }

    func testEveryDivisionIntoCallsGivesTheSameCuts() {
        var generator = SeededGenerator()
        for _ in 0..<60 {
            let parameters = Samples.parameters(using: &generator)
            let bytes = Samples.content(parameters, using: &generator)
            let expected = joined(Twins.cuts(bytes, parameters))
            for stepMax in [1 << 20, 20_000, 3000, 97] {
                let cuts = cutInPieces(bytes, parameters, stepMax: stepMax, using: &generator)
                XCTAssertEqual(cuts, expected, "\(parameters), steps to \(stepMax)")
            }
        }
    }

    func testNoBytesAndShortOnes() {
        let parameters = ChunkerParameters.gear(meanBytes: 32768)
        XCTAssertEqual(cut([], parameters), [])
        XCTAssertEqual(cut([1], parameters), [Cut(kind: .data, length: 1)])
        XCTAssertEqual(cut([0, 0, 0], parameters), [Cut(kind: .data, length: 3)])
        XCTAssertEqual(
            cut([0, 0, 0], parameters, followsZeros: true), [Cut(kind: .zeros, length: 3)])
        XCTAssertEqual(
            cut([0, 5, 0], parameters, followsZeros: true),
            [Cut(kind: .zeros, length: 1), Cut(kind: .data, length: 2)])
    }

    func testZerosEndAChunkHoweverShort() {
        let parameters = ChunkerParameters.gear(meanBytes: 32768)
        let zeros = [UInt8](repeating: 0, count: 4096)
        XCTAssertEqual(
            cut([1] + zeros + [2, 3], parameters),
            [
                Cut(kind: .data, length: 1), Cut(kind: .zeros, length: 4096),
                Cut(kind: .data, length: 2),
            ])
        XCTAssertEqual(
            cut([1] + zeros.dropLast() + [2, 3], parameters), [Cut(kind: .data, length: 4098)])
    }

    /// What a store of today cut must be cut so by every later version.
    func testCutsAreThoseOfTheFormat() {
        var generator = SeededGenerator(seed: 1)
        let bytes = generator.bytes(400_000)
        XCTAssertEqual(
            cut(bytes, .gear(meanBytes: 32768)).map(\.length),
            [
                55707, 25213, 11728, 17314, 19239, 25767, 46131, 77408, 33106, 69482, 18905,
            ])
        var seeded = ChunkerParameters.gear(meanBytes: 32768)
        seeded.seed = 0x0123_4567_89AB_CDEF
        XCTAssertEqual(
            cut(bytes, seeded).map(\.length),
            [
                9402, 11100, 42792, 47374, 39967, 35023, 47953, 10949, 43880, 41352, 38975,
                31233,
            ])
    }

    func testMeanAndBoundsOfRandomData() {
        var generator = SeededGenerator()
        let bytes = generator.bytes(32 << 20)
        let cuts = cut(bytes, .gear(meanBytes: 32768))
        XCTAssertTrue(cuts.allSatisfy { $0.kind == .data && $0.length <= 131_072 })
        XCTAssertTrue(cuts.dropLast().allSatisfy { $0.length >= 8192 })
        // Two masks draw lengths together a little above the mean; 800 chunks have a standard
        // error below 700 bytes.
        let mean = bytes.count / cuts.count
        XCTAssertTrue((36_500...43_500).contains(mean), "mean \(mean)")
        let atMaximum = cuts.count { $0.length == 131_072 }
        XCTAssertLessThan(atMaximum * 100, cuts.count, "the loose mask hardly ever fails")
    }

    func testOneChangedByteMovesCutsOnlyNearby() {
        var generator = SeededGenerator()
        let parameters = ChunkerParameters.gear(meanBytes: 32768)
        var bytes = generator.bytes(8 << 20)
        let before = boundaries(cut(bytes, parameters))
        for _ in 0..<10 {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            let old = bytes[place]
            bytes[place] &+= 1
            let after = boundaries(cut(bytes, parameters))
            let moved = before.symmetricDifference(after)
            XCTAssertTrue(
                moved.allSatisfy { $0 > place && $0 < place + (1 << 20) },
                "changed at \(place), moved \(moved.sorted())")
            bytes[place] = old
        }
    }

    /// The rule by which a changed file is cut again, as the chunker's own page states it.
    func testCutsBeforeAChangeStand() {
        var generator = SeededGenerator()
        for _ in 0..<60 {
            let parameters = Samples.parameters(using: &generator)
            guard parameters.algorithm == .gear else { continue }
            let old = Samples.content(parameters, using: &generator)
            let first = Int.random(in: 0...old.count, using: &generator)
            let new =
                Array(old[..<first]) + [UInt8](repeating: 0, count: first % 5000)
                + Samples.content(parameters, using: &generator)
            let expected = joined(Twins.cuts(new, parameters))
            let cuts = joined(Twins.cuts(old, parameters))
            let firstChanged = zip(old, new).enumerated().first { $1.0 != $1.1 }?.offset
            let changed = firstChanged ?? min(old.count, new.count)
            var position = 0
            var kept: [Cut] = []
            for cut in cuts {
                let end = position + cut.length
                guard end + Int(parameters.zeroRunMinimumBytes) <= changed else { break }
                kept.append(cut)
                position = end
            }
            let again = cut(
                Array(new[position...]), parameters, followsZeros: kept.last?.kind == .zeros)
            XCTAssertEqual(joined(kept + again), expected, "\(parameters), changed at \(changed)")
        }
    }

    func testFixedCutsAtMultiplesOfTheOffset() {
        let parameters = ChunkerParameters.fixed(bytes: 4096)
        var bytes = [UInt8](repeating: 1, count: 20_000)
        for index in 3096..<3096 + 8192 { bytes[index] = 0 }
        XCTAssertEqual(
            cut(bytes, parameters, at: (1 << 40) + 1000),
            [
                Cut(kind: .data, length: 3096), Cut(kind: .zeros, length: 8192),
                Cut(kind: .data, length: 4096), Cut(kind: .data, length: 4096),
                Cut(kind: .data, length: 520),
            ])
    }

    func testCutsOfEarlierCallsAreLeftAlone() {
        let zeros = [UInt8](repeating: 0, count: 8192)
        for parameters in [ChunkerParameters.gear(meanBytes: 4096), .fixed(bytes: 4096)] {
            var cuts = [Cut(kind: .zeros, length: 1)]
            var scratch = ChunkerScratch()
            let done = zeros.withUnsafeBytes {
                Chunker(parameters: parameters).cut(
                    $0, at: 0, isEnd: true, followsZeros: true, into: &cuts, scratch: &scratch)
            }
            XCTAssertEqual(done, 8192)
            XCTAssertEqual(
                cuts, [Cut(kind: .zeros, length: 1), Cut(kind: .zeros, length: 8192)])
        }
    }
}

// MARK: - Cutting

extension ChunkerTests {
    private func cut(
        _ bytes: [UInt8], _ parameters: ChunkerParameters, at offset: UInt64 = 0,
        followsZeros: Bool = false
    ) -> [Cut] {
        var cuts: [Cut] = []
        var scratch = ChunkerScratch()
        let done = bytes.withUnsafeBytes {
            Chunker(parameters: parameters).cut(
                $0, at: offset, isEnd: true, followsZeros: followsZeros, into: &cuts,
                scratch: &scratch)
        }
        XCTAssertEqual(done, bytes.count)
        XCTAssertEqual(cuts.reduce(0) { $0 + $1.length }, bytes.count)
        return cuts
    }

    /// Hands over `bytes` as they come, a random number at a time, with what was left over.
    private func cutInPieces(
        _ bytes: [UInt8], _ parameters: ChunkerParameters, stepMax: Int,
        using generator: inout SeededGenerator
    ) -> [Cut] {
        let chunker = Chunker(parameters: parameters)
        var cuts: [Cut] = []
        var scratch = ChunkerScratch()
        var position = 0
        var arrived = 0
        var isEnd = false
        while !isEnd {
            arrived = min(
                arrived + Int.random(in: 1...stepMax, using: &generator), bytes.count)
            // Also the end may come as news of its own, behind the last bytes.
            isEnd = arrived == bytes.count && Bool.random(using: &generator)
            let before = cuts.count
            let done = bytes.withUnsafeBytes {
                chunker.cut(
                    UnsafeRawBufferPointer(rebasing: $0[position..<arrived]),
                    at: UInt64(position), isEnd: isEnd, followsZeros: cuts.last?.kind == .zeros,
                    into: &cuts, scratch: &scratch)
            }
            XCTAssertEqual(cuts[before...].reduce(0) { $0 + $1.length }, done)
            if isEnd {
                XCTAssertEqual(done, arrived - position)
            } else if arrived - position >= chunker.lookaheadBytes {
                XCTAssertGreaterThan(done, 0)
            }
            position += done
        }
        return joined(cuts)
    }

    /// With neighbouring cuts of zeros made one.
    private func joined(_ cuts: [Cut]) -> [Cut] {
        var result: [Cut] = []
        for cut in cuts {
            if cut.kind == .zeros, let last = result.last, last.kind == .zeros {
                result[result.count - 1].length += cut.length
            } else {
                result.append(cut)
            }
        }
        return result
    }

    private func boundaries(_ cuts: [Cut]) -> Set<Int> {
        var position = 0
        return Set(
            cuts.map { cut in
                position += cut.length
                return position
            })
    }
}
