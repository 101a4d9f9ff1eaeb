import EndToEndSupport
import Foundation
import XCTest

/// Snapshots on real mounts: made while writers write, read everywhere, deleted, and given back.
final class SnapshotTests: EndToEndTestCase {
    private func snapshot(
        _ words: [String], code: Int32 = 0, file: StaticString = #filePath, line: UInt = #line
    ) throws -> ProgramResult {
        let result = try ashlar(["snapshot"] + words)
        XCTAssertEqual(
            result.code, code, "snapshot \(words): \(result.errors)", file: file, line: line)
        return result
    }

    private func names(_ place: Place) throws -> [String] {
        let list = try snapshot(["list", "--json", place.store]).json()
        return try XCTUnwrap(list["snapshots"] as? [[String: Any]]).compactMap {
            $0["name"] as? String
        }
    }

    /// Files of every kind, and the same outside.
    private func makeFilled() throws -> (place: Place, reference: String) {
        var random = SeededGenerator()
        let reference = try makeDirectory("reference")
        for index in 0..<40 {
            let folder = "\(reference)/d\(index % 4)"
            _ = mkdir(folder, 0o755)
            try System.writeFile("\(folder)/\(index)", random.bytes(random.below(60_000)))
        }
        try System.check(link("\(reference)/d0/0", "\(reference)/d1/linked"))
        try System.check(symlink("d0/4", "\(reference)/symbolic"))
        let place = try makePlace()
        try place.mount()
        try mustRun(["cp", "-a", reference, place.path("tree")])
        return (place, reference)
    }

    func testASnapshotIsWhatTheVolumeWas() throws {
        let (place, reference) = try makeFilled()
        let made = try snapshot(
            ["create", place.store, "one", "--tag", "t", "--description", "d", "--json"]).json()
        XCTAssertEqual(made["name"] as? String, "one")
        XCTAssertEqual(made["tags"] as? [String], ["t"])
        let inside = place.path(".snapshots/one")
        let numbers = try inodes(inside + "/tree")
        XCTAssertTrue(Set(numbers).isDisjoint(with: try inodes(place.path("tree"))))
        try mustRun(["rm", "-r", place.path("tree/d0"), place.path("tree/d1")])
        try System.writeFile(place.path("tree/d2/2"), [1, 2, 3])
        try assertEqualTrees(reference, inside + "/tree")
        XCTAssertEqual(try inodes(inside + "/tree"), numbers, "inode numbers stay")
        XCTAssertFalse(
            try System.names(place.mountpoint).contains { $0.elementsEqual(".snapshots".utf8) })
        assertFails(EROFS, "a write") { try System.writeFile(inside + "/x", [1]) }
        assertFails(EROFS, "an unlink") { try System.check(unlink(inside + "/tree/symbolic")) }
        assertFails(EROFS, "chmod") { try System.check(chmod(inside + "/tree", 0o700)) }
        assertFails(EEXIST, "mkdir") { try System.check(mkdir(place.path(".snapshots"), 0o755)) }
        // By the packs alone, by a mount of its own, and after the index is gone.
        let listed = try ashlar(["ls", place.store + "@one", "/tree/d0"])
        XCTAssertEqual(listed.text.split(separator: "\n").count, 10)
        let verified = try snapshot(["verify", place.store, "one", "--json"]).json()
        XCTAssertEqual(verified["damaged_places"] as? Int, 0)
        XCTAssertEqual(verified["files"] as? Int, 40)
        try place.unmount()
        try place.mustBeClean()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mount("snapshot=one")
        try assertEqualTrees(reference, place.path("tree"))
        assertFails(EROFS, "a write") { try System.writeFile(place.path("x"), [1]) }
        try place.unmount()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        _ = try snapshot(["rename", place.store, "one", "uno"])
        XCTAssertEqual(try names(place), ["uno"])
        try place.mustBeClean()
        let mounted = Place(
            test: self, store: place.store + "@uno", mountpoint: place.mountpoint)
        try mounted.mount()
        try assertEqualTrees(reference, place.path("tree"))
        try place.unmount()
    }

    private func inodes(_ path: String) throws -> [String] {
        try run(["find", path, "-printf", "%P %i\n"]).text.split(separator: "\n").map(String.init)
            .sorted()
    }

    func testAcknowledgedSnapshotsSurviveKills() throws {
        let (place, reference) = try makeFilled()
        _ = try snapshot(["create", place.store, "kept", "--pin"])
        try mustRun(["rm", "-r", place.path("tree")])
        _ = try snapshot(["create", place.store, "brief"])
        _ = try snapshot(["delete", place.store, "brief"])
        _ = try snapshot(["delete", place.store, "kept"], code: 11)
        try place.crash()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mount()
        XCTAssertEqual(try names(place), ["kept"])
        try assertEqualTrees(reference, place.path(".snapshots/kept/tree"))
        let reclaimed = try ashlar(["reclaim", place.store])
        XCTAssertEqual(reclaimed.code, 0, reclaimed.errors)
        try assertEqualTrees(reference, place.path(".snapshots/kept/tree"))
        try place.crash()
        try place.mount()
        try assertEqualTrees(reference, place.path(".snapshots/kept/tree"))
        try place.unmount()
        try place.mustBeClean()
    }

    /// A writer makes numbered files one after another; each snapshot has the first so many, whole.
    func testSnapshotsWhileAWriterWrites() throws {
        let place = try makePlace()
        try place.mount()
        let script = "i=0; while [ ! -e $1/stop ]; do echo file $i > $1/f$i; i=$((i+1)); done"
        let writer = Process()
        writer.executableURL = URL(fileURLWithPath: "/bin/sh")
        writer.arguments = ["-c", script, "sh", place.mountpoint]
        try writer.run()
        defer {
            writer.terminate()
            writer.waitUntilExit()
        }
        var counts: [Int] = []
        for number in 0..<8 {
            _ = try snapshot(["create", place.store, "s\(number)"])
            if number % 3 == 2 {
                _ = try snapshot(["delete", place.store, "s\(number - 1)"])
                continue
            }
            let folder = place.path(".snapshots/s\(number)")
            let files = try System.names(folder).map { String(decoding: $0, as: UTF8.self) }
                .filter { $0.hasPrefix("f") }
            // Reading all would take longer each time than writing as many more.
            for index in Set(
                [0, files.count - 1].filter { $0 >= 0 }
                    + stride(
                        from: 0, to: files.count, by: max(1, files.count / 50)))
            {
                let expected = Array("file \(index)\n".utf8)
                let found = try System.readFile("\(folder)/f\(index)")
                // The last one may have been made and not been written yet.
                if index < files.count - 1 || !found.isEmpty { XCTAssertEqual(found, expected) }
            }
            counts.append(files.count)
        }
        XCTAssertEqual(counts, counts.sorted())
        try System.writeFile(place.path("stop"), [])
        writer.waitUntilExit()
        try place.unmount()
        try place.mustBeClean()
        XCTAssertEqual(try names(place), ["s0", "s2", "s3", "s5", "s6", "s7"])
    }

    func testDifferences() throws {
        let (place, _) = try makeFilled()
        _ = try snapshot(["create", place.store, "one"])
        func diff(_ words: [String], code: Int32) throws -> [String] {
            let result = try ashlar(["diff"] + words)
            XCTAssertEqual(result.code, code, "\(words): \(result.errors)")
            return result.text.split(separator: "\n").map(String.init)
        }
        let one = place.store + "@one"
        XCTAssertEqual(try diff([one, place.store], code: 0), [])
        // The same size and the same time: only the key tells.
        let changed = place.path("tree/d2/2")
        try mustRun(["cp", "-p", changed, place.path("old")])
        var bytes = try System.readFile(changed)
        bytes[bytes.count / 2] ^= 1
        try System.writeFile(changed, bytes)
        try mustRun(["touch", "-r", place.path("old"), changed])
        try mustRun(["rm", place.path("old")])
        XCTAssertEqual(try diff([one, place.store], code: 1), ["M /tree/d2/2 (content)"])
        XCTAssertEqual(try diff(["--attributes", one, place.store], code: 0), [])
        XCTAssertEqual(try diff(["--quick", one, place.store], code: 1), [])
        _ = try snapshot(["create", place.store, "two"])
        try mustRun(["rm", "-r", place.path("tree/d3")])
        try System.writeFile(place.path("tree/new"), [1])
        try System.check(chmod(place.path("tree/d1/linked"), 0o600))
        _ = try snapshot(["create", place.store, "three"])
        let found = try diff([place.store + "@two", place.store + "@three"], code: 1)
        XCTAssertEqual(found.filter { $0.hasPrefix("D /tree/d3") }.count, 11)
        XCTAssertEqual(
            found.filter { !$0.hasPrefix("D /tree/d3") },
            ["M /tree/d0/0 (permissions)", "M /tree/d1/linked (permissions)", "A /tree/new"])
        let lines = try diff(["--json", place.store + "@three", one], code: 1)
        for line in lines {
            XCTAssertNotNil(try JSONSerialization.jsonObject(with: Data(line.utf8)))
        }
        XCTAssertEqual(lines.count, found.count + 1)
        XCTAssertEqual(try diff([place.store + "@nope", one], code: 2), [])
        try place.unmount()
        XCTAssertEqual(try diff([place.store + "@two", place.store + "@two"], code: 0), [])
    }

    func testGoingBackAndCloning() throws {
        let (place, reference) = try makeFilled()
        _ = try snapshot(["create", place.store, "one"])
        try mustRun(["rm", "-r", place.path("tree/d0")])
        try mustRun(["mv", place.path("tree/d1"), place.path("elsewhere")])
        try System.writeFile(place.path("tree/d2/2"), [1, 2, 3])
        try System.writeFile(place.path("new"), [4])
        let used = try inodes(place.mountpoint).compactMap { $0.split(separator: " ").last }
        _ = try snapshot(["create", place.store, "two"])
        _ = try snapshot(["rollback", place.store, "one", "--remount"], code: 2)
        let refused = try snapshot(["rollback", place.store, "one", "--yes"], code: 11)
        XCTAssertTrue(refused.errors.contains("--remount"), refused.errors)
        // Another volume of the same daemon may stay.
        _ = try snapshot(["clone", place.store, "one", "copy"])
        let copy = Place(test: self, store: place.store, mountpoint: try makeDirectory("copy"))
        try copy.mount("volume=copy")
        try assertEqualTrees(reference, copy.path("tree"))
        try System.writeFile(copy.path("tree/d3/3"), [9])
        XCTAssertEqual(try ashlar(["umount", place.mountpoint]).code, 0)
        _ = try snapshot(["rollback", place.store, "one", "--yes"])
        try place.mount()
        try assertEqualTrees(reference, place.path("tree"))
        try System.writeFile(place.path("newer"), [5])
        let number = String(try System.status(place.path("newer")).st_ino)
        XCTAssertFalse(used.contains { $0 == number }, "a number twice")
        XCTAssertEqual(try System.readFile(place.path(".snapshots/two/new")), [4])
        XCTAssertEqual(try ashlar(["umount", copy.mountpoint]).code, 0)
        try place.crash()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mount()
        try assertEqualTrees(reference, place.path("tree"))
        try place.unmount()
        try place.mustBeClean()
    }

    /// A mounted volume is unmounted for the moment, unless somebody uses it, and mounted as it was.
    func testGoingBackOnAMount() throws {
        let (place, reference) = try makeFilled()
        _ = try snapshot(["create", place.store, "one"])
        try place.unmount()
        try place.mount("noatime,memory=96M")
        let options = try mountOptions(place)
        XCTAssertTrue(options.contains("noatime"), options)
        try System.writeFile(place.path("new"), [4])
        let words = ["rollback", place.store, "one", "--yes", "--remount"]
        try System.with(place.path("new"), O_RDONLY) { _ throws(SystemError) in
            let refused = try? snapshot(words, code: 11)
            XCTAssertTrue(
                refused?.errors.contains("is in use") ?? false, "\(refused?.errors ?? "")")
        }
        XCTAssertEqual(try System.readFile(place.path("new")), [4])
        _ = try snapshot(
            ["rollback", place.store, "none", "--yes", "--remount"], code: 1)
        XCTAssertEqual(try System.readFile(place.path("new")), [4])
        try rollBack(words)
        XCTAssertEqual(try mountOptions(place), options)
        XCTAssertNotEqual(access(place.path("new"), F_OK), 0)
        try assertEqualTrees(reference, place.path("tree"))
        // Beside another volume, whose daemon goes on.
        _ = try snapshot(["clone", place.store, "one", "copy"])
        let copy = Place(test: self, store: place.store, mountpoint: try makeDirectory("copy"))
        try copy.mount("volume=copy")
        try System.writeFile(place.path("new"), [4])
        try System.writeFile(copy.path("new"), [5])
        try rollBack(words)
        XCTAssertNotEqual(access(place.path("new"), F_OK), 0)
        XCTAssertEqual(try System.readFile(copy.path("new")), [5])
        XCTAssertEqual(try ashlar(["umount", copy.mountpoint]).code, 0)
        try place.unmount()
        try place.mustBeClean()
    }

    /// Whoever lists this machine's mounts is in each of them for a moment.
    private func rollBack(_ words: [String]) throws {
        var result = try ashlar(["snapshot"] + words)
        wait(5) {
            guard result.errors.contains("in use"), let next = try? ashlar(["snapshot"] + words)
            else { return true }
            result = next
            return false
        }
        XCTAssertEqual(result.code, 0, result.errors)
    }

    private func mountOptions(_ place: Place) throws -> String {
        let table = try run(["cat", "/proc/self/mountinfo"]).text
        let line = table.split(separator: "\n").last { $0.contains(" \(place.mountpoint) ") }
        return String(line?.split(separator: " ").dropFirst(5).first ?? "")
    }

    /// `du` says how much deleting gives back; reclaiming then gives it back.
    func testSpaceComesBackAsWasSaid() throws {
        var random = SeededGenerator()
        let place = try makePlace()
        try place.mount()
        try System.writeFile(place.path("stays"), random.bytes(300_000))
        for index in 0..<20 {
            try System.writeFile(place.path("f\(index)"), random.bytes(100_000))
        }
        _ = try snapshot(["create", place.store, "one"])
        for index in 0..<18 { try System.check(unlink(place.path("f\(index)"))) }
        // Only sealed packs are rewritten: those of before.
        try place.remount()
        let words = ["reclaim", "--dead-share", "0.01", place.store]
        XCTAssertEqual(try ashlar(words).code, 0)
        let before = try packBytes(place)
        let usage = try ashlar(["du", "--json", place.store + "@one"]).json()
        let told = try XCTUnwrap(usage["freed_if_deleted_stored_bytes"] as? Int)
        XCTAssertGreaterThan(told, 1_750_000)
        _ = try snapshot(["delete", place.store, "one"])
        XCTAssertEqual(try ashlar(words).code, 0)
        let freed = before - (try packBytes(place))
        XCTAssertEqual(Double(freed), Double(told), accuracy: Double(told) / 20)
        try place.unmount()
        try place.mustBeClean()
    }

    /// Within 5 % also where chunks of every compressibility lie side by side, in several packs, and on
    /// a mount, whose open pack is reclaimed too.
    func testSpaceOfMixedContentOnAMount() throws {
        var random = SeededGenerator()
        let place = try makePlace()
        try place.mount()
        let words = random.bytes(200_000).map { UInt8(ascii: "a") + $0 % 26 }
        for index in 0..<240 {
            // So much that checkpoints between, of some 100 KB, are a small part of it.
            var bytes = random.bytes(4000 + random.below(240_000))
            // From all noise to nearly all text.
            let textBytes = bytes.count * (index % 5) / 5
            let start = random.below(words.count - textBytes / 2)
            for place in 0..<textBytes { bytes[place] = words[(start + place / 2) % words.count] }
            try System.writeFile(place.path("f\(index)"), bytes)
        }
        _ = try snapshot(["create", place.store, "one"])
        for index in 0..<240 where random.below(3) > 0 {
            try System.check(unlink(place.path("f\(index)")))
        }
        let reclaim = ["reclaim", "--dead-share", "0.01", place.store]
        XCTAssertEqual(try ashlar(reclaim).code, 0)
        let before = try packBytes(place)
        let usage = try ashlar(["du", "--json", place.store + "@one"]).json()
        let told = try XCTUnwrap(usage["freed_if_deleted_stored_bytes"] as? Int)
        XCTAssertGreaterThan(told, 6_000_000)
        _ = try snapshot(["delete", place.store, "one"])
        XCTAssertEqual(try ashlar(reclaim).code, 0)
        let freed = before - (try packBytes(place))
        print("told \(told), freed \(freed)")
        XCTAssertEqual(Double(freed), Double(told), accuracy: Double(told) / 20)
        try place.unmount()
        try place.mustBeClean()
    }

    private func packBytes(_ place: Place) throws -> Int {
        try place.packs().reduce(0) {
            $0 + Int(try System.status(place.packsFolder + "/" + $1).st_size)
        }
    }
}
