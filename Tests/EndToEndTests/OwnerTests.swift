import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// Who may have a store: one daemon at a time, whoever asks first; those who may read it, where they
/// may; and only to be read, where its medium is.
final class OwnerTests: EndToEndTestCase {
    /// Several mounts of one volume at the same moment: one has it, the others are told so.
    func testMountsRaceForOneVolume() throws {
        let place = try makePlace()
        let places =
            try [place]
            + (1..<4).map {
                Place(test: self, store: place.store, mountpoint: try makeDirectory("m\($0)"))
            }
        for round in 0..<(Machine.isLong ? 200 : 6) {
            let mounts = try places.map {
                try Program(
                    [try Program.built("ashlar"), "mount", $0.store, $0.mountpoint],
                    scratch: folder)
            }
            let ends = try mounts.map { try $0.finish(seconds: 60) }
            let winners = zip(ends, places).filter { $0.0.code == 0 }.map(\.1)
            XCTAssertEqual(winners.count, 1, "round \(round): \(ends.map(\.code))")
            for end in ends where end.code != 0 {
                XCTAssertEqual(end.code, 32, "round \(round): \(end.errors)")
                XCTAssertFalse(end.errors.isEmpty)
            }
            XCTAssertEqual(Cleaning.mounts(below: folder).count, 1, "round \(round)")
            let winner = try XCTUnwrap(winners.first)
            try System.writeFile(winner.path("file"), [UInt8(round)], synchronized: true)
            try winner.unmount()
            XCTAssertNil(place.daemon, "round \(round)")
        }
        try place.mustBeClean()
    }

    /// Whoever waits for a daemon to end is told when it was killed; the next mount has the store.
    func testTheDaemonIsKilledWhileAnotherWaits() throws {
        let place = try makePlace()
        var random = SeededGenerator()
        for round in 0..<(Machine.isLong ? 50 : 4) {
            try place.mount()
            let kept = random.bytes(100_000)
            try System.writeFile(place.path("kept"), kept, synchronized: true)
            try System.writeFile(place.path("more"), random.bytes(8_000_000))
            let daemon = try XCTUnwrap(place.daemon)
            let waiting = try Program(
                [try Program.built("ashlar"), "umount", place.mountpoint], scratch: folder)
            usleep(useconds_t(random.below(60_000)))
            kill(daemon, SIGKILL)
            let end = try waiting.finish(seconds: 30)
            if end.code != 0 { XCTAssertFalse(end.errors.isEmpty, "round \(round)") }
            try place.awaitDeath()
            try place.mount()
            XCTAssertTrue(try System.readFile(place.path("kept")) == kept, "round \(round)")
            try place.unmount()
        }
        try place.mustBeClean()
    }

    /// As somebody else, who has no rights of root; nil where the programs are out of reach for them.
    private func asNobody(_ command: [String]) throws -> ProgramResult? {
        let prefix = [
            try Machine.require("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
        ]
        // The folder above may be closed to others, as may that of the programs.
        let reach = try run(prefix + [command[0], "--version"])
        return reach.code == 0 ? try run(prefix + command) : nil
    }

    func testAStoreOfSomebodyElse() throws {
        let place = try makePlace()
        try place.mount()
        try System.writeFile(place.path("secret"), Array("secret".utf8))
        try place.unmount()
        try System.check(chmod(place.store, 0o700))
        let program = try Program.built("ashlar")
        guard let listed = try asNobody([program, "ls", place.store]) else {
            throw XCTSkip("others cannot reach the programs")
        }
        XCTAssertNotEqual(listed.code, 0)
        XCTAssertFalse(listed.text.contains("secret"))
        expect(listed, code: listed.code, says: "ermission")
        let checked = try asNobody([try Program.built("fsck.ashlar"), "-n", place.store])
        XCTAssertEqual(checked?.code, 8, checked?.errors ?? "")
        let mounted = try asNobody([program, "mount", place.store, place.mountpoint])
        XCTAssertNotEqual(mounted?.code, 0)
        XCTAssertFalse(place.isMounted)
        // Root mounts what belongs to somebody else.
        try mustRun(["chown", "-R", "65534:65534", place.store])
        try place.mount()
        XCTAssertEqual(try System.readFile(place.path("secret")), Array("secret".utf8))
        try place.unmount()
        try place.mustBeClean()
    }

    func testAStoreOnAReadOnlyMedium() throws {
        let place = try makePlace()
        let bytes = Array("content".utf8)
        try place.mount()
        try System.writeFile(place.path("file"), bytes)
        try place.unmount()
        try mustRun(["mount", "--bind", place.store, place.store])
        defer { _ = try? run(["umount", place.store]) }
        try mustRun(["mount", "-o", "remount,bind,ro", place.store])
        let refused = try place.tryMount("")
        XCTAssertEqual(refused.code, 32, refused.errors)
        XCTAssertTrue(refused.errors.contains("read-only"), refused.errors)
        XCTAssertTrue(refused.errors.contains("-o ro"), refused.errors)
        XCTAssertFalse(place.isMounted)
        XCTAssertEqual(try place.check(["-n", "--deep"]).code, 0)
        XCTAssertEqual(try ashlar(["cat", place.store, "/file"]).output, bytes)
        try place.mount("ro")
        XCTAssertEqual(try System.readFile(place.path("file")), bytes)
        assertFails(EROFS) { try System.writeFile(place.path("new"), bytes) }
        try place.unmount()
    }
}
