import EndToEndSupport
import Foundation
import XCTest

/// Equal content has one key and is stored once; what users see of that is its size.
final class KeyTests: EndToEndTestCase {
    private func uniqueBytes(_ place: Place) throws -> Int {
        let figures = try ashlar(["stats", "--json", place.store]).json()
        return try XCTUnwrap((figures["unique_bytes"] as? NSNumber)?.intValue)
    }

    func testEqualFilesHaveOneKeyWhateverTheOrderOfWriting() throws {
        var random = SeededGenerator()
        let bytes = random.bytes(700_000)
        let place = try makePlace()
        try place.mount()
        try System.writeFile(place.path("forwards"), bytes)
        let starts = Array(stride(from: 0, to: bytes.count, by: 10_000))
        for (name, order) in [
            ("backwards", Array(starts.reversed())), ("shuffled", starts.shuffled(using: &random)),
        ] {
            try System.with(place.path(name), O_WRONLY | O_CREAT) { file throws(SystemError) in
                for start in order {
                    let part = Array(bytes[start..<min(bytes.count, start + 10_000)])
                    try System.write(file, part, at: start)
                    if random.below(10) == 0 { try System.check(fsync(file)) }
                }
            }
        }
        try place.remount()
        let keys = try ["forwards", "backwards", "shuffled"].map {
            try System.attribute(place.path($0), "user.ashlar.key")
        }
        XCTAssertEqual(Set(keys).count, 1)
        XCTAssertTrue(try System.readFile(place.path("shuffled")) == bytes)
        XCTAssertEqual(try System.attributes(place.path("shuffled")), [], "keys are not listed")
        try place.unmount()
        let figures = try ashlar(["stats", "--json", place.store]).json()
        let unique = try XCTUnwrap((figures["unique_bytes"] as? NSNumber)?.intValue)
        XCTAssertLessThan(unique, bytes.count + 100_000)
    }

    /// Copies inside the volume take keys, not bytes, and are files of their own.
    func testCopiesInsideTheVolume() throws {
        var random = SeededGenerator()
        let bytes = random.bytes(3 << 20)
        let place = try makePlace()
        try place.mount()
        try System.writeFile(place.path("file"), bytes, synchronized: true)
        let before = try uniqueBytes(place)
        try System.with(place.path("file"), O_RDONLY) { source throws(SystemError) in
            try System.with(place.path("copy"), O_WRONLY | O_CREAT) { target throws(SystemError) in
                var done = 0
                while done < bytes.count {
                    done += try System.copyRange(source, done, target, done, bytes.count - done)
                }
            }
        }
        try mustRun(["cp", place.path("file"), place.path("second")])
        let keys = try ["file", "copy", "second"].map {
            try System.attribute(place.path($0), "user.ashlar.key")
        }
        XCTAssertEqual(Set(keys).count, 1)
        XCTAssertLessThan(try uniqueBytes(place) - before, 100_000)
        // A change of one is none of the others.
        try System.with(place.path("copy"), O_WRONLY) { file throws(SystemError) in
            try System.write(file, [1, 2, 3], at: 1 << 20)
        }
        try System.check(unlink(place.path("file")))
        try place.remount()
        XCTAssertTrue(try System.readFile(place.path("second")) == bytes)
        var changed = bytes
        changed.replaceSubrange((1 << 20)..<((1 << 20) + 3), with: [1, 2, 3])
        XCTAssertTrue(try System.readFile(place.path("copy")) == changed)
        XCTAssertNotEqual(try System.attribute(place.path("copy"), "user.ashlar.key"), keys[0])
        try place.unmount()
        try place.mustBeClean()
        XCTAssertLessThan(try uniqueBytes(place) - before, 400_000, "one block was changed")
    }

    /// A file without a name lives as long as it is open, and not longer: not across a crash either.
    func testUnlinkedFiles() throws {
        let place = try makePlace()
        try place.mount()
        let bytes = [UInt8](repeating: 8, count: 200_000)
        for isCrash in [false, true] {
            try System.writeFile(place.path("file"), bytes, synchronized: true)
            let file = try System.open(place.path("file"), O_RDWR)
            try System.check(unlink(place.path("file")))
            try System.write(file, [1], at: bytes.count)
            try System.check(fsync(file))
            XCTAssertEqual(try System.read(file, 1 << 20, at: 0).count, bytes.count + 1)
            if isCrash {
                try place.crash { close(file) }
                try place.mount()
            } else {
                close(file)
                try place.remount()
            }
            XCTAssertEqual(try System.names(place.mountpoint), [])
            let figures = try ashlar(["stats", "--json", place.store]).json()
            XCTAssertEqual((figures["files"] as? NSNumber)?.intValue, 0)
            XCTAssertEqual((figures["logical_bytes"] as? NSNumber)?.intValue, 0)
        }
        try place.unmount()
        try place.mustBeClean()
    }

    /// Two programs that append to one file never overwrite each other.
    func testConcurrentAppends() throws {
        let place = try makePlace()
        try place.mount()
        let script = "for i in $(seq 1 300); do echo \"$1 line $i of many\" >> \"$2\"; done"
        let writers = try ["a", "b", "c"].map {
            try Program(["sh", "-c", script, "sh", $0, place.path("log")], scratch: folder)
        }
        for writer in writers { XCTAssertEqual(try writer.finish().code, 0) }
        try place.remount()
        let text = String(decoding: try System.readFile(place.path("log")), as: UTF8.self)
        let lines = text.split(separator: "\n").map(String.init)
        XCTAssertEqual(lines.count, 900)
        XCTAssertEqual(Set(lines).count, 900)
        try place.unmount()
    }
}
