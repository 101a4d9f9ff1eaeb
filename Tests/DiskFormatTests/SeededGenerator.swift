// Purpose: random values that come back when the seed does.
//
// Invariant: the stream depends on the seed alone, never on the machine or the Swift release (no
// `SystemRandomNumberGenerator`, no `Hasher`, no standard-library shuffles).

import Foundation

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    /// A fresh stream whose seed is printed, or the one that ASHLAR_SEED asks for.
    static func announced(_ subject: String) -> SeededGenerator {
        let asked = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        let seed = asked ?? UInt64.random(in: 0 ... .max)
        print("\(subject): ASHLAR_SEED=\(seed)")
        return SeededGenerator(seed: seed)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// Below `bound`; the bias of a remainder does no harm to tests.
    mutating func below(_ bound: Int) -> Int {
        Int(next() % UInt64(bound))
    }

    /// Of a random number of bits, so that every length of a variable integer occurs.
    mutating func word(bitsMax: UInt64 = 64) -> UInt64 {
        next() >> (64 - bitsMax + next() % bitsMax)
    }

    mutating func half() -> UInt32 { UInt32(truncatingIfNeeded: next()) }
    mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next()) }
    mutating func coin() -> Bool { next() & 1 == 0 }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        for _ in 0..<count { result.append(byte()) }
        return result
    }

    mutating func pick<Item>(_ items: [Item]) -> Item {
        items[below(items.count)]
    }

    mutating func list<Item>(
        _ counts: ClosedRange<Int>, _ make: (inout SeededGenerator) -> Item
    ) -> [Item] {
        let count = counts.lowerBound + below(counts.count)
        return (0..<count).map { _ in make(&self) }
    }
}
