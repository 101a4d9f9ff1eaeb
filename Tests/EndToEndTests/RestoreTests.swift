import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// `ashlar restore`: what comes back is what was, whatever is in the way.
final class RestoreTests: EndToEndTestCase {
    @discardableResult
    private func restore(
        _ words: [String], code: Int32 = 0, file: StaticString = #filePath, line: UInt = #line
    ) throws -> [String: Int] {
        let result = try ashlar(["restore", "--json"] + words, seconds: 120)
        XCTAssertEqual(
            result.code, code, "restore \(words): \(result.errors)\(result.text.suffix(800))",
            file: file, line: line)
        let last = try XCTUnwrap(
            result.text.split(separator: "\n").last, result.errors, file: file, line: line)
        let summary = try XCTUnwrap(
            JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: Any])
        XCTAssertEqual(summary["message_type"] as? String, "summary", file: file, line: line)
        return summary.compactMapValues { $0 as? Int }
    }

    /// One of each kind.
    private func makeKinds(in top: String) throws {
        try System.check(mkdir(top, 0o755))
        try System.writeFile(top + "/file", Array("content\n".utf8))
        try System.writeFile(top + "/empty", [])
        try System.check(mkdir(top + "/sub", 0o700))
        try System.check(mkdir(top + "/sub/nothing in it", 0o2755))
        try System.check(link(top + "/file", top + "/second name"))
        try System.check(link(top + "/file", top + "/sub/third name"))
        try System.check(symlink("no/such/target", top + "/dangling"))
        try System.check(symlink("sub", top + "/to a directory"))
        try System.check(lchown(top + "/dangling", 12, 34))
        try System.check(mkfifo(top + "/fifo", 0o622))
        try System.check(mknod(top + "/null", S_IFCHR | 0o666, 0x103))
        try System.check(mknod(top + "/socket", S_IFSOCK | 0o755, 0))
        try System.writeFile(top + "/setuid", [1, 2, 3])
        try System.check(chown(top + "/setuid", 1000, 1001))
        try System.check(chmod(top + "/setuid", 0o6755))
        try System.writeFile(top + "/closed", [4])
        try System.check(chmod(top + "/closed", 0))
        try System.setAttribute(top + "/file", "user.short", Array("value".utf8))
        try System.setAttribute(top + "/file", "user.long", [UInt8](repeating: 7, count: 3000))
        try System.setAttribute(top + "/sub", "trusted.of-root", [1])
        try System.setAttribute(top + "/dangling", "trusted.of a link", [2])
        try System.with(top + "/sparse", O_RDWR | O_CREAT) { file throws(SystemError) in
            try System.write(file, [UInt8](repeating: 9, count: 100_000), at: 3 << 20)
            try System.check(ftruncate(file, 10 << 20))
        }
        try System.writeFile(
            top + "/large", (0..<9_000_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
        for name in [[0x3a, 0x0a, 0xff, 0x80], Array("\\n".utf8)] as [[UInt8]] {
            let path = Array(top.utf8) + [0x2f] + name + [0]
            let file = path.withUnsafeBufferPointer { bytes in
                bytes.withMemoryRebound(to: CChar.self) { bytes -> Int32 in
                    guard let start = bytes.baseAddress else { return -1 }
                    return Glibc.open(start, O_WRONLY | O_CREAT, 0o644)
                }
            }
            try System.check(file)
            close(file)
        }
        let times = [
            timespec(tv_sec: 5_000_000_000, tv_nsec: 1),
            timespec(tv_sec: -2, tv_nsec: 999_999_999),
        ]
        for name in ["file", "dangling", "fifo", "sub", "sparse"] {
            try System.check(
                utimensat(AT_FDCWD, top + "/" + name, times, AT_SYMLINK_NOFOLLOW))
        }
    }

    /// As `assertEqualTrees`, but with files that diff(1) does not compare.
    private func assertSame(
        _ a: String, _ b: String, file: StaticString = #filePath, line: UInt = #line
    ) throws {
        let rsync = try run(
            [try Machine.require("rsync"), "-anciHAX", "--delete", a + "/", b + "/"], seconds: 120)
        XCTAssertEqual(rsync.code, 0, rsync.errors, file: file, line: line)
        XCTAssertEqual(rsync.text, "", file: file, line: line)
    }

    func testEverythingComesBackAndASecondTimeNothingIsDone() throws {
        let place = try makePlace()
        try place.mount()
        try makeKinds(in: path("kinds"))
        try mustRun(["cp", "-a", path("kinds"), place.path("kinds")])
        try mustRun(["ashlar", "snapshot", "create", place.store, "one"].program())
        // Mounted, from the snapshot.
        let made = try restore([place.store, "one:/kinds/", path("back")])
        XCTAssertEqual(made["failed"], 0)
        try assertSame(path("kinds"), path("back"))
        XCTAssertLessThan(
            try System.status(path("back/sparse")).st_blocks * 512, 2 << 20, "holes stay holes")
        let before = try run(["find", path("back"), "-printf", "%P %i %C@\n"]).text
        let again = try restore([place.store, "one:/kinds/", path("back"), "--verify"])
        XCTAssertEqual(again["same"], made["made"].map { $0 + 1 }, "and the directory itself")
        for key in ["made", "replaced", "attributes", "deleted", "written_bytes"] {
            XCTAssertEqual(again[key], 0, key)
        }
        XCTAssertEqual(try run(["find", path("back"), "-printf", "%P %i %C@\n"]).text, before)
        // Unmounted, from the volume as it is, under its own name.
        try place.unmount()
        try makeDirectory("live")
        try restore([place.store, ":kinds", path("live"), "--verify"])
        try assertSame(path("kinds"), path("live/kinds"))
        // Another form of the same, and single files.
        try restore([place.store + "@one", "/kinds/large", "/kinds/fifo", path("few")])
        XCTAssertEqual(
            try System.readFile(path("few/large")), try System.readFile(path("kinds/large")))
        XCTAssertEqual(try System.names(path("few")).count, 2)
        try place.mustBeClean()
    }

    func testWhatIsThereAlready() throws {
        let place = try makePlace()
        try place.mount()
        for name in ["a", "b", "c"] { try System.writeFile(place.path(name), Array(name.utf8)) }
        try System.check(mkdir(place.path("d"), 0o755))
        try System.writeFile(place.path("d/e"), [1])
        try mustRun(["ashlar", "snapshot", "create", place.store, "s"].program())
        try restore([place.store, "s", path("to")])
        try assertEqualTrees(place.path(".snapshots/s"), path("to"))
        // Newer, with another mode, of another kind, too much.
        try System.writeFile(path("to/a"), Array("newer".utf8))
        try System.check(chmod(path("to/b"), 0o600))
        try System.check(unlink(path("to/c")))
        try System.check(symlink(path("victim"), path("to/c")))
        try System.writeFile(path("victim"), [7])
        try System.writeFile(path("to/d/extra"), [8])
        try mustRun(["cp", "-a", path("to"), path("saved")])
        let told = try restore([place.store, "s", path("to"), "--dry-run", "--delete"])
        XCTAssertEqual(told["replaced"], 2)
        XCTAssertEqual(told["attributes"], 3, "b, and the two directories")
        XCTAssertEqual(told["deleted"], 1)
        try assertEqualTrees(path("saved"), path("to"))
        let never = try restore([place.store, "s", path("to"), "--overwrite", "never"])
        XCTAssertEqual(never["kept"], 4)
        XCTAssertEqual(try System.readFile(path("to/a")), Array("newer".utf8))
        let newer = try restore([place.store, "s", path("to"), "--overwrite", "if-newer"])
        XCTAssertEqual(newer["kept"], 2)
        XCTAssertEqual(try System.status(path("to/b")).st_mode & 0o777, 0o644)
        let real = try restore([place.store, "s", path("to"), "--delete"])
        XCTAssertEqual(real["deleted"], 1)
        try assertEqualTrees(place.path(".snapshots/s"), path("to"))
        XCTAssertEqual(try System.readFile(path("victim")), [7], "no link is followed")
        let all = try restore([place.store, "s", path("to"), "--overwrite", "always"])
        XCTAssertEqual(all["replaced"], 4)
        // Same size and time, other bytes.
        try System.writeFile(path("to/a"), [9])
        try mustRun(["touch", "-r", place.path("a"), path("to/a")])
        XCTAssertEqual(try restore([place.store, "s", path("to")])["replaced"], 0)
        XCTAssertEqual(try restore([place.store, "s", path("to"), "--verify"])["replaced"], 1)
        XCTAssertEqual(try System.readFile(path("to/a")), Array("a".utf8))
        try place.unmount()
    }

    func testNothingIsWrittenThroughLinksOrOverDirectories() throws {
        let place = try makePlace()
        try place.mount()
        try System.check(mkdir(place.path("d"), 0o755))
        try System.writeFile(place.path("d/secret"), [1])
        try System.writeFile(place.path("f"), [2])
        try mustRun(["ashlar", "snapshot", "create", place.store, "s"].program())
        try place.unmount()
        try makeDirectory("to")
        try makeDirectory("outside")
        try System.check(symlink(path("outside"), path("to/d")))
        try System.check(mkdir(path("to/f"), 0o755))
        try System.writeFile(path("to/more"), [3])
        // What failed keeps what is too much from being deleted.
        let result = try restore([place.store, "s", path("to"), "--delete"], code: 1)
        XCTAssertEqual(result["failed"], 2)
        XCTAssertEqual(result["deleted"], 0)
        XCTAssertEqual(try System.names(path("outside")), [])
        XCTAssertEqual(try System.readFile(path("to/more")), [3])
        // Never into the store, nor over it.
        expect(
            try ashlar(["restore", place.store, "s", place.store + "/packs"]), code: 2,
            says: "inside the store")
        expect(
            try ashlar(["restore", "--delete", place.store, "s", path("a")]), code: 2,
            says: "has the store in it")
        expect(
            try ashlar(["restore", place.store, "other", path("to")]), code: 1,
            says: "has no snapshot")
        expect(try ashlar(["restore", place.store, "s"]), code: 2, says: "name a source")
        expect(
            try ashlar(["restore", place.store, "s", path("x/y")]), code: 1, says: "above it")
        try place.mustBeClean()
    }

    /// Killed at any moment, every file is whole or not there, and a second run ends it.
    func testAKilledRestoreGoesOn() throws {
        let place = try makePlace()
        try place.mount()
        var random = SeededGenerator()
        try makeDirectory("reference")
        for index in 0..<300 {
            let folder = path("reference/d\(index % 7)")
            _ = mkdir(folder, 0o755)
            try System.writeFile("\(folder)/\(index)", random.bytes(random.below(150_000)))
        }
        try mustRun(["cp", "-a", path("reference"), place.path("r")])
        try place.unmount()
        var killed = 0
        for round in 0..<6 {
            let program = try Program(
                [try Program.built("ashlar"), "restore", place.store, ":r/", path("back")],
                scratch: folder)
            usleep(UInt32(20_000 + random.below(180_000)))
            let signal = round % 2 == 0 ? SIGKILL : SIGINT
            program.signal(signal)
            let ended = try program.finish(seconds: 60)
            if ended.code != 0 { killed += 1 }
            if signal == SIGINT, ended.code != 0 { XCTAssertEqual(ended.code, 130, ended.errors) }
            guard access(path("back"), F_OK) == 0 else { continue }
            for file in try run(["find", path("back"), "-type", "f", "-printf", "%P\n"]).text
                .split(separator: "\n") where !file.hasSuffix(".ashlar-restore-partial")
            {
                XCTAssertEqual(
                    try System.readFile(path("back/\(file)")),
                    try System.readFile(path("reference/\(file)")), String(file))
            }
        }
        print("ended early: \(killed) of 6")
        try restore([place.store, ":r/", path("back")])
        try assertEqualTrees(path("reference"), path("back"))
    }

    /// A damaged source leaves what is there as it is, and everything else is restored.
    func testDamageKeepsWhatIsThere() throws {
        let place = try makePlace()
        try place.mount()
        var random = SeededGenerator()
        try System.check(mkdir(place.path("t"), 0o755))
        for index in 0..<8 {
            try System.writeFile(place.path("t/\(index)"), random.bytes(1_500_000))
        }
        try place.unmount()
        try makeDirectory("to")
        for index in 0..<8 { try System.writeFile(path("to/\(index)"), [UInt8(index)]) }
        let pack = try place.largestPack()
        try System.with(pack, O_RDWR) { file throws(SystemError) in
            let size = Int(try System.status(pack).st_size)
            try System.write(file, [UInt8](repeating: 0x55, count: 4096), at: size / 2)
        }
        let result = try restore([place.store, ":t/", path("to"), "--delete"], code: 3)
        let failed = try XCTUnwrap(result["failed"])
        XCTAssertTrue((1...2).contains(failed), "\(failed)")
        XCTAssertEqual(result["replaced"], 8 - failed)
        let left = try (0..<8).filter { try System.readFile(path("to/\($0)")) == [UInt8($0)] }
        XCTAssertEqual(left.count, failed)
        XCTAssertEqual(try System.names(path("to")).count, 8, "nothing unfinished is left")
    }
}

extension [String] {
    /// With the built program in place of its name.
    fileprivate func program() throws -> [String] {
        [try Program.built(self[0])] + dropFirst()
    }
}
