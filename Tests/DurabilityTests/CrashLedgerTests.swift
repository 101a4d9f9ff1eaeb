import XCTest

/// The judge of the crash tests is itself judged: what it must refuse, it refuses.
final class CrashLedgerTests: XCTestCase {
    private typealias File = FoundDirectory.File

    private func name(_ changes: [(String, Int?)], _ begin: UInt64, _ end: UInt64) -> Deed {
        Deed(what: .names(changes.map { ($0.0, $0.1) }), begin: begin, end: end)
    }

    private func write(
        _ file: Int, _ bytes: [UInt8], at offset: Int = 0, _ begin: UInt64, _ end: UInt64
    ) -> Deed {
        Deed(what: .write(file: file, offset: offset, bytes: bytes), begin: begin, end: end)
    }

    /// A file that is written twice, and a new version that takes its place.
    private var replacing: [Deed] {
        [
            name([("target", 0)], 10, 11), write(0, [1, 1], 12, 13), write(0, [2], at: 2, 14, 15),
            name([("new", 1)], 20, 21), write(1, [3, 3, 3], 22, 23),
            name([("target", 1), ("new", nil)], 24, 25),
        ]
    }

    private func complaint(
        _ found: [String: File], promised: UInt64, deeds: [Deed]? = nil
    ) -> String? {
        CutSearch(
            [CrashLedger.State(deeds: deeds ?? replacing)],
            [FoundDirectory(found)], promised: promised
        ).complaint()
    }

    func testStatesThatMayBe() {
        XCTAssertNil(complaint([:], promised: 0))
        XCTAssertNil(complaint(["target": File(inode: 1, bytes: [])], promised: 0))
        XCTAssertNil(complaint(["target": File(inode: 1, bytes: [1, 1, 2])], promised: 18))
        let both = ["target": File(inode: 1, bytes: [1, 1, 2]), "new": File(inode: 2, bytes: [])]
        XCTAssertNil(complaint(both, promised: 18))
        XCTAssertNil(complaint(["target": File(inode: 2, bytes: [3, 3, 3])], promised: 30))
    }

    func testWhatWasPromisedIsMissing() {
        XCTAssertNotNil(complaint([:], promised: 18))
        XCTAssertNotNil(complaint(["target": File(inode: 1, bytes: [1, 1])], promised: 18))
        XCTAssertNotNil(complaint(["target": File(inode: 1, bytes: [1, 1, 2])], promised: 30))
    }

    func testBytesThatNoVersionHas() {
        // Empty or mixed after the rename; zeros; a later write without an earlier one.
        XCTAssertNotNil(complaint(["target": File(inode: 2, bytes: [])], promised: 23))
        XCTAssertNotNil(complaint(["target": File(inode: 2, bytes: [3, 3])], promised: 0))
        XCTAssertNotNil(complaint(["target": File(inode: 1, bytes: [0, 0])], promised: 0))
        XCTAssertNotNil(complaint(["target": File(inode: 1, bytes: [0, 0, 2])], promised: 0))
    }

    /// Pages of one write, while it has not returned; never when it has.
    func testAWriteIsCutAtPages() {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 / 100) }
        let deeds = [
            name([("log", 0)], 1, 2), write(0, Array(bytes[..<1000]), 3, 4),
            write(0, Array(bytes[1000...]), at: 1000, 5, .max),
        ]
        for (count, isRight) in [(1000, true), (4096, true), (8192, true), (5000, false)] {
            let found = ["log": File(inode: 1, bytes: Array(bytes[..<count]))]
            XCTAssertEqual(complaint(found, promised: 5, deeds: deeds) == nil, isRight, "\(count)")
        }
        var returned = deeds
        returned[2].end = 6
        let found = ["log": File(inode: 1, bytes: Array(bytes[..<4096]))]
        XCTAssertNotNil(complaint(found, promised: 7, deeds: returned))
    }

    func testNamesThatNoMomentHad() {
        XCTAssertNotNil(complaint(["new": File(inode: 2, bytes: [3, 3, 3])], promised: 0))
        let linked = [name([("a", 0)], 1, 2), name([("b", 0)], 3, 4), name([("c", 1)], 5, 6)]
        let file = File(inode: 1, bytes: [])
        let other = File(inode: 2, bytes: [])
        XCTAssertNil(complaint(["a": file, "b": file, "c": other], promised: 9, deeds: linked))
        XCTAssertNotNil(complaint(["a": file, "b": other, "c": other], promised: 9, deeds: linked))
        XCTAssertNotNil(complaint(["a": file, "b": file, "c": file], promised: 9, deeds: linked))
    }

    /// One writer's state is of before another's, and the other way round.
    func testNoCommonMoment() {
        let first = CrashLedger.State(deeds: [name([("a", 0)], 10, 11)])
        let second = CrashLedger.State(deeds: [name([("b", 0)], 20, 21)])
        let file = File(inode: 1, bytes: [])
        let early = CutSearch(
            [first, second], [FoundDirectory(["a": file]), FoundDirectory()], promised: 0)
        XCTAssertNil(early.complaint())
        let torn = CutSearch(
            [first, second], [FoundDirectory(), FoundDirectory(["b": file])], promised: 0)
        XCTAssertNotNil(torn.complaint())
    }
}
