import DiskFormat
import XCTest

/// Parameters and contents that bring cuts and zeros together in every way.
enum Samples {
    static func parameters(using generator: inout SeededGenerator) -> ChunkerParameters {
        if Int.random(in: 0..<6, using: &generator) == 0 { return .fixed(bytes: 4096) }
        var parameters = ChunkerParameters.gear(meanBytes: 4096)
        parameters.minimumBytes = [64, 65, 1024, 4096].randomElement(using: &generator) ?? 64
        parameters.maximumBytes = [4096, 5000, 16384].randomElement(using: &generator) ?? 4096
        // Longer than the maximum too: then runs too short to count hold several cuts.
        parameters.zeroRunMinimumBytes =
            [64, 100, 4096, 20_000].randomElement(using: &generator) ?? 64
        parameters.seed = generator.next()
        // Without a mask every position is a candidate, also among zeros.
        let masks: [(UInt64, UInt64)] = [
            (0, 0), (~0, 0), (~0 << 51, ~0 << 53), (~0 << 58, ~0 << 60), (~0, ~0),
        ]
        (parameters.strictMask, parameters.looseMask) =
            masks.randomElement(using: &generator) ?? (0, 0)
        XCTAssertTrue(parameters.areSane)
        return parameters
    }

    /// Up to some 200 KB of noise, repeated bytes, and zeros around the length that counts.
    static func content(
        _ parameters: ChunkerParameters, using generator: inout SeededGenerator
    ) -> [UInt8] {
        let zeroRun = Int(parameters.zeroRunMinimumBytes)
        let zeros = [1, 5, zeroRun / 2, zeroRun - 1, zeroRun, zeroRun + 1, 2 * zeroRun]
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 0...12, using: &generator) {
            let length = Int.random(
                in: 0...[3, 300, 20_000][Int.random(in: 0..<3, using: &generator)],
                using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1, 2: bytes += generator.bytes(length)
            case 3: bytes += [UInt8](repeating: UInt8(length & 255), count: length)
            default:
                let count = zeros.randomElement(using: &generator) ?? 1
                bytes += [UInt8](repeating: 0, count: count)
            }
        }
        return bytes
    }
}
