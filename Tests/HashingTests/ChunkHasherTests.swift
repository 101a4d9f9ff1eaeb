import DiskFormat
import Hashing
import XCTest

final class ChunkHasherTests: XCTestCase {
    /// FIPS 180-4's examples (NIST, "Examples with Intermediate Values"), and no bytes at all.
    private static let sha256: [(message: [UInt8], digest: String)] = [
        ([], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (Array("abc".utf8), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            [UInt8](repeating: 0x61, count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ]

    private static let sha512_256: [(message: [UInt8], digest: String)] = [
        ([], "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a"),
        (Array("abc".utf8), "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
        (
            Array(
                ("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                    + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu").utf8),
            "3928e184fb8690f840da3988121d31be65cb9d3ef83ee6146feac861e19b563a"
        ),
    ]

    func testKnownAnswers() throws {
        let answers = [(HashAlgorithm.sha256, Self.sha256), (.sha512_256, Self.sha512_256)]
        for (algorithm, known) in answers {
            let hasher = try ChunkHasher(algorithm)
            XCTAssertEqual(hasher.algorithm, algorithm)
            for (message, digest) in known {
                XCTAssertEqual(Self.name(message, .data, hasher).hexadecimal, digest)
            }
        }
    }

    /// A node's name is that of the tag and the bytes, and not of the bytes in another domain.
    func testDomainsAreApart() throws {
        for algorithm in HashAlgorithm.allCases {
            let hasher = try ChunkHasher(algorithm)
            let bytes = Array("the same bytes".utf8)
            let names = ChunkDomain.allCases.map { Self.name(bytes, $0, hasher) }
            XCTAssertEqual(Set(names).count, ChunkDomain.allCases.count)
            for (domain, name) in zip(ChunkDomain.allCases, names) {
                let tag = domain.tag.withUTF8Buffer { Array($0) }
                XCTAssertEqual(name, Self.name(tag + bytes, .data, hasher), "\(domain)")
            }
        }
    }

    func testPiecesGiveTheNameOfTheWhole() throws {
        var generator = SeededGenerator()
        for algorithm in HashAlgorithm.allCases {
            let hasher = try ChunkHasher(algorithm)
            for domain in ChunkDomain.allCases {
                let bytes = generator.bytes(Int.random(in: 0...10_000, using: &generator))
                let whole = Self.name(bytes, domain, hasher)
                hasher.begin(domain: domain)
                var position = 0
                while position < bytes.count {
                    let count = Int.random(in: 0...bytes.count - position, using: &generator)
                    bytes[position..<position + count].withUnsafeBytes { hasher.update($0) }
                    position += count
                }
                XCTAssertEqual(hasher.finish(), whole)
            }
        }
    }

    func testBeginForgetsWhatWasNotFinished() throws {
        let hasher = try ChunkHasher(.sha256)
        hasher.begin(domain: .tree)
        Array("forgotten".utf8).withUnsafeBytes { hasher.update($0) }
        hasher.begin(domain: .data)
        Array("abc".utf8).withUnsafeBytes { hasher.update($0) }
        XCTAssertEqual(hasher.finish().hexadecimal, Self.sha256[1].digest)
        // And the one-shot form is free again.
        XCTAssertEqual(
            Self.name(Self.sha256[1].message, .data, hasher).hexadecimal, Self.sha256[1].digest)
    }

    func testHashersOfSeveralThreadsAgree() throws {
        let bytes = [UInt8](repeating: 0x61, count: 1_000_000)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            do {
                let hasher = try ChunkHasher(.sha256)
                for _ in 0..<4 {
                    XCTAssertEqual(
                        Self.name(bytes, .data, hasher).hexadecimal, Self.sha256[3].digest)
                }
            } catch {
                XCTFail("\(error)")
            }
        }
    }

    private static func name(_ bytes: [UInt8], _ domain: ChunkDomain, _ hasher: ChunkHasher)
        -> ChunkName
    {
        bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
    }
}
