// Volumes are made, renamed and removed while others are in use.
import Backends
import ChunkIndex
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class VolumeListTests: XCTestCase {
    private let file = Array("file".utf8)

    private func bytes(_ seed: UInt64, _ count: Int = 200_000) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        return random.bytes(count)
    }

    private func volume(_ name: String, _ open: OpenStore) throws -> Volume {
        try XCTUnwrap(open.live.volume(named: name), name)
    }

    private func write(_ bytes: [UInt8], to volume: Volume) throws {
        let made = try volume.makeFile(file, in: 1)
        try volume.put(bytes, into: made.inode)
        volume.forget(made.inode, count: 1)
    }

    private func read(_ volume: Volume) throws -> [UInt8]? {
        guard let found = try volume.find(file, in: 1) else { return nil }
        defer { volume.forget(found.inode, count: 1) }
        return try volume.get(found.inode, count: Int(found.size) + 1)
    }

    func testVolumesShareChunksAndOutliveTheIndex() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try open.live.createVolume(named: "two")
        XCTAssertEqual(open.live.volumeNames, ["main", "two"])
        try write(bytes(1), to: open.volume)
        try open.live.commit()
        let before = try open.store.statistics().chunks
        let two = try volume("two", open)
        try write(bytes(1), to: two)
        try open.live.commit()
        XCTAssertEqual(try open.store.statistics().chunks, before, "the content is there already")
        try open.live.renameVolume(named: "two", to: "zwei")
        XCTAssertNil(open.live.volume(named: "two"))
        XCTAssertEqual(try read(two), bytes(1))
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])

        let rebuilt = MemoryIndexProvider()
        let again = try OpenStore(backend, rebuilt)
        XCTAssertEqual(again.live.volumeNames.sorted(), ["main", "zwei"])
        XCTAssertEqual(try read(again.volume), bytes(1))
        XCTAssertEqual(try read(try volume("zwei", again)), bytes(1))
        try again.live.close()
        XCTAssertEqual(try complaints(backend, rebuilt), [])
    }

    func testWhatIsRefused() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        func refusal(_ body: () throws(VolumeListError) -> Void) -> VolumeListError? {
            do throws(VolumeListError) {
                try body()
                return nil
            } catch {
                return error
            }
        }
        let live = open.live
        typealias Refusal = VolumeListError
        let before = open.sequence
        XCTAssertEqual(
            refusal { () throws(Refusal) in try live.createVolume(named: "main") },
            .exists(name: "main"))
        XCTAssertEqual(
            refusal { () throws(Refusal) in try live.createVolume(named: "-x") }, .badName("-x"))
        XCTAssertEqual(
            refusal { () throws(Refusal) in try live.renameVolume(named: "x", to: "y") },
            .unknown(name: "x"))
        XCTAssertEqual(
            refusal { () throws(Refusal) in try live.renameVolume(named: "main", to: "main") },
            .exists(name: "main"))
        XCTAssertEqual(
            refusal { () throws(Refusal) in try live.removeVolume(named: "main") },
            .isOnlyVolume(name: "main"))
        XCTAssertEqual(open.sequence, before, "nothing was committed")
        try open.live.close()
    }

    /// A volume with everything that leaves something in the index or the trees.
    func testRemovedVolumeGivesBackAllThatOnlyItHad() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try write(bytes(1), to: open.volume)
        try open.live.createVolume(named: "two")
        let two = try volume("two", open)
        try write(bytes(1), to: two)
        for folder in 0..<3 {
            let directory = try two.makeFolder(Array("d\(folder)".utf8), in: 1).inode
            for number in 0..<60 {
                let made = try two.makeFile(Array("f\(number)".utf8), in: directory).inode
                try two.put(bytes(UInt64(100 + number), 3_000), into: made)
                if number == 7 { _ = try two.addLink(made, as: Array("l\(folder)".utf8), in: 1) }
                if number == 8 {
                    try two.setAttribute("user.long", of: made, to: bytes(9, 1_000))
                }
            }
            let deep = try two.makeFolder(Array("deep".utf8), in: directory).inode
            _ = try two.makeSymlink(Array("s".utf8), in: deep, to: file)
        }
        try open.live.checkpoint()
        two.forgetKernel()
        XCTAssertEqual(try complaints(backend, index), [])
        try open.live.removeVolume(named: "two")
        XCTAssertEqual(open.live.volumeNames, ["main"])
        XCTAssertEqual(try complaints(backend, index), [])
        // Two more checkpoints, and nothing but the other volume's is left.
        for round in 0..<4 {
            _ = try open.volume.makeFile(Array("again \(round)".utf8), in: 1)
            try open.live.checkpoint()
        }
        XCTAssertEqual(try read(open.volume), bytes(1))
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])

        let rebuilt = MemoryIndexProvider()
        let again = try OpenStore(backend, rebuilt)
        XCTAssertEqual(again.live.volumeNames, ["main"])
        let kept = try again.store.statistics()
        XCTAssertEqual(try read(again.volume), bytes(1))
        // The name may be taken again, by another volume.
        try again.live.createVolume(named: "two")
        XCTAssertNil(try read(try volume("two", again)))
        XCTAssertEqual(try again.store.statistics().chunks, kept.chunks + 1, "its root")
        try again.live.close()
        XCTAssertEqual(try complaints(backend, rebuilt), [])
    }

    /// A volume that is being written to is renamed, and others come and go beside it.
    func testWritersGoOn() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let volume = open.volume
        let isDone = ConditionMutex(false)
        let written = ConditionMutex(0)
        let writer = try PlatformThread(name: "writer") {
            var count = 0
            while !isDone.withLock({ $0 }), count < 2_000 {
                guard let made = try? volume.makeFile(Array("w\(count)".utf8), in: 1),
                    (try? volume.put([UInt8(truncatingIfNeeded: count)], into: made.inode)) != nil
                else { break }
                volume.forget(made.inode, count: 1)
                count += 1
            }
            written.withLock { $0 = count }
        }
        for round in 0..<8 {
            try open.live.createVolume(named: "n\(round)")
            try open.live.renameVolume(
                named: round % 2 == 0 ? "main" : "other", to: round % 2 == 0 ? "other" : "main")
            if round % 3 == 2 { try open.live.removeVolume(named: "n\(round)") }
        }
        isDone.withLock { $0 = true }
        writer.join()
        let count = written.withLock { $0 }
        XCTAssertGreaterThan(count, 0)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        let again = try OpenStore(backend, index)
        for number in 0..<count {
            let found = try XCTUnwrap(try again.volume.find(Array("w\(number)".utf8), in: 1))
            XCTAssertEqual(
                try again.volume.get(found.inode, count: 2), [UInt8(truncatingIfNeeded: number)])
            again.volume.forget(found.inode, count: 1)
        }
        try again.live.close()
    }

    // MARK: power cuts

    /// The list is as before or as after each change, and nothing else is touched.
    func testCutsWhileTheListChanges() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let recording = RecordingBackend(MemoryBackend())
        let index = MemoryIndexProvider()
        try makeStore(recording, index)
        let open = try OpenStore(recording, index)
        try write(bytes(1, 20_000), to: open.volume)
        try open.live.commit()
        let first = recording.recording.operations.count
        var lists: [[String]] = [["main"]]
        func note() {
            lists.append(open.live.volumeNames.sorted())
            recording.recording.mark("\(lists.count - 1)")
        }
        try open.live.createVolume(named: "two")
        note()
        try write(bytes(2, 20_000), to: try volume("two", open))
        try open.live.commit()
        try open.live.renameVolume(named: "two", to: "zwei")
        note()
        try open.live.createVolume(named: "three")
        note()
        try open.live.removeVolume(named: "zwei")
        note()
        try open.live.close()
        let operations = recording.recording.operations
        let replay = BackendReplay(operations)
        for position in first...operations.count {
            try replay.advance(to: position)
            let promised = replay.marks.compactMap { Int($0) }.max() ?? 0
            let backend =
                random.chance(1, in: 2)
                ? replay.backend.crash() : replay.backend.crash(using: &random)
            let context = "cut at \(position), ASHLAR_SEED=\(seed)"
            let fresh = MemoryIndexProvider()
            let survivor = try OpenStore(backend, fresh)
            let names = survivor.live.volumeNames.sorted()
            let allowed = lists[promised...min(promised + 1, lists.count - 1)]
            XCTAssertTrue(allowed.contains(names), "\(names): \(context)")
            XCTAssertEqual(try read(survivor.volume), bytes(1, 20_000), context)
            try survivor.live.close()
            XCTAssertEqual(try complaints(backend, fresh), [], context)
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
    }
}
