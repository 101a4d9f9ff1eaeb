import ArgumentParser
import Console
import DiskFormat
import Foundation
import XCTest

@testable import ashlar

/// `ashlar mkfs`: its command line, and where it makes stores.
final class MakeTests: DirectoryTestCase {
    private func parameters(_ options: String...) throws -> StoreParameters {
        try MakeArguments.parse(["/nowhere"] + options).parameters()
    }

    private func refusal(_ options: String...) -> String? {
        do {
            _ = try MakeArguments.parse(["/nowhere"] + options).parameters()
            return nil
        } catch let failure as CommandFailure {
            XCTAssertEqual(failure.kind, .usage)
            return failure.message
        } catch {
            return "\(error)"
        }
    }

    func testDefaults() throws {
        let made = try parameters()
        let wanted = StoreParameters(storeID: made.storeID, secret: made.secret)
        XCTAssertEqual(made, wanted)
        XCTAssertTrue(made.areSane)
        XCTAssertNotEqual(made.storeID, try parameters().storeID)
        XCTAssertNotEqual(made.secret, try parameters().secret)
        XCTAssertEqual(made.storeID.high >> 12 & 15, 4, "a version 4 UUID")
    }

    func testEveryOption() throws {
        let made = try parameters(
            "--chunker", "fixed:64K", "--super-chunk-size", "2M", "--pack-size", "128M", "--hash",
            "sha512-256", "--compression", "zstd:9", "--volume", "other")
        XCTAssertEqual(made.chunker, .fixed(bytes: 65536))
        XCTAssertEqual(made.superChunkBytes, 2 << 20)
        XCTAssertEqual(made.packBytes, 128 << 20)
        XCTAssertEqual(made.hash, .sha512_256)
        XCTAssertEqual([made.codec, UInt8(made.level)], [1, 9])
        let plain = try parameters("--chunk-size", "16384", "--compression", "none")
        XCTAssertEqual(plain.chunker, .gear(meanBytes: 16384))
        XCTAssertEqual([plain.codec, UInt8(plain.level)], [0, 0])
        XCTAssertEqual(try parameters("--chunker", "gear:8K").chunker, .gear(meanBytes: 8192))
    }

    /// What the options accept, the format accepts.
    func testTheEndsOfAllRangesAreSane() throws {
        for size in ["4K", "8K", "1M", "4M"] {
            let made = try parameters("--chunk-size", size, "--super-chunk-size", "16M")
            XCTAssertTrue(made.areSane, size)
            XCTAssertTrue(
                try parameters("--chunker", "fixed:\(size)", "--super-chunk-size", "16M").areSane)
        }
        for size in ["1M", "16G"] { XCTAssertTrue(try parameters("--pack-size", size).areSane) }
    }

    func testRefusals() {
        XCTAssertEqual(
            refusal("--chunk-size", "2K"), "--chunk-size: 2K is not between 4K and 4M")
        XCTAssertEqual(refusal("--chunk-size", "48K"), "--chunk-size: 48K is no power of two")
        XCTAssertEqual(
            refusal("--chunk-size", "x\n"),
            #"--chunk-size: x\x0a is not a size: bytes, or a number with K, M or G"#)
        XCTAssertNotNil(refusal("--chunk-size", "32K", "--chunker", "fixed:32K"))
        XCTAssertNotNil(refusal("--chunker", "rabin:32K"))
        XCTAssertNotNil(refusal("--chunker", "fixed"))
        XCTAssertNotNil(refusal("--chunker", "fixed:5000"))
        XCTAssertNotNil(refusal("--super-chunk-size", "64M"))
        XCTAssertNotNil(refusal("--super-chunk-size", "64K"), "the longest chunk has 128K")
        XCTAssertNotNil(refusal("--pack-size", "1M", "--super-chunk-size", "2M"))
        XCTAssertNotNil(refusal("--pack-size", "17G"))
        XCTAssertNotNil(refusal("--hash", "md5"))
        XCTAssertNotNil(refusal("--compression", "zstd:20"))
        XCTAssertNotNil(refusal("--compression", "zstd"))
        XCTAssertNotNil(refusal("--volume", "-x"))
        XCTAssertNotNil(refusal("--volume", "a/b"))
        XCTAssertNotNil(refusal("--volume", ""))
    }

    // MARK: the place

    private func placeRefusal(_ path: String) -> CommandFailure? {
        failure { try StoreMaking.checkPlace(path) }
    }

    func testPlaces() throws {
        XCTAssertNil(placeRefusal(try makeDirectory("empty")))
        XCTAssertNil(placeRefusal(path("new")))
        XCTAssertNil(placeRefusal(path("new/")))
        XCTAssertEqual(placeRefusal(path("no/where"))?.kind, .notFound)
        let full = try makeDirectory("full")
        XCTAssertTrue(FileManager.default.createFile(atPath: full + "/x", contents: nil))
        XCTAssertEqual(placeRefusal(full)?.message, "\(full) is not empty")
        XCTAssertEqual(placeRefusal(full + "/x")?.message, "\(full)/x is not a directory")
        let store = try makeDirectory("store")
        _ = try makeDirectory("store/packs")
        XCTAssertEqual(placeRefusal(store)?.message, "\(store) is an Ashlar store already")
    }

    /// A name that Swift's strings cannot hold is a name too.
    func testAnOddNameIsNotNothing() throws {
        let odd = try makeDirectory("odd")
        let file = open(odd + "/", O_RDONLY)
        defer { close(file) }
        let name: [CChar] = [CChar(bitPattern: 0xff), 0]
        let made = openat(file, name, O_CREAT | O_WRONLY, 0o600)
        XCTAssertGreaterThanOrEqual(made, 0)
        close(made)
        XCTAssertEqual(placeRefusal(odd)?.message, "\(odd) is not empty")
    }

    func testMakingHandsOverAndReports() throws {
        let pipe = Pipe()
        let output = Output(
            program: "mkfs.ashlar",
            standardOutput: pipe.fileHandleForWriting.fileDescriptor)
        let making = StoreMaking(
            arguments: try MakeArguments.parse([path("s"), "--json", "--volume", "v"]),
            output: output)
        var made: [(String, StoreParameters, String)] = []
        try making.run { made.append(($0, $1, $2)) }
        try pipe.fileHandleForWriting.close()
        let object =
            try JSONSerialization.jsonObject(with: pipe.fileHandleForReading.availableData)
            as? [String: Any]
        XCTAssertEqual(made.count, 1)
        XCTAssertEqual(made.first?.0, path("s"))
        XCTAssertEqual(made.first?.2, "v")
        XCTAssertEqual(object?["store_id"] as? String, made.first?.1.storeID.description)
        XCTAssertEqual(object?["pack_size"] as? Int, 64 << 20)
    }
}
