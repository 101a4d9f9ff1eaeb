// Purpose: chunks and frames of a super-chunk add up, and each chunk is where `placements` says.

import XCTest

@testable import DiskFormat

final class SuperChunkPrefixTests: XCTestCase {
    /// A header whose lengths and checksum suit the bytes, as far as they are there.
    static func fittingHeader(
        _ raw: UnsafeRawBufferPointer, frames: Int, chunks: Int
    ) throws(FormatError) -> RecordHeader {
        let count = SuperChunkPrefix.byteCount(frames: frames, chunks: chunks)
        guard raw.count == count else { throw .truncated("prefix") }
        var stored = UInt64(count)
        var whole: UInt64 = 0
        for frame in 0..<frames {
            let place = frame * SuperChunkPrefix.frameEntryBytes
            stored += UInt64(raw.loadUnaligned(fromByteOffset: place, as: UInt32.self))
            whole += UInt64(raw.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self))
        }
        return RecordHeader(
            kind: .superChunk, storedBytes: UInt32(truncatingIfNeeded: stored),
            rawBytes: UInt32(truncatingIfNeeded: whole), frameCount: UInt16(frames),
            itemCount: UInt32(chunks), bodyChecksum: BodyChecksum(of: raw))
    }

    private func decode(_ prefix: SuperChunkPrefix) throws -> SuperChunkPrefix {
        try prefix.encoded().withUnsafeBytes { raw in
            let header = try Self.fittingHeader(
                raw, frames: prefix.frames.count, chunks: prefix.chunks.count)
            return try SuperChunkPrefix(raw, header: header)
        }
    }

    private func frame(_ raw: UInt32, stored: UInt32? = nil) -> SuperChunkPrefix.Frame {
        SuperChunkPrefix.Frame(
            storedBytes: stored ?? raw, rawBytes: raw, codec: stored == nil ? 0 : 1,
            checksum: BodyChecksum(low: 1, high: 2))
    }

    private func chunk(_ raw: UInt32) -> SuperChunkPrefix.Chunk {
        SuperChunkPrefix.Chunk(name: .zero, rawBytes: raw, domain: .data)
    }

    func testPlacements() throws {
        let prefix = try decode(
            SuperChunkPrefix(
                frames: [frame(30, stored: 7), frame(5), frame(9)],
                chunks: [10, 20, 5, 1, 8].map(chunk)))
        let placements = prefix.placements()
        XCTAssertEqual(placements.map(\.frame), [0, 0, 1, 2, 2])
        XCTAssertEqual(placements.map(\.offset), [0, 10, 0, 0, 1])
    }

    /// Placements of random prefixes are contiguous and stay within their frames.
    func testPlacementsFillFrames() throws {
        var generator = SeededGenerator.announced("placements")
        for _ in 0..<500 {
            let prefix = try decode(generator.superChunkPrefix())
            var used = prefix.frames.map { _ in 0 }
            for (chunk, place) in zip(prefix.chunks, prefix.placements()) {
                XCTAssertEqual(place.offset, used[place.frame])
                used[place.frame] += Int(chunk.rawBytes)
            }
            XCTAssertEqual(used, prefix.frames.map { Int($0.rawBytes) })
        }
    }

    func testFramesAndChunksThatDoNotFitAreRefused() {
        let refused: [SuperChunkPrefix] = [
            SuperChunkPrefix(frames: [frame(30)], chunks: [chunk(29)]),
            SuperChunkPrefix(frames: [frame(30)], chunks: [chunk(31)]),
            SuperChunkPrefix(frames: [frame(30)], chunks: []),
            SuperChunkPrefix(frames: [], chunks: [chunk(1)]),
            SuperChunkPrefix(frames: [frame(30)], chunks: [chunk(30), chunk(0)]),
            SuperChunkPrefix(frames: [frame(10), frame(10)], chunks: [chunk(20)]),
            SuperChunkPrefix(frames: [frame(10), frame(10)], chunks: [chunk(5), chunk(15)]),
            SuperChunkPrefix(frames: [frame(10), frame(10)], chunks: [chunk(10)]),
            SuperChunkPrefix(frames: [frame(10), frame(0, stored: 9)], chunks: [chunk(10)]),
            SuperChunkPrefix(frames: [frame(65 << 20)], chunks: [chunk(65 << 20)]),
        ]
        for prefix in refused {
            XCTAssertThrowsError(try decode(prefix), "\(prefix)") {
                guard case .badValue = $0 as? FormatError else { return XCTFail("\($0)") }
            }
        }
    }

    func testHeadersThatDoNotFitAreRefused() throws {
        let prefix = SuperChunkPrefix(frames: [frame(30, stored: 7)], chunks: [chunk(30)])
        try prefix.encoded().withUnsafeBytes { raw in
            let header = try Self.fittingHeader(raw, frames: 1, chunks: 1)
            XCTAssertEqual(try SuperChunkPrefix(raw, header: header), prefix)
            let changes: [(inout RecordHeader) -> Void] = [
                { $0.storedBytes += 1 }, { $0.storedBytes = 4 }, { $0.rawBytes -= 1 },
                { $0.frameCount += 1 }, { $0.itemCount = .max }, { $0.bodyChecksum.low ^= 1 },
                { $0.bodyChecksum.high ^= 1 << 63 }, { $0.frameCount = 0 },
            ]
            for (index, change) in changes.enumerated() {
                var wrong = header
                change(&wrong)
                XCTAssertThrowsError(
                    try SuperChunkPrefix(raw, header: wrong), "change \(index)")
            }
        }
    }
}
