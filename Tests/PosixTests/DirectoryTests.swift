import EndToEndSupport
import Foundation
import XCTest

/// Directories: their listing while they change, their link counts, and what statvfs(3) tells.
final class DirectoryTests: PosixTestCase {
    /// Entries of an open directory, until `count` are read or none is left.
    private func read(_ directory: OpaquePointer, _ count: Int = .max) -> [String] {
        var names: [String] = []
        while names.count < count, let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }

    private func fill(_ box: Box, _ count: Int) throws -> [String] {
        try (0..<count).map { number in
            let name = "name-\(number)-\(String(repeating: "x", count: number % 40))"
            close(try System.open(box / "empty/\(name)", O_RDWR | O_CREAT))
            return name
        }
    }

    /// What is there from the first readdir(3) to the last is listed exactly once, and nothing twice.
    func testListingWhileNamesComeAndGo() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            let names = try fill(box, 2000)
            let directory = try XCTUnwrap(opendir(box / "empty"))
            defer { closedir(directory) }
            var listed = read(directory, 100)
            let gone = Set(names.enumerated().filter { $0.offset % 5 == 0 }.map(\.element))
            for name in gone { try System.check(unlink(box / "empty/\(name)")) }
            for number in 0..<300 {
                close(try System.open(box / "empty/later-\(number)", O_RDWR | O_CREAT))
            }
            listed += read(directory, 500)
            for number in 0..<100 {
                try System.check(
                    rename(box / "empty/later-\(number)", box / "empty/renamed-\(number)"))
            }
            listed += read(directory)
            XCTAssertEqual(Set(listed).count, listed.count, "\(note): a name comes twice")
            let missing = Set(names).subtracting(gone).subtracting(listed)
            XCTAssertEqual(missing, [], note)
            let unknown = Set(listed).subtracting(names).filter {
                !$0.hasPrefix("later-") && !$0.hasPrefix("renamed-") && $0 != "." && $0 != ".."
            }
            XCTAssertEqual(unknown, [], note)
            // From the start again: what is there now, and nothing else.
            rewinddir(directory)
            let now = Set(read(directory))
            XCTAssertEqual(now.count, 2000 - gone.count + 300 + 2, note)
            XCTAssertTrue(now.isSuperset(of: [".", "..", "renamed-7", "later-100"]), note)
        }
    }

    /// The habit of rm(1): what was listed is removed while the rest is listed.
    func testRemovingWhatIsListed() throws {
        try onEachGround { box in
            _ = try fill(box, 1500)
            let directory = try XCTUnwrap(opendir(box / "empty"))
            while let name = read(directory, 1).first {
                if name != ".", name != ".." { try System.check(unlink(box / "empty/\(name)")) }
            }
            closedir(directory)
            XCTAssertEqual(rmdir(box / "empty"), 0, "on \(box.ground)")
        }
    }

    /// telldir(3) and seekdir(3) lead back to the same entry, also past removals.
    func testPositions() throws {
        try onEachGround { box in
            let names = try fill(box, 600)
            let directory = try XCTUnwrap(opendir(box / "empty"))
            defer { closedir(directory) }
            var positions: [(Int, String)] = []
            while true {
                let position = telldir(directory)
                guard let name = read(directory, 1).first else { break }
                positions.append((position, name))
            }
            XCTAssertEqual(positions.count, names.count + 2, "on \(box.ground)")
            for (position, name) in positions.reversed() {
                seekdir(directory, position)
                XCTAssertEqual(read(directory, 1), [name], "on \(box.ground)")
            }
            // What another descriptor has told would not have to hold; this one's does.
            let (position, name) = positions[300]
            for (_, other) in positions[200..<299] where other.hasPrefix("name") {
                try System.check(unlink(box / "empty/\(other)"))
            }
            seekdir(directory, position)
            XCTAssertEqual(read(directory, 1), [name], "on \(box.ground)")
        }
    }

    /// Each entry's inode and kind are those of stat(2); dots lead where they say.
    func testEntriesTellInodesAndKinds() throws {
        try onEachGround { box in
            let directory = try XCTUnwrap(opendir(box.path))
            defer { closedir(directory) }
            var seen = 0
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                let status = try System.status(box / name)
                XCTAssertEqual(entry.pointee.d_ino, status.st_ino, "on \(box.ground), \(name)")
                XCTAssertEqual(
                    UInt32(entry.pointee.d_type) << 12, status.st_mode & S_IFMT,
                    "on \(box.ground), \(name)")
                seen += 1
            }
            XCTAssertEqual(seen, Box.names.filter { !$0.contains("/") }.count + 2)
        }
    }

    func testLinkCounts() throws {
        try onEachGround { box in
            func count(_ name: String) throws -> Int { Int(try box.status(name).st_nlink) }
            let note = "on \(box.ground)"
            XCTAssertEqual(try count("empty"), 2, note)
            for number in 1...5 {
                try System.check(mkdir(box / "empty/\(number)", 0o755))
                XCTAssertEqual(try count("empty"), 2 + number, note)
            }
            try System.writeFile(box / "empty/file", [])
            try System.check(symlink("1", box / "empty/link"))
            XCTAssertEqual(try count("empty"), 7, note)
            try System.check(rename(box / "empty/1", box / "dir/1"))
            XCTAssertEqual([try count("empty"), try count("dir")], [6, 4], note)
            try System.check(rename(box / "empty/2", box / "dir/1"))
            XCTAssertEqual([try count("empty"), try count("dir")], [5, 4], note)
            try System.check(rename(box / "empty/3", box / "empty/4"))
            XCTAssertEqual(try count("empty"), 4, note)
            try System.rename(box / "empty/file", box / "dir/1", flags: 2)
            XCTAssertEqual([try count("empty"), try count("dir")], [5, 3], note)
            try System.check(rmdir(box / "empty/5"))
            XCTAssertEqual(try count("empty"), 4, note)
        }
    }

    /// What df(1) adds up, and what fills it.
    func testUsage() throws {
        try onEachGround { box in
            let note = "on \(box.ground)"
            var usage = statvfs()
            try System.check(statvfs(box.path, &usage))
            XCTAssertEqual(usage.f_bsize, usage.f_frsize, note)
            XCTAssertEqual(usage.f_namemax, 255, note)
            XCTAssertGreaterThan(usage.f_blocks, 0, note)
            XCTAssertLessThanOrEqual(usage.f_bfree, usage.f_blocks, note)
            XCTAssertLessThanOrEqual(usage.f_bavail, usage.f_bfree, note)
            XCTAssertGreaterThan(usage.f_files, 0, note)
            XCTAssertGreaterThan(usage.f_ffree, 0, note)
            XCTAssertLessThanOrEqual(usage.f_ffree, usage.f_files, note)
            XCTAssertEqual(usage.f_flag & UInt(ST_RDONLY), 0, note)
            var byDescriptor = statvfs()
            try System.with(box / "file", O_RDONLY) { (file) throws(SystemError) in
                try System.check(fstatvfs(file, &byDescriptor))
            }
            XCTAssertEqual(byDescriptor.f_blocks, usage.f_blocks, note)
            XCTAssertEqual(byDescriptor.f_fsid, usage.f_fsid, note)
        }
    }

    /// On a mount that is read only, everything that would write says so, and nothing else fails.
    func testReadOnlyMount() throws {
        let place = try place
        let box = try makeBox(on: grounds[0])
        let before = try box.snapshot()
        try place.remount("allow_other,ro")
        for call in PathCall.making where call.name != "rename to" && call.name != "link to" {
            XCTAssertEqual(
                Identity.root.outcome { call.call(box, box / "new") }, EROFS, call.name)
        }
        let reading: Set = ["open", "opendir", "stat", "lstat", "statvfs", "access", "readlink"]
        for call in PathCall.ofExisting {
            let name = call.name == "opendir" || call.name == "rmdir" ? "empty" : "file"
            var expected: Int32 =
                reading.contains(call.name) || call.name.contains("getxattr")
                ? 0 : EROFS
            if call.name == "readlink" { expected = EINVAL }
            XCTAssertEqual(
                Identity.root.outcome { call.call(box, box / name) }, expected, call.name)
        }
        XCTAssertEqual(access(box / "file", W_OK), -1)
        XCTAssertEqual(errno, EROFS)
        XCTAssertEqual(try box.snapshot(), before)
    }
}
