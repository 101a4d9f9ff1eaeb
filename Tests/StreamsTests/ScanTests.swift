// Directories become snapshots: everything in them, once, at the cost of what changed.
import Checking
import DiskFormat
import FileModel
import Foundation
import Platform
import Queries
import Streams
import Trees
import XCTest

final class ScanTests: StreamsTestCase {
    private func differences(_ store: MemoryStore, _ a: String, _ b: String) throws -> [String] {
        let state = try store.state()
        var difference = try VolumeDifference(
            from: try store.snapshot(a, in: state), to: try store.snapshot(b, in: state))
        var found: [String] = []
        while let next = try difference.next() {
            let letter = next.old == nil ? "A" : next.new == nil ? "D" : "M"
            found.append("\(letter) \(String(decoding: next.path, as: UTF8.self))")
        }
        return found
    }

    /// Compares a snapshot with the directory that it is of.
    private func assertSame(
        _ volume: VolumeState, _ image: InodeImage, _ directory: OpenDirectory, _ path: String,
        line: UInt = #line
    ) throws {
        var names: [[UInt8]] = []
        try volume.forEachEntry(of: image) { entry in
            names.append(entry.name)
            return true
        }
        let list = try directory.names().sorted()
        XCTAssertEqual(names, (0..<list.count).map { list[$0] }, path, line: line)
        for name in names {
            let entry = try XCTUnwrap(try volume.lookUp(name, in: image))
            let below = try XCTUnwrap(try volume.image(of: entry))
            let facts = try directory.facts(name)
            let shown = path + "/" + String(decoding: name, as: UTF8.self)
            XCTAssertEqual(below.mode, facts.mode, shown, line: line)
            XCTAssertEqual(below.owner, facts.owner, shown, line: line)
            XCTAssertEqual(below.group, facts.group, shown, line: line)
            XCTAssertEqual(
                below.modificationTime,
                DiskTime(seconds: facts.modified.seconds, nanoseconds: facts.modified.nanoseconds),
                shown, line: line)
            let attributes = try volume.attributes(of: below)
            for attribute in try directory.attributeNames(name) {
                XCTAssertEqual(
                    attributes[attribute], try directory.attribute(name, attribute), shown,
                    line: line)
            }
            XCTAssertEqual(
                attributes.attributes.count, try directory.attributeNames(name).count, shown,
                line: line)
            switch facts.kind {
            case 4:
                try assertSame(volume, below, try directory.directory(name), shown, line: line)
            case 8:
                XCTAssertEqual(below.size, facts.sizeBytes, shown, line: line)
                let file = try directory.file(name)
                defer { close(file.number) }
                var bytes = [UInt8](repeating: 0, count: Int(facts.sizeBytes))
                XCTAssertEqual(pread(file.number, &bytes, bytes.count, 0), bytes.count)
                XCTAssertEqual(
                    try volume.read(below, at: 0, count: bytes.count), bytes, shown, line: line)
                XCTAssertEqual(
                    entry.target == .linked(inode: below.inode), facts.links > 1, shown,
                    line: line)
            case 10:
                XCTAssertEqual(
                    below.content, .target(try directory.target(name)), shown, line: line)
            default:
                XCTAssertEqual(below.device?.minor ?? 0, facts.deviceMinor, shown, line: line)
            }
        }
    }

    func testEveryKindOfFile() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        try source.fillWithEveryKind(&random)
        let store = try MemoryStore()
        let counts = try store.scan(source, as: "one")
        XCTAssertEqual(counts.skipped, 0)
        let volume = try store.snapshot("one")
        try assertSame(volume, volume.directory, source.directory, "")
        let sparse = try XCTUnwrap(try volume.resolve("sparse"))
        var holes: UInt64 = 0
        try volume.forEachExtent(of: sparse) { extent in
            if extent.source == .hole { holes += UInt64(extent.range.count) }
            return true
        }
        XCTAssertGreaterThan(holes, 2_500_000)
        XCTAssertEqual(sparse.allocatedBytes, sparse.size - holes)
        let linked = try XCTUnwrap(try volume.resolve("small"))
        XCTAssertEqual(linked.linkCount, 2)
        XCTAssertEqual(linked.inode, try volume.resolve("folder/another")?.inode)
        XCTAssertEqual(try store.complaints(), [])
        // Looking at it has not made it another.
        let again = try store.scan(source, as: "two")
        XCTAssertEqual(again.files, counts.files)
        XCTAssertEqual(try differences(store, "one", "two"), [])
        let state = try store.state()
        XCTAssertEqual(
            try store.snapshot("one", in: state).directory.content,
            try store.snapshot("two", in: state).directory.content, "equal trees, equal nodes")
        XCTAssertEqual(try store.complaints(), [])
        try store.live.close()
    }

    /// The same keys as any other way of writing the file gives.
    func testKeysAreCanonical() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        let content = random.bytes(300_000)
        try source.write("whole", content)
        for index in 0..<300 { try source.write("gaps", [UInt8(index % 251 + 1)], at: index << 16) }
        let store = try MemoryStore()
        try store.scan(source, as: "one")
        let volume = try XCTUnwrap(store.live.volume(named: "main"))
        let inode = try Array("whole".utf8).withUnsafeBytes { name in
            try volume.makeNode(
                name, in: 1, mode: 0o100644, deviceMajor: 0, deviceMinor: 0,
                caller: Caller(user: 0, group: 0, process: 1, umask: 0)
            ).inode
        }
        try content.withUnsafeBytes {
            try volume.write(inode, at: 0, $0, dropsPrivilegeBits: false)
        }
        try store.live.checkpoint()
        let state = try store.state()
        let live = try XCTUnwrap(try state.volume(named: "main")?.resolve("whole"))
        let scanned = try store.snapshot("one", in: state)
        XCTAssertEqual(try scanned.resolve("whole")?.content, live.content)
        let gaps = try XCTUnwrap(try scanned.resolve("gaps"))
        XCTAssertLessThan(gaps.allocatedBytes, gaps.size / 2)
        try store.live.close()
    }

    func testOneChangedByteIsOneDifference() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        for index in 0..<300 {
            if index % 100 == 0 { try source.makeFolder("d\(index / 100)") }
            try source.write("d\(index / 100)/f\(index)", random.bytes(random.below(9000) + 10))
        }
        let store = try MemoryStore()
        try store.scan(source, as: "one")
        try source.write("d1/f150", [random.bytes(1)[0] ^ 0x55], at: 5)
        let before = try source.facts("d1/f150")
        XCTAssertEqual(before.sizeBytes, try source.facts("d1/f150").sizeBytes)
        let counts = try store.scan(source, as: "two")
        let found = try differences(store, "one", "two")
        // A byte may have been what it became: then only the time differs.
        XCTAssertEqual(found, ["M d1/f150"])
        XCTAssertLessThan(counts.readBytes, 300 * 9000)
        try store.live.close()
    }

    /// Size and time of modification are as before: the time of change is not.
    func testAnEditThatHidesIsFound() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        try source.write("big", random.bytes(20 << 20))
        let facts = try source.facts("big")
        let store = try MemoryStore()
        try store.scan(source, as: "one")
        try store.scan(source, as: "same")
        XCTAssertEqual(try differences(store, "one", "same"), [])
        try source.write("big", random.bytes(1), at: 10 << 20)
        try source.write("big", [0xaa, 0xbb, 0xcc], at: (10 << 20) + 1)
        try source.setModified("big", facts.modified)
        XCTAssertEqual(try source.facts("big").modified.nanoseconds, facts.modified.nanoseconds)
        try store.scan(source, as: "two")
        XCTAssertEqual(try differences(store, "one", "two"), ["M big"])
        try store.live.close()
    }

    func testUnchangedFilesAreNotRead() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        for index in 0..<20 { try source.write("f\(index)", random.bytes(30_000)) }
        let store = try MemoryStore()
        try store.scan(source, as: "one")
        // Files that changed in the same tick as the scan began are read again: not these.
        sleepNanoseconds(30_000_000)
        try store.scan(source, as: "two")
        let third = try store.scan(source, as: "three")
        XCTAssertEqual(third.unchangedFiles, 20)
        XCTAssertEqual(third.readBytes, 0)
        var options = ScanOptions()
        options.verifiesAll = true
        let verified = try store.scan(source, as: "four", options)
        XCTAssertEqual(verified.unchangedFiles, 0)
        XCTAssertEqual(verified.readBytes, 600_000)
        XCTAssertEqual(try differences(store, "one", "four"), [])
        try store.live.close()
    }

    func testRulesAndLimits() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        try source.fillWithEveryKind(&random)
        let store = try MemoryStore()
        var options = ScanOptions()
        options.depthMax = 1
        options.isExcluded = { path, isDirectory in
            path == Array("small".utf8) || (isDirectory && path == Array("empty folder".utf8))
        }
        options.omitted = [FileIdentity(try source.facts("sparse"))]
        let counts = try store.scan(source, as: "one", options)
        let volume = try store.snapshot("one")
        for name in ["small", "empty folder", "sparse", "folder/inner", "folder/another"] {
            XCTAssertNil(try volume.resolve(name), name)
        }
        for name in ["folder", "empty", "closed", "fifo"] {
            XCTAssertNotNil(try volume.resolve(name), name)
        }
        XCTAssertEqual(counts.excluded, 4)
        XCTAssertEqual(try store.complaints(), [])
        try store.live.close()
    }

    func testCancelledAtAnyMomentAndRepeated() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        for index in 0..<60 { try source.write("f\(index)", random.bytes(40_000)) }
        let store = try MemoryStore()
        let asked = ConditionMutex(0)
        for limit in [0, 1, 40, 90] {
            asked.withLock { $0 = 0 }
            XCTAssertThrowsError(
                try store.scan(
                    source, as: "never",
                    isCancelled: {
                        asked.withLock { count in
                            count += 1
                            return count > limit
                        }
                    })
            ) { error in
                guard case StreamError.cancelled? = error as? StreamError else {
                    return XCTFail("\(error)")
                }
            }
            try store.live.keepChunks()
            XCTAssertEqual(try store.live.snapshots(of: "main").count, 0)
        }
        let kept = try store.packBytes
        XCTAssertGreaterThan(kept, 1_000_000)
        try store.reopen()
        try store.scan(source, as: "one")
        // What was stored before the interruptions is found.
        XCTAssertLessThan(try store.packBytes, 60 * 40_000 + 400_000)
        XCTAssertEqual(try store.complaints(), [])
        let volume = try store.snapshot("one")
        try assertSame(volume, volume.directory, source.directory, "")
        try store.live.close()
    }

    /// Names that hash alike get cookies of their own.
    func testManyNamesInADirectory() throws {
        let source = try makeSource("source")
        for index in 0..<3000 { try source.write("file \(index)", []) }
        let store = try MemoryStore()
        let counts = try store.scan(source, as: "one")
        XCTAssertEqual(counts.files, 3000)
        XCTAssertEqual(try store.complaints(), [])
        try store.live.close()
    }

    /// Going back to a scan makes the volume what the directory was.
    func testRollbackAndClone() throws {
        var random = SeededGenerator()
        let source = try makeSource("source")
        try source.fillWithEveryKind(&random)
        let store = try MemoryStore()
        try store.scan(source, as: "one")
        try source.write("small", random.bytes(2000))
        try source.write("new", random.bytes(2000))
        try store.scan(source, as: "two")
        for name in ["one", "two", "one"] {
            _ = try store.live.rollBack("main", to: name)
            let state = try store.state()
            let snapshot = try store.snapshot(name, in: state)
            let volume = try XCTUnwrap(state.volume(named: "main"))
            var difference = try VolumeDifference(from: snapshot, to: volume)
            XCTAssertNil(try difference.next())
            XCTAssertEqual(try store.complaints(), [])
        }
        _ = try store.live.clone("two", of: "main", to: "copy")
        XCTAssertEqual(try store.complaints(), [])
        try store.live.close()
    }
}
