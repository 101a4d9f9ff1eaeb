import XCTest

@testable import DiskFormat

/// Integers and counted bytes: what is written is read back, and nothing else is believed.
final class ByteCodingTests: XCTestCase {
    private let edges: [UInt64] = [0, 1, 127, 128, 16383, 16384, 1 << 32, .max - 1, .max]

    func testVariableIntegersRoundTrip() throws {
        for value in edges {
            var writer = ByteWriter()
            writer.variable(value)
            try writer.bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw, "test")
                XCTAssertEqual(try reader.variable("value"), value)
                try reader.expectEnd()
            }
        }
    }

    func testSignedVariableIntegersRoundTrip() throws {
        for value in [0, 1, -1, 63, -64, 64, Int64.max, Int64.min] {
            var writer = ByteWriter()
            writer.signedVariable(value)
            try writer.bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw, "test")
                XCTAssertEqual(try reader.signedVariable("value"), value)
            }
        }
    }

    func testLongFormsAndOverflowsAreRefused() throws {
        let refused: [[UInt8]] = [
            [0x80, 0x00], [0xff], [],
            [UInt8](repeating: 0xff, count: 10),
            [UInt8](repeating: 0x80, count: 9) + [0x02],
        ]
        for bytes in refused {
            try bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw, "test")
                XCTAssertThrowsError(try reader.variable("value"), "\(bytes)")
            }
        }
    }

    func testCountsThatCannotBeThereAreRefused() throws {
        var writer = ByteWriter()
        writer.variable(1 << 60)
        writer.zeros(100)
        try writer.bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw, "test")
            XCTAssertThrowsError(try reader.itemCount(itemBytes: 8, "items"))
            var second = ByteReader(raw, "test")
            XCTAssertThrowsError(try second.counted(limit: 64, "bytes"))
        }
    }
}
