// By which chunks that resemble each other are found.
import CKernels

/// Three *super-features* of a chunk, each a hash of four features (CKernels/sketch.h): chunks that
/// have one in common have most of their bytes in common, with high probability. 24 bytes.
///
/// Only a hint of what compresses well side by side; nothing is stored of it.
public struct ChunkSketch: Equatable, Sendable {
    /// 0: says nothing.
    public let superFeatures: InlineArray<3, UInt64>

    /// Of a chunk's bytes. Some hundred MB a second.
    public init(of bytes: UnsafeRawBufferPointer) {
        var features = [UInt64](repeating: 0, count: Int(ASHLAR_SKETCH_FEATURES))
        let sampled = features.withUnsafeMutableBufferPointer { features in
            withUnsafeBytes(of: ashlar_gear_table_1) { table in
                ashlar_sketch(
                    table.bindMemory(to: UInt64.self).baseAddress,
                    bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count,
                    features.baseAddress)
            }
        }
        guard sampled > 0 else {
            superFeatures = [0, 0, 0]
            return
        }
        let width = features.count / 3 * MemoryLayout<UInt64>.size
        superFeatures = features.withUnsafeBytes { raw in
            InlineArray<3, UInt64> { index in
                let start = index * width
                let part = UnsafeRawBufferPointer(rebasing: raw[start..<start + width])
                return ashlar_xxh3_64(part.baseAddress, part.count, UInt64(index + 1))
            }
        }
    }

    public static func == (a: ChunkSketch, b: ChunkSketch) -> Bool {
        (0..<3).allSatisfy { a.superFeatures[$0] == b.superFeatures[$0] }
    }
}

/// Puts chunks that resemble each other side by side, as they come along.
///
/// A chunk joins the first earlier one that it has a super-feature in common with, and whomever that
/// one has joined. About 100 bytes for each chunk. Not safe for concurrent use.
public struct ResemblanceOrder {
    /// The chunk, by its number, at which each group began.
    private var groups: [UInt32] = []
    private var known: [UInt64: UInt32] = [:]

    public init() {}

    public var count: Int { groups.count }

    public mutating func append(_ sketch: ChunkSketch) {
        let number = UInt32(groups.count)
        var group = number
        for index in 0..<3 where sketch.superFeatures[index] != 0 {
            // Equal values of different places mean nothing: their hashes have different seeds.
            if let earlier = known[sketch.superFeatures[index]] {
                group = groups[Int(earlier)]
                break
            }
        }
        groups.append(group)
        for index in 0..<3 where sketch.superFeatures[index] != 0 {
            if known[sketch.superFeatures[index]] == nil {
                known[sketch.superFeatures[index]] = number
            }
        }
    }

    /// The chunks' numbers: groups in the order of their first ones, each in the order of arrival.
    public var order: [Int] {
        groups.indices.sorted { a, b in
            groups[a] != groups[b] ? groups[a] < groups[b] : a < b
        }
    }
}
