import EndToEndSupport
import Foundation
import XCTest

/// Differences of files with holes and zeros: filesystems have holes at their own places, a mount has
/// them at any byte, and neither is another content.
final class SparseDifferenceTests: EndToEndTestCase {
    private static let punchHole: Int32 = 3
    private static let reserve: Int32 = 1

    private func change(_ path: String, _ edits: [(at: Int, bytes: [UInt8])]) throws {
        try System.with(path, O_RDWR | O_CREAT) { file throws(SystemError) in
            for edit in edits { try System.write(file, edit.bytes, at: edit.at) }
        }
    }

    private func allocate(_ path: String, _ mode: Int32, _ range: Range<Int>) throws {
        try System.with(path, O_RDWR) { file throws(SystemError) in
            try System.allocate(file, mode, range.lowerBound, range.count)
        }
    }

    /// Files that have holes and zeros wherever they can be, in a directory.
    private func fill(_ folder: String, _ random: inout SeededGenerator) throws {
        for name in ["odd", "odd too", "grows", "shrinks"] {
            let path = "\(folder)/\(name)"
            try change(path, [(1000, random.bytes(1000)), (70_001, random.bytes(5))])
            try System.check(truncate(path, 300_001))
        }
        for name in ["big", "punched", "filled"] {
            try System.writeFile("\(folder)/\(name)", random.bytes(2_000_000))
        }
        for name in ["big", "filled"] {
            try allocate("\(folder)/\(name)", Self.punchHole, 1_000_001..<1_200_003)
        }
        try change("\(folder)/zeros", [(0, random.bytes(50_000)), (250_000, [1, 2, 3])])
        try change("\(folder)/zeros", [(50_000, [UInt8](repeating: 0, count: 200_000))])
        try change("\(folder)/reserved", [(3, [7])])
        try allocate("\(folder)/reserved", Self.reserve, 100_001..<200_002)
        try change("\(folder)/hole alone", [])
        try System.check(truncate("\(folder)/hole alone", 5_000_001))
    }

    private func edit(_ folder: String, _ random: inout SeededGenerator) throws {
        try change("\(folder)/odd", [(150_000, [1, 2, 3])])
        try change("\(folder)/grows", [(400_003, [9])])
        try System.check(truncate("\(folder)/shrinks", 1500))
        try change("\(folder)/big", [(500_000, [1, 2, 3]), (1_500_000, [4, 5, 6])])
        try allocate("\(folder)/punched", Self.punchHole, 700_007..<1_100_001)
        try change("\(folder)/filled", [(1_000_001, random.bytes(200_002))])
        try change("\(folder)/zeros", [(100_000, [5])])
        try change("\(folder)/reserved", [(150_000, [8])])
        try change("\(folder)/hole alone", [(2_500_000, random.bytes(10))])
        try change("\(folder)/added", [(10_000, [1]), (90_009, [0, 0, 2])])
        try System.check(truncate("\(folder)/added", 1_000_003))
        try System.check(chmod("\(folder)/odd too", 0o600))
    }

    private func allocatedBytes(_ path: String) throws -> Int {
        Int(try System.status(path).st_blocks) * 512
    }

    private func makeDifference(_ base: String, _ target: String, _ name: String) throws -> String {
        let file = path(name)
        let made = try ashlar([
            "stream", "diff", "--base", base, "--target", target, "--output", file,
        ])
        XCTAssertEqual(made.code, 1, made.errors)
        return file
    }

    /// There, once more, and back.
    private func assertApplies(_ file: String, to base: String, giving target: String) throws {
        let work = path("work")
        try mustRun(["cp", "-a", "--sparse=always", base, work])
        for (words, tree) in [
            ([], target), ([], target), (["--reverse"], base), (["--reverse"], base), ([], target),
        ] {
            let applied = try ashlar(["apply"] + words + [work, file])
            XCTAssertEqual(applied.code, 0, "\(file): \(applied.errors)")
            try assertEqualTrees(tree, work)
        }
        // Less is a matter of the filesystem: blocks that a hole begins or ends in are whole.
        for name in ["hole alone", "added", "punched"] {
            let (wanted, made) = (
                try allocatedBytes("\(target)/\(name)"), try allocatedBytes("\(work)/\(name)")
            )
            XCTAssertLessThan(made, wanted + 65_536, "\(file): holes of \(name) are gone")
        }
        XCTAssertEqual(Cleaning.removeTree(work), 0)
    }

    /// There and back, from a snapshot of a store to others.
    private func assertApplies(
        _ file: String, in store: String, from name: String, base: String, target: String
    ) throws {
        let made = "\(name)-\(URL(fileURLWithPath: file).lastPathComponent)"
        for (words, from, to, tree) in [
            ([], name, made, target), (["--reverse"], made, made + "-back", base),
        ] {
            let applied = try ashlar(["apply"] + words + ["\(store)@\(from)", file, "--name", to])
            XCTAssertEqual(applied.code, 0, "\(file): \(applied.errors)")
            let restored = path("restored")
            let result = try ashlar(["restore", store, to, restored])
            XCTAssertEqual(result.code, 0, result.errors)
            try assertEqualTrees(tree, restored)
            XCTAssertEqual(Cleaning.removeTree(restored), 0)
        }
    }

    /// Each pair of places that have the same makes a difference that every other can be given.
    func testEveryPlaceWithHoles() throws {
        var random = SeededGenerator()
        let place = try makePlace()
        let other = try makePlace("b")
        try place.mount()
        let live = place.path("tree")
        try System.check(mkdir(live, 0o755))
        try fill(live, &random)
        let (base, target) = (path("base"), path("target"))
        try mustRun(["cp", "-a", live, base])
        for name in ["one", "two"] {
            if name == "two" {
                try edit(live, &random)
                try mustRun(["cp", "-a", live, target])
            }
            let made = try ashlar(["snapshot", "create", "--source", live, other.store, name])
            XCTAssertEqual(made.code, 0, made.errors)
            let scanned = try ashlar([
                "snapshot", "create", "--source", name == "one" ? base : target, other.store,
                "scanned-\(name)",
            ])
            XCTAssertEqual(scanned.code, 0, scanned.errors)
            let streamed = try ashlar([
                "stream", "snapshot", "--content", "--source", name == "one" ? base : live,
                "--output", path("\(name).snap"),
            ])
            XCTAssertEqual(streamed.code, 0, streamed.errors)
        }
        try place.unmount()
        let files = [
            try makeDifference("\(other.store)@one", "\(other.store)@two", "stored.diff"),
            try makeDifference(base, target, "directories.diff"),
            try makeDifference(path("one.snap"), path("two.snap"), "files.diff"),
            try makeDifference("\(other.store)@one", target, "mixed.diff"),
        ]
        for file in files {
            try assertApplies(file, to: base, giving: target)
            for name in ["one", "scanned-one"] {
                try assertApplies(file, in: other.store, from: name, base: base, target: target)
            }
        }
        try other.mustBeClean()
    }
}
