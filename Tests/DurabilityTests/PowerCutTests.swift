import CLinux
import Control
import EndToEndSupport
import Foundation
import XCTest

/// The power of a store's filesystem is cut in the middle of a mixed load, on ext4 and xfs: the
/// strictest that can be had without hardware. What the kernel promised by fdatasync and fsync is all
/// that survives.
final class PowerCutTests: EndToEndTestCase {
    override class var secondsMax: Double { 300 + 30 * Double(Machine.rounds(0)) }

    private static let preload = "/usr/lib/x86_64-linux-gnu/libeatmydata.so"

    func testExt4() throws { try cutRounds(.ext4) }

    func testXFS() throws { try cutRounds(.xfs) }

    private func cutRounds(_ kind: LoopFilesystem.Kind) throws {
        let bench = try Bench(kind, self)
        defer { bench.abandon() }
        for round in 1...Machine.rounds(4) {
            let complaint = try bench.round()
            XCTAssertNil(complaint, "\(kind), round \(round)")
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        try bench.place.mount()
        XCTAssertNil(try bench.workload.complaint())
        try bench.place.unmount()
        try bench.place.mustBeClean()
        try bench.disk.unmount()
        print("\(kind): \(bench.workload.roundCount) rounds, \(bench.workload.deedCount) deeds")
    }

    /// The negative control: a daemon whose fsync does nothing must be found out, or these tests prove
    /// nothing.
    ///
    /// What is missing may be all of the store: then not even its directory can be opened.
    func testADaemonWithoutFsyncIsFoundOut() throws {
        guard access(Self.preload, R_OK) == 0 else {
            throw XCTSkip("libeatmydata is not installed: no negative control")
        }
        let bench = try Bench(.ext4, self)
        defer { bench.abandon() }
        setenv("LD_PRELOAD", Self.preload, 1)
        defer { unsetenv("LD_PRELOAD") }
        for _ in 0..<20 {
            if let complaint = try bench.round() {
                print("found out: \(complaint.prefix(200))")
                return
            }
        }
        XCTFail("twenty power cuts without fsync, and nothing is missing")
    }

    /// A store on such a filesystem, and its load.
    private final class Bench {
        let disk: LoopFilesystem
        let place: Place
        let workload: CrashWorkload
        private var random = SeededGenerator()
        private unowned let test: EndToEndTestCase
        private var daemon: pid_t?

        init(_ kind: LoopFilesystem.Kind, _ test: EndToEndTestCase) throws {
            self.test = test
            disk = try LoopFilesystem(kind, test: test)
            try test.makeDirectory("a/m")
            place = Place(
                test: test, store: test.path("a/disk/store"), mountpoint: test.path("a/m"))
            try test.mustRun([
                try Program.built("ashlar"), "mkfs", "-q", "--pack-size", "1M",
                "--super-chunk-size", "256K", place.store,
            ])
            workload = CrashWorkload(place.mountpoint, SeededGenerator(seed: random.next()))
        }

        /// Load, cut, repair of the filesystem below by its own log; what is wrong, or nil.
        func round() throws -> String? {
            let mounted = try place.tryMount("commit=1")
            guard mounted.code == 0, mounted.errors.isEmpty else {
                return "mount: \(mounted.code) \(mounted.errors)"
            }
            // Asked now: what lies on a dead medium cannot be opened.
            daemon = place.daemon
            do {
                if let complaint = try workload.complaint() { return complaint }
            } catch {
                return "not to be read: \(error)"
            }
            try workload.start()
            let store = place.store
            if random.below(2) == 0 {
                usleep(useconds_t(random.below(200_000)))
                Thread { _ = try? ControlClient(storePath: store).call("checkpoint") }.start()
            }
            usleep(useconds_t(random.below(400_000)))
            workload.noteCut()
            try disk.cutPower()
            if random.below(2) == 0 { usleep(useconds_t(random.below(50_000))) }
            killDaemon()
            try workload.finish()
            detach()
            try disk.unmount()
            try disk.mount()
            let check = try place.check(["-n"])
            return check.code == 0 ? nil : "fsck: \(check.code) \(check.text)\(check.errors)"
        }

        /// Ends what is left, whatever the round came to.
        func abandon() {
            killDaemon()
            detach()
        }

        private func killDaemon() {
            if let daemon { kill(daemon, SIGKILL) }
            daemon = nil
        }

        private func detach() {
            ashlar_unmount(place.mountpoint, ASHLAR_UNMOUNT_DETACH)
        }
    }
}
