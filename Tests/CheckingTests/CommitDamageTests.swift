// Damaged commits: what is lost, what is not, and what is only a torn tail.
import DiskFormat
import XCTest

@testable import Checking

final class CommitDamageTests: XCTestCase {
    private func flippingCommit(_ scene: Scene, _ index: Int) throws -> CheckReport {
        let place = scene.store.commitPlaces[index]
        return try checkStore(
            try scene.store.backend.flipping(place.pack, at: place.offset + 60))
    }

    func testDamagedCommitWithSuccessorsIsLoss() throws {
        let scene = try Scene()
        for index in [1, 2] {
            let report = try flippingCommit(scene, index)
            XCTAssertEqual(report.complaints.count, 1, report.text)
            XCTAssertEqual(report.complaints.first?.kind, .commitDamaged)
            XCTAssertEqual(report.complaints.first?.severity, .loss)
            XCTAssertTrue(report.complaints[0].detail.contains("beyond"), report.text)
            XCTAssertEqual(report.summary.sequence, UInt64(index))
        }
    }

    func testDamagedHeaderOfACommitIsLoss() throws {
        let scene = try Scene()
        let place = scene.store.commitPlaces[2]
        let report = try checkStore(
            try scene.store.backend.flipping(place.pack, at: place.offset + 8))
        XCTAssertEqual(report.complaints.map(\.kind), [.rangeDamaged], report.text)
        XCTAssertEqual(report.complaints.first?.severity, .loss)
    }

    func testDamagedLastCommitIsATornTail() throws {
        let scene = try Scene()
        let report = try flippingCommit(scene, 3)
        XCTAssertEqual(report.complaints, [], report.text)
        XCTAssertEqual(report.summary.sequence, 3)
        XCTAssertTrue(report.problems.contains { $0.kind == .tornTail })
    }

    func testDamagedLastCommitOfASealedPackIsLoss() throws {
        let scene = try Scene()
        try scene.store.main.seal()
        let report = try flippingCommit(scene, 3)
        XCTAssertEqual(report.complaints.map(\.kind), [.commitDamaged], report.text)
        XCTAssertEqual(report.complaints.first?.severity, .loss)
    }

    func testOldCommitIsNotNeeded() throws {
        let scene = try Scene()
        scene.volume.folded = [
            ExtentChange(inode: try scene.inode("long"), range: 0..<1, pieces: [])
        ]
        try scene.volume.checkpoint()
        for index in 0...2 {
            let report = try flippingCommit(scene, index)
            XCTAssertEqual(report.complaints.map(\.kind), [.commitDamaged], report.text)
            XCTAssertEqual(report.complaints.first?.severity, .warning, report.text)
            XCTAssertEqual(report.summary.sequence, 5)
        }
    }

    func testWithoutACheckpointThereIsNoState() throws {
        let scene = try Scene()
        let report = try flippingCommit(scene, 0)
        XCTAssertEqual(report.complaints.map(\.kind), [.commitDamaged], report.text)
        XCTAssertEqual(report.complaints.first?.severity, .loss)
        XCTAssertTrue(report.complaints[0].detail.contains("no checkpoint"))
        let place = scene.store.commitPlaces[0]
        let damaged = try scene.store.backend.flipping(place.pack, at: place.offset + 60)
        XCTAssertThrowsError(try State.open(damaged)) {
            guard case CheckingError.noState = $0 else { return XCTFail("\($0)") }
        }
    }

    func testUnreadableRootFallsBackToTheCheckpointBefore() throws {
        var options = SmallStore.Options()
        options.frameBytes = 1
        let scene = try Scene(options)
        scene.volume.folded = [
            ExtentChange(inode: try scene.inode("long"), range: 0..<1, pieces: [])
        ]
        var root = ChunkName.zero
        scene.store.tamper = { root = $0.volumes.first?.root ?? .zero }
        try scene.volume.checkpoint()
        scene.store.tamper = nil
        try scene.volume.makeFile("last", [1, 2, 3])
        try scene.volume.commit()
        let inventory = try Inventory(scene.store.backend)
        var backend = scene.store.backend
        for place in try inventory.frameOffsets(of: root) {
            backend = try backend.flipping(place.pack, at: place.offset + 6)
        }
        let state = try State.open(backend)
        XCTAssertEqual(state.log.checkpoint?.sequence, 1)
        XCTAssertEqual(state.log.newest?.sequence, 6)
        let volume = try XCTUnwrap(state.volumes.first)
        for path in scene.volume.paths().keys { XCTAssertNotNil(try volume.resolve(path), path) }
    }

    func testSpansThatDoNotMatchAreFound() throws {
        let scene = try Scene(commits: false)
        try scene.volume.makeFile("a", [1, 2, 3])
        scene.store.tamper = { commit in
            for index in commit.spans.indices { commit.spans[index].recordCount += 1 }
        }
        try scene.volume.commit()
        scene.store.tamper = nil
        XCTAssertEqual(try scene.check().summary.sequence, 1)
        try scene.volume.makeFile("b", [4, 5])
        try scene.volume.commit()
        let report = try scene.check()
        XCTAssertEqual(report.complaints.map(\.kind), [.commitSpans], report.text)
        XCTAssertEqual(report.summary.sequence, 3)
    }

    func testBrokenChainIsFound() throws {
        let scene = try Scene(commits: false)
        try scene.volume.makeFile("a", [1, 2, 3])
        scene.store.tamper = { $0.previous = .zero }
        try scene.volume.commit()
        let report = try scene.check()
        XCTAssertEqual(report.summary.sequence, 1)
        XCTAssertFalse(report.complaints.isEmpty, report.text)
    }

    func testSkippedSequenceIsFound() throws {
        let scene = try Scene(commits: false)
        try scene.volume.makeFile("a", [1, 2, 3])
        scene.store.sequence += 3
        try scene.volume.commit()
        let report = try scene.check()
        XCTAssertEqual(report.complaints.map(\.kind), [.commitOrder], report.text)
    }
}
