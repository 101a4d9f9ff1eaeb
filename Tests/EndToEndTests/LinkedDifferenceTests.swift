import EndToEndSupport
import Foundation
import XCTest

/// Differences of files with several names: which names are of one file is as it is in the target.
final class LinkedDifferenceTests: EndToEndTestCase {
    private func makeTrees() throws -> (base: String, target: String) {
        var random = SeededGenerator()
        let base = try makeDirectory("base")
        for folder in ["a", "m", "z"] { try System.check(mkdir("\(base)/\(folder)", 0o755)) }
        for name in ["lone", "pair", "split", "join", "fewer", "all", "twin", "apart", "four"] {
            try System.writeFile("\(base)/m/\(name)", random.bytes(200 + random.below(90_000)))
        }
        for name in ["z/join", "z/x"] {
            try System.writeFile("\(base)/\(name)", random.bytes(200 + random.below(90_000)))
        }
        for name in ["pair", "split", "fewer", "all", "apart", "four"] {
            try System.check(link("\(base)/m/\(name)", "\(base)/z/\(name)"))
        }
        for folder in ["m", "z"] {
            try System.check(link("\(base)/m/four", "\(base)/\(folder)/more of four"))
        }
        try mustRun(["cp", "-a", "\(base)/m/twin", "\(base)/z/twin"])
        try System.check(link("\(base)/m/fewer", "\(base)/a/fewer"))
        try System.check(symlink("m/lone", "\(base)/m/symbolic"))
        try System.check(mkfifo("\(base)/m/fifo", 0o600))
        let target = path("target")
        try mustRun(["cp", "-a", base, target])
        // More names of files that stay as they are, before them and behind them.
        for folder in ["a", "z"] {
            for name in ["lone", "pair", "symbolic", "fifo"] {
                try System.check(link("\(target)/m/\(name)", "\(target)/\(folder)/new \(name)"))
            }
        }
        // A name that becomes one of such a file; a name less; one that parts; all that change.
        try System.check(unlink("\(target)/z/join"))
        try System.check(link("\(target)/m/join", "\(target)/z/join"))
        try System.check(unlink("\(target)/a/fewer"))
        try mustRun(["cp", "-a", "\(target)/m/split", "\(target)/m/other"])
        try mustRun(["mv", "\(target)/m/other", "\(target)/m/split"])
        try System.check(chmod("\(target)/m/split", 0o600))
        // Files that nothing else happens to: two become one, one becomes two, and the two have two names each.
        try System.check(unlink("\(target)/z/twin"))
        try System.check(link("\(target)/m/twin", "\(target)/z/twin"))
        try mustRun(["cp", "-a", "\(target)/m/apart", "\(target)/m/other"])
        try mustRun(["mv", "\(target)/m/other", "\(target)/m/apart"])
        try mustRun(["cp", "-a", "\(target)/m/four", "\(target)/m/other"])
        try mustRun(["mv", "\(target)/m/other", "\(target)/m/four"])
        try System.check(unlink("\(target)/z/more of four"))
        try System.check(link("\(target)/m/four", "\(target)/z/more of four"))
        try System.check(chmod("\(target)/m/all", 0o640))
        for tree in [base, target] {
            for folder in ["a", "m", "z", "."] {
                let times = [timespec(tv_sec: 5, tv_nsec: 6), timespec(tv_sec: 7, tv_nsec: 8)]
                try System.check(utimensat(AT_FDCWD, "\(tree)/\(folder)", times, 0))
            }
        }
        return (base, target)
    }

    /// The names of each file that has several, by a walk.
    private func groups(_ folder: String) throws -> [[String]] {
        let found = try run(["find", folder, "-not", "-type", "d", "-printf", "%i %P\n"])
        var names: [String: [String]] = [:]
        for line in found.text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            names[words[0], default: []].append(words[1])
        }
        return names.values.map { $0.sorted() }.filter { $0.count > 1 }.sorted { $0[0] < $1[0] }
    }

    private func assertEqual(_ a: String, _ b: String, line: UInt = #line) throws {
        // diff(1) takes any two FIFOs for different.
        let rsync = try run([
            try Machine.require("rsync"), "-anciHAX", "--delete", a + "/", b + "/",
        ])
        XCTAssertEqual(rsync.code, 0, rsync.errors, line: line)
        XCTAssertEqual(rsync.text, "", line: line)
        XCTAssertEqual(try groups(a), try groups(b), line: line)
    }

    private func makeDifference(_ base: String, _ target: String) throws -> String {
        let file = path("c.diff")
        let made = try ashlar([
            "stream", "diff", "--base", base, "--target", target, "--output", file, "--json",
        ])
        XCTAssertEqual(made.code, 1, made.errors)
        // Untouched names are no differences.
        XCTAssertEqual(try made.json()["added"] as? Int, 8)
        return file
    }

    func testDirectories() throws {
        let (base, target) = try makeTrees()
        let file = try makeDifference(base, target)
        // The content of what is linked to is not carried.
        let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
        print("difference of \(try XCTUnwrap(size)) bytes")
        let work = path("work")
        try mustRun(["cp", "-a", base, work])
        for (words, tree) in [
            ([], target), ([], target), (["--reverse"], base), (["--reverse"], base), ([], target),
        ] {
            let applied = try ashlar(["apply"] + words + [work, file])
            XCTAssertEqual(applied.code, 0, applied.errors)
            try assertEqual(tree, work)
        }
        // A name outside, which the difference knows nothing of, does not hide that it was applied.
        try System.check(link("\(work)/m/split", path("outside")))
        let again = try ashlar(["apply", work, file])
        XCTAssertEqual(again.code, 0, again.errors)
        try assertEqual(target, work)
        // What is linked to is looked at as well.
        for spoil in ["m/lone", "m/pair"] {
            XCTAssertEqual(Cleaning.removeTree(work), 0)
            try mustRun(["cp", "-a", base, work])
            try System.check(chmod("\(work)/\(spoil)", 0o611))
            let copy = path("copy")
            try mustRun(["cp", "-a", work, copy])
            let refused = try ashlar(["apply", work, file])
            XCTAssertEqual(refused.code, 1)
            XCTAssertTrue(refused.errors.contains("\(spoil) is not what"), refused.errors)
            try assertEqual(copy, work)
            XCTAssertEqual(Cleaning.removeTree(copy), 0)
        }
    }

    func testKilledAtAnyMoment() throws {
        var random = SeededGenerator()
        let (base, target) = try makeTrees()
        let file = try makeDifference(base, target)
        let work = path("work")
        try mustRun(["cp", "-a", base, work])
        for _ in 0..<12 {
            let words = random.below(2) == 0 ? ["apply"] : ["apply", "--reverse"]
            let program = try Program(
                [try Program.built("ashlar")] + words + [work, file], scratch: folder)
            usleep(UInt32(20_000 + random.below(150_000)))
            program.signal(SIGKILL)
            _ = try program.finish()
        }
        for (words, tree) in [(["apply"], target), (["apply", "--reverse"], base)] {
            let applied = try ashlar(words + [work, file])
            XCTAssertEqual(applied.code, 0, applied.errors)
            try assertEqual(tree, work)
        }
    }

    func testSnapshots() throws {
        let (base, target) = try makeTrees()
        let place = try makePlace()
        for (name, tree) in [("one", base), ("two", target)] {
            let made = try ashlar(["snapshot", "create", "--source", tree, place.store, name])
            XCTAssertEqual(made.code, 0, made.errors)
        }
        let files = [
            try makeDifference(base, target),
            try makeDifference("\(place.store)@one", "\(place.store)@two"),
        ]
        for (index, file) in files.enumerated() {
            for (words, from, name, tree) in [
                ([], "one", "there-\(index)", target),
                (["--reverse"], "there-\(index)", "back-\(index)", base),
            ] {
                let applied = try ashlar(
                    ["apply"] + words + ["\(place.store)@\(from)", file, "--name", name])
                XCTAssertEqual(applied.code, 0, applied.errors)
                let restored = path("restored")
                XCTAssertEqual(try ashlar(["restore", place.store, name, restored]).code, 0)
                try assertEqual(tree, restored)
                XCTAssertEqual(Cleaning.removeTree(restored), 0)
            }
        }
        try place.mustBeClean()
    }
}
