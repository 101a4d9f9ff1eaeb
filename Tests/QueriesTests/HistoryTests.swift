import DiskFormat
@testable import Queries
import XCTest

/// Versions over snapshots, without a store.
final class HistoryTests: XCTestCase {
    private func file(_ path: String, size: UInt64) -> FoundFile {
        var image = InodeImage(inode: 7, generation: 1, mode: 0o100644)
        image.size = size
        return FoundFile(path: Array(path.utf8), image: image)
    }

    private func difference(
        _ path: String, from old: UInt64?, to new: UInt64?
    ) -> FileDifference {
        FileDifference(
            path: Array(path.utf8), old: old.map { file(path, size: $0).image },
            new: new.map { file(path, size: $0).image },
            aspects: old == nil || new == nil ? [] : .content)
    }

    private func take(_ all: inout AllSnapshots, _ differences: [FileDifference]) {
        var left = differences[...]
        all.takeNext { left.popFirst() }
    }

    func testHitsOfManySnapshots() {
        var all = AllSnapshots { $0.image.size >= 10 }
        all.take(file("a", size: 10))
        all.take(file("b", size: 5))
        all.take(file("c", size: 50))
        take(&all, [difference("b", from: 5, to: 20), difference("c", from: 50, to: nil)])
        take(&all, [])
        take(&all, [difference("a", from: 10, to: 3), difference("c", from: nil, to: 50)])
        take(&all, [difference("b", from: 20, to: 30)])
        let found = all.found.map {
            "\(String(decoding: $0.file.path, as: UTF8.self)) \($0.file.image.size) "
                + "\($0.snapshots.lowerBound)-\($0.snapshots.upperBound)"
        }
        XCTAssertEqual(found, ["a 10 0-2", "b 20 1-3", "b 30 4-4", "c 50 0-0", "c 50 3-4"])
    }

    func testVersionsOfAPath() {
        func versions(_ wanted: FileDifference.Aspects) -> [String] {
            var history = PathHistory(wanted: wanted)
            let one = file("a", size: 1).image
            history.take(nil, aspects: [])
            history.take(one, aspects: [])
            history.take(one, aspects: .owner)
            history.take(one, aspects: .content)
            history.take(one, aspects: [])
            history.take(nil, aspects: [])
            history.take(one, aspects: [])
            return history.versions.map {
                "\($0.image == nil ? "-" : "+")\($0.aspects.rawValue) \($0.snapshots)"
            }
        }
        XCTAssertEqual(
            versions(.all),
            ["-0 0...0", "+0 1...1", "+8 2...2", "+2 3...4", "-0 5...5", "+0 6...6"])
        XCTAssertEqual(
            versions(.content), ["-0 0...0", "+0 1...2", "+2 3...4", "-0 5...5", "+0 6...6"])
    }
}
