import Backends
import DiskFormat
import Metadata
import Packs
import Platform
import XCTest

@testable import Pipeline

/// Calls of the backend that fail: what was acknowledged stays, and nothing false is told.
final class FaultTests: XCTestCase {
    private static let changes: Set<BackendOperation> = [
        .createFile, .removeFile, .write, .synchronize, .synchronizeNames, .truncate,
    ]

    /// Runs a history until something fails; then what opens is a commit at or after the last one
    /// that returned.
    private func run(
        _ fault: Fault<BackendOperation>, seed: UInt64, _ context: String
    ) throws -> Bool {
        var random = SeededGenerator(seed: seed)
        let base = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(base, index)
        let plan = FaultPlan<BackendOperation>()
        let backend = FaultInjectingBackend(base, plan: plan)
        let store = try ChunkStore.open(backend, index: index, options: options())
        var model = ModelVolume()
        model.root = try store.volumes().first?.record.root
        var models: [UInt64: ModelVolume] = [1: model]
        var acknowledged: UInt64 = 1
        plan.add(fault)
        for number in 0..<12 {
            do {
                for _ in 0..<3 { try model.step(store, &random) }
                let draft = try model.draft(store, checkpoint: number % 3 == 2)
                models[acknowledged + 1] = model
                acknowledged = try commit(draft, store).sequence
                try assertHolds(store, model, context)
            } catch {
                break
            }
        }
        plan.clear()
        let hasFailed = plan.struckCount > 0
        if store.failure != nil {
            XCTAssertThrowsError(try store.put([1, 2, 3]), context)
            XCTAssertThrowsError(try store.commit(store.draft { _ in }), context)
        }
        try? store.close()
        for survivor in [base.copy(), base.crash()] {
            for provider in [MemoryIndexProvider(index.current), MemoryIndexProvider()] {
                let again = try ChunkStore.open(survivor, index: provider, options: options())
                XCTAssertNil(again.failure, context)
                let sequence = again.published.withLock { $0.state.sequence }
                XCTAssertGreaterThanOrEqual(sequence, acknowledged, context)
                XCTAssertLessThanOrEqual(sequence, acknowledged + 1, context)
                try assertHolds(again, try XCTUnwrap(models[sequence]), context)
                try assertReadable(again, try XCTUnwrap(models[sequence]))
                try again.close()
            }
        }
        return hasFailed
    }

    /// Commits; where there was no room, and nothing was committed, the same draft once more.
    private func commit(
        _ draft: CommitDraft, _ store: ChunkStore
    ) throws(StoreError) -> CommitReceipt {
        do throws(StoreError) {
            return try store.commit(draft)
        } catch {
            guard error.isNoSpace, store.failure == nil else { throw error }
            return try store.commit(draft)
        }
    }

    func testEveryChangeFailsOnce() throws {
        var random = seeded()
        let seed = random.next()
        for effect in [Fault<BackendOperation>.Effect.nothing, .complete, .partial(bytes: 100)] {
            for error in [Errno.ioError, Errno.noSpace] {
                for call in stride(from: 1, to: 400, by: effect == .nothing ? 1 : 3) {
                    let fault = Fault(
                        FaultTests.changes, firstCall: call, error: error, effect: effect)
                    let hasFailed = try run(
                        fault, seed: seed, "call \(call), \(effect), \(error)")
                    if (testRun?.totalFailureCount ?? 0) > 0 { return }
                    if !hasFailed { break }
                }
            }
        }
    }

    func testAFailedSynchronisationEndsWriting() throws {
        let base = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(base, index)
        let plan = FaultPlan<BackendOperation>()
        let log = EventLog()
        let store = try ChunkStore.open(
            FaultInjectingBackend(base, plan: plan), index: index, options: options(log: log))
        let kept = try store.put([UInt8](repeating: 1, count: 500))
        _ = try store.commit(store.draft { _ in })
        let lost = try store.put([UInt8](repeating: 2, count: 500))
        plan.add(Fault([.synchronize]))
        XCTAssertThrowsError(try store.commit(store.draft { _ in }))
        XCTAssertTrue(store.isReadOnly)
        XCTAssertTrue(log.text.contains("becameReadOnly"))
        XCTAssertThrowsError(try store.put([9]))
        // Reading goes on; the index was not told.
        XCTAssertEqual(try store.bytes(of: kept, domain: .data).count, 500)
        XCTAssertEqual(try store.bytes(of: lost, domain: .data).count, 500)
        XCTAssertNil(try store.index.chunk(lost))
        let end = store.published.withLock { $0.state.position }
        try store.close()
        // What looks whole in the page cache need not be on the medium: it is cut off.
        XCTAssertEqual(try base.openFile(end.pack.fileName, writable: false).size(), end.end)
        let again = try ChunkStore.open(base.crash(), index: index, options: options())
        XCTAssertEqual(try again.bytes(of: kept, domain: .data).count, 500)
        XCTAssertThrowsError(try again.bytes(of: lost, domain: .data))
        try again.close()
    }

    // MARK: space

    func testAFullMediumLetsDeletesThroughAndComesBack() throws {
        var random = seeded()
        let backend = MemoryBackend(capacityBytes: 24 << 20)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let log = EventLog()
        let store = try ChunkStore.open(backend, index: index, options: options(log: log))
        var files: [(inode: UInt64, chunk: ChunkName, bytes: [UInt8])] = []
        var isFull = false
        while !isFull, files.count < 2000 {
            let bytes = random.bytes(60_000)
            let inode = UInt64(files.count + 2)
            do throws(StoreError) {
                let chunk = try store.put(bytes)
                files.append((inode, chunk, bytes))
                _ = try store.commit(
                    store.draft { changes in
                        changes.nextInode = inode + 1
                        changes.inodes = [.put(file(inode, content: .chunk(chunk)))]
                    })
            } catch {
                guard case .noSpace = error else { throw error }
                isFull = true
            }
        }
        XCTAssertTrue(isFull)
        XCTAssertNil(store.failure)
        XCTAssertGreaterThan(try store.reserveBytes(), 0)
        XCTAssertLessThan(
            try store.space().availableBytes, 2 * (try store.reserveBytes()))
        for file in files {
            XCTAssertEqual(try store.bytes(of: file.chunk, domain: .data), file.bytes)
        }
        // Metadata and deletes go on; after some checkpoints the space is back.
        _ = try store.commit(
            store.draft { changes in changes.inodes = files.map { .gone($0.inode) } })
        let root = try XCTUnwrap(try store.volumes().first?.record.root)
        for _ in 0..<5 {
            _ = try store.commit(store.draft(checkpoint: true) { $0.root = root })
        }
        XCTAssertTrue(log.text.contains("deletedPack"), log.text)
        sleepNanoseconds(2 * SpaceGate.intervalNanoseconds)
        XCTAssertNoThrow(try store.put(random.bytes(60_000)))
        _ = try store.commit(store.draft { _ in })
        try store.close()
        let again = try ChunkStore.open(backend, index: MemoryIndexProvider(), options: options())
        XCTAssertNil(again.failure)
        try again.close()
    }

    func testDataThatFindsNoRoomStaysReadableAndHoldsOnlyItsOwnersUp() throws {
        var random = seeded()
        let base = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(base, index)
        let plan = FaultPlan<BackendOperation>()
        let store = try ChunkStore.open(
            FaultInjectingBackend(base, plan: plan), index: index, options: options())
        let first = try store.put(random.bytes(1000))
        _ = try store.commit(
            store.draft { changes in
                changes.nextInode = 3
                changes.inodes = [.put(file(2, content: .chunk(first)))]
            })
        let bytes = random.bytes(1000)
        let stuck = try store.put(bytes)
        // The data's write fails, and the two that would try it again.
        plan.add(Fault([.write], firstCall: 1, error: .noSpace, effect: .partial(bytes: 200)))
        let naming = store.draft { changes in
            changes.nextInode = 4
            changes.inodes = [.put(file(3, content: .chunk(stuck)))]
        }
        XCTAssertThrowsError(try store.commit(naming)) { error in
            guard case StoreError.noSpace = error else { return XCTFail("\(error)") }
        }
        XCTAssertNil(store.failure)
        XCTAssertEqual(try store.bytes(of: stuck, domain: .data), bytes)
        // The half of a record that was written is gone again.
        let end = store.published.withLock { $0.state.position }
        XCTAssertEqual(try base.openFile(end.pack.fileName, writable: false).size(), end.end)
        plan.add(Fault([.write], firstCall: 1, error: .noSpace))
        let deleting = store.draft { $0.inodes = [.gone(2)] }
        _ = try store.commit(deleting)
        XCTAssertEqual(try store.index.chunk(first)?.count, 0)
        XCTAssertNil(try store.index.chunk(stuck))
        _ = try store.commit(naming)
        try store.close()
        for provider in [index, MemoryIndexProvider()] {
            let again = try ChunkStore.open(base.crash(), index: provider, options: options())
            XCTAssertEqual(try again.bytes(of: stuck, domain: .data), bytes)
            XCTAssertEqual(try again.index.chunk(stuck)?.count, 1)
            XCTAssertNil(again.failure)
            try again.close()
        }
    }
}
