import Backends
import Checking
import DiskFormat
import Foundation
import Packs
import Pipeline
import Platform
import Repair
import Volume
import XCTest

/// Whatever is done about a store, its snapshots stay what they are.
final class SnapshotTests: XCTestCase {
    /// Uses the store as a mount does.
    private func use(_ store: TestStore, _ body: (LiveStore, Volume) throws -> Void) throws {
        let open = try ChunkStore.open(
            store.backend, index: store.index, options: TestStore.options)
        XCTAssertNil(open.failure)
        var timing = LiveStore.Timing()
        timing.commitSeconds = 3600
        let live = try LiveStore(open, options: VolumeOptions(), timing: timing)
        do {
            try body(live, try XCTUnwrap(live.volume(named: "main")))
        } catch {
            try? live.close()
            throw error
        }
        try live.close()
    }

    /// Everything in a snapshot, as the independent reader sees it; nil where it cannot be read.
    private func content(_ store: TestStore, _ name: String) throws -> [String: [UInt8]?] {
        let state = try State.open(store.backend)
        let image = try XCTUnwrap(state.snapshots.first { $0.name == name })
        let view = try VolumeState(image, in: state)
        var result: [String: [UInt8]?] = [:]
        var pending = [("", view.directory)]
        while let (path, directory) = pending.popLast() {
            do {
                try view.forEachEntry(of: directory) { entry in
                    let own = path + "/" + String(decoding: entry.name, as: UTF8.self)
                    guard case .only(let image) = entry.target else { return true }
                    if image.mode >> 12 == 4 {
                        pending.append((own, image))
                    } else {
                        result.updateValue(
                            try? view.read(image, at: 0, count: Int(image.size)), forKey: own)
                    }
                    return true
                }
            } catch {
                result.updateValue(nil, forKey: path)
            }
        }
        return result
    }

    /// A snapshot of what is mostly gone by now.
    private func makeStore(
        _ random: inout SeededGenerator, copies: UInt8 = 2
    ) throws -> TestStore {
        let store = try TestStore(copies: copies)
        try use(store) { live, volume in
            try volume.mkdir("old")
            try volume.mkdir("same")
            for number in 0..<12 { try volume.put("old/\(number)", random.bytes(150_000)) }
            // Its tree lies in another record than the snapshot's root.
            try live.checkpoint()
            for number in 0..<40 { try volume.put("same/\(number)", random.bytes(5_000)) }
            _ = try live.createSnapshot(SnapshotDraft(name: "kept"), of: "main")
            for number in 0..<10 { try volume.remove("old/\(number)") }
            for number in 0..<10 { try volume.put("same/new \(number)", random.bytes(50_000)) }
        }
        return store
    }

    func testPurgeGivesBackWhatWasSaid() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let files = try store.files()
        let kept = try content(store, "kept")
        XCTAssertEqual(kept.count, 52)
        _ = try StoreRepair.purge(store.target, options: everything)
        XCTAssertEqual(try content(store, "kept"), kept)
        XCTAssertEqual(try store.files(), files)
        assertClean(try store.check())
        let before = store.packBytes
        var told = SnapshotSpace()
        try use(store) { live, _ in
            let image = try live.snapshot(named: "kept", of: "main")
            told = try live.store.space(ofSnapshot: image.id)
            _ = try live.deleteSnapshot(named: "kept", of: "main")
        }
        _ = try StoreRepair.purge(store.target, options: everything)
        let freed = Double(before) - Double(store.packBytes)
        XCTAssertEqual(Double(told.storedBytes), freed, accuracy: freed / 20)
        XCTAssertEqual(try store.files(), files)
        assertClean(try store.check())
    }

    private var everything: PurgeOptions {
        var options = PurgeOptions()
        options.deadShareMin = 0
        return options
    }

    func testAPurgeMayBeCutOffAtAnyWrite() throws {
        var random = seeded()
        let store = try makeStore(&random)
        try use(store) { live, _ in
            _ = try live.createSnapshot(SnapshotDraft(name: "second"), of: "main")
            _ = try live.deleteSnapshot(named: "kept", of: "main")
        }
        let second = try content(store, "second")
        try CrashTwins(of: store).forEachCut(step: 5, &random) { twin, context in
            XCTAssertEqual(try content(twin, "second"), second, context)
            _ = try StoreRepair.purge(twin.target)
            XCTAssertEqual(try content(twin, "second"), second, context)
            XCTAssertEqual(try twin.check(.full).complaints, "", context)
        } of: { store in
            _ = try StoreRepair.purge(store.target)
        }
    }

    func testARebuildBringsSnapshotsBack() throws {
        var random = seeded()
        let store = try makeStore(&random)
        let kept = try content(store, "kept")
        (store.index as? MemoryIndexProvider)?.delete()
        _ = try StoreRepair.rebuild(store.target)
        assertClean(try store.check())
        try use(store) { live, _ in
            XCTAssertEqual(try live.snapshots(of: "main").map(\.name), ["kept"])
        }
        _ = try StoreRepair.purge(store.target)
        XCTAssertEqual(try content(store, "kept"), kept)
        assertClean(try store.check())
    }

    /// Content that only a snapshot has is told by its path there, accepted as lost, and healed.
    func testLostContent() throws {
        var random = seeded()
        let store = try makeStore(&random, copies: 1)
        let files = try store.files()
        let kept = try content(store, "kept")
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ashlar-snapshot-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (path, bytes) in kept {
            guard let bytes else { continue }
            let name = path.replacingOccurrences(of: "/", with: "_")
            try Data(bytes).write(to: folder.appendingPathComponent(name))
        }
        // The first records are those of the oldest files, which the volume has no more.
        for record in try store.dataRecords().prefix(3) { try store.spoilBody(record) }
        let report = try store.check(.full)
        XCTAssertFalse(report.hasUnreadableTrees)
        let paths = report.problems.flatMap(\.paths)
        XCTAssertTrue(
            paths.contains { $0.volume == "main@kept" && $0.text == "/old/0" }, "\(paths)")
        XCTAssertFalse(paths.contains { $0.volume == "main" }, "\(paths)")
        let repaired = try StoreRepair.repair(store.target)
        XCTAssertTrue(repaired.after.problems.allSatisfy { $0.severity == .information })
        XCTAssertEqual(try store.files(), files)
        let readable = try content(store, "kept")
        XCTAssertEqual(readable.count, kept.count)
        XCTAssertTrue(readable.contains { $0.value == nil })
        for (path, bytes) in readable where bytes != nil { XCTAssertEqual(bytes, kept[path]) }
        let healed = try StoreRepair.heal(store.target, from: [folder.path])
        XCTAssertEqual(healed.missing, [])
        XCTAssertEqual(try content(store, "kept"), kept)
        assertClean(try store.check())
    }

    /// A directory of a snapshot that cannot be read is no reason to write the volume's trees anew.
    func testLostDirectory() throws {
        var random = seeded()
        let store = try makeStore(&random, copies: 1)
        let files = try store.files()
        let state = try State.open(store.backend)
        let image = try XCTUnwrap(state.snapshots.first)
        let view = try VolumeState(image, in: state)
        guard case .directory(let node)? = try view.resolve("/old")?.content else {
            return XCTFail("no tree")
        }
        try store.spoil(chunk: node.name)
        let report = try store.check(.full)
        XCTAssertFalse(report.hasUnreadableTrees, "\(report.problems)")
        let paths = report.problems.flatMap(\.paths)
        XCTAssertTrue(paths.contains { $0.volume == "main@kept" && $0.text == "/old" }, "\(paths)")
        XCTAssertFalse(paths.contains { $0.volume == "main" }, "\(paths)")
        let repaired = try StoreRepair.repair(store.target)
        XCTAssertTrue(
            repaired.after.problems.allSatisfy { $0.severity == .information },
            "\(repaired.after.problems)")
        XCTAssertEqual(try store.files(), files)
        try use(store) { live, volume in
            try volume.put("more", random.bytes(1000))
            _ = try live.deleteSnapshot(named: "kept", of: "main")
        }
        _ = try StoreRepair.purge(store.target)
        assertClean(try store.check())
    }
}

extension TestStore {
    /// Makes every copy of a chunk unreadable, with what lies in its records.
    func spoil(chunk name: ChunkName) throws {
        for record in try records(where: { $0.kind == .superChunk }) {
            let reader = try PackReader(record.pack, in: backend, expecting: nil)
            let prefix = try reader.readPrefix(at: record.offset).prefix
            if prefix.chunks.contains(where: { $0.name == name }) { try spoilBody(record) }
        }
    }
}
