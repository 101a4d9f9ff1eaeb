import EndToEndSupport
import Foundation
import XCTest

/// Differences of any two trees: told, written to files, applied there and back.
final class StreamDifferenceTests: EndToEndTestCase {
    private func write(_ path: String, _ bytes: [UInt8]) throws {
        try System.writeFile(path, bytes)
    }

    private func setTime(_ path: String, _ seconds: Int) throws {
        let times = [
            timespec(tv_sec: seconds, tv_nsec: 1), timespec(tv_sec: seconds, tv_nsec: 987_654_321),
        ]
        try System.check(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
    }

    /// `base`, `target`, and `work`, a copy of the first.
    private func makeTrees() throws -> (base: String, target: String, work: String) {
        var random = SeededGenerator()
        let base = try makeDirectory("base")
        for folder in ["same", "changed", "gone", "gone/below", "becomes file", "touched"] {
            try System.check(mkdir("\(base)/\(folder)", 0o755))
            for index in 0..<4 {
                try write("\(base)/\(folder)/\(index)", random.bytes(random.below(9000)))
            }
        }
        try write("\(base)/big", random.bytes(3_000_000))
        try write("\(base)/becomes folder", random.bytes(100))
        try write("\(base)/new\nline:\u{e9}", random.bytes(10))
        try write("\(base)/attributes", random.bytes(70_000))
        try write("\(base)/closed", random.bytes(70))
        try System.check(chmod("\(base)/closed", 0))
        try System.check(symlink("nowhere", "\(base)/dangling"))
        try System.check(symlink("same", "\(base)/to folder"))
        try write("\(base)/one", random.bytes(5000))
        try System.check(link("\(base)/one", "\(base)/same/one too"))
        try System.check(mkdir("\(base)/empty", 0o755))
        try mustRun(["truncate", "-s", "4M", "\(base)/sparse"])
        let target = path("target")
        try mustRun(["cp", "-a", base, target])
        try System.with("\(target)/big", O_RDWR) { file throws(SystemError) in
            try System.write(file, Array("an edit in the middle".utf8), at: 1_500_000)
        }
        try write("\(target)/changed/0", random.bytes(5000))
        try write("\(target)/changed/added", random.bytes(300_000))
        try System.check(unlink("\(target)/changed/1"))
        try mustRun(["rm", "-r", "\(target)/gone", "\(target)/becomes file"])
        try write("\(target)/becomes file", random.bytes(50))
        try System.check(unlink("\(target)/becomes folder"))
        try System.check(mkdir("\(target)/becomes folder", 0o2750))
        try write("\(target)/becomes folder/inner", random.bytes(50_000))
        try System.check(unlink("\(target)/dangling"))
        try System.check(symlink("somewhere", "\(target)/dangling"))
        try mustRun([
            try Machine.require("setfattr"), "-n", "user.x", "-v", "y", "\(target)/attributes",
        ])
        try mustRun([try Machine.require("setfacl"), "-m", "u:12:rw", "\(target)/attributes"])
        try System.check(chmod("\(target)/closed", 0o640))
        try System.check(chown("\(target)/closed", 12, 34))
        try System.check(link("\(target)/changed/added", "\(target)/same/linked"))
        try System.check(chmod("\(target)/same", 0o700))
        try System.with("\(target)/one", O_RDWR) { file throws(SystemError) in
            try System.write(file, [1, 2, 3], at: 7)
        }
        try System.with("\(target)/sparse", O_RDWR) { file throws(SystemError) in
            try System.write(file, [1, 2, 3], at: 2_000_000)
        }
        try setTime("\(target)/touched/0", 77)
        try setTime("\(target)/changed", 1_000_000)
        let work = path("work")
        try mustRun(["cp", "-a", base, work])
        return (base, target, work)
    }

    private func stream(
        _ base: String, _ target: String, _ options: [String] = []
    ) throws -> ProgramResult {
        try ashlar(["stream", "diff", "--base", base, "--target", target] + options)
    }

    func testThereAndBack() throws {
        let (base, target, work) = try makeTrees()
        let file = path("c.diff")
        let made = try stream(base, target, ["--output", file, "--json"])
        XCTAssertEqual(made.code, 1, made.errors)
        XCTAssertGreaterThan(try made.json()["modified"] as? Int ?? 0, 5)
        // What both have of the big file is not carried.
        let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
        XCTAssertLessThan(try XCTUnwrap(size), 1_500_000)
        let info = try ashlar(["diff-info", file, "--json"]).json()
        XCTAssertEqual(info["kind"] as? String, "difference")
        XCTAssertEqual(info["added"] as? Int, try made.json()["added"] as? Int)
        let dry = try ashlar(["apply", "--dry-run", work, file])
        XCTAssertEqual(dry.code, 0, dry.errors)
        try assertEqualTrees(base, work)
        for _ in 0..<2 {
            let applied = try ashlar(["apply", work, file])
            XCTAssertEqual(applied.code, 0, applied.errors)
            try assertEqualTrees(target, work)
        }
        let back = try ashlar(["apply", "--reverse", work, file])
        XCTAssertEqual(back.code, 0, back.errors)
        try assertEqualTrees(base, work)
        XCTAssertEqual(try stream(base, work).code, 0)
        // Not changed at all, so there is nothing to be told.
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        XCTAssertEqual(names.filter { $0.hasSuffix(".partial") }, [])
    }

    func testAnotherBaseIsRefusedUntouched() throws {
        let (base, target, work) = try makeTrees()
        let file = path("c.diff")
        XCTAssertEqual(try stream(base, target, ["--output", file, "--one-way"]).code, 1)
        XCTAssertEqual(try ashlar(["apply", "--reverse", target, file]).code, 2)
        // One byte, with the time of before, in the last file that the difference touches.
        try System.with("\(work)/touched/0", O_RDWR) { file throws(SystemError) in
            try System.write(file, [0x55, 0xaa], at: 1)
        }
        let copy = path("copy")
        try mustRun(["cp", "-a", work, copy])
        let refused = try ashlar(["apply", work, file])
        XCTAssertEqual(refused.code, 1)
        XCTAssertTrue(refused.errors.contains("touched/0 is not what"), refused.errors)
        XCTAssertTrue(refused.errors.contains("Nothing was changed."), refused.errors)
        try assertEqualTrees(copy, work)
        let empty = try makeDirectory("empty")
        XCTAssertEqual(try ashlar(["apply", empty, file]).code, 1)
        XCTAssertEqual(try System.names(empty).count, 0)
        // What nobody knows is not deleted with its directory.
        try mustRun(["rm", "-r", work])
        try mustRun(["cp", "-a", base, work])
        try write("\(work)/gone/below/stranger", [1])
        let kept = try ashlar(["apply", work, file])
        XCTAssertEqual(kept.code, 1)
        XCTAssertTrue(kept.errors.contains("gone/below/stranger"), kept.errors)
        try System.check(unlink("\(work)/gone/below/stranger"))
        try setTime("\(work)/gone/below", 5)
        XCTAssertEqual(try ashlar(["apply", work, file]).code, 0)
        try assertEqualTrees(target, work)
    }

    /// Killed at any moment, there and back: each file is one or the other, and a run that is not
    /// killed makes the whole of it, with nothing left beside.
    func testAKilledApplyIsFinishedByAnother() throws {
        var random = SeededGenerator()
        let (base, target, work) = try makeTrees()
        for index in 0..<60 {
            try write("\(target)/becomes folder/\(index)", random.bytes(random.below(40_000)))
        }
        let file = path("c.diff")
        XCTAssertEqual(try stream(base, target, ["--output", file]).code, 1)
        let began = Date()
        XCTAssertEqual(try ashlar(["apply", work, file]).code, 0)
        let whole = Date().timeIntervalSince(began)
        var killed = 0
        for _ in 0..<12 {
            let words = random.below(2) == 0 ? ["apply"] : ["apply", "--reverse"]
            let program = try Program(
                [try Program.built("ashlar")] + words + [work, file], scratch: folder)
            usleep(UInt32(whole * 1e6 * (0.3 + 0.7 * Double(random.below(1000)) / 1000)))
            program.signal(SIGKILL)
            let ended = try program.finish(seconds: 60)
            if ended.code == 0 { continue }
            XCTAssertEqual(ended.code, 128 + SIGKILL, ended.errors)
            killed += 1
        }
        print("killed: \(killed) of 12")
        for (words, side) in [(["apply"], target), (["apply", "--reverse"], base)] {
            let applied = try ashlar(words + [work, file])
            XCTAssertEqual(applied.code, 0, applied.errors)
            try assertEqualTrees(side, work)
        }
    }

    /// A snapshot and a difference make another snapshot, there and back.
    func testAppliedToASnapshot() throws {
        let (base, target, _) = try makeTrees()
        let place = try makePlace()
        XCTAssertEqual(
            try ashlar(["snapshot", "create", "--source", base, place.store, "one"]).code, 0)
        for oneWay in [true, false] {
            let file = path("\(oneWay).diff")
            let options = ["--output", file] + (oneWay ? ["--one-way"] : [])
            XCTAssertEqual(try stream(base, target, options).code, 1)
            let name = "applied-\(oneWay)"
            for words in [["--dry-run"], ["--name", name]] {
                let applied = try ashlar(["apply", place.store + "@one", file] + words)
                XCTAssertEqual(applied.code, 0, applied.errors)
            }
            XCTAssertEqual(try stream(place.store + "@" + name, target).text, "")
            // Not what the difference begins with: said, and nothing made.
            for words in [["--dry-run"], ["--name", "x"]] {
                let refused = try ashlar(
                    ["apply", "\(place.store)@\(name)", file] + words)
                XCTAssertEqual(refused.code, 1, refused.errors)
                XCTAssertTrue(refused.errors.contains("is not what"), refused.errors)
            }
        }
        let words = ["apply", place.store + "@applied-false", path("false.diff")]
        XCTAssertEqual(try ashlar(words + ["--reverse"]).code, 2, "no name")
        let back = try ashlar(words + ["--reverse", "--name", "back"])
        XCTAssertEqual(back.code, 0, back.errors)
        XCTAssertEqual(try stream(place.store + "@back", base).text, "")
        XCTAssertEqual(try ashlar(["apply", place.store, path("false.diff")]).code, 2)
        let names = try ashlar(["snapshot", "list", "--json", place.store]).json()
        XCTAssertEqual((names["snapshots"] as? [Any])?.count, 4)
        for (name, tree) in [("applied-true", target), ("back", base)] {
            let mounted = Place(
                test: self, store: place.store + "@" + name, mountpoint: place.mountpoint)
            try mounted.mount()
            try assertEqualTrees(tree, place.mountpoint)
            try place.unmount()
        }
        try place.mustBeClean()
    }

    func testFilesThatAreDamaged() throws {
        let (base, target, work) = try makeTrees()
        let file = path("c.diff")
        XCTAssertEqual(try stream(base, target, ["--output", file]).code, 1)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        var random = SeededGenerator()
        let bad = path("bad.diff")
        for round in 0..<12 {
            var copy = bytes
            if round % 2 == 0 {
                copy[random.below(copy.count)] ^= UInt8(1 << random.below(8))
            } else {
                copy.removeLast(1 + random.below(copy.count - 1))
            }
            try write(bad, copy)
            for words in [["apply", work, bad], ["apply", "--reverse", target, bad]] {
                let result = try ashlar(words)
                XCTAssertTrue([1, 3, 10].contains(result.code), "\(result.code) \(result.errors)")
            }
        }
        try assertEqualTrees(base, work)
    }

    /// Directories, files, snapshots and volumes tell the same.
    func testEveryKindOfPlace() throws {
        let (base, target, _) = try makeTrees()
        let place = try makePlace()
        var places: [[String]] = [[base], [target]]
        for (index, tree) in [base, target].enumerated() {
            let file = path("\(index).snap")
            for words in [
                ["stream", "snapshot", "--source", tree, "--output", file],
                ["snapshot", "create", "--source", tree, place.store, "s\(index)"],
            ] {
                let made = try ashlar(words)
                XCTAssertEqual(made.code, 0, made.errors)
            }
            places[index] += [file, "\(place.store)@s\(index)"]
        }
        let expected = try stream(base, target, ["--zero"])
        XCTAssertEqual(expected.code, 1, expected.errors)
        let lines = expected.text.split(separator: "\0").map(String.init)
        XCTAssertTrue(lines.contains("M /big"))
        XCTAssertTrue(lines.contains("D /gone/below/0"))
        XCTAssertTrue(lines.contains("A /becomes folder/inner"))
        XCTAssertFalse(lines.contains { $0.hasPrefix("M /same/0") })
        for a in places[0] {
            for b in places[1] {
                let found = try stream(a, b, ["--zero"])
                XCTAssertEqual(found.text, expected.text, "\(a) \(b): \(found.errors)")
                XCTAssertEqual(try stream(a, b, ["--quick"]).text, "")
            }
        }
        for (index, tree) in [base, target].enumerated() {
            for other in places[index] {
                let found = try stream(tree, other)
                XCTAssertEqual(found.code, 0, "\(other): \(found.text)\(found.errors)")
            }
        }
        let content = try stream(base, target, ["--content", "--json"])
        for line in content.text.split(separator: "\n") {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            XCTAssertNotNil(object?["path"] as? String)
            XCTAssertNotEqual(object?["path"] as? String, "/touched/0")
        }
        XCTAssertEqual(try stream(base, path("nothing")).code, 2)
        XCTAssertEqual(try stream(base, target, ["--quick", "--output", path("x")]).code, 2)
        // Keys alone do not make a difference that can be applied.
        XCTAssertEqual(try stream(places[0][1], target, ["--output", path("x")]).code, 2)
        XCTAssertEqual(
            try stream(places[0][2], places[1][2], ["--output", path("x")]).code, 1)
        let work = path("work")
        let applied = try ashlar(["apply", work, path("x")])
        XCTAssertEqual(applied.code, 0, applied.errors)
        try assertEqualTrees(target, work)
    }

    /// Two trees, each in every kind of place: a directory, a `.snap` file, a snapshot that was scanned,
    /// one of a volume, and at last a volume as it is.
    private func makePlaces() throws -> (old: [String], new: [String], live: Place) {
        var random = SeededGenerator()
        let old = try makeDirectory("old")
        for folder in ["a", "a/deep", "b", "build"] {
            try System.check(mkdir("\(old)/\(folder)", 0o755))
        }
        for name in ["a/kept", "a/changed", "a/deep/moved.ko", "a/x.o", "b/copied", "build/out"] {
            try write("\(old)/\(name)", random.bytes(20_000))
            try setTime("\(old)/\(name)", 1_000_000)
        }
        let new = path("new")
        try mustRun(["cp", "-a", old, new])
        try write("\(new)/a/changed", [2, 2])
        try write("\(new)/a/x.o", [3])
        try write("\(new)/build/out", [4])
        try System.check(rename("\(new)/a/deep/moved.ko", "\(new)/b/elsewhere.ko"))
        try System.check(rename("\(new)/b/copied", "\(new)/b/copy"))
        try System.check(chmod("\(new)/a/kept", 0o600))
        let scanned = try makePlace("scanned")
        let live = try makePlace("live")
        try live.mount()
        var places: [[String]] = [[old], [new]]
        for (index, tree) in [old, new].enumerated() {
            let file = path("\(index).snap")
            try mustRun(["rsync", "-aX", "--delete", "\(tree)/", live.mountpoint + "/"])
            for words in [
                ["stream", "snapshot", "--source", tree, "--output", file],
                ["snapshot", "create", "--source", tree, scanned.store, "s\(index)"],
                ["snapshot", "create", live.store, "s\(index)"],
            ] {
                let made = try ashlar(words)
                XCTAssertEqual(made.code, 0, made.errors)
            }
            places[index] += [
                file, "\(scanned.store)@s\(index)", "\(live.store)@s\(index)",
            ]
        }
        return (places[0], places[1] + [live.store], live)
    }

    /// What is told, of which part, and in what form, is the same wherever the trees are.
    func testPartsPatternsAndRenamesOfEveryKindOfPlace() throws {
        let places = try makePlaces()
        let rows: [(options: [String], lines: [String])] = [
            (["b"], ["D /b/copied", "A /b/copy", "A /b/elsewhere.ko"]),
            (
                ["-M", "/b/", "a/deep"],
                ["R /b/copied -> /b/copy", "R /a/deep/moved.ko -> /b/elsewhere.ko"]
            ),
            (["-M", "--pattern", "*.ko"], ["R /a/deep/moved.ko -> /b/elsewhere.ko"]),
            (
                ["--pattern", "/a/**", "--attributes"],
                [
                    "M /a/changed (time)", "D /a/deep/moved.ko", "M /a/kept (permissions)",
                    "M /a/x.o (time)",
                ]
            ),
            (
                ["--content", "--exclude", "*.o", "--exclude", "build/", "a", "build"],
                ["M /a/changed (content)", "D /a/deep/moved.ko"]
            ),
            (["a/deep", "--exclude", "deep"], []), (["a/kept", "--content"], []),
        ]
        // Directories, what has a tree, and some of each kind with another.
        let pairs = [
            (places.old[0], places.new[0], rows), (places.old[3], places.new[4], rows),
            (places.old[0], places.new[1], [rows[1], rows[4]]),
            (places.old[1], places.new[2], [rows[1], rows[3]]),
            (places.old[2], places.new[0], [rows[2], rows[4]]),
            (places.old[0], places.new[4], [rows[1], rows[5]]),
        ]
        for (old, new, rows) in pairs {
            for row in rows {
                let found = try stream(old, new, row.options)
                let what = "\(old) \(new) \(row.options): \(found.errors)"
                XCTAssertEqual(found.code, row.lines.isEmpty ? 0 : 1, what)
                XCTAssertEqual(
                    found.text.split(separator: "\n").map(String.init), row.lines, what)
            }
            let quick = try stream(old, new, rows[0].options + ["--quick"])
            XCTAssertEqual(quick.code, 1, quick.errors)
            XCTAssertEqual(quick.text, "")
        }
        XCTAssertEqual(try stream(places.old[0], places.new[4], ["none"]).code, 2)
        // The other command has the same options, and tells the same.
        for row in rows {
            let told = try ashlar(["diff", places.old[3], places.new[3]] + row.options)
            XCTAssertEqual(told.text.split(separator: "\n").map(String.init), row.lines)
        }
        let table = try stream(places.old[0], places.new[1], ["--table", "a/changed"]).text
        XCTAssertTrue(table.contains("modified         20000             2  /a/changed"), table)
        let zero = try stream(places.old[1], places.new[0], ["--zero", "-M", "b", "a/deep"])
        XCTAssertTrue(zero.text.hasPrefix("R /b/copied\0/b/copy\0"), zero.text)
        let json = try stream(places.old[2], places.new[0], ["--json", "-M", "--pattern", "*.ko"])
        XCTAssertEqual(try json.json()["old_path"] as? String, "/a/deep/moved.ko")
        try places.live.unmount()
    }

    /// What is left out of a comparison is not touched by the file that it makes.
    func testWhatIsLeftOutStaysAsItIs() throws {
        let places = try makePlaces()
        try places.live.unmount()
        let rules = path("rules")
        try write(rules, Array("*.o\nbuild/\n".utf8))
        let file = path("c.diff")
        for options in [["-M"], ["a"], ["--pattern", "*"]] {
            XCTAssertEqual(
                try stream(places.old[0], places.new[0], ["--output", file] + options).code, 2)
        }
        for old in [places.old[0], places.old[2]] {
            let made = try stream(
                old, places.new[0], ["--output", file, "--exclude-from", rules])
            XCTAssertEqual(made.code, 1, made.errors)
            let work = path("work")
            try mustRun(["rm", "-rf", work])
            try mustRun(["cp", "-a", places.old[0], work])
            let applied = try ashlar(["apply", work, file])
            XCTAssertEqual(applied.code, 0, applied.errors)
            XCTAssertEqual(
                try stream(work, places.new[0]).text,
                "M /a/x.o (content, time)\nM /build/out (content, time)\n")
            XCTAssertEqual(
                try stream(work, places.new[0], ["--exclude-from", rules]).code, 0)
        }
    }

    /// One byte is one difference, however little it shows.
    func testOneByte() throws {
        var random = SeededGenerator()
        let tree = try makeDirectory("tree")
        for index in 0..<50 { try write("\(tree)/\(index)", random.bytes(random.below(5000))) }
        try write("\(tree)/big", random.bytes(20 << 20))
        try setTime("\(tree)/big", 1_000_000)
        let file = path("before.snap")
        let made = try ashlar(["stream", "snapshot", "--source", tree, "--output", file])
        XCTAssertEqual(made.code, 0, made.errors)
        XCTAssertEqual(try stream(file, tree).code, 0)
        try System.with("\(tree)/big", O_RDWR) { file throws(SystemError) in
            let byte = try System.read(file, 1, at: 10 << 20)[0]
            try System.write(file, [byte ^ 1], at: 10 << 20)
        }
        try setTime("\(tree)/big", 1_000_000)
        for options in [[], ["--verify"], ["--content"]] {
            let found = try stream(file, tree, options)
            XCTAssertEqual(found.code, 1, found.errors)
            XCTAssertEqual(found.text, "M /big (content)\n")
        }
    }
}
