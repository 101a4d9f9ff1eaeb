import Compression

enum Samples {
    /// Words out of a small vocabulary: compressible, and not by repetition alone.
    static func text(_ count: Int, using generator: inout SeededGenerator) -> [UInt8] {
        let words = "chunk pack record super root tree commit index snapshot volume frame ashlar "
            .split(separator: " ").map { Array($0.utf8) + [32] }
        var bytes: [UInt8] = []
        while bytes.count < count {
            bytes += words[Int.random(in: 0..<words.count, using: &generator)]
        }
        return Array(bytes.prefix(count))
    }

    static func frame(of bytes: [UInt8], level: Int, by compressor: Compressor) -> [UInt8]? {
        var destination = [UInt8](repeating: 0, count: Compressor.bound(bytes.count))
        let length = bytes.withUnsafeBytes { source in
            destination.withUnsafeMutableBytes {
                compressor.compress(source, into: $0, level: level)
            }
        }
        return length.map { Array(destination.prefix($0)) }
    }

    static let canary = [UInt8](repeating: 0xEE, count: 32)

    /// What was written behind the destination; empty where nothing was.
    struct Overrun: Error {
        var bytes: [UInt8]
    }

    /// Restores `count` bytes; throws the decompressor's error, or `Overrun`.
    static func content(
        of frame: [UInt8], _ count: Int, by decompressor: Decompressor
    ) throws -> [UInt8] {
        var destination = [UInt8](repeating: 0, count: count) + canary
        let failure = destination.withUnsafeMutableBytes { all -> CompressionError? in
            let room = UnsafeMutableRawBufferPointer(rebasing: all[..<count])
            return frame.withUnsafeBytes { source -> CompressionError? in
                do throws(CompressionError) {
                    try decompressor.decompress(source, into: room)
                    return nil
                } catch {
                    return error
                }
            }
        }
        guard destination.suffix(canary.count) == canary[...] else {
            throw Overrun(bytes: Array(destination.suffix(canary.count)))
        }
        if let failure { throw failure }
        return Array(destination.prefix(count))
    }
}
