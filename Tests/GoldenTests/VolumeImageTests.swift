// The engine on each image: it opens them, shows what is expected, writes on, and comes back.
import Backends
import Checking
import DiskFormat
import FileModel
import Metadata
import Pipeline
import Volume
import XCTest

final class VolumeImageTests: XCTestCase {
    /// A store in use; the index is in memory, and stays with `index`.
    private func open(
        _ backend: any Backend, _ index: MemoryIndexProvider, isReadOnly: Bool = false
    ) throws -> LiveStore {
        var storeOptions = StoreOptions()
        storeOptions.isReadOnly = isReadOnly
        storeOptions.workerCount = 1
        storeOptions.memoryBytes = 16 << 20
        var options = VolumeOptions()
        options.isReadOnly = isReadOnly
        options.behaviour.accessTimes = .never
        options.dirtyBytesMax = 4 << 20
        var timing = LiveStore.Timing()
        timing.commitSeconds = 3_600
        let store = try ChunkStore.open(backend, index: index, options: storeOptions)
        return try LiveStore(store, options: options, timing: timing)
    }

    private func assertVolumes(
        _ live: LiveStore, _ image: GoldenImage, _ what: String, adding: [Row] = [],
        line: UInt = #line
    ) throws {
        XCTAssertEqual(live.volumeNames.sorted(), image.volumes.map(\.name), line: line)
        for expected in image.volumes {
            let volume = try XCTUnwrap(live.volume(named: expected.name))
            let added = expected.name == "main" ? adding : []
            let addedPaths = Set(added.map(\.path))
            assertRows(
                try volume.rows(),
                expected.rows.filter { !addedPaths.contains($0.path) } + added,
                "\(image.rawValue), \(expected.name), \(what)", line: line)
        }
        XCTAssertEqual(
            try live.snapshots(of: "main").map(\.name), image.snapshots.map(\.name), what,
            line: line)
        for expected in image.snapshots {
            let mounted = try live.mountedSnapshot(named: expected.name, of: "main")
            assertRows(
                try mounted.rows(), expected.rows,
                "\(image.rawValue), \(expected.name), \(what)", line: line)
        }
    }

    /// Sound, and the index, where one is given, says what the packs say.
    private func assertSound(
        _ backend: any Backend, _ index: MemoryIndexProvider?, _ what: String, line: UInt = #line
    ) throws {
        let report = try StoreCheck.run(
            backend, options: CheckOptions(depth: .deep),
            index: index?.crash(keepingBatches: .max).current.map { IndexToCheck($0) })
        XCTAssertLessThanOrEqual(
            report.worst ?? .information, .information, "\(what): \(report.problems)", line: line)
    }

    /// The volumes' families of an index: names, inodes, pieces, orphans, volumes; and the
    /// snapshots', with what they own.
    private func namespace(_ index: MemoryIndexProvider) throws -> [[UInt8]: [UInt8]] {
        let store = try XCTUnwrap(index.crash(keepingBatches: .max).current)
        var result: [[UInt8]: [UInt8]] = [:]
        for family in "DIEOVNKQ".utf8 {
            try store.scan(prefix: [family]) { key, value in
                result[Array(key)] = Array(value)
                return true
            }
        }
        return result
    }

    /// Runs `body` for each of these images; an error names the image.
    private func forEach(
        _ images: [GoldenImage], line: UInt = #line, _ body: (GoldenImage) throws -> Void
    ) {
        for image in images {
            do {
                try body(image)
            } catch {
                XCTFail("\(image.rawValue): \(error)", line: line)
            }
        }
    }

    private var writable: [GoldenImage] {
        GoldenImage.allCases.filter { $0.use == .readAndWrite }
    }

    // MARK: reading

    func testVolumesAreWhatIsExpected() throws {
        forEach(writable) { image in
            let backend = try ImageFiles.backend(image)
            let index = MemoryIndexProvider()
            let live = try open(backend, index)
            XCTAssertFalse(live.store.isReadOnly, image.rawValue)
            try assertVolumes(live, image, "written on")
            try live.close()
            try assertSound(backend, index, "\(image.rawValue), closed")
        }
    }

    /// Reading alone changes no pack, not even to put an unclean end in order.
    func testReadOnly() throws {
        forEach(writable + [.futureReadOnly]) { image in
            let backend = try ImageFiles.backend(image)
            let live = try open(backend, MemoryIndexProvider(), isReadOnly: true)
            XCTAssertTrue(live.store.isReadOnly)
            try assertVolumes(live, image, "read-only")
            let volume = try XCTUnwrap(live.volume(named: "main"))
            XCTAssertThrowsError(try make("never", in: volume)) {
                XCTAssertEqual($0 as? FileError, .readOnly)
            }
            try live.close()
            XCTAssertEqual(try ImageFiles.files(backend), try ImageFiles.load(image))
        }
    }

    /// By an index that is made from the image, and through a checkpoint behind it.
    func testRulesStay() throws {
        let backend = try ImageFiles.backend(.rules)
        for round in 0..<2 {
            let live = try open(backend, MemoryIndexProvider())
            XCTAssertEqual(try live.rules(of: "main").retention, "keep-last=2 keep-tag=ünï")
            XCTAssertEqual(try live.rules(of: "main").schedule, "every=1h prefix=auto")
            XCTAssertTrue(try live.rules(of: "other").isEmpty)
            _ = try make("tick-\(round)", in: try XCTUnwrap(live.volume(named: "other")))
            try live.checkpoint()
            try live.close()
            XCTAssertEqual(try State.open(backend).rules.count, 1)
        }
    }

    // MARK: writing on

    private func make(_ name: String, in volume: Volume) throws -> FileAttributes {
        try Array(name.utf8).withUnsafeBytes {
            try volume.makeNode(
                $0, in: RootImage.rootInode, mode: 0o100640, deviceMajor: 0, deviceMinor: 0,
                caller: Caller(user: 7, group: 8))
        }
    }

    /// The row of a file or of the root as it is now: its times are the clock's.
    private func row(_ path: String, _ volume: Volume) throws -> Row {
        try XCTUnwrap(try volume.rows().first { $0.path == path })
    }

    /// A commit on top, another opening with and without the index: everything is as it was, with
    /// what was added.
    func testWritingOn() throws {
        forEach(writable) { image in
            let backend = try ImageFiles.backend(image)
            let index = MemoryIndexProvider()
            var live = try open(backend, index)
            var volume = try XCTUnwrap(live.volume(named: "main"))
            let used = Set(try volume.rows().map(\.inode))
            let file = try make("added", in: volume)
            XCTAssertFalse(used.contains(file.inode), "a number twice")
            let bytes = SplitMix.bytes(seed: 99, 10_000)
            try bytes.withUnsafeBytes {
                try volume.write(file.inode, at: 5_000, $0, dropsPrivilegeBits: false)
            }
            try live.commit()
            let added = [try row("/added", volume), try row("/", volume)]
            XCTAssertEqual(added[0].runs, [Row.Run(5_000, 10_000, Row.hash(bytes))])
            try assertVolumes(live, image, "with a file", adding: added)
            // As a crash leaves it: the packs as they are, the index with and without its batches.
            for batches in [Int.max, 0] {
                let crashed = index.crash(keepingBatches: batches)
                try assertReopens(
                    backend.copy(), crashed, image, added, "after a crash, \(batches)")
            }
            try assertReopens(backend.copy(), MemoryIndexProvider(), image, added, "no index")
            try live.close()
            try assertSound(backend, index, "\(image.rawValue), closed with a file")
            live = try open(backend, index)
            volume = try XCTUnwrap(live.volume(named: "main"))
            try assertVolumes(live, image, "opened again", adding: added)
            try live.close()
            try assertRebuilds(backend, index, image)
        }
    }

    private func assertReopens(
        _ backend: any Backend, _ index: MemoryIndexProvider, _ image: GoldenImage,
        _ added: [Row], _ what: String, line: UInt = #line
    ) throws {
        let live = try open(backend, index)
        try assertVolumes(live, image, what, adding: added, line: line)
        try live.close()
        try assertSound(backend, index, "\(image.rawValue), \(what)", line: line)
    }

    /// An index made of the packs alone says the same as the one that was kept.
    private func assertRebuilds(
        _ backend: MemoryBackend, _ index: MemoryIndexProvider, _ image: GoldenImage
    ) throws {
        let copy = backend.copy()
        let rebuilt = MemoryIndexProvider()
        let store = try ChunkStore.open(copy, index: rebuilt, options: StoreOptions())
        try store.close()
        try assertSound(copy, rebuilt, "\(image.rawValue), rebuilt")
        XCTAssertEqual(try namespace(rebuilt), try namespace(index), image.rawValue)
    }

    /// Equal bytes are the same chunks as ever: cutting, naming and recipes have not changed.
    func testOldChunksAreHit() throws {
        let cases: [(GoldenImage, String, [UInt8])] = [
            (.plain, "/docs/long", SplitMix.bytes(seed: 1, 12_000)),
            (
                .plain, "/docs/gap",
                SplitMix.bytes(seed: 2, 1_500) + [UInt8](repeating: 0, count: 5_000)
                    + SplitMix.bytes(seed: 3, 700) + [UInt8](repeating: 0, count: 4_095) + [1]
            ),
            (.plain, "/docs/first", Array("three names\n".utf8)),
            (
                .twice, "/blocks/three-and-a-bit",
                SplitMix.bytes(seed: 6, 65_536) + [UInt8](repeating: 0, count: 65_536)
                    + SplitMix.bytes(seed: 6, 65_536) + [1, 2, 3]
            ),
        ]
        for (image, path, bytes) in cases {
            let live = try open(try ImageFiles.backend(image), MemoryIndexProvider())
            let volume = try XCTUnwrap(live.volume(named: "main"))
            let old = try XCTUnwrap(try volume.rows().first { $0.path == path })
            let file = try make("again", in: volume)
            try bytes.withUnsafeBytes {
                try volume.write(file.inode, at: 0, $0, dropsPrivilegeBits: false)
            }
            XCTAssertEqual(try key(file.inode, volume), try key(old.inode, volume), path)
            try live.close()
        }
    }

    private func key(_ inode: UInt64, _ volume: Volume) throws -> String {
        let bytes = try Array("user.ashlar.key".utf8).withUnsafeBytes {
            try volume.extendedAttribute($0, of: inode)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
