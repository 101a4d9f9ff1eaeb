// What resembles each other has super-features in common.
import CKernels
import Chunking
import XCTest

final class SketchTests: XCTestCase {
    private func features(_ bytes: [UInt8]) -> (sampled: Int, features: [UInt64]) {
        var features = [UInt64](repeating: 1, count: Int(ASHLAR_SKETCH_FEATURES))
        let sampled = withUnsafeBytes(of: ashlar_gear_table_1) { table in
            ashlar_sketch(
                table.bindMemory(to: UInt64.self).baseAddress, bytes, bytes.count, &features)
        }
        return (sampled, features)
    }

    /// The same from the definition.
    private func oracle(_ bytes: [UInt8]) -> (sampled: Int, features: [UInt64]) {
        var features = [UInt64](repeating: 0, count: Int(ASHLAR_SKETCH_FEATURES))
        var sampled = 0
        for end in stride(from: 64, through: bytes.count, by: 1) {
            let hash = Twins.gearHash(bytes[(end - 64)..<end])
            guard hash & UInt64(ASHLAR_SKETCH_SAMPLE_MASK) == 0 else { continue }
            sampled += 1
            for index in features.indices {
                var (factor, addend): (UInt64, UInt64) = (0, 0)
                ashlar_sketch_transform(index, &factor, &addend)
                features[index] = max(features[index], hash &* factor &+ addend)
            }
        }
        return (sampled, features)
    }

    private func sketch(_ bytes: [UInt8]) -> ChunkSketch {
        bytes.withUnsafeBytes { ChunkSketch(of: $0) }
    }

    private func resemble(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        let (first, second) = (sketch(a).superFeatures, sketch(b).superFeatures)
        return (0..<3).contains { first[$0] != 0 && first[$0] == second[$0] }
    }

    func testFeaturesAreWhatTheDefinitionSays() {
        var generator = SeededGenerator()
        for length in [0, 1, 63, 64, 65, 100, 1000, 5000] {
            let bytes = generator.bytes(length)
            let (found, expected) = (features(bytes), oracle(bytes))
            XCTAssertEqual(found.sampled, expected.sampled, "\(length) bytes")
            XCTAssertEqual(found.features, expected.features, "\(length) bytes")
        }
        XCTAssertGreaterThan(features(generator.bytes(64_000)).sampled, 700)
    }

    func testTooLittleSaysNothing() {
        for bytes in [[], [UInt8](repeating: 1, count: 63)] {
            let sketch = sketch(bytes)
            XCTAssertTrue((0..<3).allSatisfy { sketch.superFeatures[$0] == 0 })
        }
    }

    func testWhatDiffersLittleResemblesAndNoiseDoesNot() {
        var generator = SeededGenerator()
        var found = 0
        for _ in 0..<100 {
            let bytes = generator.bytes(32_000)
            var changed = bytes
            // Bytes come in, so everything behind them moves.
            let place = Int(generator.next() % 32_000)
            changed.insert(contentsOf: generator.bytes(20), at: place)
            if resemble(bytes, changed) { found += 1 }
            XCTAssertFalse(resemble(bytes, generator.bytes(32_000)))
        }
        XCTAssertGreaterThan(found, 90)
    }

    func testOrderPutsSimilarOnesSideBySide() {
        var generator = SeededGenerator()
        let (a, b) = (generator.bytes(32_000), generator.bytes(32_000))
        var (laterA, laterB) = (a, b)
        laterA[100] ^= 1
        laterB[31_000] ^= 1
        var order = ResemblanceOrder()
        for bytes in [a, generator.bytes(20_000), b, [1, 2, 3], laterB, laterA, a] {
            order.append(sketch(bytes))
        }
        XCTAssertEqual(order.count, 7)
        XCTAssertEqual(order.order, [0, 5, 6, 1, 2, 4, 3])
    }
}
