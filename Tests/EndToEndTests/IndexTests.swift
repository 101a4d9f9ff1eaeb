import EndToEndSupport
import Foundation
import XCTest

/// The index is a hint: lost, spoiled, older or newer than the packs, it costs time and no data. Packs
/// that are older than what is known of them are another matter.
final class IndexTests: EndToEndTestCase {
    /// A store with some content, unmounted, and a copy of the content outside.
    private func makeFilled() throws -> (place: Place, reference: String) {
        var random = SeededGenerator()
        let reference = try makeDirectory("reference")
        for index in 0..<30 {
            try System.writeFile("\(reference)/\(index)", random.bytes(random.below(40_000)))
        }
        try System.check(link("\(reference)/0", "\(reference)/linked"))
        let place = try makePlace()
        try place.mount()
        try mustRun(["cp", "-a", reference, place.path("tree")])
        try place.unmount()
        return (place, reference)
    }

    private func expectTree(
        _ place: Place, _ reference: String, file: StaticString = #filePath, line: UInt = #line
    ) throws {
        try place.mount(file: file, line: line)
        try assertEqualTrees(reference, place.path("tree"), file: file, line: line)
        try System.writeFile(place.path("new"), [1, 2, 3])
        try place.unmount(file: file, line: line)
        try place.mustBeClean(file: file, line: line)
    }

    func testDeletedIndex() throws {
        let (place, reference) = try makeFilled()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mustBeClean()
        try expectTree(place, reference)
        // After a crash too.
        try place.mount()
        try System.writeFile(place.path("late"), [4, 5, 6], synchronized: true)
        try place.crash()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mount()
        XCTAssertEqual(try System.readFile(place.path("late")), [4, 5, 6])
        try place.unmount()
        try expectTree(place, reference)
    }

    func testSpoiledIndex() throws {
        var random = SeededGenerator()
        let (place, reference) = try makeFilled()
        let index = place.store + "/index"
        let names = try System.names(index).map { String(decoding: $0, as: UTF8.self) }
        for ending in [".sst", ".log", "CURRENT"] {
            for name in names where name.hasSuffix(ending) || name.hasPrefix("MANIFEST") {
                let path = index + "/" + name
                guard let old = try? System.readFile(path), !old.isEmpty else { continue }
                try System.writeFile(path, random.bytes(old.count))
            }
            try expectTree(place, reference)
        }
        // Something else in its place.
        XCTAssertEqual(Cleaning.removeTree(index), 0)
        try System.check(mkdir(index, 0o700))
        try System.writeFile(index + "/CURRENT", Array("nonsense\n".utf8))
        try expectTree(place, reference)
    }

    /// An index from a copy of the store that was made before the last changes.
    func testOlderIndex() throws {
        let (place, reference) = try makeFilled()
        try place.copyStore(to: path("copy"))
        try place.mount()
        try System.writeFile(place.path("tree/added"), [UInt8](repeating: 3, count: 100_000))
        try System.writeFile(reference + "/added", [UInt8](repeating: 3, count: 100_000))
        for name in ["5", "6"] {
            unlink(place.path("tree/" + name))
            unlink(reference + "/" + name)
        }
        try mustRun(["touch", "-r", reference + "/added", place.path("tree/added")])
        try mustRun(["touch", "-r", reference, place.path("tree")])
        try place.unmount()
        try place.restore("index", from: path("copy"))
        try place.mustBeClean(["-n"])
        try expectTree(place, reference)
    }

    /// An index of another store.
    func testForeignIndex() throws {
        let (place, reference) = try makeFilled()
        let other = try makePlace("b")
        try other.mount()
        try System.writeFile(other.path("else"), [1])
        try other.unmount()
        try place.restore("index", from: other.store)
        try expectTree(place, reference)
    }

    /// The newest packs lost their end, the index knows better: nothing may be written, since what is
    /// appended would take the place of what is lost.
    func testNewestPackWithoutItsEnd() throws {
        let (place, reference) = try makeFilled()
        let pack = try place.largestPack()
        let bytes = try System.readFile(pack)
        try place.copyStore(to: path("copy"))
        let losses: [() throws -> Void] = [
            { truncate(pack, off_t(bytes.count / 2)) }, { unlink(pack) },
            { try System.writeFile(pack, [UInt8](repeating: 0, count: bytes.count)) },
        ]
        for lose in losses {
            try lose()
            // Twice: the first look must not make the second forget.
            for _ in 0..<2 {
                let mounted = try place.tryMount()
                XCTAssertEqual(mounted.code, 0, mounted.errors)
                XCTAssertTrue(mounted.errors.contains("nothing is written"), mounted.errors)
                XCTAssertTrue(mounted.errors.contains("commit"), mounted.errors)
                assertFails(EROFS, "writing to a store that lost its end") {
                    try System.writeFile(place.path("new"), [1])
                }
                try place.unmount()
            }
            // Put back, everything is as it was.
            try System.writeFile(pack, bytes)
            try expectTree(place, reference)
            try place.restore(from: path("copy"))
        }
    }

    /// All packs of an older copy under the index of now. Whoever wants that state takes the index
    /// away.
    func testAllPacksOfAnOlderCopy() throws {
        let (place, reference) = try makeFilled()
        try place.copyStore(to: path("copy"))
        try place.mount()
        try System.writeFile(place.path("tree/added"), [UInt8](repeating: 3, count: 100_000))
        try place.unmount()
        try place.restore("packs", from: path("copy"))
        try place.mount()
        assertFails(EROFS, "writing to packs that are older than the index") {
            try System.writeFile(place.path("new"), [1])
        }
        try assertEqualTrees(reference, place.path("tree"))
        try place.unmount()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try expectTree(place, reference)
    }
}
