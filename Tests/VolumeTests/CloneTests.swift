// Clones: what they cost, when their names are loaded, and what they hold on to.
import Backends
import DiskFormat
import FileModel
import Metadata
import NamespaceIndex
import Platform
import XCTest

@testable import Pipeline
@testable import Volume

final class CloneTests: XCTestCase {
    private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// How many keys of a family the index has for a volume.
    private func keys(
        _ family: NamespaceKey.Family, _ number: UInt32, in store: any MetadataStore
    ) throws -> Int {
        var count = 0
        try store.scan(prefix: NamespaceKey.prefix(family, number)) { _, _ in
            count += 1
            return true
        }
        return count
    }

    private func bytes(_ folder: Int, _ file: Int) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(folder * 10_000 + file))
        return random.bytes(200 + file % 7 * 900)
    }

    /// Folders in folders: `d0/d1/…`, each with files; and a file with a second name in the innermost.
    private func fill(_ open: OpenStore, folders: Int, filesEach: Int) throws {
        var parent: UInt64 = 1
        for folder in 0..<folders {
            parent = try open.volume.makeFolder(name("d\(folder)"), in: parent).inode
            for file in 0..<filesEach {
                let made = try open.volume.makeFile(name("f\(file)"), in: parent)
                try open.volume.put(bytes(folder, file), into: made.inode)
                if folder + 1 == folders, file == 0 {
                    _ = try open.volume.addLink(made.inode, as: name("link"), in: 1)
                    open.volume.forget(made.inode, count: 1)
                }
                open.volume.forget(made.inode, count: 1)
            }
        }
        try open.volume.synchronizeAll()
    }

    private func folder(_ depth: Int, of volume: Volume) throws -> UInt64 {
        var parent: UInt64 = 1
        for number in 0...depth {
            parent = try XCTUnwrap(volume.find(name("d\(number)"), in: parent)).inode
        }
        return parent
    }

    private func check(_ open: OpenStore, folders: Int, filesEach: Int) throws {
        var parent: UInt64 = 1
        for folder in 0..<folders {
            parent = try XCTUnwrap(open.volume.find(name("d\(folder)"), in: parent)).inode
            var names: Set<String> = []
            try open.volume.readDirectory(parent, after: 2, withAttributes: false) {
                name, _, _, _, _ in
                names.insert(String(decoding: name, as: UTF8.self))
                return true
            }
            var expected = Set((0..<filesEach).map { "f\($0)" })
            if folder + 1 < folders { expected.insert("d\(folder + 1)") }
            XCTAssertEqual(names, expected)
            for file in [0, filesEach / 2, filesEach - 1] {
                let found = try XCTUnwrap(open.volume.find(name("f\(file)"), in: parent))
                let expected = bytes(folder, file)
                XCTAssertEqual(
                    try open.volume.get(found.inode, count: expected.count + 1), expected)
            }
        }
        XCTAssertEqual(try open.volume.find(name("link"), in: 1)?.linkCount, 2)
    }

    /// Counted in commits, bytes and keys, not in seconds.
    func testCostDoesNotGrowWithTheSnapshot() throws {
        var costs: [UInt64] = []
        for files in [20, isLong ? 20_000 : 2_000] {
            let backend = MemoryBackend()
            let index = MemoryIndexProvider()
            try makeStore(backend, index)
            let open = try OpenStore(backend, index)
            try fill(open, folders: 3, filesEach: files)
            _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
            while try open.store.settleSnapshots() != nil {}
            let before = try backend.list(prefix: "packs/").reduce(0) { $0 + $1.size }
            let sequence = open.sequence
            _ = try open.live.clone("s", of: "main", to: "clone")
            XCTAssertEqual(open.sequence, sequence + 1, "one checkpoint")
            costs.append(try backend.list(prefix: "packs/").reduce(0) { $0 + $1.size } - before)
            let clone = try OpenStore(open.live, volume: "clone")
            let number = clone.volume.number
            XCTAssertEqual(try keys(.inode, number, in: open.store.index), 1)
            XCTAssertEqual(try keys(.name, number, in: open.store.index), 0)
            let statistics = try XCTUnwrap(
                open.store.volumes().first { $0.number == number }
            ).record.statistics
            XCTAssertEqual(statistics.files, UInt64(3 * files), "linked ones once")
            XCTAssertEqual(statistics.directories, 4)
            // Of the snapshot's nodes the root's alone are kept once more.
            XCTAssertLessThan(try XCTUnwrap(open.store.settleSnapshots()), 4)
            XCTAssertNil(try open.store.settleSnapshots())
            // A directory that is asked for is loaded, and no other.
            _ = try clone.volume.find(name("d0"), in: 1)
            XCTAssertEqual(try keys(.name, number, in: open.store.index), 2)
            try open.live.close()
            XCTAssertEqual(try complaints(backend, index), [])
        }
        XCTAssertLessThan(costs[1], costs[0] + 4096, "\(costs)")
    }

    /// A folder of more names than a step loads, cut off in its middle; then everything.
    func testLoadingGoesOnWhereItWasCutOff() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let files = 2 * LoadingStep.entriesMax + 300
        var open = try OpenStore(backend, index)
        try fill(open, folders: 2, filesEach: files)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        var clone = try OpenStore(open.live, volume: "clone")
        let number = clone.volume.number
        let inode = try XCTUnwrap(clone.volume.find(name("d0"), in: 1)).inode
        XCTAssertFalse(try open.store.loadNames(of: inode, in: number))
        XCTAssertEqual(try keys(.name, number, in: open.store.index), 2 + LoadingStep.entriesMax)
        XCTAssertEqual(try complaints(backend, index), [])
        let cut = index.crash(keepingBatches: .max)
        let crashed = backend.crash()
        try open.live.close()
        open = try OpenStore(crashed, cut)
        clone = try OpenStore(open.live, volume: "clone")
        XCTAssertEqual(try keys(.name, number, in: open.store.index), 2 + LoadingStep.entriesMax)
        try check(clone, folders: 2, filesEach: files)
        XCTAssertNil(try open.store.origin(of: number), "all is loaded")
        XCTAssertFalse(clone.volume.isLoading.load(ordering: .relaxed))
        try open.live.close()
        XCTAssertEqual(try complaints(crashed, cut), [])
        // An index that is made anew has what the loaded one has.
        cut.delete()
        open = try OpenStore(crashed, cut)
        try check(try OpenStore(open.live, volume: "clone"), folders: 2, filesEach: files)
        XCTAssertNil(try open.store.origin(of: number))
        try open.live.close()
        XCTAssertEqual(try complaints(crashed, cut), [])
    }

    /// The snapshot goes, and everything that it was made of; then the clone.
    func testACloneOutlivesItsSnapshotAndGivesEverythingBack() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let empty = try open.store.statistics().uniqueBytes
        try fill(open, folders: 3, filesEach: 40)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        let clone = try OpenStore(open.live, volume: "clone")
        let number = clone.volume.number
        // One file is deleted in the clone before the rest is loaded.
        try clone.volume.removeFile(name("f1"), in: try folder(0, of: clone.volume))
        _ = try open.live.deleteSnapshot(named: "s", of: "main")
        open.volume.forgetKernel()
        try open.live.removeVolume(named: "main")
        XCTAssertEqual(try complaints(backend, index), [])
        XCTAssertEqual(try open.store.volumesToLoad(), [number])
        _ = try open.live.reclaim()
        XCTAssertNil(
            try open.store.origin(of: number), "reclaiming loads what holds on to the dead")
        XCTAssertEqual(try complaints(backend, index), [])
        clone.volume.evict()
        let innermost = try folder(2, of: clone.volume)
        for file in 0..<40 {
            let found = try XCTUnwrap(clone.volume.find(name("f\(file)"), in: innermost))
            let expected = bytes(2, file)
            XCTAssertEqual(try clone.volume.get(found.inode, count: 10_000), expected)
            clone.volume.forget(found.inode, count: 1)
        }
        try open.live.createVolume(named: "other")
        clone.volume.forgetKernel()
        try open.live.removeVolume(named: "clone")
        _ = try open.live.reclaim()
        _ = try open.live.reclaim()
        let left = try open.store.statistics()
        XCTAssertLessThan(left.uniqueBytes, empty + 8192, "\(left)")
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// As long as the snapshot is there, nothing is loaded for its own sake.
    func testReclaimingLeavesTheCloneOfALivingSnapshotAlone() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open, folders: 2, filesEach: 10)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        let number = try OpenStore(open.live, volume: "clone").volume.number
        _ = try open.live.reclaim()
        XCTAssertEqual(try keys(.inode, number, in: open.store.index), 1)
        // Removing it loads and removes what is in it.
        try open.live.removeVolume(named: "clone")
        XCTAssertEqual(try keys(.unloaded, number, in: open.store.index), 0)
        XCTAssertEqual(try keys(.inode, number, in: open.store.index), 0)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// A mount that must not write anything loads into memory alone.
    func testReadOnly() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var open = try OpenStore(backend, index)
        let files = LoadingStep.entriesMax + 700
        try fill(open, folders: 2, filesEach: files)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        let number = try OpenStore(open.live, volume: "clone").volume.number
        try open.live.close()
        var storeOptions = StoreOptions()
        storeOptions.isReadOnly = true
        var options = smallOptions()
        options.isReadOnly = true
        let store = try ChunkStore.open(
            backend.copy(isReadOnly: true), index: index, options: storeOptions)
        open = try OpenStore(
            LiveStore(store, options: options, timing: quietTiming()), volume: "clone")
        try check(open, folders: 2, filesEach: files)
        try open.live.close()
        let after = try XCTUnwrap(index.crash(keepingBatches: .max).current)
        XCTAssertEqual(try keys(.name, number, in: after), 0)
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// An index of before the loading, under commits of what was loaded: from a backup, say.
    func testAnIndexThatHasLostTheLoadingIsMadeAnew() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open, folders: 2, filesEach: 10)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        let old = index.crash(keepingBatches: .max)
        let clone = try OpenStore(open.live, volume: "clone")
        let inner = try folder(1, of: clone.volume)
        let file = try XCTUnwrap(clone.volume.find(name("f3"), in: inner)).inode
        for change in ["a name", "an inode"] {
            if change == "a name" {
                try clone.volume.removeFile(name("f4"), in: inner)
            } else {
                try clone.volume.put(name("changed"), into: file)
            }
            try clone.volume.synchronizeAll()
            let crashed = backend.crash()
            let older = old.crash(keepingBatches: .max)
            let told = ConditionMutex<[String]>([])
            let again = try OpenStore(crashed, older) { event in
                told.withLock { $0.append("\(event)") }
            }
            XCTAssertTrue(
                told.withLock { $0 }.contains { $0.contains("rebuildingIndex") }, change)
            let found = try OpenStore(again.live, volume: "clone")
            let place = try folder(1, of: found.volume)
            XCTAssertNil(try found.volume.find(name("f4"), in: place), change)
            XCTAssertNotNil(try found.volume.find(name("f5"), in: place), change)
            try again.live.close()
            XCTAssertEqual(try complaints(crashed, older), [], change)
        }
        try open.live.close()
    }

    /// What a crash leaves of the index always has the loading that a commit relies upon.
    func testLoadingIsDurableBeforeACommitIs() throws {
        for batches in 0..<6 {
            let backend = MemoryBackend()
            let index = MemoryIndexProvider()
            try makeStore(backend, index)
            let open = try OpenStore(backend, index)
            try fill(open, folders: 2, filesEach: 10)
            _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
            _ = try open.live.clone("s", of: "main", to: "clone")
            let clone = try OpenStore(open.live, volume: "clone")
            try clone.volume.removeFile(name("f4"), in: try folder(1, of: clone.volume))
            try clone.volume.synchronizeAll()
            let crashed = backend.crash()
            let cut = index.crash(keepingBatches: batches)
            let told = ConditionMutex<[String]>([])
            let again = try OpenStore(crashed, cut) { event in
                told.withLock { $0.append("\(event)") }
            }
            XCTAssertFalse(told.withLock { $0 }.contains { $0.contains("rebuilding") })
            let found = try OpenStore(again.live, volume: "clone")
            XCTAssertNil(try found.volume.find(name("f4"), in: try folder(1, of: found.volume)))
            try again.live.close()
            XCTAssertEqual(try complaints(crashed, cut), [], "\(batches) batches")
            try open.live.close()
        }
    }

    /// A mount would fail on it: fsck makes the index anew.
    func testWrongNotesOfLoadingAreDamageOfTheIndex() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open, folders: 2, filesEach: 3)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        let number = try OpenStore(open.live, volume: "clone").volume.number
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        let origin = NamespaceKey.origin(number)
        let note = NamespaceKey.unloaded(number, 1)
        let changes: [(what: String, key: [UInt8], value: [UInt8]?)] = [
            ("no origin", origin, nil), ("one note less", note, nil),
            ("a cut origin", origin, [1, 2, 3]), ("an empty note", note, []),
            ("a note of no directory", NamespaceKey.unloaded(number, 7_000), [0]),
        ]
        for (what, key, value) in changes {
            let wrong = index.crash(keepingBatches: .max)
            var batch = MetadataBatch()
            if let value { batch.put(key, value) } else { batch.delete(key) }
            try XCTUnwrap(wrong.current).write(batch)
            let found = try complaints(backend, wrong)
            XCTAssertTrue(found.contains { $0.contains("indexDamaged") }, "\(what): \(found)")
        }
    }

    /// Going back loads the rest first; names that were deleted come again.
    func testRollingAClonesChangesBack() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try fill(open, folders: 2, filesEach: 10)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        _ = try open.live.createSnapshot(SnapshotDraft(name: "begun"), of: "clone")
        let clone = try OpenStore(open.live, volume: "clone")
        try clone.volume.removeFile(name("f4"), in: try folder(0, of: clone.volume))
        clone.volume.forgetKernel()
        _ = try open.live.rollBack("clone", to: "begun")
        try check(try OpenStore(open.live, volume: "clone"), folders: 2, filesEach: 10)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }
}
