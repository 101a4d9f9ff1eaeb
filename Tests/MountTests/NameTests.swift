import FileModel
import Foundation
import Mount
import XCTest

/// Names, directories, links.
class NameTests: MountTestCase {
    func testNamesOfAllBytes() throws {
        var expected: Set<[UInt8]> = [Array(".".utf8), Array("..".utf8)]
        for byte in UInt8(1)...255 where byte != UInt8(ascii: "/") {
            let name = [UInt8(ascii: "x"), byte, UInt8(ascii: "y")]
            let path = (Array(volume.file("").utf8) + name + [0]).map { CChar(bitPattern: $0) }
            let file = open(path, O_CREAT | O_WRONLY, 0o600)
            try System.check(file)
            close(file)
            expected.insert(name)
        }
        XCTAssertEqual(Set(try System.names(volume.path)), expected)
    }

    func testLongestName() throws {
        let name = String(repeating: "n", count: 255)
        try System.writeFile(volume.file(name), [5])
        XCTAssertEqual(try System.readFile(volume.file(name)), [5])
        assertFails(ENAMETOOLONG) { try System.writeFile(self.volume.file(name + "n"), [5]) }
    }

    func testTwentyThousandEntries() throws {
        let count = 20_000
        for index in 0..<count { volume.filesystem.plant(Array("file-\(index)".utf8)) }
        let names = try System.names(volume.path)
        XCTAssertEqual(names.count, count + 2)
        XCTAssertEqual(Set(names).count, count + 2)
        var sizes = 0
        for index in 0..<count {
            sizes += try System.status(volume.file("file-\(index)")).st_nlink == 1 ? 1 : 0
        }
        XCTAssertEqual(sizes, count)
        // A second reading comes from the kernel's cache of the directory.
        _ = try System.names(volume.path)
        var fewest = UInt64.max
        // The kernel may have let go of the cache meanwhile: the best of a few attempts.
        for _ in 0..<5 where fewest > 0 {
            let again = try volume.requests { _ = try System.names(volume.path) }
            fewest = min(
                fewest,
                UInt64(again.counts[.readdir, default: 0])
                    + UInt64(again.counts[.readdirplus, default: 0]))
        }
        XCTAssertEqual(fewest, 0)
    }

    func testEntriesRemovedWhileReading() throws {
        for index in 0..<3_000 { volume.filesystem.plant(Array("file-\(index)".utf8)) }
        // It fails in the end: the mountpoint itself cannot go.
        _ = try System.run("/bin/rm", ["-rf", volume.file("")])
        XCTAssertEqual(try System.names(volume.path).count, 2)
    }

    func testAbsentNamesAreCachedAndInvalidated() throws {
        let path = volume.file("absent")
        assertFails(ENOENT) { _ = try System.status(path) }
        let again = volume.fewestRequests {
            for _ in 0..<10 { assertFails(ENOENT) { _ = try System.status(path) } }
        }
        XCTAssertEqual(again.roundTrips, 0)
        volume.filesystem.plant(Array("absent".utf8))
        volume.session.notifier.invalidateEntry(Array("absent".utf8), in: 1)
        try waitUntil { (try? System.status(path)) != nil }
    }

    func testInvalidatedInodeShowsNewContent() throws {
        let path = volume.file("a")
        try System.writeFile(path, Array("old".utf8))
        XCTAssertEqual(try System.readFile(path), Array("old".utf8))
        let inode = InodeNumber(try System.status(path).st_ino)
        volume.filesystem.overwrite(inode, with: Array("newer".utf8))
        XCTAssertEqual(try System.status(path).st_size, 3, "the kernel keeps what it was given")
        volume.session.notifier.invalidateInode(inode, range: 0..<UInt64.max)
        try waitUntil { try System.status(path).st_size == 5 }
        XCTAssertEqual(try System.readFile(path), Array("newer".utf8))
    }

    func testInvalidationsDuringRequestsDoNotDeadlock() throws {
        let directory = volume.file("busy")
        try System.check(mkdir(directory, 0o755))
        let parent = InodeNumber(try System.status(directory).st_ino)
        for index in 0..<500 {
            try System.writeFile(directory + "/a", [UInt8(index % 256)])
            volume.session.notifier.invalidateEntry(Array("a".utf8), in: parent)
            volume.session.notifier.invalidateInode(parent, range: 0..<UInt64.max)
            try System.check(unlink(directory + "/a"))
        }
        try waitUntil { volume.session.pendingInvalidationCount == 0 }
    }

    func testEvictedInodesAreForgotten() throws {
        for index in 0..<100 { try System.writeFile(volume.file("f\(index)"), [1]) }
        XCTAssertEqual(volume.filesystem.knownInodes.count, 100)
        for index in 0..<100 {
            volume.session.notifier.invalidateEntry(Array("f\(index)".utf8), in: 1)
        }
        try waitUntil { volume.filesystem.knownInodes.isEmpty }
    }

    func testRenameFlags() throws {
        try System.writeFile(volume.file("a"), [1])
        try System.writeFile(volume.file("b"), [2])
        assertFails(EEXIST) { try System.rename(volume.file("a"), volume.file("b"), flags: 1) }
        try System.rename(volume.file("a"), volume.file("b"), flags: 2)
        XCTAssertEqual(try System.readFile(volume.file("a")), [2])
        XCTAssertEqual(try System.readFile(volume.file("b")), [1])
        try System.rename(volume.file("a"), volume.file("b"), flags: 0)
        XCTAssertEqual(try System.readFile(volume.file("b")), [2])
        assertFails(ENOENT) { _ = try System.status(volume.file("a")) }
        assertFails(ENOENT) { try System.rename(volume.file("b"), volume.file("c"), flags: 2) }
    }

    func testDirectoriesAndTheirErrors() throws {
        try System.check(mkdir(volume.file("d"), 0o750))
        try System.check(mkdir(volume.file("d/e"), 0o755))
        XCTAssertEqual(try System.status(volume.file("d")).st_nlink, 3)
        assertFails(ENOTEMPTY) { try System.check(rmdir(volume.file("d"))) }
        assertFails(EISDIR) { try System.check(unlink(volume.file("d"))) }
        assertFails(EEXIST) { try System.check(mkdir(volume.file("d"), 0o755)) }
        try System.rename(volume.file("d/e"), volume.file("f"), flags: 0)
        XCTAssertEqual(try System.status(volume.file("d")).st_nlink, 2)
        try System.check(rmdir(volume.file("d")))
        assertFails(ENOENT) { _ = try System.status(volume.file("d")) }
    }

    func testLinksAndSymbolicLinks() throws {
        try System.writeFile(volume.file("a"), [9])
        try System.check(link(volume.file("a"), volume.file("b")))
        XCTAssertEqual(try System.status(volume.file("a")).st_nlink, 2)
        XCTAssertEqual(
            try System.status(volume.file("a")).st_ino, try System.status(volume.file("b")).st_ino)
        try System.check(unlink(volume.file("a")))
        XCTAssertEqual(try System.status(volume.file("b")).st_nlink, 1)
        let target = String(repeating: "t/", count: 1000) + "end"
        try System.check(symlink(target, volume.file("s")))
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = try System.check(readlink(volume.file("s"), &buffer, buffer.count))
        XCTAssertEqual(buffer.prefix(length).map { UInt8(bitPattern: $0) }, Array(target.utf8))
        let cached = try volume.requests {
            try System.check(readlink(volume.file("s"), &buffer, buffer.count))
        }
        XCTAssertEqual(cached.counts[.readlink], nil, "the kernel keeps targets")
    }

    func testUnlinkedOpenFileLivesUntilClosed() throws {
        let path = volume.file("a")
        try System.with(path, O_RDWR | O_CREAT) { file in
            try System.write(file, Array("still here".utf8))
            try System.check(unlink(path))
            try System.write(file, Array("!".utf8))
            var status = stat()
            try System.check(fstat(file, &status))
            XCTAssertEqual(status.st_nlink, 0)
            XCTAssertEqual(try System.read(file, 100), Array("still here!".utf8))
            XCTAssertEqual(volume.filesystem.inodeCount, 2)
        }
        try waitUntil { volume.filesystem.inodeCount == 1 }
    }

    func testNodesOfEveryKind() throws {
        try System.check(mkfifo(volume.file("fifo"), 0o600))
        try System.check(mknod(volume.file("device"), S_IFCHR | 0o600, 0x0000_0103))
        XCTAssertEqual(try System.status(volume.file("fifo")).st_mode & S_IFMT, S_IFIFO)
        XCTAssertEqual(try System.status(volume.file("device")).st_mode & S_IFMT, S_IFCHR)
        XCTAssertEqual(try System.status(volume.file("device")).st_rdev, 0x0000_0103)
    }
}
