// The independent reader on each image: what it finds wrong, and what it says is there.
import Backends
import Checking
import DiskFormat
import XCTest

final class CheckingImageTests: XCTestCase {
    private func check(_ image: GoldenImage, _ depth: CheckDepth) throws -> CheckReport {
        try StoreCheck.run(try ImageFiles.backend(image), options: CheckOptions(depth: depth))
    }

    /// Exactly the problems that an image has; of sound ones only what is normal.
    func testProblems() throws {
        for image in GoldenImage.allCases where image.use != .nothing {
            for depth in [CheckDepth.quick, .full, .deep] {
                let report = try check(image, depth)
                let found = report.problems.map { "\($0.kind)" }.sorted()
                XCTAssertEqual(
                    found, image.problems, "\(image.rawValue), \(depth): \(report.problems)")
                if image.use != .onlyCheck {
                    XCTAssertEqual(report.worst ?? .information, .information, image.rawValue)
                }
            }
        }
    }

    func testSummaries() throws {
        for image in GoldenImage.allCases where image.use != .nothing {
            let summary = try check(image, .deep).summary
            let found = summary.volumes.map {
                "\($0.name): \($0.files) \($0.directories) \($0.others) \($0.logicalBytes) "
                    + "\($0.linkedInodes) \($0.orphans)"
            }
            XCTAssertEqual(
                [
                    "sequence \(summary.sequence), to replay \(summary.commitsToReplay), "
                        + "packs \(summary.packs)"
                ] + found, image.summary, image.rawValue)
        }
    }

    func testImagesFromTheFutureAreRefused() throws {
        for image in GoldenImage.allCases where image.use == .nothing || image.use == .onlyCheck {
            let backend = try ImageFiles.backend(image)
            if image.use == .nothing {
                XCTAssertThrowsError(try StoreCheck.run(backend), image.rawValue) {
                    guard case CheckingError.newerFormat = $0 else {
                        return XCTFail("\(image.rawValue): \($0)")
                    }
                }
            }
            XCTAssertThrowsError(try State.open(backend), image.rawValue) {
                guard case CheckingError.newerFormat = $0 else {
                    return XCTFail("\(image.rawValue): \($0)")
                }
            }
        }
    }

    /// Lists of several nodes are what the image is for.
    func testTheTallImageHasInnerNodes() throws {
        let state = try State.open(try ImageFiles.backend(.tall))
        let volume = try XCTUnwrap(state.volume(named: "main"))
        XCTAssertGreaterThan(try XCTUnwrap(volume.root.linkedInodes).level, 0)
        for path in ["/many", "/wide"] {
            switch try volume.resolve(path)?.content {
            case .directory(let node), .recipe(let node):
                XCTAssertGreaterThan(node.level, 0, path)
            default: XCTFail(path)
            }
        }
    }

    func testSnapshotsAreWhatIsExpected() throws {
        for image in GoldenImage.allCases where image.use == .readAndWrite {
            let state = try State.open(try ImageFiles.backend(image))
            XCTAssertEqual(state.snapshots.map(\.name), image.snapshots.map(\.name))
            for (snapshot, expected) in zip(state.snapshots, image.snapshots) {
                let view = try VolumeState(snapshot, in: state)
                assertRows(
                    try view.rows(), expected.rows, "\(image.rawValue), \(expected.name)")
                XCTAssertEqual(view.orphans, [])
            }
        }
        let state = try State.open(try ImageFiles.backend(.snapshots))
        XCTAssertEqual(state.snapshots.map(\.isPinned), [false, true])
        XCTAssertEqual(state.snapshots.map(\.description), ["", "a sécond one"])
        XCTAssertEqual(state.snapshots.map(\.tags), [[], ["daily", "x.1"]])
        XCTAssertEqual(state.snapshots.map(\.number), [1, 2])
    }

    func testRulesAreWhatIsExpected() throws {
        let state = try State.open(try ImageFiles.backend(.rules))
        let main = try XCTUnwrap(state.volume(named: "main"))
        XCTAssertEqual(
            Array(state.rules.values),
            [
                VolumeRules(
                    volumeID: main.id, retention: "keep-last=2 keep-tag=ünï",
                    schedule: "every=1h prefix=auto")
            ])
    }

    /// The names of all volumes' files, with everything that is told of them.
    func testStatesAreWhatIsExpected() throws {
        for image in GoldenImage.allCases where image.use == .readAndWrite || image.use == .read {
            for scope in [Inventory.Scope.whole, .newest] {
                let state = try State.open(try ImageFiles.backend(image), scope: scope)
                XCTAssertEqual(state.volumes.map(\.name), image.volumes.map(\.name).sorted())
                XCTAssertEqual(state.snapshots.map(\.name), image.snapshots.map(\.name))
                for expected in image.volumes {
                    let volume = try XCTUnwrap(state.volume(named: expected.name))
                    assertRows(
                        try volume.rows(), expected.rows, "\(image.rawValue), \(expected.name)")
                    XCTAssertEqual(volume.orphans.map(\.inode), expected.orphans, image.rawValue)
                }
            }
        }
    }
}
