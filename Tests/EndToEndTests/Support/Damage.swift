import EndToEndSupport
import Foundation
import XCTest

/// Spoiling a store's files on purpose.
extension Place {
    /// Where the bytes of a chunk lie: the file of the pack, and an offset in the record's body.
    struct ChunkPlace {
        var pack: String
        var recordOffset: Int
    }

    /// The names of the chunks that a file's content consists of, which must be mounted.
    func chunks(of name: String) throws -> [String] {
        let key = String(
            decoding: try System.attribute(path(name), "user.ashlar.key"), as: UTF8.self)
        let words = key.split(separator: ":").map(String.init)
        XCTAssertEqual(words.count, 2, key)
        if words[0] == "chunk" { return [words[1]] }
        let recipe = try test.ashlar(["dump", "--json", store, "recipe", words[1]]).json()
        let extents = try XCTUnwrap(recipe["extents"] as? [[String: Any]], "\(recipe)")
        return extents.compactMap { $0["chunk"] as? String }
    }

    /// Where a chunk lies, by the store's own word.
    func locate(_ chunk: String) throws -> ChunkPlace {
        let found = try test.ashlar(["dump", "--json", "--info", store, "chunk", chunk]).json()
        let place = try XCTUnwrap((found["places"] as? [[String: Any]])?.first, "\(found)")
        return ChunkPlace(
            pack: packsFolder + "/" + (try XCTUnwrap(place["pack"] as? String)) + ".pack",
            recordOffset: try XCTUnwrap((place["offset"] as? NSNumber)?.intValue))
    }

    /// Turns one bit of a file around.
    func flip(_ path: String, at offset: Int) throws {
        try System.with(path, O_RDWR) { file throws(SystemError) in
            let byte = try System.read(file, 1, at: offset)
            try System.write(file, [(byte.first ?? 0) ^ 0x10], at: offset)
        }
    }
}

/// What `fsck.ashlar --json` says.
struct CheckedStore {
    let code: Int32
    let verdict: String
    let problems: [[String: Any]]

    init(_ result: ProgramResult) throws {
        code = result.code
        let report = try result.json()
        verdict = try XCTUnwrap(report["verdict"] as? String)
        problems = try XCTUnwrap(report["problems"] as? [[String: Any]])
    }

    /// All paths that problems name, without the volume.
    var paths: Set<String> {
        Set(
            problems.flatMap { ($0["paths"] as? [[String: Any]]) ?? [] }
                .compactMap { $0["path"] as? String })
    }
}
