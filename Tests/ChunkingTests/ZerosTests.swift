import CKernels
import XCTest

final class ZerosTests: XCTestCase {
    func testPrefixAndSuffixAtEveryLengthAndAlignment() {
        for length in 0...200 {
            for alignment in 0..<8 {
                let buffer = [UInt8](repeating: 0, count: length + 16)
                check(buffer, alignment, length, prefix: length, suffix: length)
                for place in stride(from: 0, to: length, by: 7) {
                    var marked = buffer
                    marked[alignment + place] = 1
                    // What lies around must not count.
                    marked[alignment + length] = 1
                    check(
                        marked, alignment, length, prefix: place, suffix: length - place - 1)
                }
            }
        }
    }

    func testRunsAreTheMaximalOnes() {
        var generator = SeededGenerator()
        for _ in 0..<300 {
            let minimum = [8, 9, 15, 64, 100, 512].randomElement(using: &generator) ?? 8
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...20, using: &generator) {
                let noise = Int.random(in: 0...2 * minimum, using: &generator)
                bytes += generator.bytes(noise).map { $0 | 1 }
                let zeros = [0, 1, 7, minimum - 1, minimum, minimum + 1, 3 * minimum]
                bytes += [UInt8](
                    repeating: 0, count: zeros.randomElement(using: &generator) ?? 0)
            }
            let from = Int.random(in: 0...bytes.count, using: &generator)
            XCTAssertEqual(
                runs(bytes, minimum: minimum, from: from),
                Twins.zeroRuns(bytes, minimum: minimum, from: from))
        }
    }

    func testNoBytesHaveNoRun() {
        var length = 1
        XCTAssertEqual(ashlar_zero_run_find([0, 0], 0, 0, 8, &length), 0)
        XCTAssertEqual(length, 0)
    }

    private func check(
        _ buffer: [UInt8], _ offset: Int, _ length: Int, prefix: Int, suffix: Int
    ) {
        buffer.withUnsafeBytes { bytes in
            let start = bytes.baseAddress.map { $0 + offset }
            XCTAssertEqual(ashlar_zero_prefix(start, length), prefix)
            XCTAssertEqual(ashlar_zero_suffix(start, length), suffix)
        }
    }

    private func runs(_ bytes: [UInt8], minimum: Int, from: Int) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var position = from
        while position < bytes.count {
            var length = 0
            let start = ashlar_zero_run_find(bytes, bytes.count, position, minimum, &length)
            if length > 0 { runs.append(start..<start + length) }
            position = start + length
        }
        return runs
    }
}
