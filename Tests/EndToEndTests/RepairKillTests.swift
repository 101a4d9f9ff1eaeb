import EndToEndSupport
import Foundation
import enum Platform.CrashPoint
import XCTest

/// fsck.ashlar is killed while it repairs, rebuilds, purges and heals, at the crash points that it
/// passes; another run then puts the store right, and nothing is lost that was not lost before.
final class RepairKillTests: EndToEndTestCase {
    override class var secondsMax: Double { Machine.isLong ? 3600 : 600 }

    private struct Scene {
        var place: Place
        var pristine: String
        /// Beside the store: what `--heal` may look at.
        var sources: String
        var files: [String: [UInt8]]
        /// What is damaged.
        var victim: String
    }

    /// A store that was killed behind a commit, with a file that has a damaged chunk, and much that is
    /// dead.
    private func makeScene() throws -> Scene {
        var random = SeededGenerator()
        let place = try makePlace("a", ["--pack-size", "1M", "--super-chunk-size", "256K"])
        let sources = try makeDirectory("sources")
        try place.mount("commit=1")
        var files: [String: [UInt8]] = [:]
        for name in ["first", "victim", "second"] {
            let bytes = random.bytes(200_000 + random.below(300_000))
            try System.writeFile(place.path(name), bytes, synchronized: true)
            files[name] = bytes
        }
        for number in 0..<6 {
            try System.writeFile(
                place.path("dead-\(number)"), random.bytes(400_000), synchronized: true)
        }
        let chunk = try XCTUnwrap(try place.chunks(of: "victim").first)
        try place.remount("commit=1")
        for number in 0..<6 { try System.check(unlink(place.path("dead-\(number)"))) }
        try place.remount("commit=1")
        let late = random.bytes(150_000)
        try System.writeFile(place.path("late"), late, synchronized: true)
        files["late"] = late
        let found = try place.locate(chunk)
        try place.crash()
        try place.flip(found.pack, at: found.recordOffset + 2000)
        try System.writeFile(sources + "/copy", try XCTUnwrap(files["victim"]))
        try place.copyStore(to: path("pristine"))
        return Scene(
            place: place, pristine: path("pristine"), sources: sources, files: files,
            victim: "victim")
    }

    /// Runs fsck, to be killed at a point. Whether it was.
    private func isKilled(
        _ task: [String], at point: CrashPoint, pass: Int, _ scene: Scene
    ) throws -> Bool {
        setenv("ASHLAR_CRASH_AT", "\(point.rawValue):\(pass)", 1)
        defer { unsetenv("ASHLAR_CRASH_AT") }
        let program = try Program(
            [try Program.built("fsck.ashlar"), scene.place.store] + task, scratch: folder)
        unsetenv("ASHLAR_CRASH_AT")
        let end = try program.finish(seconds: 120)
        if end.code == 128 + SIGKILL { return true }
        XCTAssertTrue([0, 1, 4].contains(end.code), "\(task) \(point): \(end.code) \(end.errors)")
        return false
    }

    private func assertWhole(_ scene: Scene, isHealed: Bool, _ context: String) throws {
        for (name, bytes) in scene.files {
            let read = try ashlar(["cat", scene.place.store, "/" + name])
            if name == scene.victim, !isHealed {
                XCTAssertEqual(read.code, 3, context)
            } else {
                XCTAssertTrue(read.output == bytes, "\(name): \(context): \(read.errors)")
            }
        }
    }

    /// Kills at every point (or, in short, some), then lets it be done again.
    private func checkKills(_ task: [String], _ points: [CrashPoint], _ scene: Scene) throws {
        var reached: Set<CrashPoint> = []
        for point in points {
            for pass in Machine.isLong ? [1, 2, 5] : [1] {
                try scene.place.restore(from: scene.pristine)
                guard try isKilled(task, at: point, pass: pass, scene) else { break }
                reached.insert(point)
                let context = "\(task.first ?? "") killed at \(point.rawValue):\(pass)"
                let repaired = try run(
                    [try Program.built("fsck.ashlar"), scene.place.store, "-y"], seconds: 120)
                XCTAssertTrue([0, 1].contains(repaired.code), "\(context): \(repaired.text)")
                let isHealed = task[0] == "--heal"
                if isHealed {
                    let healed = try run(
                        [try Program.built("fsck.ashlar"), scene.place.store] + task,
                        seconds: 120)
                    XCTAssertTrue([0, 1].contains(healed.code), "\(context): \(healed.text)")
                }
                let checked = try scene.place.check(["-n", "--deep"])
                XCTAssertEqual(checked.code, 0, "\(context): \(checked.text)")
                try assertWhole(scene, isHealed: isHealed, context)
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
        }
        print("\(task[0]): \(reached.map(\.rawValue).sorted())")
        XCTAssertFalse(reached.isEmpty, "\(task) passes none of \(points)")
    }

    func testRepairIsKilled() throws {
        let points: [CrashPoint] =
            Machine.isLong
            ? CrashPoint.allCases
            : [
                .tailCut, .lossesListed, .packPutAside, .packsVacated, .packsCondemned,
                .indexWalked,
            ]
        try checkKills(["-y"], points, try makeScene())
    }

    func testPurgeIsKilled() throws {
        let points: [CrashPoint] =
            Machine.isLong
            ? CrashPoint.allCases : [.contentsFolded, .chunksCondemned, .chunkMoved, .packRemoved]
        try checkKills(["--purge"], points, try makeScene())
    }

    func testRebuildAndHealAreKilled() throws {
        let scene = try makeScene()
        try checkKills(
            ["--rebuild"], Machine.isLong ? CrashPoint.allCases : [.indexEmptied, .indexRebuilt],
            scene)
        try checkKills(
            ["--heal", scene.sources],
            Machine.isLong ? CrashPoint.allCases : [.chunkHealed, .commitDurable], scene)
    }
}
