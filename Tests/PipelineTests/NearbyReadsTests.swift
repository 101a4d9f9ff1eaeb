import Backends
import ChunkIndex
import DiskFormat
import Foundation
import SuperChunks
import XCTest

@testable import Pipeline

/// What lies behind the frames that are read in turn is loaded before it is asked for.
final class NearbyReadsTests: XCTestCase {
    private let ahead = NearbyReads.aheadBytes
    private let near = NearbyReads.nearBytes

    private func place(_ pack: UInt32, _ offset: UInt64, bytes: UInt32 = 100_000) -> ChunkPlace {
        ChunkPlace(pack: pack, recordOffset: offset, recordBytes: bytes, frame: 0, frameOffset: 0)
    }

    func testAStreamIsReadAheadInSteps() {
        let reads = NearbyReads()
        XCTAssertNil(reads.moved(to: place(1, 4096)), "nobody knows yet where this goes")
        XCTAssertEqual(
            reads.moved(to: place(1, 104_096)),
            NearbyReads.Stretch(pack: 1, range: 204_096..<204_096 + ahead))
        // Most of what is wanted was asked for.
        XCTAssertNil(reads.moved(to: place(1, 204_096)))
        XCTAssertNil(reads.moved(to: place(1, 104_096)), "back, and it was asked for")
        let later = 104_096 + ahead / 2
        XCTAssertEqual(
            reads.moved(to: place(1, later)),
            NearbyReads.Stretch(pack: 1, range: later + 100_000..<later + 100_000 + ahead))
    }

    func testWhatIsFarOrInAnotherPackBeginsAStream() {
        let reads = NearbyReads()
        for pack in 1...2 as ClosedRange<UInt32> {
            for far in 0..<3 as Range<UInt64> {
                XCTAssertNil(reads.moved(to: place(pack, 4096 + far * (near + 8))))
            }
        }
        // The last ones are known still, and each goes its own way.
        for pack in [2, 1] as [UInt32] {
            XCTAssertNotNil(reads.moved(to: place(pack, 8192 + 2 * (near + 8))), "\(pack)")
        }
        XCTAssertNotNil(reads.moved(to: place(2, 8192)))
        // The oldest was let go of for the others.
        XCTAssertNil(reads.moved(to: place(1, 8192)))
    }

    func testAStreamThatGoesFarBackAsksAnew() {
        let reads = NearbyReads()
        var offset: UInt64 = 4096
        while offset < 4 * near {
            _ = reads.moved(to: place(1, offset))
            offset += ahead / 2
        }
        var asked = 0
        while offset > ahead {
            offset -= ahead
            if reads.moved(to: place(1, offset)) != nil { asked += 1 }
        }
        XCTAssertGreaterThan(asked, 1)
    }

    // MARK: in a store

    private struct Laid {
        var store: ChunkStore
        /// A chunk of each record, in the records' order.
        var chunks: [(name: ChunkName, place: ChunkPlace)]

        func isKept(_ index: Int) -> Bool {
            let place = chunks[index].place
            return store.reader.frames.keptFrame(
                for: FrameKey(pack: place.pack, offset: place.recordOffset, frame: place.frame))
                != nil
        }

        /// Reads the first two records, and waits for what that sets off.
        func readTwo() throws {
            for index in 0..<2 { _ = try store.bytes(of: chunks[index].name, domain: .data) }
            let done = DispatchSemaphore(value: 0)
            while !store.readAhead.trySubmit({ done.signal() }) { usleep(1000) }
            done.wait()
        }
    }

    /// A store of twenty and more records of data in one pack.
    private func laid(isOfLargeFile: Bool = false, commits: Bool = true) throws -> Laid {
        var random = seeded()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var store = try ChunkStore.open(backend, index: index, options: options())
        var names: [ChunkName] = []
        for _ in 0..<200 {
            let bytes = random.bytes(10_000)
            names.append(
                try bytes.withUnsafeBytes {
                    try store.put($0, domain: .data, isOfLargeFile: isOfLargeFile)
                })
        }
        if commits {
            _ = try store.commit(store.draft { _ in })
            try store.close()
            store = try ChunkStore.open(backend, index: index, options: options())
        }
        var places: [(name: ChunkName, place: ChunkPlace)] = []
        let deadline = Date(timeIntervalSinceNow: 60)
        while places.count < names.count / 2, Date() < deadline {
            // What is in no commit yet is in packs when workers have laid it there; the last chunks lie
            // in super-chunks that are not full.
            places = try names.compactMap { name in
                let known = try store.index.chunk(name)?.places.first
                let place = known ?? store.laying.withLock { $0.fresh[name]?.places.first }
                return place.map { (name, $0) }
            }
        }
        places.sort {
            ($0.place.pack, $0.place.recordOffset) < ($1.place.pack, $1.place.recordOffset)
        }
        let pack = places[0].place.pack
        var offsets: Set<UInt64> = []
        let first = places.filter {
            $0.place.pack == pack && offsets.insert($0.place.recordOffset).inserted
        }
        XCTAssertGreaterThan(first.count, 5)
        return Laid(store: store, chunks: first)
    }

    func testRecordsBehindThoseThatAreReadAreLoaded() throws {
        let laid = try laid()
        defer { try? laid.store.close() }
        XCTAssertFalse(laid.chunks.indices.contains { laid.isKept($0) })
        try laid.readTwo()
        XCTAssertTrue(laid.chunks.indices.allSatisfy { laid.isKept($0) })
        let misses = laid.store.reader.frames.counters.misses
        for chunk in laid.chunks { _ = try laid.store.bytes(of: chunk.name, domain: .data) }
        XCTAssertEqual(laid.store.reader.frames.counters.misses, misses)
    }

    func testRecordsOfLargeFilesAreLeftToTheirReaders() throws {
        let laid = try laid(isOfLargeFile: true)
        defer { try? laid.store.close() }
        try laid.readTwo()
        XCTAssertFalse(laid.chunks.indices.dropFirst(2).contains { laid.isKept($0) })
    }

    func testWhatNoCommitVouchesForIsNotLoaded() throws {
        let laid = try laid(commits: false)
        defer { try? laid.store.close() }
        try laid.readTwo()
        XCTAssertFalse(laid.chunks.indices.dropFirst(2).contains { laid.isKept($0) })
    }

    func testDamageIsLeftToWhomItConcerns() throws {
        let laid = try laid()
        defer { try? laid.store.close() }
        let damaged = laid.chunks[3]
        let id = try XCTUnwrap(laid.store.shelf.id(of: damaged.place.pack))
        let file = try laid.store.backend.openFile(id.fileName, writable: true)
        let offset = damaged.place.recordOffset + UInt64(damaged.place.recordBytes) - 100
        try [UInt8](repeating: 0xa5, count: 8).withUnsafeBytes { try file.write([$0], at: offset) }
        try laid.readTwo()
        XCTAssertTrue(laid.isKept(2))
        XCTAssertFalse(laid.isKept(3))
        XCTAssertTrue(laid.isKept(4), "damage of one record does not end the way to the next")
        XCTAssertThrowsError(try laid.store.bytes(of: damaged.name, domain: .data)) { error in
            guard case StoreError.damagedChunk = error else { return XCTFail("\(error)") }
        }
    }
}
