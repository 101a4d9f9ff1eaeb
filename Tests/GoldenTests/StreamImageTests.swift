// Files of snapshots and differences as they were made once: they are read for ever, those of the
// future are refused politely, and today's writer makes no others.
import Backends
import Checking
import DiskFormat
import Foundation
import Metadata
import Pipeline
import Platform
import Queries
import Streams
import Trees
import Volume
import XCTest

final class StreamImageTests: XCTestCase {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Streams")

    private static func path(_ image: StreamImage) -> String {
        folder.appendingPathComponent(image.rawValue).path
    }

    /// As `GeneratorTests`: what is missing is written with ASHLAR_WRITE_IMAGES=1, and nothing else.
    func testImagesAreWhatTheGeneratorMakes() throws {
        let isWriting = ProcessInfo.processInfo.environment["ASHLAR_WRITE_IMAGES"] == "1"
        for image in StreamImage.allCases {
            let made = try image.make()
            XCTAssertEqual(try image.make(), made, "\(image.rawValue): not the same twice")
            let url = Self.folder.appendingPathComponent(image.rawValue)
            if isWriting, !FileManager.default.fileExists(atPath: url.path) {
                try FileManager.default.createDirectory(
                    at: Self.folder, withIntermediateDirectories: true)
                try Data(made).write(to: url)
                print("wrote \(image.rawValue)")
            }
            let kept = [UInt8](try Data(contentsOf: url))
            XCTAssertTrue(
                kept == made,
                "\(image.rawValue) differs: the format has changed. See GeneratorTests")
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        XCTAssertEqual(names.sorted(), StreamImage.allCases.map(\.rawValue).sorted())
    }

    private static let long = Row("/long", 4, 0o100600).holding([.init(0, 9_000, hash(70, 9_000))])

    private static func hash(_ seed: UInt64, _ count: Int) -> String {
        Row.hash(SplitMix.bytes(seed: seed, count))
    }

    private static var rows: [Row] {
        let text = Row("/folder/text", 3, 0o100644, links: 2).holding("I am text.\n")
            .with { $0.attributes = ["user.note=010203"] }
        let end = Array("end\n".utf8) + [UInt8](repeating: 0, count: 5_000)
        return [
            Row("/", 1, 0o040755, links: 3), Row("/empty", 6, 0o100444),
            Row("/folder", 2, 0o040750),
            Row("/folder/sparse", 5, 0o100644).with {
                $0.size = 105_004
                $0.allocated = 5_004
                $0.runs = [.init(100_000, 5_004, Row.hash(end))]
            }, text, Row("/link", 7, 0o120777).pointing(to: "folder/text"),
            text.with { $0.path = "/linked" }, long, Row("/pipe", 8, 0o010640),
        ]
    }

    private func open(_ image: StreamImage) throws -> StreamFile {
        let file = try StreamFile(path: Self.path(image), kind: nil)
        try file.backend.verify()
        XCTAssertEqual(file.head.time, DiskTime(seconds: 1_700_000_000, nanoseconds: 9))
        return file
    }

    func testSnapshotsAreRead() throws {
        for image in [StreamImage.content, .futureReadOnly] {
            let file = try open(image)
            XCTAssertEqual(file.head.kind, .snapshot)
            XCTAssertEqual(file.head.flags, .content)
            XCTAssertEqual(file.state.inventory.packs.count, image == .content ? 2 : 1)
            let rows = try file.volume(StreamFile.snapshotName).rows()
            XCTAssertEqual(rows.sorted { $0.path < $1.path }, Self.rows, image.rawValue)
        }
    }

    /// The files become the same snapshot of a store of today.
    func testSnapshotsAreImported() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        let root = InodeImage(inode: 1, generation: 1, mode: 0o040755, linkCount: 2)
        let volumeID = UniqueID(random: (7, 8))
        try ChunkStore.create(
            in: backend, index: index,
            parameters: StoreParameters(
                storeID: UniqueID(random: (1, 2)), secret: StoreSecret(high: 3, low: 4)),
            volumes: [NewVolume(name: "main", volumeID: volumeID, root: root)])
        var options = StoreOptions()
        options.memoryBytes = 16 << 20
        options.workerCount = 1
        let store = try ChunkStore.open(backend, index: index, options: options)
        let live = try LiveStore(store, options: VolumeOptions(), timing: .untouched)
        var work = try SnapshotImport(
            try open(.content).volume(StreamFile.snapshotName), into: live.store,
            nextInode: try live.nextInode(of: "main"))
        let made = try work.run(volumeID: volumeID, volumeName: "main")
        _ = try live.addSnapshot(SnapshotDraft(name: "made"), of: "main", root: made)
        try live.close()
        let state = try State.open(backend.copy(isReadOnly: true))
        let snapshot = try XCTUnwrap(state.snapshot(named: "made", of: volumeID))
        let rows = try VolumeState(snapshot, in: state).rows().sorted { $0.path < $1.path }
        XCTAssertEqual(rows.map(\.path), Self.rows.map(\.path))
        for (found, expected) in zip(rows, Self.rows) {
            // Numbers are the store's own.
            XCTAssertEqual(found.with { $0.inode = expected.inode }, expected)
        }
    }

    func testKeysAreReadWithoutContent() throws {
        let file = try open(.keys)
        XCTAssertEqual(file.head.flags, [])
        let keys = try file.volume(StreamFile.snapshotName)
        let content = try open(.content).volume(StreamFile.snapshotName)
        for path in ["folder/text", "long", "folder/sparse", "empty"] {
            let image = try XCTUnwrap(try keys.resolve(path))
            XCTAssertEqual(image.content, try content.resolve(path)?.content, path)
            guard image.size > 0 else { continue }
            let data: UInt64 = path == "folder/sparse" ? 100_000 : 0
            XCTAssertThrowsError(try keys.read(image, at: data, count: 4), path) {
                guard case .missing? = $0 as? TreeError else { return XCTFail("\(path): \($0)") }
            }
        }
    }

    func testDifferencesAreRead() throws {
        for image in [StreamImage.change, .oneWay] {
            let file = try open(image)
            XCTAssertEqual(file.head.kind, .difference)
            XCTAssertEqual(
                file.head.flags, image == .change ? .content : [.content, .oneWay])
            let base = try file.volume(StreamFile.baseName)
            let target = try file.volume(StreamFile.targetName)
            var difference = try VolumeDifference(from: base, to: target)
            var found: [String] = []
            while let next = try difference.next() {
                let sign = next.old == nil ? "+" : next.new == nil ? "-" : "M"
                found.append(sign + String(decoding: next.path, as: UTF8.self))
            }
            XCTAssertEqual(found, ["Mfolder/text", "-gone", "+new"], image.rawValue)
            let new = try XCTUnwrap(try target.resolve("folder/text"))
            XCTAssertEqual(try target.read(new, at: 0, count: 9), Array("second\n".utf8))
            let old = try XCTUnwrap(try base.resolve("folder/text"))
            if image == .change {
                XCTAssertEqual(try base.read(old, at: 0, count: 9), Array("first\n".utf8))
            } else {
                XCTAssertThrowsError(try base.read(old, at: 0, count: 9))
            }
        }
    }

    func testThoseOfTheFutureAreRefused() throws {
        for image in [StreamImage.futureVersion, .futureIncompatible] {
            XCTAssertThrowsError(try open(image), image.rawValue) { error in
                guard case .format(let why)? = error as? StreamFileError else {
                    return XCTFail("\(image.rawValue): \(error)")
                }
                XCTAssertTrue(why.isNewer, image.rawValue)
            }
        }
    }
}
