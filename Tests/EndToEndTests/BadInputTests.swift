import Backends
import DiskFormat
import EndToEndSupport
import Foundation
import XCTest

/// What cannot be done is refused in words, with the exit codes of mkfs, mount(8) and fsck(8), and
/// nothing is changed.
final class BadInputTests: EndToEndTestCase {
    private func fsck(_ store: String, _ options: [String] = []) throws -> ProgramResult {
        try run([try Program.built("fsck.ashlar")] + options + [store])
    }

    func testMissingAndForeignStores() throws {
        try makeDirectory("m")
        try makeDirectory("empty")
        try makeDirectory("foreign")
        try System.check(mkdir(path("foreign/packs"), 0o755))
        try System.writeFile(path("foreign/packs/notes.txt"), Array("hello".utf8))
        try System.writeFile(path("file"), [1])
        for (name, mount, check, look) in [
            ("nothing", 32, 8, 1), ("empty", 32, 8, 10), ("foreign", 32, 8, 10),
        ] as [(String, Int32, Int32, Int32)] {
            expect(try ashlar(["mount", path(name), path("m")]), code: mount, says: name)
            expect(try fsck(path(name)), code: check, says: name)
            expect(try ashlar(["ls", path(name)]), code: look, says: name)
            expect(try ashlar(["stats", path(name)]), code: look, says: name)
        }
        expect(
            try ashlar(["mount", path("file"), path("m")]), code: 32, says: "not a directory")
        XCTAssertEqual(Cleaning.mounts(below: folder), [])
        XCTAssertEqual(
            try System.names(path("foreign/packs")), [Array("notes.txt".utf8)],
            "something was made in what is no store")
    }

    func testBadMountpoints() throws {
        let place = try makePlace()
        try System.check(mkdir(place.store + "/inside", 0o755))
        try System.writeFile(path("file"), [1])
        for (mountpoint, words) in [
            (place.store, "is the store itself"), (place.store + "/inside", "inside the store"),
            (path("a"), "inside the mountpoint"), (path("none"), "none"),
            (path("file"), "not a directory"),
        ] {
            expect(try ashlar(["mount", place.store, mountpoint]), code: 32, says: words)
        }
        // The same by other paths: through a link, and through a bind mount.
        try System.check(symlink(place.store, path("link")))
        expect(
            try ashlar(["mount", place.store, path("link")]), code: 32, says: "is the store itself")
        try makeDirectory("bound")
        try mustRun(["mount", "--bind", place.store, path("bound")])
        expect(
            try ashlar(["mount", place.store, path("bound/inside")]), code: 32,
            says: "inside the store")
        try mustRun(["umount", path("bound")])
        rmdir(place.store + "/inside")
        try place.mustBeClean()
        XCTAssertNil(place.daemon)
    }

    func testUsage() throws {
        let place = try makePlace()
        XCTAssertEqual(try ashlar(["mount"]).code, 1)
        XCTAssertEqual(
            try ashlar(["mount", "-o", "nonsense", place.store, place.mountpoint]).code, 1)
        XCTAssertEqual(
            try ashlar(["mount", "-o", "commit=never", place.store, place.mountpoint]).code, 1)
        XCTAssertEqual(try fsck(place.store, ["--nonsense"]).code, 16)
        XCTAssertEqual(try fsck(place.store, ["--quick", "--deep"]).code, 16)
        XCTAssertEqual(try ashlar(["ls"]).code, 2)
        expect(
            try ashlar(["ls", place.store, "/no/such"]), code: 1, says: "no such file or directory")
        expect(try ashlar(["cat", place.store, "/"]), code: 1, says: "directory")
        expect(
            try ashlar(["mount", "-o", "volume=other", place.store, place.mountpoint]), code: 32,
            says: "main")
        XCTAssertNil(place.daemon)
    }

    func testSecondMountNamesTheHolder() throws {
        let place = try makePlace()
        try place.mount()
        let daemon = try XCTUnwrap(place.daemon)
        try makeDirectory("second")
        expect(
            try ashlar(["mount", place.store, path("second")]), code: 32, says: "\(daemon)")
        expect(
            try ashlar(["mount", place.store, place.mountpoint]), code: 32, says: "already")
        expect(try fsck(place.store), code: 8, says: "\(daemon)")
        XCTAssertEqual(try fsck(place.store, ["-n"]).code, 0)
        expect(try ashlar(["mkfs", place.store]), code: 1, says: "already")
        try System.writeFile(place.path("works"), [1])
        try place.unmount()
        try place.mustBeClean()
    }

    func testMkfsOnWhatIsThere() throws {
        let place = try makePlace()
        let before = try mustRun(["find", place.store, "-type", "f", "-printf", "%p %s %T@\\n"])
        expect(try ashlar(["mkfs", place.store]), code: 1, says: "is an Ashlar store already")
        XCTAssertEqual(
            try mustRun(["find", place.store, "-type", "f", "-printf", "%p %s %T@\\n"]).text,
            before.text)
        try makeDirectory("full")
        try System.writeFile(path("full/.hidden"), [1])
        expect(try ashlar(["mkfs", path("full")]), code: 1, says: "not empty")
        try System.writeFile(path("file"), [1])
        expect(try ashlar(["mkfs", path("file")]), code: 1, says: "not a directory")
        expect(try ashlar(["mkfs", path("no/such")]), code: 1, says: "No such")
        XCTAssertEqual(try ashlar(["mkfs", "--chunk-size", "33K", path("new")]).code, 1)
        XCTAssertEqual(try ashlar(["mkfs", "--hash", "md5", path("new")]).code, 1)
        XCTAssertNil(try? System.status(path("new")), "a refused mkfs has made something")
        try place.mustBeClean()
    }

    /// A store whose packs ask for more than this program knows: all say so, none touches it.
    func testStoreFromTheFuture() throws {
        let place = try makePlace()
        try place.mount()
        try System.writeFile(place.path("file"), [1, 2, 3])
        try place.unmount()
        for pack in try place.packs() {
            let path = place.packsFolder + "/" + pack
            var bytes = try System.readFile(path)
            var header = try bytes.withUnsafeBytes { try PackHeader($0) }
            header.parameters.features.incompatible |= 1 << 40
            bytes.replaceSubrange(0..<PackHeader.byteCount, with: header.encoded())
            try System.writeFile(path, bytes)
        }
        let before = try mustRun(["sh", "-c", "cd \"$1\" && md5sum *", "sh", place.packsFolder])
        expect(try place.tryMount(), code: 32, says: "does not know")
        expect(try place.tryMount("ro"), code: 32, says: "does not know")
        expect(try place.check(), code: 8, says: "newer")
        expect(try ashlar(["ls", place.store]), code: 10, says: "newer")
        XCTAssertEqual(
            try mustRun(["sh", "-c", "cd \"$1\" && md5sum *", "sh", place.packsFolder]).text,
            before.text)
    }

    // MARK: ends

    func testSignalsEndTheDaemonCleanly() throws {
        let place = try makePlace()
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            try place.mount()
            try System.writeFile(place.path("by-\(signal)"), [UInt8(signal)])
            kill(try XCTUnwrap(place.daemon), signal)
            XCTAssertTrue(wait { place.daemon == nil && !place.isMounted }, "signal \(signal)")
            let said = try place.mustBeClean(["-n"])
            XCTAssertFalse(said.contains("log-waits"), "no clean end: \(said)")
        }
        try place.mount("ro")
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            XCTAssertEqual(try System.readFile(place.path("by-\(signal)")), [UInt8(signal)])
        }
        assertFails(EROFS, "a read-only mount") { try System.writeFile(place.path("x"), [1]) }
        try place.unmount()
    }

    func testForegroundEndsByInterrupt() throws {
        let place = try makePlace()
        let mount = try Program(
            [try Program.built("ashlar"), "mount", "-f", place.store, place.mountpoint],
            scratch: folder)
        XCTAssertTrue(wait { place.isMounted && place.daemon == mount.process })
        XCTAssertTrue(wait { (try? System.writeFile(place.path("file"), [9])) != nil })
        XCTAssertTrue(mount.isRunning, "-f does not stay in the foreground")
        mount.signal(SIGINT)
        let ended = try mount.finish(seconds: 30)
        XCTAssertEqual(ended.code, 0, ended.errors)
        XCTAssertTrue(ended.errors.contains("is mounted on"), ended.errors)
        XCTAssertFalse(place.isMounted)
        try place.mustBeClean()
        XCTAssertEqual(try ashlar(["cat", place.store, "/file"]).output, [9])
    }

    /// `umount.ashlar` refuses what is in use, and what is written until then is safe.
    func testUnmountOfABusyVolume() throws {
        let place = try makePlace()
        try place.mount()
        let file = try System.open(place.path("open"), O_RDWR | O_CREAT)
        try System.write(file, [1, 2, 3], at: 0)
        expect(try ashlar(["umount", place.mountpoint]), code: 32, says: "in use")
        try System.write(file, [4], at: 3)
        close(file)
        try place.unmount()
        XCTAssertEqual(try ashlar(["cat", place.store, "/open"]).output, [1, 2, 3, 4])
        expect(try ashlar(["umount", place.mountpoint]), code: 32, says: "no volume of Ashlar")
    }
}
