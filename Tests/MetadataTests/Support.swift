import Foundation
import XCTest

@testable import Metadata

/// A random number generator that repeats: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    /// Takes the seed from ASHLAR_SEED, or makes one up, and prints it.
    static func announced(_ test: String = #function) -> SeededGenerator {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 1...UInt64(UInt32.max))
        print("\(test): ASHLAR_SEED=\(seed)")
        return SeededGenerator(seed: seed)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }
}

/// A folder of its own for a test, removed at the end.
final class ScratchFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/ashlar-metadata-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func file(_ name: String) -> String { path + "/" + name }
}

/// Small enough that a test of some MB flushes and compacts several times.
let smallBudgetBytes = 4 << 20

func openRocks(
    _ path: String, readOnly: Bool = false, create: Bool = true
) throws(MetadataError) -> RocksMetadataStore {
    try RocksMetadataStore(
        path: path, memoryBytes: smallBudgetBytes, readOnly: readOnly, create: create)
}

/// The files of a store whose names end with `suffix` or begin with it.
func storeFiles(_ path: String, _ part: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        .filter { $0.hasPrefix(part) || $0.hasSuffix(part) }
        .map { path + "/" + $0 }
}

/// Overwrites the bytes of a file by a function of them.
func alter(_ file: String, _ change: (inout [UInt8]) -> Void) throws {
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
    change(&bytes)
    try Data(bytes).write(to: URL(fileURLWithPath: file))
}

extension MetadataStore {
    func put(_ key: [UInt8], _ value: [UInt8]) throws(MetadataError) {
        var batch = MetadataBatch()
        batch.put(key, value)
        try write(batch)
    }

    func delete(_ key: [UInt8]) throws(MetadataError) {
        var batch = MetadataBatch()
        batch.delete(key)
        try write(batch)
    }

    func entries(
        prefix: [UInt8] = [], from: [UInt8]? = nil
    ) throws(MetadataError) -> [(key: [UInt8], value: [UInt8])] {
        var result: [(key: [UInt8], value: [UInt8])] = []
        try scan(prefix: prefix, from: from ?? prefix) { key, value in
            result.append((Array(key), Array(value)))
            return true
        }
        return result
    }
}

/// Asserts that `body` throws `.damaged`.
func assertDamaged<Result>(
    _ message: String, file: StaticString = #filePath, line: UInt = #line,
    _ body: () throws -> Result
) {
    XCTAssertThrowsError(try body(), message, file: file, line: line) { error in
        guard case MetadataError.damaged = error else {
            return XCTFail("\(message): \(error)", file: file, line: line)
        }
    }
}

/// Batches whose order can be read back: batch `n` puts `keysPerBatch` keys of its own and rewrites
/// one key with its number.
enum NumberedBatches {
    static let keysPerBatch = 20
    static let valueBytes = 200
    static let counterKey: [UInt8] = [0xff, 0x01]

    static func write(_ number: Int, to store: any MetadataStore) throws(MetadataError) {
        let value = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: valueBytes)
        try write(number, to: store) { value }
    }

    /// With values that do not compress.
    static func write(
        _ number: Int, to store: any MetadataStore, noise random: inout SeededGenerator
    ) throws(MetadataError) {
        try write(number, to: store) {
            (0..<valueBytes / 8).flatMap { _ in withUnsafeBytes(of: random.next(), Array.init) }
        }
    }

    private static func write(
        _ number: Int, to store: any MetadataStore, value: () -> [UInt8]
    ) throws(MetadataError) {
        var batch = MetadataBatch()
        for index in 0..<keysPerBatch { batch.put(key(number, index), value()) }
        batch.put(counterKey, bigEndian(number))
        try store.write(batch)
    }

    /// How many batches the store holds; nil when they are not a prefix of those written.
    static func prefixLength(of store: any MetadataStore) throws(MetadataError) -> Int? {
        let all = try store.entries(prefix: [0x01])
        guard all.count % keysPerBatch == 0 else { return nil }
        let count = all.count / keysPerBatch
        for (position, entry) in all.enumerated()
        where entry.key != key(position / keysPerBatch, position % keysPerBatch) {
            return nil
        }
        let counter = try store.get(counterKey)
        return counter == (count == 0 ? nil : bigEndian(count - 1)) ? count : nil
    }

    /// Keys ascend with the number, so that a hole among the batches shows as a wrong key.
    private static func key(_ number: Int, _ index: Int) -> [UInt8] {
        [0x01] + bigEndian(number) + [UInt8(index)]
    }

    private static func bigEndian(_ number: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(number).bigEndian) { Array($0) }
    }
}
