import DiskFormat
import Hashing
import XCTest

@testable import Trees

/// Nodes in a dictionary; counts what is read and written.
final class MemoryNodeStore: NodeStore {
    private(set) var nodes: [ChunkName: [UInt8]] = [:]
    var readCount = 0
    var writeCount = 0
    var leaves: RecipeLeaves?
    private let hasher: ChunkHasher

    init() throws {
        hasher = try ChunkHasher(.sha256)
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        readCount += 1
        guard let bytes = nodes[name] else { throw .missing(name) }
        return bytes
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        writeCount += 1
        let name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
        nodes[name] = bytes
        return name
    }

    func remove(_ name: ChunkName) { nodes[name] = nil }

    /// Keeps bytes under a name that is not theirs, as a hostile store would.
    func forge(_ name: ChunkName, _ bytes: [UInt8]) { nodes[name] = bytes }
}

/// SplitMix64 (Steele, Lea and Flood, 2014), seeded by ASHLAR_SEED or at random; prints its seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(_ test: String) {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap(UInt64.init)
        state = given ?? UInt64.random(in: 0 ... .max)
        print("\(test): ASHLAR_SEED=\(state)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
