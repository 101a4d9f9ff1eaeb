import CKernels
import Chunking
import DiskFormat
import Foundation

/// The C kernels and the cutting rule again, as directly from their definitions as can be: the
/// oracles of the real ones.
enum Twins {
    /// The gear hash at `position`: of the 64 bytes before it.
    static func gearHash(_ bytes: ArraySlice<UInt8>, seed: UInt64 = 0) -> UInt64 {
        bytes.suffix(64).reduce(0) { ($0 << 1) &+ (gearTable[Int($1)] ^ seed) }
    }

    static let gearTable = withUnsafeBytes(of: ashlar_gear_table_1) {
        Array($0.bindMemory(to: UInt64.self))
    }

    /// Maximal runs of at least `minimum` zeros.
    static func zeroRuns(_ bytes: [UInt8], minimum: Int, from: Int = 0) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start = from
        for end in from...bytes.count where end == bytes.count || bytes[end] != 0 {
            if end - start >= minimum { runs.append(start..<end) }
            start = end + 1
        }
        return runs
    }

    /// All the cuts of a file, which needs everything at once.
    static func cuts(_ bytes: [UInt8], _ parameters: ChunkerParameters) -> [Cut] {
        parameters.algorithm == .gear
            ? contentCuts(bytes, parameters) : fixedCuts(bytes, parameters)
    }

    private static func contentCuts(_ bytes: [UInt8], _ parameters: ChunkerParameters) -> [Cut] {
        var cuts: [Cut] = []
        var position = 0
        let runs = zeroRuns(bytes, minimum: Int(parameters.zeroRunMinimumBytes))
        for run in runs + [bytes.count..<bytes.count] {
            while position < run.lowerBound {
                let length = chunkLength(bytes[position..<run.lowerBound], parameters)
                cuts.append(Cut(kind: .data, length: length))
                position += length
            }
            if !run.isEmpty { cuts.append(Cut(kind: .zeros, length: run.count)) }
            position = run.upperBound
        }
        return cuts
    }

    /// Of the chunk that begins where `segment` does.
    private static func chunkLength(
        _ segment: ArraySlice<UInt8>, _ parameters: ChunkerParameters
    ) -> Int {
        let base = segment.startIndex
        var hash: UInt64 = 0
        for length in 1...min(segment.count, Int(parameters.maximumBytes)) {
            hash = (hash << 1) &+ (gearTable[Int(segment[base + length - 1])] ^ parameters.seed)
            guard length >= parameters.minimumBytes, length < parameters.maximumBytes else {
                continue
            }
            let mask =
                length < parameters.meanBytes ? parameters.strictMask : parameters.looseMask
            if hash & mask == 0 { return length }
        }
        return min(segment.count, Int(parameters.maximumBytes))
    }

    private static func fixedCuts(_ bytes: [UInt8], _ parameters: ChunkerParameters) -> [Cut] {
        stride(from: 0, to: bytes.count, by: Int(parameters.meanBytes)).map { start in
            let block = bytes[start..<min(start + Int(parameters.meanBytes), bytes.count)]
            return Cut(kind: block.allSatisfy { $0 == 0 } ? .zeros : .data, length: block.count)
        }
    }

    /// SHA-256 (FIPS 180-4, 6.2).
    static func sha256(_ message: [UInt8]) -> [UInt8] {
        var state = fractions(of: 8, power: 0.5)
        let constants = fractions(of: 64, power: 1.0 / 3)
        var padded = message + [0x80]
        while padded.count % 64 != 56 { padded.append(0) }
        padded += withUnsafeBytes(of: UInt64(message.count * 8).bigEndian) { Array($0) }
        for block in stride(from: 0, to: padded.count, by: 64) {
            var w = (0..<16).map { word in
                (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(padded[block + 4 * word + $1]) }
            }
            for t in 16..<64 {
                let s0 = rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ (w[t - 15] >> 3)
                let s1 = rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ (w[t - 2] >> 10)
                w.append(w[t - 16] &+ s0 &+ w[t - 7] &+ s1)
            }
            var v = state
            for t in 0..<64 {
                let s1 = rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25)
                let choice = (v[4] & v[5]) ^ (~v[4] & v[6])
                let first = v[7] &+ s1 &+ choice &+ constants[t] &+ w[t]
                let s0 = rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22)
                let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])
                v = [first &+ s0 &+ majority] + v.dropLast()
                v[4] = v[4] &+ first
            }
            state = zip(state, v).map { $0 &+ $1 }
        }
        return state.flatMap { word in withUnsafeBytes(of: word.bigEndian) { Array($0) } }
    }

    /// The first 32 bits of the fractions of the roots of the first primes, SHA-256's constants.
    private static func fractions(of count: Int, power: Double) -> [UInt32] {
        let primes = (2...).lazy.filter { n in !(2..<n).contains { n % $0 == 0 } }
        return primes.prefix(count).map { prime in
            let root = pow(Double(prime), power)
            return UInt32((root - root.rounded(.down)) * 4_294_967_296)
        }
    }

    private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 {
        word >> count | word << (32 - count)
    }
}
