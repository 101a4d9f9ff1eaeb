import Control
import EndToEndSupport
import Foundation
import enum Platform.CrashPoint
import XCTest

/// The daemon is killed in the middle of a mixed load, again and again on one store: at random
/// moments, while it unmounts, while it writes a checkpoint, and at every named crash point. After
/// each, what was acknowledged is there, what is there is the state of one moment, and the checker
/// has nothing to say.
final class KillTests: EndToEndTestCase {
    /// Rounds are what limits these tests, not time.
    override class var secondsMax: Double { 300 + 20 * Double(Machine.rounds(0)) }

    private var place: Place!
    private var workload: CrashWorkload!
    private var random = SeededGenerator(seed: 0)
    private var clones = 0

    private func begin() throws {
        random = SeededGenerator()
        keepOfferOfRings()
        // Small packs, so that many are filled, sealed, condemned and deleted.
        place = try makePlace("a", ["--pack-size", "1M", "--super-chunk-size", "256K"])
        workload = CrashWorkload(place.mountpoint, SeededGenerator(seed: random.next()))
    }

    // MARK: random moments

    func testKilledAtRandomMoments() throws {
        try begin()
        for round in 1...Machine.rounds(20) {
            switch random.below(20) {
            case 0..<11: try killUnderLoad()
            case 11..<14: try killWhileUnmounting()
            case 14..<19:
                let point = CrashPoint.allCases[random.below(CrashPoint.allCases.count)]
                _ = try visit(point, count: 1 + random.below(3))
            default:
                try System.check(Cleaning.removeTree(place.store + "/index"))
                try killUnderLoad()
            }
            try checkAfterCrash("round \(round)", isDeep: round % 10 == 0)
            if round % 50 == 0 {
                print("\(round) rounds, \(workload.deedCount) deeds")
                fflush(nil)
            }
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        try place.mount()
        try assertNoComplaint("the last round")
        try place.unmount()
        try place.mustBeClean()
        print("\(workload.roundCount) rounds, \(workload.deedCount) deeds")
    }

    /// Mounts, compares, and begins a round.
    private func mountAndStart(_ context: String = #function) throws {
        // Requests come through the device, or by rings, where this kernel has them.
        let way = random.below(2) == 0 ? "noio_uring" : "io_uring"
        try place.mount("commit=1,\(way)")
        try assertNoComplaint(context)
        try workload.start()
    }

    private func killUnderLoad() throws {
        try mountAndStart()
        let store = place.store
        let mode = random.below(4)
        if mode == 0 {
            cloneAndForget()
        } else if mode == 1 {
            usleep(useconds_t(random.below(300_000)))
            let command = ["checkpoint", "reclaim", "optimize"][random.below(3)]
            // Not waited for: the kill comes at some moment of it, or before, or after.
            Thread { _ = try? ControlClient(storePath: store).call(command) }.start()
        }
        usleep(useconds_t(random.below(400_000)))
        try place.crash { try workload.finish() }
    }

    /// A clone of the volume as it is now, whose snapshot goes at once: the daemon loads it between its
    /// commits. Of those before the last one is removed. Whatever fails is as if it had not been asked for.
    private func cloneAndForget() {
        guard let ashlar = try? Program.built("ashlar") else { return }
        clones += 1
        let name = "clone\(clones)"
        for command in [
            ["snapshot", "create", place.store, name],
            ["snapshot", "clone", place.store, name, name],
            ["snapshot", "delete", place.store, name],
            ["volume", "remove", place.store, "clone\(clones - 2)", "--yes"],
        ] {
            _ = try? run([ashlar] + command)
        }
    }

    private func killWhileUnmounting() throws {
        try mountAndStart()
        usleep(useconds_t(random.below(300_000)))
        try workload.stop()
        let daemon = try XCTUnwrap(place.daemon)
        try mustRun(["umount", place.mountpoint])
        usleep(useconds_t(random.below(200_000)))
        kill(daemon, SIGKILL)
        try place.awaitDeath()
    }

    private func assertNoComplaint(_ context: String) throws {
        let complaint = try workload.complaint()
        XCTAssertNil(complaint, context)
    }

    private func checkAfterCrash(_ context: String, isDeep: Bool) throws {
        let result = try place.check(isDeep ? ["-n", "--deep"] : ["-n"])
        XCTAssertEqual(result.code, 0, "\(context): \(result.text)\(result.errors)")
    }

    // MARK: named points

    /// Attempts until a point is reached, each with a checkpoint, an unmount, and removals: what dies
    /// is given up two checkpoints later, and its packs one more.
    private static let attemptsMax = 12

    func testKilledAtEveryNamedPoint() throws {
        try begin()
        for point in CrashPoint.allCases where !point.isOfRepair {
            var isReached = false
            for _ in 0..<Self.attemptsMax where !isReached {
                isReached = try visit(point, count: 1)
                try checkAfterCrash("\(point)", isDeep: false)
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
            XCTAssertTrue(isReached, "\(point.rawValue) is never reached")
            // Packs are sealed in several places: by commits, at the end, and after an unclean end.
            guard point == .tableWritten || point == .trailerWritten else { continue }
            for count in 2...5 {
                _ = try visit(point, count: count)
                try checkAfterCrash("\(point), \(count)", isDeep: false)
            }
        }
        try place.mount()
        try assertNoComplaint("the last point")
        try place.unmount()
        try place.mustBeClean()
    }

    /// One session that is to die at `point`: opened, loaded, checkpointed, unmounted. Returns whether
    /// it did.
    private func visit(_ point: CrashPoint, count: Int) throws -> Bool {
        try prepare(point)
        setenv("ASHLAR_CRASH_AT", "\(point.rawValue):\(count)", 1)
        defer { unsetenv("ASHLAR_CRASH_AT") }
        // In the foreground, so that its end can be told from a clean one.
        let daemon = try Program(
            [
                try Program.built("ashlar"), "mount", "-f", "-o", "commit=1", place.store,
                place.mountpoint,
            ], scratch: folder)
        unsetenv("ASHLAR_CRASH_AT")
        defer { daemon.signal(SIGKILL) }
        wait { !daemon.isRunning || answers() }
        if daemon.isRunning {
            do {
                try assertNoComplaint("before \(point)")
                try workload.start()
            } catch {
                // It may die while it is compared, or while the round begins: then not before the next.
                wait { !daemon.isRunning }
                XCTAssertFalse(daemon.isRunning, "\(point): \(error)")
            }
            usleep(useconds_t(50_000 + random.below(200_000)))
            _ = try? ControlClient(storePath: place.store).call("checkpoint")
            if point == .namesLoaded {
                cloneAndForget()
                wait { !daemon.isRunning }
            }
            if isOfReclaiming(point) {
                let command = random.below(2) == 0 ? "reclaim" : "optimize"
                _ = try? ControlClient(storePath: place.store).call(command)
            }
            try workload.stop()
            if daemon.isRunning {
                wait { (try? run(["umount", place.mountpoint]).code) == 0 || !daemon.isRunning }
            }
        }
        let end = try daemon.finish(seconds: 60)
        let isReached = end.code == 128 + SIGKILL
        if !isReached {
            XCTAssertEqual(end.code, 0, "\(point): \(end.errors)")
            workload.noteOrderlyEnd()
        }
        try place.awaitDeath()
        return isReached
    }

    /// Whether the mount is there and answers.
    private func answers() -> Bool {
        guard place.isMounted else { return false }
        var status = stat()
        return stat(place.mountpoint, &status) == 0
    }

    private func isOfReclaiming(_ point: CrashPoint) -> Bool {
        switch point {
        case .chunkMoved, .packsVacated, .chunksCondemned, .packsCondemned, .condemnedIndexed,
            .packRemoved:
            true
        default: false
        }
    }

    /// Some points need an end of their own before them.
    private func prepare(_ point: CrashPoint) throws {
        switch point {
        case .indexEmptied, .indexWalked, .indexRebuilt:
            try System.check(Cleaning.removeTree(place.store + "/index"))
        case .leftoverRemoved:
            _ = try visit(.packBegun, count: 1)
        case .commitReplayed, .tailCut:
            _ = try visit(.commitIndexed, count: 3)
        default: break
        }
    }
}
