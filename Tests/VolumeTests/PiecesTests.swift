// Scattered small changes: pieces on top of a key, laid by commits and workers, folded in parts.
import Backends
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline
import Platform
import XCTest

@testable import Volume

final class PiecesTests: XCTestCase {
    private let backend = MemoryBackend()
    private let index = MemoryIndexProvider()

    private func start(_ change: (inout VolumeOptions) -> Void = { _ in }) throws -> OpenStore {
        try makeStore(backend, index)
        var options = smallOptions()
        options.dirtyBytesMax = 64 << 20
        change(&options)
        return try OpenStore(backend, index, options: options)
    }

    private func storedPieces(_ open: OpenStore) throws -> Int {
        let prefix = NamespaceKey.prefix(.piece, open.volume.number)
        var count = 0
        try open.store.index.scan(prefix: prefix, from: prefix) { _, _ in
            count += 1
            return true
        }
        return count
    }

    private func content(_ open: OpenStore, _ inode: UInt64) throws -> FileContent {
        try open.volume.content(of: inode).content
    }

    /// Waits until no worker folds pieces of the file.
    private func waitForWorkers(_ content: FileContent) {
        content.state.wait { !$0.isReducing && !$0.isFolding }
    }

    func testLayingManyRangesIsLayingOneAfterTheOther() {
        var random = SeededGenerator(seed: printedSeed())
        for _ in 0..<500 {
            var pieces: [ExtentChange.Piece] = []
            for _ in 0..<random.below(4) {
                var position: UInt64 = 0
                var laid: [(range: Range<UInt64>, pieces: [ExtentChange.Piece])] = []
                for _ in 0..<random.below(12) {
                    let from = position + UInt64(random.below(60))
                    let to = from + UInt64(1 + random.below(60))
                    let name = ChunkName(w0: random.next(), w1: 0, w2: 0, w3: 0)
                    let piece = ExtentChange.Piece(
                        offset: from, length: to - from,
                        source: .data(name, chunkBytes: 1000, offset: 3))
                    laid.append((from..<to, random.chance(1, in: 4) ? [] : [piece]))
                    position = to
                }
                let expected = laid.reduce(pieces) { pieces, one in
                    Pieces.clip(pieces, to: 0..<one.range.lowerBound) + one.pieces
                        + Pieces.clip(pieces, to: one.range.upperBound..<UInt64.max)
                }
                pieces = Pieces.lay(laid, over: pieces)
                XCTAssertEqual(pieces, expected)
            }
        }
    }

    /// More than may be kept: workers fold them in parts, commits come in between, and in the end the
    /// key is that of a file written at once.
    func testTooManyPiecesAreFoldedInParts() throws {
        let open = try start()
        var random = SeededGenerator(seed: printedSeed())
        var bytes = random.bytes(300_000)
        let inode = try open.volume.makeFile(Array("image".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        let content = try content(open, inode)
        for round in 0..<120 {
            let offset = random.below(bytes.count - 200)
            let change = random.bytes(200)
            bytes.replaceSubrange(offset..<offset + 200, with: change)
            try open.volume.put(change, into: inode, at: UInt64(offset))
            if round % 3 == 0 { try open.volume.synchronize(inode, dataOnly: true) }
            if round % 10 == 0 {
                XCTAssertEqual(try open.volume.get(inode, count: bytes.count), bytes)
            }
        }
        waitForWorkers(content)
        let kept = content.state.withLock { $0.stored.pieces.count }
        XCTAssertLessThanOrEqual(kept, open.volume.options.piecesMax)
        try open.live.commit()
        XCTAssertEqual(try complaints(backend, index), [])
        let crashed = try OpenStore(backend.crash(), MemoryIndexProvider())
        XCTAssertEqual(try crashed.volume.get(inode, count: bytes.count + 1), bytes)
        try crashed.live.close()
        let copy = try open.volume.makeFile(Array("copy".utf8), in: 1).inode
        try open.volume.put(bytes, into: copy)
        XCTAssertEqual(
            try open.volume.attribute("user.ashlar.key", of: inode),
            try open.volume.attribute("user.ashlar.key", of: copy))
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// A database that synchronises each of its writes does not wait for the folding of earlier ones; when it
    /// is quiet they are folded.
    func testFoldingIsPutOffWhileCommitsHoldTheFile() throws {
        let open = try start {
            $0.piecesQuietNanoseconds = .max
            $0.piecesMax = 400
        }
        var random = SeededGenerator(seed: printedSeed())
        var bytes = random.bytes(400_000)
        let inode = try open.volume.makeFile(Array("table".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        let content = try content(open, inode)
        for place in (0..<60).map({ 6_000 * $0 + 100 }).shuffled(using: &random) {
            let change = random.bytes(200)
            bytes.replaceSubrange(place..<place + 200, with: change)
            try open.volume.put(change, into: inode, at: UInt64(place))
            try open.volume.synchronize(inode, dataOnly: true)
        }
        XCTAssertEqual(try storedPieces(open), 60)
        open.volume.resumeReducing()
        XCTAssertEqual(open.volume.reducedLater.withLock { $0.count }, 1, "it is not quiet yet")
        content.state.withLock { $0.committedNanoseconds = 0 }
        var options = open.volume.options
        options.piecesQuietNanoseconds = 0
        try open.live.close()
        let again = try OpenStore(backend, index, options: options)
        XCTAssertEqual(try storedPieces(again), 0, "the last checkpoint has folded them")
        try again.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    func testWhatWasPutOffIsDoneWhenTheFileIsQuiet() throws {
        let open = try start {
            $0.piecesQuietNanoseconds = 3_600_000_000_000
            $0.piecesMax = 400
        }
        var random = SeededGenerator(seed: printedSeed())
        var bytes = random.bytes(400_000)
        let inode = try open.volume.makeFile(Array("table".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        let content = try content(open, inode)
        for place in (0..<60).map({ 6_000 * $0 + 100 }) {
            let change = random.bytes(200)
            bytes.replaceSubrange(place..<place + 200, with: change)
            try open.volume.put(change, into: inode, at: UInt64(place))
            try open.volume.synchronize(inode, dataOnly: true)
        }
        // As if it had been an hour ago.
        content.state.withLock { $0.committedNanoseconds = 0 }
        open.volume.resumeReducing()
        waitForWorkers(content)
        let left = content.state.withLock { $0.stored.pieces.count }
        XCTAssertLessThanOrEqual(left, open.volume.options.piecesKept / 2)
        XCTAssertEqual(open.volume.reducedLater.withLock { $0.count }, 0)
        // The commit says which ranges have no pieces any more, and nothing of those that are left.
        let change = random.bytes(100)
        bytes.replaceSubrange(399_000..<399_100, with: change)
        try open.volume.put(change, into: inode, at: 399_000)
        try open.volume.synchronize(inode, dataOnly: true)
        let said = try XCTUnwrap(open.store.changesSinceCheckpoint().last)
        XCTAssertEqual(said.extents.flatMap(\.pieces).count, 1)
        XCTAssertEqual(try storedPieces(open), left + 1)
        XCTAssertEqual(try open.volume.get(inode, count: bytes.count), bytes)
        XCTAssertEqual(try complaints(backend, index), [])
        let crashed = try OpenStore(backend.crash(), MemoryIndexProvider())
        XCTAssertEqual(try crashed.volume.get(inode, count: bytes.count + 1), bytes)
        try crashed.live.close()
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// A commit has no room for any number of them.
    func testACheckpointThatIsDueFoldsVeryManyPieces() throws {
        try makeStore(backend, index)
        for (most, left) in [(3, 3), (2, 0)] {
            var timing = quietTiming()
            timing.checkpointChanges = 1
            var options = smallOptions()
            options.piecesRepeatedMax = most
            let open = try OpenStore(backend, index, options: options, timing: timing)
            var random = SeededGenerator(seed: printedSeed())
            for name in ["one", "two", "three"] {
                let full = Array("\(name) \(most)".utf8)
                let inode = try open.volume.makeFile(full, in: 1).inode
                try open.volume.put(random.bytes(200_000), into: inode)
                try open.live.commit()
                try open.volume.put(random.bytes(300), into: inode, at: 100_000)
            }
            try open.live.commit()
            XCTAssertEqual(open.store.commitsSinceCheckpoint, 0, "a checkpoint was due")
            XCTAssertEqual(try storedPieces(open), left)
            try open.live.close()
            XCTAssertEqual(try complaints(backend, index), [])
        }
    }

    /// Who waits for a commit is not to wait until everything is folded.
    func testACheckpointThatIsDueRepeatsPieces() throws {
        try makeStore(backend, index)
        var timing = quietTiming()
        timing.checkpointChanges = 1
        let open = try OpenStore(backend, index, timing: timing)
        var random = SeededGenerator(seed: printedSeed())
        var bytes = random.bytes(200_000)
        let inode = try open.volume.makeFile(Array("image".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        for place in [100, 50_000, 120_000] {
            bytes.replaceSubrange(place..<place + 300, with: random.bytes(300))
            try open.volume.put(
                Array(bytes[place..<place + 300]), into: inode, at: UInt64(place))
        }
        try open.volume.synchronize(inode, dataOnly: true)
        XCTAssertEqual(open.store.commitsSinceCheckpoint, 0, "a checkpoint was due")
        XCTAssertEqual(try storedPieces(open), 3)
        XCTAssertEqual(try complaints(backend, index), [])
        for kept in [index.crash(keepingBatches: 0), MemoryIndexProvider()] {
            let crashed = try OpenStore(backend.crash(), kept)
            XCTAssertEqual(try storedPieces(crashed), 3)
            XCTAssertEqual(try crashed.volume.get(inode, count: bytes.count + 1), bytes)
            try crashed.live.close()
        }
        // What somebody asks for, and a snapshot, has them folded.
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        XCTAssertEqual(try storedPieces(open), 0)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// Much in one go, in many places: a worker lays pieces as a commit does, and the commit that
    /// comes later tells of all of them.
    func testWorkersLayPiecesOfWhatIsScattered() throws {
        let open = try start {
            $0.dirtyBytesMax = 64 << 10
            $0.piecesKept = 10_000
            $0.piecesMax = 10_000
        }
        var random = SeededGenerator(seed: printedSeed())
        var bytes = random.bytes(400_000)
        let inode = try open.volume.makeFile(Array("image".utf8), in: 1).inode
        try open.volume.put(bytes, into: inode)
        try open.live.commit()
        for place in stride(from: 1_000, to: 390_000, by: 3_000).shuffled(using: &random) {
            let change = random.bytes(600)
            bytes.replaceSubrange(place..<place + 600, with: change)
            try open.volume.put(change, into: inode, at: UInt64(place))
        }
        try open.live.commit()
        XCTAssertEqual(try storedPieces(open), 130)
        XCTAssertEqual(try complaints(backend, index), [])
        let crashed = try OpenStore(backend.crash(), MemoryIndexProvider())
        XCTAssertEqual(try crashed.volume.get(inode, count: bytes.count + 1), bytes)
        try crashed.live.close()
        try open.live.close()
        let again = try OpenStore(backend, index)
        XCTAssertEqual(try storedPieces(again), 0)
        XCTAssertEqual(try again.volume.get(inode, count: bytes.count + 1), bytes)
        try again.live.close()
    }

    /// As many changes side by side are folded: one fold takes several of them.
    func testDenseChangesAreFolded() throws {
        let open = try start {
            $0.piecesKept = 10_000
            $0.piecesMax = 10_000
        }
        let bytes = [UInt8](repeating: 7, count: 300)
        let inode = try open.volume.makeFile(Array("dense".utf8), in: 1).inode
        var random = SeededGenerator(seed: printedSeed())
        try open.volume.put(random.bytes(400_000), into: inode)
        try open.live.commit()
        for place in stride(from: 0, to: 200_000, by: 1_000) {
            try open.volume.put(bytes, into: inode, at: UInt64(place))
        }
        try open.live.commit()
        XCTAssertEqual(try storedPieces(open), 0)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }

    /// The allocated bytes of a file with holes are kept by counting what changes.
    func testAllocatedBytesOfPieces() throws {
        let open = try start()
        var random = SeededGenerator(seed: printedSeed())
        let inode = try open.volume.makeFile(Array("sparse".utf8), in: 1).inode
        try open.volume.put(random.bytes(100_000), into: inode)
        try open.volume.put(random.bytes(100_000), into: inode, at: 900_000)
        try open.live.commit()
        XCTAssertEqual(try open.volume.attributes(of: inode).allocatedBytes, 200_000)
        let content = try content(open, inode)
        try open.volume.put(random.bytes(500), into: inode, at: 50_000)
        try open.volume.put(random.bytes(500), into: inode, at: 500_000)
        try open.volume.put(random.bytes(500), into: inode, at: 899_800)
        try open.volume.allocate(
            inode, mode: [.punchHole, .keepSize], at: 20_000, length: 1_000, caller: someone)
        try open.live.commit()
        let (pieces, counted) = content.state.withLock {
            ($0.stored.pieces.count, $0.stored.allocatedBytes)
        }
        XCTAssertEqual(pieces, 4)
        XCTAssertEqual(counted, 200_000 + 500 + 200 - 1_000)
        XCTAssertEqual(try open.volume.attributes(of: inode).allocatedBytes, counted)
        open.volume.forget(inode, count: 1)
        open.volume.evict()
        try open.volume.put(random.bytes(100), into: inode, at: 600_000)
        try open.live.commit()
        let later = try open.volume.attributes(of: inode).allocatedBytes
        XCTAssertEqual(later, try XCTUnwrap(counted) + 100)
        try open.live.checkpoint()
        XCTAssertEqual(try open.volume.attributes(of: inode).allocatedBytes, later)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
    }
}
