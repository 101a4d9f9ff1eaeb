// A sound store has no problems, at every depth, and its report says what is in it.
import Backends
import DiskFormat
import XCTest

@testable import Checking

final class SoundStoreTests: XCTestCase {
    func testSoundStoreHasNoProblems() throws {
        for commits in [false, true] {
            let scene = try Scene(commits: commits)
            for depth in [CheckDepth.quick, .full, .deep] {
                let report = try scene.check(depth)
                XCTAssertEqual(report.complaints, [], report.text)
                XCTAssertEqual(report.problemsNotListed, 0)
            }
        }
    }

    func testReportCounts() throws {
        let scene = try Scene()
        let report = try scene.check()
        let volume = try XCTUnwrap(report.summary.volumes.first)
        let images = scene.volume.images.values.filter { $0.linkCount > 0 }
        XCTAssertEqual(volume.files, UInt64(images.count { $0.mode >> 12 == 8 }))
        XCTAssertEqual(volume.directories, UInt64(images.count { $0.mode >> 12 == 4 }))
        XCTAssertEqual(volume.others, 1)
        XCTAssertEqual(
            volume.logicalBytes,
            images.filter { $0.mode >> 12 == 8 }.reduce(0) { $0 + $1.size })
        XCTAssertEqual(volume.linkedInodes, 2)
        XCTAssertEqual(volume.orphans, 1)
        XCTAssertEqual(report.summary.commitsToReplay, 3)
        XCTAssertEqual(report.summary.sequence, 4)
        XCTAssertEqual(report.summary.chunks, UInt64(scene.store.contents.count))
        XCTAssertTrue(report.problems.contains { $0.kind == .logWaits })
    }

    func testCheckpointOnTopLeavesNothingToReplay() throws {
        let scene = try Scene()
        scene.volume.folded = [
            ExtentChange(inode: try scene.inode("long"), range: 0..<1, pieces: [])
        ]
        try scene.volume.checkpoint()
        let report = try scene.check(.deep)
        XCTAssertEqual(report.complaints, [], report.text)
        XCTAssertFalse(report.problems.contains { $0.kind == .logWaits })
    }

    func testManyNodesAndTwoVolumes() throws {
        var options = SmallStore.Options()
        options.compressesCommits = true
        let scene = try Scene(options, names: 2_000)
        let second = SmallVolume(scene.store, name: "second", number: 2)
        second.chunkBytes = 100
        var random = SeededGenerator(seed: 5)
        try second.makeFile("huge", random.bytes(200_000))
        scene.volume.folded = [
            ExtentChange(inode: try scene.inode("long"), range: 0..<1, pieces: [])
        ]
        try scene.store.commit(
            [try scene.volume.checkpointSection(), try second.checkpointSection()],
            isCheckpoint: true)
        let report = try scene.check(.deep)
        XCTAssertEqual(report.complaints, [], report.text)
        XCTAssertEqual(report.summary.volumes.map(\.name), ["data", "second"])
    }

    func testTornTailsAreNormal() throws {
        let scene = try Scene()
        let v = scene.volume
        try v.makeFile("never", [UInt8](repeating: 3, count: 100))
        let before = try scene.store.backend.bytes(scene.store.main.id).count
        try v.commit()
        let whole = try scene.store.backend.bytes(scene.store.main.id).count
        // Every cut within the last commit leaves the state before it.
        for length in stride(from: before + 1, to: whole, by: 7) {
            let cut = try scene.store.backend.damaging(scene.store.main.id) {
                $0.removeSubrange(length...)
            }
            let report = try checkStore(cut)
            XCTAssertEqual(report.complaints, [], "cut at \(length): \(report.text)")
            XCTAssertEqual(report.summary.sequence, 4)
        }
    }

    func testProgressIsToldAndCancels() throws {
        let scene = try Scene()
        var stages: Set<String> = []
        var last: [String: UInt64] = [:]
        let monitor = CheckMonitor(progress: { stage, done, _ in
            stages.insert(stage.rawValue)
            XCTAssertGreaterThanOrEqual(done, last[stage.rawValue] ?? 0)
            last[stage.rawValue] = done
        })
        _ = try StoreCheck.run(scene.store.backend, monitor: monitor)
        XCTAssertEqual(stages, ["packs", "chunks", "bodies", "volumes"])
        for limit in 0..<30 {
            var calls = 0
            let impatient = CheckMonitor(isCancelled: {
                calls += 1
                return calls > limit
            })
            XCTAssertThrowsError(try StoreCheck.run(scene.store.backend, monitor: impatient)) {
                guard case CheckingError.cancelled = $0 else { return XCTFail("\($0)") }
            }
        }
    }

    func testDeepCheckGoesOnFromItsNote() throws {
        let scene = try Scene()
        let bad = scene.store.backend.copy()
        let inventory = try Inventory(bad)
        let total = inventory.records.count { $0.kind == .superChunk }
        var note: [UInt8]?
        var bodies = 0
        let monitor = CheckMonitor(
            progress: { stage, _, _ in if stage == .bodies { bodies += 1 } },
            isCancelled: { bodies > total / 2 }, note: { note = $0 })
        XCTAssertThrowsError(
            try StoreCheck.run(bad, options: CheckOptions(depth: .deep), monitor: monitor))
        var options = CheckOptions(depth: .deep)
        options.resumeNote = try XCTUnwrap(note)
        let rest = try StoreCheck.run(bad, options: options)
        let all = try scene.check(.deep)
        XCTAssertLessThan(rest.summary.verifiedBytes, all.summary.verifiedBytes * 3 / 4)
        XCTAssertGreaterThan(rest.summary.verifiedBytes, 0)
        // A note of another state, or bytes that are none, begin at the beginning.
        for note in [[UInt8](repeating: 0, count: 200), Array(try XCTUnwrap(note).dropLast())] {
            options.resumeNote = note
            XCTAssertEqual(
                try StoreCheck.run(bad, options: options).summary.verifiedBytes,
                all.summary.verifiedBytes)
        }
        options.resumeNote = note
        try scene.volume.makeFile("new", [1])
        try scene.volume.commit()
        XCTAssertGreaterThanOrEqual(
            try StoreCheck.run(scene.store.backend, options: options).summary.verifiedBytes,
            all.summary.verifiedBytes)
    }
}
