// `ashlar optimize` on a mount and without one.
import EndToEndSupport
import Foundation
import XCTest

final class OptimizeTests: EndToEndTestCase {
    private func packBytes(_ place: Place) throws -> Int {
        try place.packs().reduce(0) {
            $0 + Int(try System.status(place.packsFolder + "/" + $1).st_size)
        }
    }

    /// Versions of some files, and what was read of each.
    private func fill(_ place: Place) throws -> [String: [UInt8]] {
        var random = SeededGenerator()
        var contents: [String: [UInt8]] = [:]
        let bases = (0..<8).map { _ in random.bytes(300_000) }
        for version in 0..<5 {
            for (number, base) in bases.enumerated() {
                var bytes = base
                for at in stride(from: version * 777, to: bytes.count, by: 9_000) where version > 0
                {
                    bytes[at] ^= UInt8(version)
                }
                contents["f\(number)-\(version)"] = bytes
            }
        }
        for (name, bytes) in contents.sorted(by: { $0.key < $1.key }) {
            try System.writeFile(place.path(name), bytes)
        }
        return contents
    }

    private func expect(_ contents: [String: [UInt8]], _ place: Place) throws {
        for (name, bytes) in contents {
            XCTAssertTrue(try System.readFile(place.path(name)) == bytes, name)
        }
    }

    func testAMountedStoreIsOptimized() throws {
        let place = try makePlace()
        try place.mount()
        let contents = try fill(place)
        try place.remount()
        let before = try packBytes(place)
        let result = try ashlar(["optimize", "--json", "--threads", "2", place.store])
        XCTAssertEqual(result.code, 0, result.errors)
        let told = try result.json()
        XCTAssertGreaterThan(try XCTUnwrap(told["rewritten_packs"] as? Int), 0)
        XCTAssertEqual(told["kept_packs"] as? Int, 0)
        XCTAssertLessThan(try packBytes(place), before / 2)
        try expect(contents, place)
        try place.crash()
        try place.mount()
        try expect(contents, place)
        try place.unmount()
        try place.mustBeClean()
        // And without a mount: what was done is left alone.
        let again = try ashlar(["optimize", "--json", place.store])
        XCTAssertEqual(again.code, 0, again.errors)
        XCTAssertEqual(try again.json()["rewritten_packs"] as? Int, 0)
        try place.mustBeClean()
    }

    func testBadWords() throws {
        let place = try makePlace()
        for words in [
            ["--level", "20"], ["--level", "0"], ["--super-chunk-size", "1K"],
            ["--super-chunk-size", "64M"], ["--threads", "0"], ["--rate", "1"],
        ] {
            let result = try ashlar(["optimize"] + words + [place.store])
            XCTAssertEqual(result.code, 2, "\(words) \(result.errors)")
            XCTAssertTrue(result.errors.contains(words[0]), result.errors)
        }
        XCTAssertNotEqual(try ashlar(["optimize", "/nowhere"]).code, 0)
    }
}
