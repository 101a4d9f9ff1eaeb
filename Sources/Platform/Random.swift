/// Random bytes: from the kernel for what must not be guessed, from a seed for what must repeat.
import CLinux

/// Fills `buffer` from the kernel's generator (getrandom). Any thread.
public func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
    guard let base = buffer.baseAddress else { return }
    // Linux has had getrandom since 3.17 and it fails only for a bad address. Secrets and names
    // rest on it: without it there is nothing right to return.
    precondition(ashlar_random(base, buffer.count) == 0, "the kernel gives no random bytes")
}

/// `count` random bytes from the kernel's generator.
public func randomBytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { fillRandom($0) }
    return bytes
}

/// A random number from the kernel's generator.
public func randomUInt64() -> UInt64 {
    var number: UInt64 = 0
    withUnsafeMutableBytes(of: &number) { fillRandom($0) }
    return number
}

/// A generator that repeats itself from a seed, for tests, benchmarks and power-cut replays. Not for
/// secrets. SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
