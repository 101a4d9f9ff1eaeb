import EndToEndSupport
import Foundation
import XCTest

/// Differences applied to snapshots of a store whose daemon does it, while volumes are in use.
final class MountedApplyTests: EndToEndTestCase {
    /// A directory, and another state of it that differs in `megabytes` of new content.
    private func makeDifference(megabytes: Int) throws -> (
        base: String, target: String, file: String
    ) {
        var random = SeededGenerator()
        let base = try makeDirectory("base")
        for index in 0..<40 {
            _ = mkdir("\(base)/d\(index % 4)", 0o755)
            try System.writeFile("\(base)/d\(index % 4)/\(index)", random.bytes(30_000))
        }
        try System.check(link("\(base)/d0/0", "\(base)/d1/linked"))
        let target = path("target")
        try mustRun(["cp", "-a", base, target])
        for index in 0..<megabytes * 10 {
            try System.writeFile("\(target)/d1/new-\(index)", random.bytes(100_000))
        }
        try System.check(unlink("\(target)/d0/4"))
        try System.check(link("\(target)/d2/2", "\(target)/d3/linked too"))
        let file = path("c.diff")
        let made = try ashlar([
            "stream", "diff", "--base", base, "--target", target, "--output", file,
        ])
        XCTAssertEqual(made.code, 1, made.errors)
        return (base, target, file)
    }

    private func snapshots(_ place: Place) throws -> [String] {
        let list = try ashlar(["snapshot", "list", "--json", place.store])
        XCTAssertEqual(list.code, 0, list.errors)
        let found = try list.json()["snapshots"] as? [[String: Any]]
        return (found ?? []).compactMap { $0["name"] as? String }
    }

    private func packBytes(_ place: Place) throws -> Int {
        try place.packs().reduce(0) {
            $0 + Int(try System.status(place.packsFolder + "/" + $1).st_size)
        }
    }

    func testWhileTheVolumeIsWritten() throws {
        let (base, target, file) = try makeDifference(megabytes: 3)
        let place = try makePlace()
        try place.mount()
        for (name, tree) in [("one", base), ("other", target)] {
            let made = try ashlar(["snapshot", "create", "--source", tree, place.store, name])
            XCTAssertEqual(made.code, 0, made.errors)
        }
        for (words, from, name, tree) in [
            ([], "one", "two", target), (["--reverse"], "two", "back", base),
        ] {
            let dry = try ashlar(
                ["apply"] + words + ["--dry-run", "\(place.store)@\(from)", file, "--json"])
            XCTAssertEqual(dry.code, 0, dry.errors)
            let program = try Program(
                [try Program.built("ashlar"), "apply"] + words
                    + ["\(place.store)@\(from)", file, "--name", name, "--json"], scratch: folder)
            var written = 0
            while program.isRunning {
                try System.writeFile(place.path("\(name)-\(written)"), [UInt8(written % 256)])
                written += 1
                if written % 50 == 0 { _ = try ashlar(["reclaim", place.store]) }
            }
            let result = try program.finish()
            XCTAssertEqual(result.code, 0, result.errors)
            XCTAssertEqual(try result.json()["snapshot"] as? String, "main@\(name)")
            XCTAssertEqual(
                try result.json()["differences"] as? Int, try dry.json()["differences"] as? Int)
            print("\(name): \(written) files written meanwhile")
            try assertEqualTrees(tree, place.path(".snapshots/\(name)"))
        }
        // Another base: refused, and not a byte is written for it.
        let before = (try snapshots(place), try packBytes(place))
        for words in [["--dry-run"], ["--name", "x"]] {
            let refused = try ashlar(["apply", "\(place.store)@other", file] + words)
            XCTAssertEqual(refused.code, 1, refused.errors)
            XCTAssertTrue(refused.errors.contains("is not what"), refused.errors)
            XCTAssertTrue(refused.errors.contains("Nothing was changed."), refused.errors)
        }
        let taken = try ashlar(["apply", "\(place.store)@one", file, "--name", "two"])
        XCTAssertEqual(taken.code, 11, taken.errors)
        XCTAssertEqual(try ashlar(["apply", "\(place.store)@no", file, "--name", "x"]).code, 1)
        XCTAssertEqual(try snapshots(place), before.0)
        // What the volume has to commit meanwhile is small.
        XCTAssertLessThan(try packBytes(place) - before.1, 1 << 20)
        // All numbers are of one volume: none is given twice.
        try System.writeFile(place.path("behind"), [1])
        let numbers = [".snapshots/two/d1/new-0", "behind"].map {
            (try? System.status(place.path($0)).st_ino).map { $0 & 0xffff_ffff_ffff }
        }
        XCTAssertNotEqual(numbers[0], numbers[1])
        // What it had from the base alone outlives that.
        XCTAssertEqual(try ashlar(["snapshot", "delete", place.store, "one"]).code, 0)
        XCTAssertEqual(try ashlar(["reclaim", place.store]).code, 0)
        try place.crash()
        try place.mount()
        try assertEqualTrees(target, place.path(".snapshots/two"))
        try place.unmount()
        try place.mustBeClean()
    }

    /// A signal, or the client's death, at any moment: no snapshot, the volume in use goes on, and the
    /// same command makes it.
    func testEndedByASignal() throws {
        var random = SeededGenerator()
        let (base, target, file) = try makeDifference(megabytes: 20)
        let place = try makePlace()
        try place.mount()
        XCTAssertEqual(
            try ashlar(["snapshot", "create", "--source", base, place.store, "one"]).code, 0)
        let command =
            [try Program.built("ashlar"), "apply", "\(place.store)@one", file, "--name"]
        let start = try packBytes(place)
        var ended = 0
        for (index, signal) in [SIGINT, SIGKILL, SIGTERM, SIGINT].enumerated() {
            let program = try Program(command + ["no-\(index)"], scratch: folder)
            let goal = start + random.below(6 << 20) * index
            while program.isRunning, try packBytes(place) <= goal { usleep(1000) }
            program.signal(signal)
            let result = try program.finish()
            if result.code == 0 { continue }
            ended += 1
            XCTAssertEqual(result.code, 128 + signal, result.errors)
            try System.writeFile(place.path("after-\(index)"), [UInt8(index)])
        }
        XCTAssertEqual(try run(command + ["two"]).code, 0)
        // Between the commit and the answer to the client nothing is undone.
        let late = try snapshots(place).filter { $0.hasPrefix("no-") }
        XCTAssertLessThan(late.count, ended)
        for name in late {
            XCTAssertEqual(try ashlar(["snapshot", "delete", place.store, name]).code, 0)
        }
        try assertEqualTrees(target, place.path(".snapshots/two"))
        // Nothing keeps what is dead from being given up.
        XCTAssertEqual(try ashlar(["snapshot", "delete", place.store, "two"]).code, 0)
        let full = try packBytes(place)
        wait(60) {
            _ = try? ashlar(["reclaim", place.store])
            return ((try? packBytes(place)) ?? full) < full / 2
        }
        XCTAssertLessThan(try packBytes(place), full / 2)
        try place.unmount()
        try place.mustBeClean()
    }

    func testFullDisk() throws {
        let (base, target, file) = try makeDifference(megabytes: 50)
        try makeDirectory("small")
        let mounted = try run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", path("small")])
        guard mounted.code == 0 else { throw XCTSkip("no tmpfs: \(mounted.errors)") }
        try makeDirectory("m")
        let place = Place(test: self, store: path("small/store"), mountpoint: path("m"))
        XCTAssertEqual(
            try ashlar(["mkfs", "-q", "--pack-size", "4M", place.store]).code, 0)
        let whole = path("whole.snap")
        let streamed = try ashlar(
            ["stream", "snapshot", "--source", target, "--content", "--output", whole])
        XCTAssertEqual(streamed.code, 0, streamed.errors)
        let apply = ["apply", "\(place.store)@one", file, "--name", "two"]
        for isMounted in [false, true] {
            if isMounted { try place.mount() }
            if !isMounted {
                let made = try ashlar(["snapshot", "create", "--source", base, place.store, "one"])
                XCTAssertEqual(made.code, 0, made.errors)
            }
            for words in [apply, ["snapshot", "import", place.store, whole, "two"]] {
                let full = try ashlar(words)
                XCTAssertEqual(full.code, 1, full.errors)
                XCTAssertTrue(full.errors.contains("o space"), full.errors)
            }
            XCTAssertEqual(try snapshots(place), ["one"])
        }
        // What was put for it is given back, and the volume takes files again.
        let isFree = wait(60) {
            _ = try? ashlar(["reclaim", place.store])
            return
                (try? System.writeFile(
                    place.path("again"), [UInt8](repeating: 7, count: 100_000), synchronized: true))
                != nil
        }
        XCTAssertTrue(isFree)
        try assertEqualTrees(base, place.path(".snapshots/one"))
        try place.unmount()
        // With room it goes on.
        try mustRun(["mount", "-o", "remount,size=256m", path("small")])
        try place.mount()
        let made = try ashlar(apply)
        XCTAssertEqual(made.code, 0, made.errors)
        try assertEqualTrees(target, place.path(".snapshots/two"))
        try place.unmount()
        try place.mustBeClean()
    }
}
