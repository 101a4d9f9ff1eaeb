import Foundation
import XCTest

/// What this machine lets tests do, and how long they may take.
public enum Machine {
    /// `ASHLAR_LONG=1` in the environment: crash and model tests run many times longer.
    public static var isLong: Bool { ProcessInfo.processInfo.environment["ASHLAR_LONG"] == "1" }

    /// `ASHLAR_MODEL_SECONDS=N` in the environment: model tests are repeated, with a new seed and
    /// on a new store each time, until so many seconds are over.
    public static var modelSeconds: Double {
        ProcessInfo.processInfo.environment["ASHLAR_MODEL_SECONDS"].flatMap { Double($0) } ?? 0
    }

    /// Rounds of crash tests: `ASHLAR_ROUNDS`, or as many as there is time for otherwise.
    public static func rounds(_ usual: Int) -> Int {
        ProcessInfo.processInfo.environment["ASHLAR_ROUNDS"].flatMap { Int($0) } ?? usual
    }

    /// Files of trees whose size is what is tested: `ASHLAR_FILES`, or as many as there is time for
    /// otherwise.
    public static func files(_ usual: Int) -> Int {
        ProcessInfo.processInfo.environment["ASHLAR_FILES"].flatMap { Int($0) } ?? usual
    }

    /// `ASHLAR_PATIENCE=N` in the environment: whatever has a time limit may take N times as long. For
    /// runs beside so much else that a program may wait a minute for its turn.
    public static let patience =
        ProcessInfo.processInfo.environment["ASHLAR_PATIENCE"].flatMap { Double($0) } ?? 1

    /// Skips the test where nothing can be mounted.
    public static func requireMounts() throws {
        guard access("/dev/fuse", R_OK | W_OK) == 0 else {
            throw XCTSkip("no /dev/fuse that we may open: the mounted volume is not tested")
        }
        guard geteuid() == 0 else { throw XCTSkip("not root: the mounted volume is not tested") }
    }

    /// Skips the test where a program of Debian's is missing.
    public static func require(_ program: String) throws -> String {
        for folder in ["/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"]
        where access(folder + program, X_OK) == 0 {
            return folder + program
        }
        throw XCTSkip("\(program) is not installed: what needs it is not tested")
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), begun with ASHLAR_SEED or a random seed, which it
/// prints.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(_ test: String = #function) {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 0...UInt64.max)
        print("\(test): ASHLAR_SEED=\(state)")
    }

    /// One of several that a printed seed begins.
    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// Below `bound`, which is above 0.
    public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// Bytes that do not compress.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: count)
        result.withUnsafeMutableBytes { target in
            var offset = 0
            while offset < count {
                withUnsafeBytes(of: next()) { word in
                    let length = min(8, count - offset)
                    target[offset..<(offset + length)].copyBytes(from: word[0..<length])
                }
                offset += 8
            }
        }
        return result
    }
}
