import Backends
import DiskFormat
import Metadata
import Platform
import XCTest

@testable import Pipeline

/// A power cut at every change of the backend during a random history: what opens is exactly the
/// state of one commit, at or after the last acknowledged one.
final class CrashTests: XCTestCase {
    /// A history with everything that was true on the way.
    private struct History {
        var operations: [RecordedOperation]
        /// By sequence of commits.
        var models: [UInt64: ModelVolume]
        var indexes: [UInt64: MemoryMetadataStore]
        /// Sequences at which the index was flushed: checkpoints.
        var flushed: [UInt64]
    }

    private func makeHistory(
        _ random: inout SeededGenerator, commits: Int, bigData: Bool = false
    ) throws -> History {
        let recorder = RecordingBackend(MemoryBackend())
        let index = MemoryIndexProvider()
        try makeStore(recorder, index)
        recorder.recording.mark("1")
        let store = try ChunkStore.open(recorder, index: index, options: options())
        var model = ModelVolume()
        model.root = try store.volumes().first?.record.root
        var history = History(operations: [], models: [1: model], indexes: [:], flushed: [1])
        history.indexes[1] = index.current?.crash(keepingBatches: .max)
        for number in 0..<commits {
            for _ in 0..<Int.random(in: 0...5, using: &random) { try model.step(store, &random) }
            // Enough to fill packs, so that some are sealed, condemned and deleted on the way.
            if bigData {
                for _ in 0..<8 { try store.put(random.bytes(50_000)) }
            }
            let receipt = try store.commit(
                try model.draft(store, checkpoint: number % 4 == 3))
            recorder.recording.mark("\(receipt.sequence)")
            history.models[receipt.sequence] = model
            history.indexes[receipt.sequence] = index.current?.crash(keepingBatches: .max)
            if receipt.isCheckpoint { history.flushed.append(receipt.sequence) }
        }
        try store.close()
        history.operations = recorder.recording.operations
        return history
    }

    func testACutAtEveryChange() throws {
        var random = seeded()
        let history = try makeHistory(&random, commits: 24)
        try checkCuts(history, step: 1, &random)
    }

    func testCutsWhilePacksAreSealedAndDeleted() throws {
        var random = seeded()
        let history = try makeHistory(&random, commits: 36, bigData: true)
        XCTAssertTrue(
            history.operations.contains { if case .removeFile = $0 { true } else { false } },
            "no pack was ever deleted")
        try checkCuts(history, step: 5, &random)
    }

    private func checkCuts(
        _ history: History, step: Int, _ random: inout SeededGenerator
    ) throws {
        let replay = BackendReplay(history.operations)
        for position in stride(from: 0, through: history.operations.count, by: step) {
            try replay.advance(to: position)
            guard let acknowledged = replay.marks.compactMap({ UInt64($0) }).max() else {
                continue
            }
            let survivors = [
                replay.backend.crash(), replay.backend.crash(using: &random),
            ]
            for survivor in survivors {
                let flushed = history.flushed.last { $0 <= acknowledged } ?? 1
                let kept = UInt64.random(in: flushed...acknowledged, using: &random)
                let index =
                    Int.random(in: 0..<3, using: &random) == 0
                    ? MemoryIndexProvider() : MemoryIndexProvider(history.indexes[kept])
                let context = "cut at \(position), index at \(kept)"
                do {
                    try check(survivor, index, history, acknowledged, context)
                } catch {
                    XCTFail("\(context): \(error)")
                }
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
        }
    }

    private func check(
        _ backend: MemoryBackend, _ index: MemoryIndexProvider, _ history: History,
        _ acknowledged: UInt64, _ context: String
    ) throws {
        let log = EventLog()
        let looking = try ChunkStore.open(
            backend.copy(isReadOnly: true), index: MemoryIndexProvider(index.current),
            options: options(readOnly: true))
        let seen = looking.published.withLock { $0.state.sequence }
        let store = try ChunkStore.open(backend, index: index, options: options(log: log))
        XCTAssertNil(store.failure, "\(context)\n\(log.text)")
        let sequence = store.published.withLock { $0.state.sequence }
        XCTAssertEqual(seen, sequence, context)
        XCTAssertGreaterThanOrEqual(sequence, acknowledged, "\(context)\n\(log.text)")
        XCTAssertLessThanOrEqual(sequence, acknowledged + 1, context)
        var model = try XCTUnwrap(history.models[sequence])
        try assertHolds(looking, model, "read-only, \(context)")
        try looking.close()
        // Nothing is left of what was never committed.
        let files = try backend.list(prefix: "packs/").compactMap { PackID(fileName: $0.name) }
        let known = try store.index.packs().filter { !$0.record.isCondemned }.map(\.record.id)
        XCTAssertEqual(Set(files), Set(known), context)
        try assertHolds(store, model, context)
        try assertReadable(store, model)
        // The store goes on, and what it does then survives too.
        var random = SeededGenerator(seed: sequence)
        for _ in 0..<3 { try model.step(store, &random) }
        _ = try store.commit(try model.draft(store, checkpoint: sequence % 2 == 0))
        try assertHolds(store, model, "gone on, \(context)")
        try store.close()
        let again = try ChunkStore.open(
            backend, index: sequence % 3 == 0 ? MemoryIndexProvider() : index, options: options())
        XCTAssertNil(again.failure, context)
        try assertHolds(again, model, "again, \(context)")
        try assertReadable(again, model)
        try again.close()
    }
}
