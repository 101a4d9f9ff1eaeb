import Compression
import Dispatch
import XCTest

final class CompressionPoolTests: XCTestCase {
    func testManyThreadsShareAPool() {
        let pool = CompressionPool(idleMax: 2)
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            var generator = SeededGenerator(seed: UInt64(thread))
            for round in 0..<20 {
                let bytes = Samples.text(10_000 + round, using: &generator)
                XCTAssertEqual(Self.roundTrip(bytes, pool), bytes)
            }
        }
        XCTAssertGreaterThan(pool.idleMemoryBytes, 0)
    }

    func testKeepsNoMoreThanAllowed() throws {
        let pool = CompressionPool(idleMax: 1)
        XCTAssertEqual(pool.idleMemoryBytes, 0)
        try pool.withDecompressor { first throws(CompressionError) in
            try pool.withDecompressor { second throws(CompressionError) in
                XCTAssertFalse(first === second)
            }
        }
        XCTAssertEqual(pool.idleMemoryBytes, try Decompressor().memoryBytes)
        pool.trim()
        XCTAssertEqual(pool.idleMemoryBytes, 0)
    }

    func testContextsComeBackAfterErrors() throws {
        let pool = CompressionPool(idleMax: 1)
        var target = [UInt8](repeating: 0, count: 10)
        let noise = [UInt8](repeating: 7, count: 10)
        XCTAssertThrowsError(
            try noise.withUnsafeBytes { source in
                try target.withUnsafeMutableBytes { target in
                    try pool.decompress(source, codec: .zstd, into: target)
                }
            })
        XCTAssertEqual(pool.idleMemoryBytes, try Decompressor().memoryBytes)
    }

    func testCodecNoneCopiesExactlyOrRefuses() throws {
        let pool = CompressionPool(idleMax: 1)
        var target = [UInt8](repeating: 0, count: 3)
        let source: [UInt8] = [1, 2, 3]
        try source.withUnsafeBytes { source in
            try target.withUnsafeMutableBytes { target in
                XCTAssertNil(pool.compress(source, into: target, method: .none))
                try pool.decompress(source, codec: .none, into: target)
                let short = UnsafeMutableRawBufferPointer(rebasing: target[..<2])
                XCTAssertThrowsError(try pool.decompress(source, codec: .none, into: short)) {
                    XCTAssertEqual(
                        $0 as? CompressionError, .wrongContentLength(expected: 2, found: 3))
                }
            }
        }
        XCTAssertEqual(target, source)
    }

    private static func roundTrip(_ bytes: [UInt8], _ pool: CompressionPool) -> [UInt8]? {
        var frame = [UInt8](repeating: 0, count: bytes.count)
        var result = [UInt8](repeating: 0, count: bytes.count)
        return bytes.withUnsafeBytes { source in
            frame.withUnsafeMutableBytes { frame in
                result.withUnsafeMutableBytes { result -> [UInt8]? in
                    let length = pool.compress(source, into: frame, method: .standard)
                    guard let length else { return nil }
                    let stored = UnsafeRawBufferPointer(rebasing: frame[..<length])
                    guard (try? pool.decompress(stored, codec: .zstd, into: result)) != nil
                    else { return nil }
                    return Array(result)
                }
            }
        }
    }
}
