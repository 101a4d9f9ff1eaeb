// A full medium, and a damaged one.
import Backends
import DiskFormat
import FileModel
import Foundation
import NamespaceIndex
import Platform
import XCTest

@testable import Pipeline
@testable import Volume

final class SpaceTests: XCTestCase {
    /// A file that was taken to be folded, could not be stored, and is removed: its last reference is
    /// the queue's, which must not be let go of under the queue's lock.
    func testAFileThatFindsNoRoomCanBeRemoved() throws {
        var random = SeededGenerator(seed: 1)
        let base = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(base, index)
        let plan = FaultPlan<BackendOperation>()
        let open = try OpenStore(FaultInjectingBackend(base, plan: plan), index)
        let name = Array("file".utf8)
        let inode = try open.volume.makeFile(name, in: 1).inode
        plan.add(Fault([.write], isLasting: true, error: .noSpace))
        var refusal: FileError?
        for number in 0..<100 where refusal == nil {
            do throws(FileError) {
                try open.volume.put(
                    random.bytes(64 << 10), into: inode, at: UInt64(number) << 16)
            } catch {
                refusal = error
            }
        }
        XCTAssertEqual(refusal, .noSpace)
        try open.volume.removeFile(name, in: 1)
        open.volume.forget(inode, count: 1)
        plan.clear()
        // On a thread of its own: a commit that never ends must not take the tests with it.
        let isDone = DispatchSemaphore(value: 0)
        Thread {
            try? open.live.commit()
            isDone.signal()
        }.start()
        guard isDone.wait(timeout: .now() + 60) == .success else {
            return XCTFail("the commit hangs")
        }
        try open.live.close()
        XCTAssertEqual(try complaints(base, index), [])
    }

    func testFullMediumKeepsWhatWasAcknowledged() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let volume = open.volume
        var kept: [(inode: UInt64, bytes: [UInt8])] = []
        var refusal: FileError?
        while refusal == nil, kept.count < 1000 {
            let bytes = random.bytes(random.below(150_000) + 1)
            let inode = try volume.makeFile(Array("f\(kept.count)".utf8), in: 1).inode
            do throws(FileError) {
                try volume.put(bytes, into: inode)
                kept.append((inode, bytes))
            } catch {
                refusal = error
            }
        }
        XCTAssertEqual(refusal, .noSpace)
        let space = try backend.space()
        XCTAssertGreaterThan(kept.count, 50, "\(space), ASHLAR_SEED=\(seed)")
        try volume.synchronizeAll()
        for (inode, bytes) in kept {
            XCTAssertNoThrow(try volume.synchronize(inode, dataOnly: false))
            XCTAssertEqual(try volume.get(inode, count: bytes.count + 1), bytes)
        }
        XCTAssertThrowsError(try volume.put(random.bytes(1 << 20), into: kept[0].inode))
        // Deleting needs no space, and gives it back after some checkpoints.
        for number in 0..<kept.count * 3 / 4 {
            try volume.removeFile(Array("f\(number)".utf8), in: 1)
            volume.forget(kept[number].inode, count: 1)
        }
        kept.removeFirst(kept.count * 3 / 4)
        for round in 0..<5 {
            let inode = try volume.makeFile(Array("round \(round)".utf8), in: 1).inode
            volume.forget(inode, count: 1)
            try open.live.checkpoint()
        }
        Thread.sleep(forTimeInterval: 0.3)
        let more = random.bytes(1 << 20)
        let inode = try volume.makeFile(Array("more".utf8), in: 1).inode
        try volume.put(more, into: inode)
        kept.append((inode, more))
        try volume.synchronizeAll()
        let crashed = backend.crash()
        try open.live.close()
        let again = try OpenStore(crashed, MemoryIndexProvider())
        for (inode, bytes) in kept {
            XCTAssertEqual(try again.volume.get(inode, count: bytes.count + 1), bytes)
        }
        try again.live.close()
    }

    /// What a commit folds makes room, though no file waits in the queue any more.
    func testRoomThatACommitMakesIsWaitedFor() throws {
        let queue = try DrainQueue(limitBytes: 1000, workerCount: 1)
        defer { queue.shutdown() }
        queue.account(2000)
        let isCapturing = DispatchSemaphore(value: 0)
        let commit = try PlatformThread(name: "commit") {
            queue.runAll([
                {
                    isCapturing.signal()
                    sleepNanoseconds(100_000_000)
                    queue.account(-2000)
                }
            ])
        }
        isCapturing.wait()
        XCTAssertNoThrow(try queue.waitForRoom())
        commit.join()
        queue.account(2000)
        XCTAssertThrowsError(try queue.waitForRoom(), "nobody makes room")
        queue.account(-2000)
    }

    /// Somebody else takes so much of the medium that new data finds no room, and commits do.
    private func occupy(_ backend: MemoryBackend) throws {
        let space = try backend.space()
        let count = Int(space.availableBytes - space.totalBytes / 12)
        let file = try backend.createFile("foreign")
        try [UInt8](repeating: 1, count: count).withUnsafeBytes { try file.write([$0], at: 0) }
        try file.synchronize()
        // The medium is not asked each time.
        sleepNanoseconds(2 * SpaceGate.intervalNanoseconds)
    }

    private static func vacate(_ backend: MemoryBackend) {
        try? backend.removeFile("foreign")
        try? backend.synchronizeNames()
    }

    /// What found no room is in no commit: whoever asks for everything to be durable is told so, whoever
    /// asks for another file is not, names and deletions go on, and no snapshot is made.
    func testACommitTellsWhatItHasLeftOut() throws {
        var random = SeededGenerator(seed: 2)
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let volume = open.volume
        let bytes = random.bytes(20_000)
        let other = try volume.makeFile(Array("other".utf8), in: 1).inode
        try open.live.commit()
        let inode = try volume.makeFile(Array("file".utf8), in: 1).inode
        try volume.put(bytes, into: inode)
        try occupy(backend)
        for _ in 0..<2 {
            XCTAssertThrowsError(try open.live.commit()) {
                XCTAssertEqual($0 as? FileError, .noSpace)
            }
            XCTAssertThrowsError(try volume.synchronizeAll())
            XCTAssertThrowsError(try open.live.checkpoint())
            XCTAssertThrowsError(try volume.synchronize(inode, dataOnly: true))
            XCTAssertNoThrow(try volume.synchronize(other, dataOnly: false))
        }
        XCTAssertThrowsError(try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main"))
        XCTAssertEqual(open.live.store.snapshots.count, 0)
        try volume.removeFile(Array("other".utf8), in: 1)
        volume.forget(other, count: 1)
        XCTAssertEqual(try volume.get(inode, count: 30_000), bytes)
        Self.vacate(backend)
        sleepNanoseconds(2 * SpaceGate.intervalNanoseconds)
        try open.live.commit()
        let crashed = backend.crash()
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        let again = try OpenStore(crashed, MemoryIndexProvider())
        XCTAssertEqual(try again.volume.get(inode, count: 30_000), bytes)
        XCTAssertNil(try again.volume.find(Array("other".utf8), in: 1))
        try again.live.close()
    }

    /// Deleting needs no space: a volume goes though another one has content that finds no room.
    func testAVolumeIsRemovedOnAFullMedium() throws {
        var random = SeededGenerator(seed: 5)
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try open.live.createVolume(named: "other")
        let other = try XCTUnwrap(open.live.volume(named: "other"))
        let made = try other.makeFile(Array("old".utf8), in: 1)
        try other.put(random.bytes(20_000), into: made.inode)
        other.forget(made.inode, count: 1)
        try open.live.commit()
        let inode = try open.volume.makeFile(Array("file".utf8), in: 1).inode
        let bytes = random.bytes(20_000)
        try open.volume.put(bytes, into: inode)
        try occupy(backend)
        XCTAssertThrowsError(try open.live.commit())
        try open.live.removeVolume(named: "other")
        XCTAssertEqual(open.live.volumeNames, ["main"])
        Self.vacate(backend)
        sleepNanoseconds(2 * SpaceGate.intervalNanoseconds)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        let again = try OpenStore(backend, index)
        XCTAssertEqual(try again.volume.get(inode, count: 30_000), bytes)
        try again.live.close()
    }

    /// A snapshot is refused for content of its own volume that finds no room, not for another's.
    func testASnapshotNeedsRoomForItsOwnVolumeOnly() throws {
        var random = SeededGenerator(seed: 6)
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        try open.live.createVolume(named: "other")
        let other = try XCTUnwrap(open.live.volume(named: "other"))
        let made = try other.makeFile(Array("old".utf8), in: 1)
        try other.put(random.bytes(20_000), into: made.inode)
        other.forget(made.inode, count: 1)
        try open.live.commit()
        let inode = try open.volume.makeFile(Array("file".utf8), in: 1).inode
        try open.volume.put(random.bytes(20_000), into: inode)
        try occupy(backend)
        let draft = SnapshotDraft(name: "now")
        XCTAssertThrowsError(try open.live.createSnapshot(draft, of: "main")) {
            guard case .failed(.noSpace)? = $0 as? SnapshotError else {
                return XCTFail("another error: \($0)")
            }
        }
        let image = try open.live.createSnapshot(draft, of: "other")
        XCTAssertEqual(image.statistics.files, 1)
        XCTAssertEqual(image.statistics.logicalBytes, 20_000)
        XCTAssertEqual(try open.live.snapshots(of: "main"), [])
        Self.vacate(backend)
        sleepNanoseconds(2 * SpaceGate.intervalNanoseconds)
        _ = try open.live.createSnapshot(draft, of: "main")
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// Closing waits a while for room, and tells when there is none; the store is as the last commit
    /// left it all the same.
    func testClosingTellsWhatFoundNoRoom() throws {
        var random = SeededGenerator(seed: 3)
        for isPassing in [true, false] {
            let backend = MemoryBackend(capacityBytes: 24 << 20)
            let index = MemoryIndexProvider()
            try makeStore(backend, index)
            let open = try OpenStore(backend, index)
            let bytes = random.bytes(20_000)
            let inode = try open.volume.makeFile(Array("file".utf8), in: 1).inode
            try open.volume.put(bytes, into: inode)
            try occupy(backend)
            let freeing = Thread {
                sleepNanoseconds(400_000_000)
                Self.vacate(backend)
            }
            if isPassing {
                freeing.start()
                try open.live.close()
            } else {
                XCTAssertThrowsError(try open.live.close()) {
                    XCTAssertEqual($0 as? FileError, .noSpace)
                }
                Self.vacate(backend)
            }
            XCTAssertEqual(try complaints(backend, index), [])
            let again = try OpenStore(backend, index)
            XCTAssertEqual(
                try again.volume.get(inode, count: 30_000), isPassing ? bytes : [])
            try again.live.close()
        }
    }

    /// A big change beside damage can neither be folded nor laid as pieces: it is told, and nothing else
    /// suffers.
    func testABigChangeBesideDamageIsToldAndStopsNothing() throws {
        var random = SeededGenerator(seed: 4)
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var open = try OpenStore(backend, index)
        let bytes = random.bytes(900_000)
        let inode = try open.volume.makeFile(Array("big".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.close()
        try damage(backend, share: 0.5)
        var options = smallOptions()
        options.dirtyBytesMax = 1 << 20
        open = try OpenStore(backend, index, options: options)
        let volume = open.volume
        guard
            let first = stride(from: 0, to: bytes.count, by: 1024).first(where: {
                (try? volume.get(inode, at: UInt64($0), count: 1024)) == nil
            })
        else { return XCTFail("nothing is damaged") }
        // It begins within what cannot be read, and is too long for a piece.
        let place = first + 5000
        let change = random.bytes(300_000)
        try volume.put(change, into: inode, at: UInt64(place))
        let other = try volume.makeFile(Array("other".utf8), in: 1).inode
        try volume.put([1, 2, 3], into: other)
        for _ in 0..<2 {
            XCTAssertThrowsError(try volume.synchronize(inode, dataOnly: true)) {
                XCTAssertEqual($0 as? FileError, .damaged)
            }
            XCTAssertThrowsError(try volume.synchronizeAll())
            XCTAssertThrowsError(try open.live.checkpoint())
            XCTAssertNoThrow(try volume.synchronize(other, dataOnly: true))
        }
        XCTAssertLessThan(open.store.commitsSinceCheckpoint, 2)
        XCTAssertEqual(
            try volume.get(inode, at: UInt64(place), count: change.count), change)
        XCTAssertThrowsError(try open.live.close())
        let again = try OpenStore(backend, MemoryIndexProvider())
        XCTAssertEqual(try again.volume.get(other, count: 4), [1, 2, 3])
        try again.live.close()
    }

    /// Flips bytes within the data of the packs that begin behind `start` bytes of the store.
    private func damage(_ backend: MemoryBackend, share: Double) throws {
        let packs = try backend.list(prefix: "").filter { $0.size > 200_000 }
        let pack = try XCTUnwrap(packs.first)
        let file = try backend.openFile(pack.name, writable: true)
        let offset = UInt64(Double(pack.size) * share)
        try [UInt8](repeating: 0x5a, count: 64).withUnsafeBytes {
            try file.write([$0], at: offset)
        }
        try file.synchronize()
    }

    func testDamagedChunkIsAnErrorOfItsRangeOnly() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var open = try OpenStore(backend, index)
        let bytes = random.bytes(900_000)
        let inode = try open.volume.makeFile(Array("big".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        let small = try open.volume.makeFile(Array("small".utf8), in: 1).inode
        try open.volume.put(Array(bytes.prefix(100)), into: small)
        try open.live.close()
        try damage(backend, share: 0.5)
        open = try OpenStore(backend, index)
        var damaged: [Int] = []
        for start in stride(from: 0, to: bytes.count, by: 4096) {
            let count = min(4096, bytes.count - start)
            do throws(FileError) {
                let found = try open.volume.get(inode, at: UInt64(start), count: count)
                XCTAssertEqual(found, Array(bytes[start..<start + count]))
            } catch {
                XCTAssertEqual(error, .damaged)
                damaged.append(start)
            }
        }
        XCTAssertFalse(damaged.isEmpty)
        XCTAssertLessThan(damaged.count, 60, "more than two super-chunks are lost")
        XCTAssertEqual(try open.volume.get(small, count: 200), Array(bytes.prefix(100)))
        try checkPieces(beside: damaged[damaged.count / 2], of: inode, backend, open)
    }

    /// A small change beside damage cannot be folded; it is kept over checkpoints all the same.
    private func checkPieces(
        beside place: Int, of inode: UInt64, _ backend: MemoryBackend, _ open: OpenStore
    ) throws {
        let change = [UInt8](repeating: 9, count: 300)
        try open.volume.put(change, into: inode, at: UInt64(place))
        try open.volume.synchronize(inode, dataOnly: true)
        for round in 0..<3 {
            _ = try open.volume.makeFolder(Array("d\(round)".utf8), in: 1)
            try open.live.checkpoint()
        }
        XCTAssertEqual(try open.volume.get(inode, at: UInt64(place), count: 300), change)
        let crashed = backend.crash()
        try open.live.close()
        let again = try OpenStore(crashed, MemoryIndexProvider())
        XCTAssertNotNil(try again.volume.find(Array("d2".utf8), in: 1))
        XCTAssertEqual(try again.volume.get(inode, at: UInt64(place), count: 300), change)
        try again.live.close()
    }
}
