import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Packs
import Platform
import XCTest

@testable import Pipeline

/// Bytes that are not what they were: recognised, told, and never taken for something else.
final class DamageTests: XCTestCase {
    private let backend = MemoryBackend()
    private let index = MemoryIndexProvider()

    private func open(
        _ backend: MemoryBackend? = nil, _ index: MemoryIndexProvider? = nil,
        log: EventLog? = nil, readOnly: Bool = false
    ) throws -> ChunkStore {
        try ChunkStore.open(
            backend ?? self.backend, index: index ?? self.index,
            options: options(readOnly: readOnly, log: log))
    }

    /// Inverts bytes of a pack in place.
    private func flip(
        _ backend: MemoryBackend, _ pack: PackID, _ range: Range<UInt64>
    ) throws {
        let file = try backend.openFile(pack.fileName, writable: true)
        var bytes = [UInt8](repeating: 0, count: range.count)
        _ = try bytes.withUnsafeMutableBytes { try file.read(at: range.lowerBound, into: $0) }
        for index in bytes.indices { bytes[index] ^= 0xff }
        try bytes.withUnsafeBytes { try file.write([$0], at: range.lowerBound) }
    }

    private func flip(
        _ backend: MemoryBackend, _ store: ChunkStore, _ place: ChunkPlace
    ) throws {
        let pack = try XCTUnwrap(store.shelf.id(of: place.pack))
        let end = place.recordOffset + UInt64(place.recordBytes)
        try flip(backend, pack, (end - 20)..<(end - 10))
    }

    private func place(_ name: ChunkName, _ store: ChunkStore) throws -> ChunkPlace {
        try XCTUnwrap(try store.index.chunk(name)?.places.first)
    }

    func testACommitWhoseDataDidNotArriveIsNone() throws {
        var random = seeded()
        try makeStore(backend, index)
        var store = try open()
        let first = try store.put(random.bytes(3000))
        _ = try store.commit(store.draft { _ in })
        let before = index.current?.crash(keepingBatches: .max)
        let second = try store.put(random.bytes(3000))
        _ = try store.commit(store.draft { _ in })
        let cut = backend.copy()
        try flip(cut, store, try place(second, store))
        for provider in [MemoryIndexProvider(before), MemoryIndexProvider()] {
            let survivor = cut.copy()
            let log = EventLog()
            let again = try open(survivor, provider, log: log)
            XCTAssertNil(again.failure)
            XCTAssertEqual(again.published.withLock { $0.state.sequence }, 2)
            XCTAssertTrue(try again.isKnown(first))
            XCTAssertFalse(try again.isKnown(second))
            XCTAssertTrue(log.text.contains("sealedTornPack"), log.text)
            try again.close()
        }
        try store.close()
        // In a sealed pack the same damage is not the end of the log, but damage.
        store = try open()
        try flip(backend, store, try place(second, store))
        try store.close()
        let log = EventLog()
        let sizes = try backend.list(prefix: "packs/").map(\.size)
        let again = try open(backend, MemoryIndexProvider(before), log: log)
        XCTAssertTrue(again.isReadOnly)
        XCTAssertTrue(log.text.contains("behind damage"), log.text)
        XCTAssertEqual(again.published.withLock { $0.state.sequence }, 2)
        XCTAssertTrue(try again.isKnown(first))
        XCTAssertThrowsError(try again.put([1]))
        try again.close()
        XCTAssertEqual(try backend.list(prefix: "packs/").map(\.size), sizes)
    }

    func testAValidCommitBehindDamageForbidsWriting() throws {
        var random = seeded()
        try makeStore(backend, index)
        let store = try open()
        let before = index.current?.crash(keepingBatches: .max)
        var positions: [LogPosition] = []
        for _ in 0..<3 {
            try store.put(random.bytes(3000))
            _ = try store.commit(store.draft { _ in })
            positions.append(store.published.withLock { $0.state.position })
        }
        let cut = backend.copy()
        try flip(cut, positions[0].pack, (positions[0].offset + 60)..<(positions[0].offset + 70))
        for provider in [MemoryIndexProvider(before), MemoryIndexProvider()] {
            let survivor = cut.copy()
            let log = EventLog()
            let again = try open(survivor, provider, log: log)
            XCTAssertTrue(again.isReadOnly, log.text)
            XCTAssertEqual(again.published.withLock { $0.state.sequence }, 1)
            try again.close()
            XCTAssertEqual(
                try survivor.readWhole(positions[0].pack.fileName, limitBytes: 1 << 24),
                try cut.readWhole(positions[0].pack.fileName, limitBytes: 1 << 24))
        }
        try store.close()
    }

    func testADamagedChunkIsToldAndHealedByTheNextPut() throws {
        var random = seeded()
        try makeStore(backend, index)
        let log = EventLog()
        var store = try open(log: log)
        let bytes = random.bytes(3000)
        let name = try store.put(bytes)
        let beside = try store.put(random.bytes(3000))
        let draft = store.draft { changes in
            changes.nextInode = 4
            changes.inodes = [
                .put(file(2, content: .chunk(name))), .put(file(3, content: .chunk(beside))),
            ]
        }
        _ = try store.commit(draft)
        XCTAssertTrue(try store.isKnown(beside))
        try flip(backend, store, try place(name, store))
        XCTAssertThrowsError(try store.bytes(of: name, domain: .data)) { error in
            guard case StoreError.damagedChunk = error else { return XCTFail("\(error)") }
        }
        XCTAssertTrue(log.text.contains("damagedChunk"), log.text)
        XCTAssertFalse(try store.isKnown(name))
        XCTAssertFalse(try store.isKnown(beside), "it shares the damaged frame")
        // The knowledge survives, as soon as there is a commit.
        _ = try store.commit(store.draft { _ in })
        XCTAssertEqual(try store.index.chunk(name)?.isDamaged, true)
        try store.close()
        store = try open()
        XCTAssertFalse(try store.isKnown(name))
        XCTAssertEqual(try store.put(bytes), name)
        XCTAssertEqual(try store.bytes(of: name, domain: .data), bytes)
        _ = try store.commit(store.draft { _ in })
        XCTAssertEqual(try store.index.chunk(name)?.isDamaged, false)
        XCTAssertEqual(try store.index.chunk(name)?.count, 1)
        XCTAssertEqual(try store.index.chunk(name)?.places.count, 2)
        try store.close()
        store = try open()
        XCTAssertEqual(try store.bytes(of: name, domain: .data), bytes)
        try store.close()
    }

    func testTheSecondCopyOfMetadataIsReadWhereTheFirstIsDamaged() throws {
        var random = seeded()
        try makeStore(backend, index)
        var store = try open()
        var model = ModelVolume()
        model.root = try store.volumes().first?.record.root
        for _ in 0..<20 { try model.step(store, &random) }
        _ = try store.commit(try model.draft(store, checkpoint: false))
        // Made after a reopening: the records that have no copy yet are found again.
        try store.close()
        store = try open()
        for _ in 0..<10 { try model.step(store, &random) }
        _ = try store.commit(try model.draft(store, checkpoint: true))
        var names: [(ChunkName, ChunkRecord)] = []
        for (key, value) in try store.index.family("C") {
            let name = try XCTUnwrap(key.withUnsafeBytes { IndexKey.chunkName($0) })
            names.append((name, try value.withUnsafeBytes { try ChunkRecord($0) }))
        }
        try store.close()
        store = try open()
        var flipped: Set<RecordPlace> = []
        for (_, record) in names where record.domain.isMetadata {
            XCTAssertEqual(record.places.count, 2)
            let place = record.places[0]
            let key = RecordPlace(pack: place.pack, offset: place.recordOffset)
            if flipped.insert(key).inserted { try flip(backend, store, place) }
        }
        XCTAssertFalse(flipped.isEmpty)
        try store.close()
        for provider in [index, MemoryIndexProvider()] {
            let log = EventLog()
            let again = try open(backend, provider, log: log)
            // What is dead is not in an index that was made anew.
            for (name, record) in names where record.domain.isMetadata && record.count > 0 {
                XCTAssertNoThrow(try again.bytes(of: name, domain: record.domain))
            }
            XCTAssertTrue(log.text.contains("damagedChunk"))
            try assertHolds(again, model)
            try again.close()
        }
    }

    func testALostPackForbidsWritingAndIsNamed() throws {
        var random = seeded()
        try makeStore(backend, index)
        var store = try open()
        let root = try XCTUnwrap(try store.volumes().first?.record.root)
        let name = try store.put(random.bytes(3000))
        _ = try store.commit(
            store.draft { changes in
                changes.nextInode = 3
                changes.inodes = [.put(file(2, content: .chunk(name)))]
            })
        let lost = try XCTUnwrap(store.shelf.id(of: try place(name, store).pack))
        try store.close()
        store = try open()
        _ = try store.commit(store.draft(checkpoint: true) { $0.root = root })
        try store.close()
        try backend.removeFile(lost.fileName)
        for provider in [index, MemoryIndexProvider()] {
            for _ in 0..<2 {
                let log = EventLog()
                let again = try open(backend, provider, log: log)
                XCTAssertTrue(again.isReadOnly)
                XCTAssertTrue(log.text.contains("lostPacks([\(lost)])"), log.text)
                XCTAssertThrowsError(try again.bytes(of: name, domain: .data))
                try again.close()
            }
        }
    }

    /// Packs restored from an old backup are refused for writing while an index knows better; without
    /// it the store goes on from where they end.
    func testPacksOlderThanTheIndexAreRefusedForWriting() throws {
        var random = seeded()
        try makeStore(backend, index)
        let old = backend.copy()
        let store = try open()
        let name = try store.put(random.bytes(3000))
        _ = try store.commit(store.draft { _ in })
        try store.close()
        // The packs come from an old backup, the index does not.
        let refused = try open(old, index)
        XCTAssertTrue(refused.isReadOnly)
        XCTAssertFalse(try refused.isKnown(name))
        try refused.close()
        let log = EventLog()
        let again = try open(old, MemoryIndexProvider(), log: log)
        XCTAssertTrue(log.text.contains("rebuildingIndex"), log.text)
        XCTAssertFalse(try again.isKnown(name))
        XCTAssertNil(again.failure)
        try again.close()
    }

    func testNothingIsAStoreThatHasNoPacks() throws {
        XCTAssertThrowsError(try open()) { error in
            guard case StoreError.notAStore = error else { return XCTFail("\(error)") }
        }
        try makeStore(backend, index)
        let pack = try XCTUnwrap(try backend.list(prefix: "packs/").first)
        try backend.openFile(pack.name, writable: true).truncate(to: 4096)
        let others = try backend.list(prefix: "packs/").dropFirst()
        for other in others { try backend.removeFile(other.name) }
        XCTAssertThrowsError(try open()) { error in
            guard case StoreError.noCommit = error else { return XCTFail("\(error)") }
        }
    }

    func testAnIndexWithAValueThatIsNoneIsMadeAnew() throws {
        var random = seeded()
        try makeStore(backend, index)
        var store = try open()
        let bytes = random.bytes(3000)
        let name = try store.put(bytes)
        _ = try store.commit(
            store.draft { changes in
                changes.nextInode = 3
                changes.inodes = [.put(file(2, content: .chunk(name)))]
            })
        var batch = MetadataBatch()
        batch.put(IndexKey.chunk(name), [1, 2, 3])
        try index.current?.write(batch)
        XCTAssertThrowsError(try store.put(bytes)) { error in
            guard case StoreError.indexDamaged = error else { return XCTFail("\(error)") }
        }
        XCTAssertTrue(store.isReadOnly)
        try store.close()
        let log = EventLog()
        store = try open(log: log)
        XCTAssertTrue(log.text.contains("rebuildingIndex"), log.text)
        XCTAssertNil(store.failure)
        XCTAssertEqual(try store.bytes(of: name, domain: .data), bytes)
        XCTAssertEqual(try store.index.chunk(name)?.count, 1)
        try store.close()
    }

    func testARebuildFallsBackToTheCheckpointBefore() throws {
        var random = seeded()
        try makeStore(backend, index)
        var store = try open()
        var model = ModelVolume()
        model.root = try store.volumes().first?.record.root
        var models: [ModelVolume] = []
        for _ in 0..<2 {
            for _ in 0..<10 { try model.step(store, &random) }
            _ = try store.commit(try model.draft(store, checkpoint: true))
            models.append(model)
        }
        let root = try XCTUnwrap(model.root)
        let places = try XCTUnwrap(try store.index.chunk(root)?.places)
        XCTAssertEqual(places.count, 2)
        for place in places { try flip(backend, store, place) }
        try store.close()
        let log = EventLog()
        store = try open(backend, MemoryIndexProvider(), log: log)
        XCTAssertTrue(store.isReadOnly, "what is newer does not verify: fsck has to look")
        try assertHolds(store, models[0])
        try store.close()
    }
}
