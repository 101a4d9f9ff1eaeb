// Codecs, chunks and frames for these tests, and the seed they are made from.
import Compression
import DiskFormat
import Foundation
import Platform
import SuperChunks

/// zstd as the pipeline adapts it.
struct ZstdFrameCodec: FrameCodec {
    let pool = CompressionPool(idleMax: 2)
    let method: CompressionMethod

    init(label: String = "zstd:1") {
        method = CompressionMethod(label: label) ?? .none
    }

    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        pool.compress(raw, into: destination, method: method)
    }

    func decompress(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(FrameCodecError) {
        do {
            try pool.decompress(stored, codec: .zstd, into: raw)
        } catch {
            throw error == .outOfMemory ? .outOfMemory : .damaged
        }
    }
}

/// Compresses with zstd and restores with the last byte changed.
struct LyingFrameCodec: FrameCodec {
    let zstd = ZstdFrameCodec()

    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        zstd.compress(raw, into: destination)
    }

    func decompress(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(FrameCodecError) {
        try zstd.decompress(stored, into: raw)
        raw[raw.count - 1] ^= 1
    }
}

/// A generator begun with ASHLAR_SEED or a random seed, which it prints.
func seededGenerator(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
    let seed = given ?? randomUInt64()
    print("\(test): ASHLAR_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}

struct TestChunk {
    let name: ChunkName
    let domain: ChunkDomain
    let bytes: [UInt8]
}

/// Bytes of a few letters, which compress, or of all values, which do not; with a random name.
func randomChunk(
    _ length: Int, compressible: Bool, _ generator: inout SeededGenerator
) -> TestChunk {
    let bytes = (0..<length).map { _ in
        compressible ? UInt8(generator.next() % 4) : UInt8(truncatingIfNeeded: generator.next())
    }
    let name = ChunkName(
        w0: generator.next(), w1: generator.next(), w2: generator.next(), w3: generator.next())
    let domain = ChunkDomain.allCases[Int(generator.next() % 3)]
    return TestChunk(name: name, domain: domain, bytes: bytes)
}

extension SuperChunkBuilder {
    func append(_ chunk: TestChunk) -> Bool {
        chunk.bytes.withUnsafeBytes { append(chunk.name, domain: chunk.domain, $0) }
    }
}

extension SealedSuperChunk {
    /// The body as it will lie in the pack.
    var body: [UInt8] {
        withPieces { pieces in pieces.flatMap { Array($0) } }
    }
}

/// Everything in a super-chunk, as a reader gets it.
func openAll(
    _ header: RecordHeader, _ body: [UInt8], _ codec: some FrameCodec, _ pool: BufferPool
) throws(SuperChunkError) -> [DecodedFrame] {
    let result = body.withUnsafeBytes { bytes -> Result<[DecodedFrame], SuperChunkError> in
        do throws(SuperChunkError) {
            let opener = try SuperChunkOpener(header: header, body: bytes)
            var frames: [DecodedFrame] = []
            for index in 0..<opener.frameCount {
                frames.append(try opener.frame(index, body: bytes, using: codec, pool: pool))
            }
            return .success(frames)
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

/// A frame of one chunk with `length` bytes of `value`.
func makeFrame(length: Int, value: UInt8) throws -> DecodedFrame {
    let pool = BufferPool(capacityBytes: 4096, keptBytesMax: 0)
    let builder = SuperChunkBuilder(
        domainIsMetadata: false, rawBytesMax: max(1, length), frameBytesMax: Int.max, pool: pool)
    let bytes = [UInt8](repeating: value, count: length)
    let name = ChunkName(w0: UInt64(value), w1: 1, w2: 2, w3: 3)
    guard builder.append(TestChunk(name: name, domain: .data, bytes: bytes)) else {
        throw SuperChunkError.empty
    }
    let sealed = try builder.close(using: ZstdFrameCodec())
    return try openAll(sealed.header, sealed.body, ZstdFrameCodec(), pool)[0]
}
