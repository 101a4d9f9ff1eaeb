import DiskFormat
import Foundation
import Queries
import XCTest

final class FileQueryTests: XCTestCase {
    private func file(
        _ path: String, _ mode: UInt32 = 0o100644, size: UInt64 = 0, time: Int64 = 0,
        key: UInt8? = nil, inode: UInt64 = 7, links: UInt64 = 1
    ) -> FoundFile {
        var image = InodeImage(inode: inode, generation: 1, mode: mode, linkCount: links)
        image.size = size
        image.modificationTime = DiskTime(seconds: time, nanoseconds: 5)
        image.owner = 1000
        image.group = 100
        if let key, let name = ChunkName(hexadecimal: String(repeating: hex(key), count: 32)) {
            image.content = .chunk(name)
        }
        return FoundFile(path: Array(path.utf8), image: image)
    }

    private func hex(_ byte: UInt8) -> String {
        let text = String(byte, radix: 16)
        return text.count == 1 ? "0" + text : text
    }

    private func matches(_ file: FoundFile, _ change: (inout FileQuery) -> Void) -> Bool {
        var query = FileQuery()
        change(&query)
        return query.matches(file.path, file.image)
    }

    func testEachCriterion() {
        let one = file("a/b.ko", size: 1_500, time: 100, key: 0xab)
        XCTAssertTrue(matches(one) { _ in })
        XCTAssertTrue(matches(one) { $0.patterns = [Glob("*.o".utf8), Glob("*.ko".utf8)] })
        XCTAssertFalse(matches(one) { $0.patterns = [Glob("*.o".utf8)] })
        XCTAssertFalse(matches(one) { $0.excluded = [Glob("a/**".utf8)] })
        XCTAssertTrue(matches(one) { $0.minimumSize = 1_500 })
        XCTAssertFalse(matches(one) { $0.minimumSize = 1_501 })
        XCTAssertTrue(matches(one) { $0.maximumSize = 1_500 })
        XCTAssertFalse(matches(one) { $0.maximumSize = 1_499 })
        let then = DiskTime(seconds: 100, nanoseconds: 5)
        XCTAssertFalse(matches(one) { $0.modifiedAfter = then })
        XCTAssertTrue(matches(one) { $0.modifiedAfter = DiskTime(seconds: 100, nanoseconds: 4) })
        XCTAssertFalse(matches(one) { $0.modifiedBefore = then })
        XCTAssertTrue(matches(one) { $0.modifiedBefore = DiskTime(seconds: 100, nanoseconds: 6) })
        XCTAssertTrue(matches(one) { $0.owner = 1000 })
        XCTAssertFalse(matches(one) { $0.owner = 0 })
        XCTAssertFalse(matches(one) { $0.group = 0 })
        XCTAssertTrue(matches(one) { $0.hashPrefix = "abab" })
        XCTAssertFalse(matches(one) { $0.hashPrefix = "ac" })
        XCTAssertTrue(matches(one) { $0.kinds = [8] })
        XCTAssertFalse(matches(one) { $0.kinds = [4] })
        let directory = file("d", 0o040755)
        XCTAssertFalse(matches(directory) { $0.minimumSize = 0 }, "directories have no size")
        XCTAssertTrue(matches(directory) { $0.kinds = [4] })
    }

    func testKindsHaveTheLettersOfFind() {
        for (letter, mode) in zip("fdlbcps", [0o10, 0o4, 0o12, 0o6, 0o2, 0o1, 0o14] as [UInt32]) {
            XCTAssertEqual(FileQuery.kind(letter: letter), UInt8(mode))
            XCTAssertEqual(FileQuery.letter(ofMode: mode << 12 | 0o644), String(letter))
        }
        XCTAssertNil(FileQuery.kind(letter: "x"))
    }

    func testTopFilesAreThoseOfASort() {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap(UInt64.init)
        let seed = given ?? UInt64.random(in: 0 ... .max)
        print("\(#function): ASHLAR_SEED=\(seed)")
        var state = seed
        func random(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        for rank in FileRank.allCases {
            let files = (0..<300).map {
                file("f\($0)", size: random(40), time: Int64(random(40)))
            }
            var top = TopFiles(rank, limit: 25)
            for file in files { top.take(file) }
            top.take(file("directory", 0o040755, size: 1_000, time: 1_000))
            let sorted = files.sorted { rank.orders($0, before: $1) }
            XCTAssertEqual(top.files, Array(sorted.prefix(25)), "\(rank), ASHLAR_SEED=\(seed)")
        }
    }

    func testDuplicates() {
        var duplicates = Duplicates()
        duplicates.take(file("a", size: 10, key: 1, inode: 1))
        duplicates.take(file("b", size: 10, key: 1, inode: 2))
        duplicates.take(file("c", size: 100, key: 2, inode: 3))
        duplicates.take(file("d", size: 100, key: 2, inode: 4, links: 2))
        duplicates.take(file("d too", size: 100, key: 2, inode: 4, links: 2))
        duplicates.take(file("alone", size: 5, key: 3, inode: 5))
        duplicates.take(file("empty", inode: 6))
        let found = duplicates.found
        XCTAssertEqual(
            found.map { $0.paths.map { String(decoding: $0, as: UTF8.self) } },
            [
                ["c", "d"], ["a", "b"],
            ])
        XCTAssertEqual(found.map(\.sharedBytes), [100, 10])
    }
}
