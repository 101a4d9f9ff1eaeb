// What a builder takes comes back, by every way there is.
import DiskFormat
import Platform
import XCTest

@testable import SuperChunks

final class RoundTripTests: XCTestCase {
    private let pool = BufferPool(capacityBytes: 64 << 10, keptBytesMax: 1 << 20)

    /// Appends until the builder is full; what was taken.
    private func fill(
        _ builder: SuperChunkBuilder, _ generator: inout SeededGenerator, compressible: Int
    ) -> [TestChunk] {
        var taken: [TestChunk] = []
        while taken.count < 200 {
            let chunk = randomChunk(
                1 + Int(generator.next() % 6000),
                compressible: Int(generator.next() % 100) < compressible, &generator)
            guard builder.append(chunk) else { break }
            taken.append(chunk)
        }
        return taken
    }

    private func checkFrames(
        _ frames: [DecodedFrame], hold chunks: [TestChunk], _ opener: SuperChunkOpener
    ) throws {
        for (slot, chunk) in chunks.enumerated() {
            let index = try XCTUnwrap(opener.frame(ofSlot: slot))
            XCTAssertEqual(opener.slot(of: chunk.name), slot)
            for hint in [slot, nil, -1, slot + 1, Int.max] {
                let entry = try XCTUnwrap(frames[index].find(chunk.name, slotHint: hint))
                XCTAssertEqual(entry.domain, chunk.domain)
                let found = frames[index].withBytes(of: entry) { Array($0) }
                XCTAssertEqual(found, chunk.bytes)
            }
            for other in frames where other.index != index {
                XCTAssertNil(other.find(chunk.name, slotHint: slot))
            }
        }
        XCTAssertNil(opener.frame(ofSlot: chunks.count))
        XCTAssertNil(opener.frame(ofSlot: -1))
    }

    func testWhatIsClosedOpens() throws {
        var generator = seededGenerator()
        for round in 0..<40 {
            let codec = ZstdFrameCodec(label: round % 4 == 0 ? "none" : "zstd:1")
            let frameBytesMax = [Int.max, 1, 5000, 20_000][Int(generator.next() % 4)]
            let builder = SuperChunkBuilder(
                domainIsMetadata: round % 2 == 0, rawBytesMax: 60 << 10,
                frameBytesMax: frameBytesMax, pool: pool, verifies: round % 3 == 0)
            let chunks = fill(builder, &generator, compressible: 70)
            let total = chunks.reduce(0) { $0 + $1.bytes.count }
            XCTAssertEqual(builder.rawBytes, total)
            XCTAssertEqual(builder.chunkCount, chunks.count)
            let sealed = try builder.close(using: codec)
            let body = sealed.body
            XCTAssertEqual(body.count, Int(sealed.header.storedBytes))
            XCTAssertEqual(Int(sealed.header.rawBytes), total)
            XCTAssertEqual(sealed.header.flags, round % 2 == 0 ? .metadata : [])
            if frameBytesMax == Int.max { XCTAssertEqual(sealed.header.frameCount, 1) }
            if frameBytesMax == 1 {
                XCTAssertEqual(Int(sealed.header.frameCount), chunks.count)
            }
            for frame in sealed.prefix.frames where frameBytesMax > 6000 {
                XCTAssertLessThanOrEqual(Int(frame.rawBytes), frameBytesMax)
            }
            let frames = try openAll(sealed.header, body, codec, pool)
            let opener = try body.withUnsafeBytes {
                try SuperChunkOpener(header: sealed.header, body: $0)
            }
            try checkFrames(frames, hold: chunks, opener)
            XCTAssertEqual(try builder.close(using: codec).body, body)
        }
    }

    func testFramesThatDoNotShrinkAreStoredRaw() throws {
        var generator = seededGenerator()
        let builder = SuperChunkBuilder(
            domainIsMetadata: false, rawBytesMax: 60 << 10, frameBytesMax: 8000, pool: pool)
        let chunks = (0..<6).map {
            randomChunk(8000, compressible: $0 % 3 == 0, &generator)
        }
        for chunk in chunks { XCTAssertTrue(builder.append(chunk)) }
        let sealed = try builder.close(using: ZstdFrameCodec())
        XCTAssertEqual(sealed.prefix.frames.map(\.codec), [1, 0, 0, 1, 0, 0])
        // Prefix, compressed, two raw frames as one, and again.
        XCTAssertEqual(sealed.withPieces { $0.count }, 5)
        XCTAssertLessThan(
            Int(sealed.header.storedBytes), Int(sealed.header.rawBytes) - 2 * 5000)
        let frames = try openAll(sealed.header, sealed.body, ZstdFrameCodec(), pool)
        XCTAssertEqual(frames.map { Array($0.bytes) }, chunks.map(\.bytes))
    }

    func testChunksCanBeCopiedBeforeTheyAreWritten() throws {
        var generator = seededGenerator()
        let builder = SuperChunkBuilder(
            domainIsMetadata: false, rawBytesMax: 60 << 10, frameBytesMax: 9000, pool: pool)
        let chunks = fill(builder, &generator, compressible: 50)
        for (slot, chunk) in chunks.enumerated() {
            XCTAssertEqual(builder.slot(of: chunk.name), slot)
            XCTAssertEqual(builder.copy(of: slot), chunk.bytes)
            XCTAssertEqual(builder.copy(of: chunk.name), chunk.bytes)
        }
        XCTAssertNil(builder.copy(of: chunks.count))
        XCTAssertNil(builder.copy(of: .zero))
        // The same name again takes no room.
        XCTAssertTrue(builder.append(chunks[0]))
        XCTAssertEqual(builder.chunkCount, chunks.count)
    }

    func testAChunkBeyondTheLimitIsTakenAlone() throws {
        var generator = seededGenerator()
        let big = randomChunk(200_000, compressible: true, &generator)
        let small = randomChunk(10, compressible: true, &generator)
        let builder = SuperChunkBuilder(
            domainIsMetadata: false, rawBytesMax: 1000, frameBytesMax: 1000, pool: pool)
        XCTAssertTrue(builder.append(big))
        XCTAssertFalse(builder.append(small))
        let sealed = try builder.close(using: ZstdFrameCodec())
        let frames = try openAll(sealed.header, sealed.body, ZstdFrameCodec(), pool)
        XCTAssertEqual(frames.map { Array($0.bytes) }, [big.bytes])

        let other = SuperChunkBuilder(
            domainIsMetadata: false, rawBytesMax: 1000, frameBytesMax: 1000, pool: pool)
        XCTAssertTrue(other.append(small))
        XCTAssertFalse(other.append(big))
    }

    func testAnEmptyBuilderDoesNotClose() {
        let builder = SuperChunkBuilder(
            domainIsMetadata: false, rawBytesMax: 1000, frameBytesMax: 1000, pool: pool)
        XCTAssertThrowsError(try builder.close(using: ZstdFrameCodec())) {
            XCTAssertEqual($0 as? SuperChunkError, .empty)
        }
    }

    func testVerificationFindsACodecThatLies() throws {
        var generator = seededGenerator()
        let chunk = randomChunk(5000, compressible: true, &generator)
        for verifies in [false, true] {
            let builder = SuperChunkBuilder(
                domainIsMetadata: false, rawBytesMax: 10_000, frameBytesMax: 10_000, pool: pool,
                verifies: verifies)
            XCTAssertTrue(builder.append(chunk))
            if verifies {
                XCTAssertThrowsError(try builder.close(using: LyingFrameCodec())) {
                    XCTAssertEqual($0 as? SuperChunkError, .codec(frame: 0, .damaged))
                }
            } else {
                XCTAssertNoThrow(try builder.close(using: LyingFrameCodec()))
            }
        }
    }

    func testOneByteChunksStopAtTheLimitOfSlots() throws {
        let builder = SuperChunkBuilder(
            domainIsMetadata: false, rawBytesMax: 1 << 20, frameBytesMax: 1 << 20, pool: pool)
        var taken = 0
        while builder.append(
            TestChunk(
                name: ChunkName(w0: 1, w1: UInt64(taken), w2: 0, w3: 0), domain: .data, bytes: [1]))
        {
            taken += 1
        }
        XCTAssertEqual(taken, SuperChunks.chunksMax)
        let sealed = try builder.close(using: ZstdFrameCodec())
        let frames = try openAll(sealed.header, sealed.body, ZstdFrameCodec(), pool)
        let last = ChunkName(w0: 1, w1: UInt64(taken - 1), w2: 0, w3: 0)
        XCTAssertEqual(frames[0].find(last)?.offset, taken - 1)
    }
}
