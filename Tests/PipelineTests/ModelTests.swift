import Backends
import DiskFormat
import Metadata
import Platform
import XCTest

@testable import Pipeline

/// Random histories against a model, across reopening and rebuilding.
final class ModelTests: XCTestCase {
    func testRandomHistoriesGiveTheModelAndRebuildToTheSame() throws {
        var random = seeded()
        for round in 0..<4 {
            let backend = MemoryBackend()
            let index = MemoryIndexProvider()
            try makeStore(
                backend, index, parameters: smallParameters(copies: round % 2 == 0 ? 2 : 1))
            var store = try ChunkStore.open(backend, index: index, options: options())
            var model = ModelVolume()
            model.root = try store.volumes().first?.record.root
            for commit in 0..<120 {
                for _ in 0..<Int.random(in: 0...8, using: &random) {
                    try model.step(store, &random)
                }
                let isCheckpoint = Int.random(in: 0..<5, using: &random) == 0
                _ = try store.commit(try model.draft(store, checkpoint: isCheckpoint))
                try assertHolds(store, model, "round \(round) commit \(commit)")
                if Int.random(in: 0..<8, using: &random) == 0 {
                    try assertReadable(store, model)
                    try store.close()
                    let isRebuilt = Bool.random(using: &random)
                    if isRebuilt { index.delete() }
                    let log = EventLog()
                    store = try ChunkStore.open(backend, index: index, options: options(log: log))
                    XCTAssertNil(store.failure, log.text)
                    try assertHolds(store, model, "reopened \(isRebuilt) \(commit)")
                    try assertReadable(store, model)
                }
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
            let left = store.index
            XCTAssertTrue(
                try model.bytes.keys.contains { try left.chunk($0) == nil },
                "nothing was condemned")
            try store.close()
        }
    }
}
