import EndToEndSupport
import Foundation
import XCTest

/// Several volumes of a store, served by one daemon.
final class VolumesTests: EndToEndTestCase {
    /// A store with the volumes `main`, `two` and `three`.
    private func makeVolumes() throws -> Place {
        let place = try makePlace()
        for name in ["two", "three"] {
            let made = try ashlar(["volume", "create", place.store, name])
            XCTAssertEqual(made.code, 0, made.errors)
        }
        return place
    }

    /// The same store, another volume.
    private func other(_ place: Place, _ name: String) throws -> Place {
        Place(test: self, store: place.store, mountpoint: try makeDirectory("mnt-\(name)"))
    }

    private func listed(_ place: Place) throws -> [String: String?] {
        let list = try ashlar(["volume", "list", "--json", place.store]).json()
        let rows = try XCTUnwrap(list["volumes"] as? [[String: Any]])
        return Dictionary(
            uniqueKeysWithValues: rows.map {
                ($0["name"] as? String ?? "", $0["mountpoint"] as? String)
            })
    }

    func testOneDaemonServesAllVolumesOfAStore() throws {
        let main = try makeVolumes()
        let two = try other(main, "two")
        let three = try other(main, "three")
        try main.mount()
        let daemon = try XCTUnwrap(main.daemon)
        try two.mount("volume=two")
        try three.mount("volume=three,ro")
        XCTAssertEqual(main.daemon, daemon, "one daemon holds the store")
        XCTAssertEqual(
            try listed(main),
            ["main": main.mountpoint, "two": two.mountpoint, "three": three.mountpoint])

        var random = SeededGenerator()
        let content = random.bytes(300_000)
        try System.writeFile(main.path("file"), content, synchronized: true)
        try System.writeFile(two.path("file"), content, synchronized: true)
        assertFails(EROFS, "a write to the read-only volume") {
            try System.writeFile(three.path("file"), [1])
        }
        XCTAssertEqual(
            try System.attribute(main.path("file"), "user.ashlar.key"),
            try System.attribute(two.path("file"), "user.ashlar.key"))
        let stats = try ashlar(["stats", "--json", main.store]).json()
        XCTAssertEqual(stats["logical_bytes"] as? Int, 600_000)
        XCTAssertLessThan(try XCTUnwrap(stats["unique_bytes"] as? Int), 320_000)

        // One goes, the others stay; what was written to it is durable when umount returns.
        try System.writeFile(main.path("late"), [1, 2, 3])
        XCTAssertEqual(try ashlar(["umount", main.mountpoint]).code, 0)
        XCTAssertEqual(main.daemon, daemon)
        XCTAssertEqual(try System.readFile(two.path("file")), content)
        kill(daemon, SIGKILL)
        try two.awaitDeath()
        ashlar_detach(three.mountpoint)
        try main.mustBeClean()
        try main.mount()
        XCTAssertEqual(try System.readFile(main.path("late")), [1, 2, 3])
        try two.mount("volume=two")
        XCTAssertEqual(try System.readFile(two.path("file")), content)
        XCTAssertEqual(try ashlar(["umount", two.mountpoint]).code, 0)
        try main.unmount()
        try main.mustBeClean()
    }

    private func ashlar_detach(_ mountpoint: String) {
        _ = try? run(["umount", "-l", mountpoint])
    }

    func testWhatIsRefused() throws {
        let main = try makeVolumes()
        let two = try other(main, "two")
        let third = try other(main, "third")
        try main.mount("memory=256M")
        expect(try third.tryMount(), code: 32, says: "the volume main is mounted on")
        expect(try third.tryMount("volume=none"), code: 32, says: "It has: main, ")
        let foreground = try ashlar(
            ["mount", "-f", "-o", "volume=two", main.store, third.mountpoint])
        expect(foreground, code: 32, says: "leave out -f")
        let differing = try two.tryMount("volume=two,memory=512M")
        XCTAssertEqual(differing.code, 0, differing.errors)
        XCTAssertTrue(differing.errors.contains("memory= is as"), differing.errors)
        expect(
            try ashlar(["volume", "remove", "--yes", main.store, "two"]), code: 11,
            says: "is mounted on \(two.mountpoint)")
        expect(try ashlar(["volume", "create", main.store, "two"]), code: 11, says: "already")
        expect(try ashlar(["volume", "create", main.store, ".x"]), code: 2, says: "no name")
        expect(try ashlar(["volume", "remove", main.store, "three"]), code: 2, says: "--yes")
        expect(
            try ashlar(["volume", "list", path("nowhere")]), code: 1, says: "nowhere")
        expect(
            try ashlar(["umount", main.store]), code: 1, says: "name one of the mountpoints")
        XCTAssertEqual(try ashlar(["umount", main.mountpoint, two.mountpoint]).code, 0)
        XCTAssertNil(main.daemon)
        // A store that is only read is only read by all.
        try main.mount("ro")
        expect(try two.tryMount("volume=two"), code: 32, says: "read-only")
        try two.mount("ro,volume=two")
        XCTAssertEqual(try ashlar(["umount", main.mountpoint, two.mountpoint]).code, 0)
    }

    func testRenamedAndRemovedVolumes() throws {
        let main = try makeVolumes()
        let two = try other(main, "two")
        try two.mount("volume=two")
        try System.writeFile(two.path("file"), [7])
        XCTAssertEqual(try ashlar(["volume", "rename", two.store, "two", "zwei"]).code, 0)
        XCTAssertEqual(try listed(two), ["main": nil, "three": nil, "zwei": two.mountpoint])
        XCTAssertEqual(try System.readFile(two.path("file")), [7])
        // While another is mounted, by its daemon.
        XCTAssertEqual(
            try ashlar(["volume", "remove", "--yes", two.store, "three"]).code, 0)
        try two.unmount()
        XCTAssertEqual(
            try ashlar(["cat", "--volume", "zwei", two.store, "/file"]).output, [7])
        XCTAssertEqual(try ashlar(["volume", "remove", "--yes", two.store, "zwei"]).code, 0)
        XCTAssertEqual(try listed(two), ["main": nil])
        expect(
            try ashlar(["volume", "remove", "--yes", two.store, "main"]), code: 2,
            says: "only volume")
        try two.mustBeClean()
        XCTAssertEqual(Cleaning.removeTree(two.store + "/index"), 0)
        try main.mount()
        try main.unmount()
        try main.mustBeClean()
    }

    /// Commands that look take a mountpoint for the store, and for the volume that is mounted there.
    func testMountpointsStandForStores() throws {
        let main = try makeVolumes()
        let two = try other(main, "two")
        try main.mount()
        try two.mount("volume=two")
        try System.writeFile(main.path("of main"), [1])
        try System.writeFile(two.path("of two"), [2, 2])
        XCTAssertEqual(try ashlar(["ls", main.mountpoint]).text, "of main\n")
        XCTAssertEqual(try ashlar(["ls", two.mountpoint]).text, "of two\n")
        XCTAssertEqual(
            try ashlar(["ls", "--volume", "main", two.mountpoint]).text, "of main\n")
        XCTAssertEqual(try ashlar(["cat", two.mountpoint, "of two"]).output, [2, 2])
        XCTAssertEqual(
            try ashlar(["query", two.mountpoint, "--min-size", "2"]).text, "/of two\n")
        let usage = try ashlar(["du", "--json", two.mountpoint]).json()
        XCTAssertEqual(usage["logical_bytes"] as? Int, 2)
        let stats = try ashlar(["stats", "--json", two.mountpoint]).json()
        XCTAssertEqual(stats["logical_bytes"] as? Int, 3)
        XCTAssertEqual(
            try ashlar(["snapshot", "create", "--volume", "two", main.store, "one"]).code, 0)
        try System.check(unlink(two.path("of two")))
        XCTAssertEqual(try ashlar(["ls", two.mountpoint + "@one"]).text, "of two\n")
        XCTAssertEqual(try ashlar(["ls", two.mountpoint]).text, "")
        let stones = ["--json", "--volume", "two"]
        let root = try ashlar(["dump", main.store + "@one", "tree"] + stones).json()
        XCTAssertEqual(root["volume"] as? String, "two")
        let snapshot = try ashlar(
            ["snapshot", "show", "--json", "--volume", "two", main.store, "one"]).json()
        XCTAssertEqual(root["name"] as? String, snapshot["root"] as? String)
        expect(
            try ashlar(["stats", main.store + "@one"]), code: 2, says: "ashlar du tells")
        let past = try other(main, "past")
        try past.mount("volume=two,snapshot=one")
        XCTAssertEqual(try ashlar(["ls", past.mountpoint]).text, "of two\n")
        XCTAssertEqual(
            try ashlar(["umount", past.mountpoint, two.mountpoint, main.mountpoint]).code, 0)
    }

    /// Mounts of one store that come and go at the same time leave no daemon and no mount behind.
    func testMountsThatComeAndGoTogether() throws {
        let main = try makeVolumes()
        let places = [("main", main), ("two", try other(main, "two"))]
        for round in 0..<8 {
            let mounts = try places.map { name, place in
                try Program(
                    [
                        try Program.built("ashlar"), "mount", "-o", "volume=\(name)", place.store,
                        place.mountpoint,
                    ], scratch: folder)
            }
            let codes = try mounts.map { try $0.finish(seconds: 60).code }
            // The one that came while the other's daemon was starting may be told that it is busy.
            XCTAssertTrue(codes.contains(0), "round \(round): \(codes)")
            XCTAssertTrue(codes.allSatisfy { $0 == 0 || $0 == 32 }, "round \(round): \(codes)")
            for (code, (_, place)) in zip(codes, places) where code == 0 {
                try System.writeFile(place.path("r\(round)"), [UInt8(round)])
            }
            let ends = try zip(codes, places).filter { $0.0 == 0 }.map { _, place in
                try Program(
                    [try Program.built("ashlar"), "umount", place.1.mountpoint], scratch: folder)
            }
            for end in ends {
                let result = try end.finish(seconds: 60)
                XCTAssertEqual(result.code, 0, "round \(round): \(result.errors)")
            }
            XCTAssertNil(main.daemon, "round \(round): a daemon is left")
        }
        try main.mustBeClean()
    }
}
