import EndToEndSupport
import Foundation
import XCTest

/// Directories of the machine as snapshots of a store: what a mount shows of them is what they are.
final class DirectorySnapshotTests: EndToEndTestCase {
    private func makeSource() throws -> String {
        var random = SeededGenerator()
        let source = try makeDirectory("source")
        for index in 0..<60 {
            let folder = "\(source)/d\(index % 4)"
            _ = mkdir(folder, 0o755)
            try System.writeFile("\(folder)/\(index)", random.bytes(random.below(60_000)))
        }
        try System.check(link("\(source)/d0/0", "\(source)/d1/linked"))
        try System.check(symlink("d0/4", "\(source)/symbolic"))
        try System.check(symlink("nowhere", "\(source)/dangling"))
        try System.writeFile("\(source)/new\nline:", random.bytes(10))
        try System.check(chmod("\(source)/d2/2", 0))
        try mustRun([try Machine.require("setfacl"), "-m", "u:12:rw", "\(source)/d3/3"])
        try mustRun([try Machine.require("setfattr"), "-n", "user.x", "-v", "y", "\(source)/d3"])
        let times = [timespec(tv_sec: 5, tv_nsec: 7), timespec(tv_sec: 99, tv_nsec: 123_456_789)]
        try System.check(utimensat(AT_FDCWD, "\(source)/d1", times, 0))
        return source
    }

    func testAMountShowsWhatWasScanned() throws {
        let source = try makeSource()
        let place = try makePlace()
        let made = try ashlar([
            "snapshot", "create", "--source", source, place.store, "one", "--json",
        ])
        XCTAssertEqual(made.code, 0, made.errors)
        let report = try made.json()
        XCTAssertEqual(report["files"] as? Int, 61)
        XCTAssertEqual(report["skipped"] as? Int, 0)
        let mounted = Place(
            test: self, store: place.store + "@one", mountpoint: place.mountpoint)
        try mounted.mount()
        try assertEqualTrees(source, place.mountpoint)
        // A snapshot's mount has the store for reading only.
        let refused = try ashlar(["snapshot", "create", "--source", source, place.store, "two"])
        XCTAssertEqual(refused.code, 1)
        XCTAssertTrue(refused.errors.contains("read-only"), refused.errors)
        try place.unmount()
        let cloned = try ashlar(["snapshot", "clone", place.store, "one", "copy"])
        XCTAssertEqual(cloned.code, 0, cloned.errors)
        try place.mount("volume=copy")
        try assertEqualTrees(source, place.mountpoint)
        try place.unmount()
        try place.mustBeClean()
    }

    /// The daemon of a mounted store scans and imports while its volume is written.
    func testIntoAMountedStore() throws {
        let source = try makeSource()
        let place = try makePlace()
        try place.mount()
        let file = path("whole.snap")
        // In the source itself, where its partial store must not be found.
        let inside = source + "/inside.snap"
        let made = try ashlar(
            ["stream", "snapshot", "--source", source, "--content", "--json", "--output", inside])
        XCTAssertEqual(made.code, 0, made.errors)
        XCTAssertEqual(try made.json()["files"] as? Int, 61)
        try mustRun(["mv", inside, file])
        let times = [timespec(tv_sec: 7, tv_nsec: 7), timespec(tv_sec: 8, tv_nsec: 8)]
        try System.check(utimensat(AT_FDCWD, source, times, 0))
        try System.writeFile(place.path("before"), [1])
        for (name, words) in [
            ("one", ["snapshot", "create", "--source", source]), ("two", ["snapshot", "import"]),
            ("three", ["snapshot", "create", "--source", source]),
        ] {
            let program = try Program(
                [try Program.built("ashlar")] + words
                    + (name == "two" ? [place.store, file, name] : [place.store, name])
                    + ["--json"], scratch: folder)
            var written = 0
            while program.isRunning {
                try System.writeFile(place.path("\(name)-\(written)"), [UInt8(written % 256)])
                written += 1
            }
            let result = try program.finish()
            XCTAssertEqual(result.code, 0, result.errors)
            if name == "three" { XCTAssertEqual(try result.json()["read"] as? Int, 0) }
            print("\(name): \(written) files written meanwhile")
        }
        // The time of the source itself was changed between the two.
        try assertEqualTrees(source, place.path(".snapshots/one"))
        try assertEqualTrees(source, place.path(".snapshots/three"))
        try mustRun(["diff", "-r", "--no-dereference", source, place.path(".snapshots/two")])
        let own = try numbers(place.mountpoint)
        for name in ["one", "two", "three"] {
            let others = try numbers(place.path(".snapshots/\(name)"))
            XCTAssertTrue(own.isDisjoint(with: others), "a number twice")
        }
        // Not itself.
        for mine in [place.store, place.mountpoint] {
            let refused = try ashlar(["snapshot", "create", "--source", mine, place.store, "x"])
            XCTAssertEqual(refused.code, 2, refused.errors)
        }
        XCTAssertEqual(try System.readFile(place.path("before")), [1])
        XCTAssertEqual(try ashlar(["reclaim", place.store]).code, 0)
        try place.crash()
        try place.mount()
        try assertEqualTrees(source, place.path(".snapshots/one"))
        try place.unmount()
        try place.mustBeClean()
    }

    /// Inode numbers of files with one name.
    private func numbers(_ folder: String) throws -> Set<UInt64> {
        let list = try run(["find", folder, "-type", "f", "-links", "1", "-printf", "%i\n"])
        let found = list.text.split(separator: "\n").compactMap { UInt64($0) }
        XCTAssertGreaterThan(found.count, 0)
        return Set(found)
    }

    /// A file carries a directory from here to any store.
    func testThroughAFile() throws {
        let source = try makeSource()
        let place = try makePlace()
        let keys = path("keys.snap")
        let whole = path("whole.snap")
        XCTAssertEqual(
            try ashlar(["stream", "snapshot", "--source", source, "--output", keys]).code, 0)
        let refused = try ashlar(["snapshot", "import", place.store, keys, "one"])
        XCTAssertEqual(refused.code, 2, refused.errors)
        for base in [[], ["--base", whole], ["--base", keys]] {
            let made = try ashlar(
                ["stream", "snapshot", "--source", source, "--content", "--json"]
                    + ["--output", whole] + base)
            XCTAssertEqual(made.code, 0, made.errors)
            let report = try made.json()
            XCTAssertEqual(report["files"] as? Int, 61)
            // Keys are no content: it is read again.
            let isRead = (report["read"] as? Int ?? 0) > 0
            XCTAssertEqual(isRead, base.last != whole)
        }
        XCTAssertNotEqual(access(whole + ".partial", F_OK), 0)
        let info = try ashlar(["diff-info", "--verify", "--json", whole]).json()
        XCTAssertEqual(info["kind"] as? String, "snapshot")
        XCTAssertEqual(info["files"] as? Int, 61)
        XCTAssertEqual(try ashlar(["snapshot", "import", place.store, whole, "one"]).code, 0)
        let again = try ashlar(["snapshot", "import", place.store, whole, "one"])
        XCTAssertEqual(again.code, 11, again.errors)
        let mounted = Place(
            test: self, store: place.store + "@one", mountpoint: place.mountpoint)
        try mounted.mount()
        try assertEqualTrees(source, place.mountpoint)
        try place.unmount()
        try place.mustBeClean()
        try System.with(whole, O_RDWR) { file throws(SystemError) in
            try System.write(file, [0x55], at: 20_000)
        }
        XCTAssertEqual(try ashlar(["diff-info", "--verify", whole]).code, 3)
        XCTAssertEqual(try ashlar(["diff-info", source + "/d0/0"]).code, 10)
        XCTAssertEqual(try ashlar(["diff-info", source + "/none"]).code, 1)
    }

    func testAFileThatCannotBeRead() throws {
        let source = try makeSource()
        let place = try makePlace()
        let excluded = try ashlar([
            "snapshot", "create", "--source", source, place.store, "one", "--exclude", "d[0-2]/",
            "--exclude", "/sym*", "--max-depth", "1",
        ])
        XCTAssertEqual(excluded.code, 0, excluded.errors)
        let list = try ashlar(["ls", place.store + "@one", "/"]).text
        XCTAssertEqual(
            list.split(separator: "\n").map(String.init),
            ["d3", "dangling", "new", "line:"])
        for words in [["--on-error", "never"], ["--max-depth", "0"]] {
            let result = try ashlar(
                ["snapshot", "create", "--source", source, place.store, "x"] + words)
            XCTAssertEqual(result.code, 2, result.errors)
        }
        let without = try ashlar(["snapshot", "create", place.store, "x", "--verify"])
        XCTAssertEqual(without.code, 2)
        let missing = try ashlar(
            ["snapshot", "create", "--source", source + "/nothing", place.store, "x"])
        XCTAssertEqual(missing.code, 1)
        try place.mustBeClean()
    }

    private func packBytes(_ place: Place) throws -> Int {
        let folder = place.store + "/packs"
        return try FileManager.default.contentsOfDirectory(atPath: folder).reduce(0) {
            let file = try FileManager.default.attributesOfItem(atPath: folder + "/" + $1)
            return $0 + (file[.size] as? Int ?? 0)
        }
    }

    /// A signal at any moment: no snapshot, a clean store, and the same command goes on.
    func testInterruptedAndRepeated() throws {
        var random = SeededGenerator()
        let source = try makeDirectory("source")
        for index in 0..<200 {
            try System.writeFile("\(source)/\(index)", random.bytes(100_000))
        }
        let place = try makePlace()
        let command = [try Program.built("ashlar"), "snapshot", "create", "--source", source]
        for storedBytes in [0, 1 << 20, 8 << 20] {
            let program = try Program(command + [place.store, "one"], scratch: folder)
            while try packBytes(place) < storedBytes, program.isRunning { usleep(2000) }
            program.signal(SIGINT)
            let result = try program.finish(seconds: 60)
            if result.code == 0 { break }
            XCTAssertEqual(result.code, 130, result.errors)
            if storedBytes > 0 {
                XCTAssertTrue(result.errors.contains("is kept in the store"), result.errors)
            }
            try place.mustBeClean()
        }
        if try ashlar(["snapshot", "show", place.store, "one"]).code != 0 {
            XCTAssertEqual(try run(command + [place.store, "one"]).code, 0)
        }
        let mounted = Place(
            test: self, store: place.store + "@one", mountpoint: place.mountpoint)
        try mounted.mount()
        try assertEqualTrees(source, place.mountpoint)
        try place.unmount()
        try place.mustBeClean()
    }
}
