// Snapshots of a volume in use: what they cost, what they keep, what they give back.
import Backends
import ChunkIndex
import DiskFormat
import FileModel
import Foundation
import Metadata
import NamespaceIndex
import Platform
import XCTest

@testable import Checking
@testable import Pipeline
@testable import Volume

final class SnapshotTests: XCTestCase {
    private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func settle(_ open: OpenStore) throws -> Int {
        var nodes = 0
        while let step = try open.store.settleSnapshots() { nodes += step }
        return nodes
    }

    private func makeFiles(
        _ open: OpenStore, folders: Int, filesEach: Int
    ) throws -> [UInt64] {
        var inodes: [UInt64] = []
        for folder in 0..<folders {
            let directory = try open.volume.makeFolder(name("d\(folder)"), in: 1)
            for file in 0..<filesEach {
                let made = try open.volume.makeFile(name("f\(file)"), in: directory.inode)
                inodes.append(made.inode)
                open.volume.forget(made.inode, count: 1)
            }
            open.volume.forget(directory.inode, count: 1)
        }
        return inodes
    }

    /// Counted in tree nodes, not in seconds.
    func testCostIsWhatChanged() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let inodes = try makeFiles(open, folders: 50, filesEach: isLong ? 2000 : 200)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "one"), of: "main")
        let whole = try settle(open)
        XCTAssertGreaterThan(whole, inodes.count / 400)
        // Nothing changed: the root is kept already, and one commit says so.
        let before = open.sequence
        _ = try open.live.createSnapshot(SnapshotDraft(name: "again"), of: "main")
        XCTAssertEqual(open.sequence, before + 1)
        XCTAssertEqual(try settle(open), 0)
        // Three files in three directories: their leaves and what is above them.
        for place in [3, inodes.count / 2, inodes.count - 1] {
            try open.volume.put(name("changed"), into: inodes[place])
        }
        let bytes = try backend.list(prefix: "packs/").reduce(0) { $0 + $1.size }
        _ = try open.live.createSnapshot(SnapshotDraft(name: "two"), of: "main")
        let grown = try backend.list(prefix: "packs/").reduce(0) { $0 + $1.size } - bytes
        let changed = try settle(open)
        XCTAssertLessThanOrEqual(changed, 3 * 4 + 4)
        XCTAssertLessThan(grown, 256 << 10)
        for gone in ["one", "again"] {
            _ = try open.live.deleteSnapshot(named: gone, of: "main")
        }
        XCTAssertLessThanOrEqual(try settle(open), 3 * 4 + 4)
        _ = try open.live.deleteSnapshot(named: "two", of: "main")
        XCTAssertEqual(try settle(open), whole, "the last one lets all go")
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    func testDeletingGivesBackWhatWasSaid() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        var random = SeededGenerator(seed: printedSeed())
        var files: [UInt64] = []
        for number in 0..<40 {
            let made = try open.volume.makeFile(name("f\(number)"), in: 1)
            try open.volume.put(random.bytes(3_000 + random.below(90_000)), into: made.inode)
            files.append(made.inode)
        }
        let image = try open.live.createSnapshot(SnapshotDraft(name: "kept"), of: "main")
        for number in 0..<30 { try open.volume.removeFile(name("f\(number)"), in: 1) }
        for file in files { open.volume.forget(file, count: 1) }
        try open.live.checkpoint()
        // What died without a snapshot is none of its space.
        let other = try open.volume.makeFile(name("other"), in: 1)
        try open.volume.put(random.bytes(200_000), into: other.inode)
        try open.volume.synchronizeAll()
        try open.volume.removeFile(name("other"), in: 1)
        open.volume.forget(other.inode, count: 1)
        if random.chance(1, in: 2) { _ = try settle(open) }
        for _ in 0..<8 { try checkpointAnyway(open) }
        let told = try open.store.space(ofSnapshot: image.id)
        _ = try settle(open)
        for _ in 0..<8 { try checkpointAnyway(open) }
        let before = try open.store.statistics()
        _ = try open.live.deleteSnapshot(named: "kept", of: "main")
        _ = try settle(open)
        for _ in 0..<12 { try checkpointAnyway(open) }
        let after = try open.store.statistics()
        XCTAssertEqual(before.deadChunks, after.deadChunks)
        // The checkpoints in between have laid and given up roots of their own.
        XCTAssertEqual(
            Double(told.rawBytes), Double(before.uniqueBytes - after.uniqueBytes),
            accuracy: Double(told.rawBytes) / 50)
        XCTAssertGreaterThan(told.storedBytes, told.rawBytes * 9 / 10, "of random bytes")
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// A checkpoint, also where nothing has changed.
    private func checkpointAnyway(_ open: OpenStore) throws {
        let inode = try open.volume.makeFile(name("tick"), in: 1).inode
        try open.volume.removeFile(name("tick"), in: 1)
        open.volume.forget(inode, count: 1)
        try open.volume.synchronizeAll()
        try open.live.checkpoint()
    }

    func testReadersOfADeletedSnapshotSeeNothingWrong() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        var random = SeededGenerator(seed: printedSeed())
        let bytes = random.bytes(400_000)
        let made = try open.volume.makeFile(name("file"), in: 1)
        try open.volume.put(bytes, into: made.inode)
        let view = open.live.browsable(open.volume)
        let image = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        try open.volume.removeFile(name("file"), in: 1)
        open.volume.forget(made.inode, count: 1)
        let folder = InodeNumber(image.number) << 48 | 1
        let found = try XCTUnwrap(
            try name("file").withUnsafeBytes { try view.lookup($0, in: folder) })
        XCTAssertEqual(found.inode, InodeNumber(image.number) << 48 | made.inode)
        let failures = ConditionMutex(0)
        let isOver = ConditionMutex(false)
        let reader = try PlatformThread(name: "reader") {
            while !isOver.withLock({ $0 }) {
                var buffer = [UInt8](repeating: 0, count: bytes.count)
                let count = try? buffer.withUnsafeMutableBytes {
                    try view.read(found.inode, at: 0, into: $0)
                }
                if let count, count != bytes.count || buffer != bytes {
                    failures.withLock { $0 += 1 }
                }
            }
        }
        _ = try open.live.deleteSnapshot(named: "s", of: "main")
        _ = try settle(open)
        for _ in 0..<10 { try checkpointAnyway(open) }
        isOver.withLock { $0 = true }
        reader.join()
        XCTAssertEqual(failures.withLock { $0 }, 0)
        XCTAssertThrowsError(try view.attributes(of: found.inode)) {
            XCTAssertEqual($0 as? FileError, .stale)
        }
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// The independent checker against an index that says something else of snapshots.
    func testTheCheckerFindsWrongRecords() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        _ = try makeFiles(open, folders: 3, filesEach: 20)
        let file = try open.volume.makeFile(name("gone"), in: 1)
        try open.volume.put([1, 2, 3], into: file.inode)
        let image = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        try open.volume.removeFile(name("gone"), in: 1)
        open.volume.forget(file.inode, count: 1)
        _ = try settle(open)
        _ = try open.live.changeRules(of: "main") { $0.retention = "last=3" }
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        func kinds(
            _ change: (MemoryMetadataStore, inout MetadataBatch) throws -> Void
        ) throws -> Set<String> {
            let twin = try XCTUnwrap(index.crash(keepingBatches: .max).current)
            var batch = MetadataBatch()
            try change(twin, &batch)
            try twin.write(batch)
            let report = try StoreCheck.run(
                backend.copy(isReadOnly: true), options: CheckOptions(depth: .full),
                index: IndexToCheck(twin))
            return Set(
                report.problems.filter { $0.severity > .information }.map { "\($0.kind)" })
        }
        XCTAssertEqual(try kinds { _, _ in }, [])
        let key = IndexKey.kept(image.root)
        let more = KeptRecord(owners: 2, ownsChildren: true)
        XCTAssertEqual(try kinds { $1.put(key, more.encoded()) }, ["indexCount"])
        XCTAssertEqual(try kinds { $1.delete(key) }, ["indexCount"])
        XCTAssertEqual(try kinds { $1.put(key, [1, 2]) }, ["indexDamaged"])
        let snapshot = NamespaceKey.snapshot(image.id)
        XCTAssertEqual(try kinds { $1.delete(snapshot) }, ["indexMissing"])
        var other = image
        other.id = UniqueID(high: 1, low: 2)
        XCTAssertEqual(
            try kinds { $1.put(NamespaceKey.snapshot(other.id), other.encoded()) },
            ["indexExtra"])
        // The volume's rules.
        let (number, record) = try XCTUnwrap(
            try index.crash(keepingBatches: .max).current?.volumes().first)
        func rules(_ retention: String) throws -> Set<String> {
            try kinds { _, batch in
                var record = record
                record.rules.retention = retention
                batch.put(NamespaceKey.volume(number), record.encoded())
            }
        }
        XCTAssertEqual(try rules("last=3"), [])
        XCTAssertEqual(try rules("last=1"), ["indexMissing"])
        XCTAssertEqual(try rules(""), ["indexMissing"])
        // A chunk that only the snapshot has.
        let found = try kinds { store, batch in
            try store.scan(prefix: [IndexKey.chunkPrefix]) { key, value in
                guard var record = try? ChunkRecord(value), record.domain == .data,
                    record.rawBytes == 3
                else { return true }
                record.count = 2
                batch.put([UInt8](key), record.encoded())
                return true
            }
        }
        XCTAssertEqual(found, ["indexCount"])
    }

    func testWhatIsRefused() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let live = open.live
        func expect(_ error: SnapshotError, _ body: () throws -> Void) {
            XCTAssertThrowsError(try body()) { XCTAssertEqual($0 as? SnapshotError, error) }
        }
        for bad in ["", ".x", "-x", "a/b", "a b", String(repeating: "x", count: 129)] {
            expect(.badName(bad)) {
                _ = try live.createSnapshot(SnapshotDraft(name: bad), of: "main")
            }
        }
        expect(.noVolume("x")) { _ = try live.createSnapshot(SnapshotDraft(name: "a"), of: "x") }
        var draft = SnapshotDraft(name: "a")
        draft.isPinned = true
        draft.tags = ["z", "b", "z"]
        draft.description = "ünïcode"
        let made = try live.createSnapshot(draft, of: "main")
        XCTAssertEqual(made.tags, ["b", "z"])
        expect(.exists("a")) { _ = try live.createSnapshot(SnapshotDraft(name: "a"), of: "main") }
        expect(.pinned("a")) { _ = try live.deleteSnapshot(named: "a", of: "main") }
        expect(.noSnapshot("b")) { _ = try live.deleteSnapshot(named: "b", of: "main") }
        _ = try live.createSnapshot(SnapshotDraft(name: "c"), of: "main")
        do {
            let mounted = try live.mountedSnapshot(named: "c", of: "main")
            expect(.snapshotInUse("c")) { _ = try live.deleteSnapshot(named: "c", of: "main") }
            XCTAssertTrue(mounted.isReadOnly)
        }
        _ = try live.deleteSnapshot(named: "c", of: "main")
        var edit = SnapshotEdit()
        edit.isPinned = false
        edit.name = "b"
        let edited = try live.editSnapshot(named: "a", of: "main", edit)
        XCTAssertEqual(edited.id, made.id)
        XCTAssertEqual(edited.description, "ünïcode")
        XCTAssertThrowsError(try live.removeVolume(named: "main"))
        try live.close()
        index.delete()
        let again = try OpenStore(backend, index)
        XCTAssertEqual(Array(again.store.snapshots.values), [edited], "from the packs alone")
        _ = try again.live.deleteSnapshot(named: "b", of: "main")
        try again.live.close()
    }

    func testNumbersTellSnapshotsApart() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        var numbers: [UInt16] = []
        for text in ["a", "b", "c"] {
            numbers.append(
                try open.live.createSnapshot(SnapshotDraft(name: text), of: "main").number)
        }
        _ = try open.live.deleteSnapshot(named: "a", of: "main")
        numbers.append(try open.live.createSnapshot(SnapshotDraft(name: "d"), of: "main").number)
        XCTAssertEqual(numbers, [1, 2, 3, 4])
        let view = open.live.browsable(open.volume)
        var listed: [String: InodeNumber] = [:]
        try view.readDirectory(BrowsableVolume.directoryInode, after: 0, withAttributes: true) {
            name, inode, _, _, attributes in
            listed[String(decoding: name, as: UTF8.self)] = inode
            return true
        }
        XCTAssertEqual(
            listed.filter { $0.key.count == 1 && $0.key != "." },
            ["b": 2 << 48 | 1, "c": 3 << 48 | 1, "d": 4 << 48 | 1])
        try view.readDirectory(1, after: 0, withAttributes: false) { name, _, _, _, _ in
            XCTAssertNotEqual(String(decoding: name, as: UTF8.self), ".snapshots")
            return true
        }
        try open.live.close()
    }
}
