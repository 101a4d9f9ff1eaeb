import EndToEndSupport
import Foundation
import XCTest

/// A store on a filesystem that is too small.
final class FullDiskTests: EndToEndTestCase {
    /// A place whose store lies alone on a tmpfs.
    private func makeSmallPlace(megabytes: Int) throws -> Place {
        try makeDirectory("small")
        let mounted = try run([
            "mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", path("small"),
        ])
        guard mounted.code == 0 else { throw XCTSkip("no tmpfs: \(mounted.errors)") }
        try makeDirectory("m")
        let place = Place(test: self, store: path("small/store"), mountpoint: path("m"))
        let made = try ashlar(["mkfs", "-q", "--pack-size", "4M", place.store])
        XCTAssertEqual(made.code, 0, made.errors)
        return place
    }

    /// Writes files of 512 KiB, each synchronised, until there is no room; how many were acknowledged.
    private func fill(_ place: Place, _ random: inout SeededGenerator) throws -> [[UInt8]] {
        var contents: [[UInt8]] = []
        while contents.count < 1000 {
            let bytes = random.bytes(512 << 10)
            do throws(SystemError) {
                try System.writeFile(
                    place.path("file-\(contents.count)"), bytes, synchronized: true)
                contents.append(bytes)
            } catch {
                XCTAssertEqual(error.code, ENOSPC, "\(error)")
                return contents
            }
        }
        XCTFail("a full disk takes everything")
        return contents
    }

    private func assertContents(_ place: Place, _ contents: [[UInt8]], from first: Int = 0) throws {
        for (index, bytes) in contents.enumerated() where index >= first {
            XCTAssertTrue(try System.readFile(place.path("file-\(index)")) == bytes, "\(index)")
        }
    }

    func testFullDisk() throws {
        var random = SeededGenerator()
        let place = try makeSmallPlace(megabytes: 64)
        try place.mount()
        var contents = try fill(place, &random)
        XCTAssertGreaterThan(contents.count, 8, "hardly anything fits on 64 MiB")
        // What was acknowledged is read, what was not says so again.
        try assertContents(place, contents)
        assertFails(ENOSPC, "writing to a full store") {
            try System.writeFile(place.path("more"), random.bytes(1 << 20), synchronized: true)
        }
        // Removing works, and so does all that has to be written for it.
        unlink(place.path("more"))
        unlink(place.path("file-\(contents.count)"))
        let kept = contents.count / 2
        for index in 0..<kept { try System.check(unlink(place.path("file-\(index)"))) }
        try mustRun(["sync", place.mountpoint])
        try assertContents(place, contents, from: kept)
        try place.remount()
        try assertContents(place, contents, from: kept)
        try place.unmount()
        try place.mustBeClean()

        // Chunks are given up two checkpoints after their death, packs one later.
        for round in 0..<4 {
            try place.mount()
            try System.check(unlink(place.path("file-\(kept + round)")))
            try place.unmount()
        }
        try place.mount()
        try assertContents(place, contents, from: kept + 4)
        contents = try fill(place, &random)
        XCTAssertGreaterThan(contents.count, kept / 2, "space of \(kept) removed files stays taken")
        try assertContents(place, contents)
        try place.unmount()
        try place.mustBeClean()
    }

    /// mkfs on a filesystem without room leaves nothing half made.
    func testMkfsWithoutRoom() throws {
        try makeDirectory("small")
        let mounted = try run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", path("small")])
        guard mounted.code == 0 else { throw XCTSkip("no tmpfs: \(mounted.errors)") }
        let made = try ashlar(["mkfs", path("small/store")])
        XCTAssertEqual(made.code, 1, made.errors)
        XCTAssertTrue(made.errors.contains("no space left"), made.errors)
    }
}
