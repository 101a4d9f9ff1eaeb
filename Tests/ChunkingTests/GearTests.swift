import CKernels
import XCTest

final class GearTests: XCTestCase {
    func testTheOracleKnowsSHA256() {
        let hexadecimal = Twins.sha256(Array("abc".utf8)).map { String(format: "%02x", $0) }
        XCTAssertEqual(
            hexadecimal.joined(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    /// The table is part of the disk format.
    func testTableIsDerivedAsDocumented() {
        for byte in 0..<256 {
            let digest = Twins.sha256(Array("ashlar gear table 1".utf8) + [UInt8(byte)])
            let word = digest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            XCTAssertEqual(Twins.gearTable[byte], word, "byte \(byte)")
        }
    }

    func testScansFindWhatTheDefinitionSays() {
        var generator = SeededGenerator()
        let masks: [(strict: UInt64, loose: UInt64)] = [
            (0, 0), (~0 << 58, ~0 << 61), (~0 << 50, ~0 << 56), (0x5500, 0x1100), (1, 0), (~0, 1),
        ]
        let lengths = [0, 1, 2, 3, 63, 64, 1023, 1024, 1025, 1026, 1027, 4096, 5001]
        for length in lengths {
            var bytes = generator.bytes(63 + length)
            if length > 2000 {
                let flat = generator.next() % 1000
                for index in Int(flat)..<Int(flat) + 500 { bytes[index] = 7 }
            }
            for mask in masks {
                let expected = (0..<length).map { $0 + 1 }.compactMap { position -> UInt32? in
                    let hash = Twins.gearHash(bytes[position - 1..<63 + position])
                    guard hash & mask.loose == 0 else { return nil }
                    return UInt32(position) | (hash & mask.strict == 0 ? ASHLAR_GEAR_STRICT : 0)
                }
                XCTAssertEqual(scan(bytes, mask, ashlar_gear_scan), expected)
                XCTAssertEqual(scan(bytes, mask, ashlar_gear_scan_serial), expected)
            }
        }
    }

    /// Both scans promise to write no further than one entry a byte.
    func testEveryPositionMayBeACandidate() {
        let bytes = [UInt8](repeating: 65, count: 63 + 5003)
        let found = scan(bytes, (0, 0), ashlar_gear_scan)
        XCTAssertEqual(found, (1...5003).map { UInt32($0) | ASHLAR_GEAR_STRICT })
    }

    private typealias Scan = (
        UnsafePointer<UInt64>?, UnsafePointer<UInt8>?, Int, UInt64, UInt64,
        UnsafeMutablePointer<UInt32>?
    ) -> Int

    /// Scans what is behind the first 63 bytes; checks that no more than the room was used.
    private func scan(
        _ bytes: [UInt8], _ mask: (strict: UInt64, loose: UInt64), _ kernel: Scan
    ) -> [UInt32] {
        let canary: UInt32 = 0xDEAD_BEEF
        let length = bytes.count - 63
        var positions = [UInt32](repeating: canary, count: length + 8)
        let found = bytes.withUnsafeBufferPointer { buffer in
            kernel(
                Twins.gearTable, buffer.baseAddress.map { $0 + 63 }, length, mask.strict,
                mask.loose, &positions)
        }
        XCTAssertEqual(positions.suffix(8), [UInt32](repeating: canary, count: 8)[...])
        return Array(positions.prefix(found))
    }
}
