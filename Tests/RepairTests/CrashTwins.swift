import Backends
import Pipeline
import XCTest

/// A store, and what power cuts leave of something that is done to it.
struct CrashTwins {
    private let base: TestStore

    init(of store: TestStore) {
        base = store
    }

    /// Does `work` to a copy of the store, and calls `check` with a store for every `step`th change
    /// of its files, as a power cut there leaves it: all that was made durable, and some of the
    /// rest. The index is the one from before, or gone.
    func forEachCut(
        step: Int, _ random: inout SeededGenerator,
        _ check: (TestStore, String) throws -> Void, of work: (TestStore) throws -> Void
    ) throws {
        let start = try base.copy()
        let memory = try XCTUnwrap(start.backend as? MemoryBackend)
        let beginning = memory.copy()
        let recorder = RecordingBackend(memory)
        try work(TestStore(opening: recorder, start.index))
        let operations = recorder.recording.operations
        XCTAssertGreaterThan(operations.count, 0)
        let replay = BackendReplay(operations, into: beginning)
        for position in stride(from: 0, through: operations.count, by: step) {
            try replay.advance(to: position)
            for survivor in [replay.backend.crash(), replay.backend.crash(using: &random)] {
                let index =
                    Bool.random(using: &random)
                    ? MemoryIndexProvider()
                    : try XCTUnwrap(base.copy().index as? MemoryIndexProvider)
                try check(
                    TestStore(opening: survivor, index),
                    "cut at \(position) of \(operations.count), "
                        + "index \(index.current == nil ? "gone" : "old")")
            }
        }
    }
}

/// A medium that has no room left for anything but a little.
final class FullBackend: Backend {
    private let base: MemoryBackend

    init(_ base: MemoryBackend) {
        self.base = base
    }

    var location: String { base.location }
    var isReadOnly: Bool { false }

    func space() throws(BackendError) -> BackendSpace {
        BackendSpace(
            totalBytes: 1 << 30, availableBytes: 1 << 20, totalFiles: 1000, availableFiles: 900)
    }

    func createFile(_ name: String) throws(BackendError) -> any BackendFile {
        try base.createFile(name)
    }
    func openFile(_ name: String, writable: Bool) throws(BackendError) -> any BackendFile {
        try base.openFile(name, writable: writable)
    }
    func list(prefix: String) throws(BackendError) -> [(name: String, size: UInt64)] {
        try base.list(prefix: prefix)
    }
    func removeFile(_ name: String) throws(BackendError) { try base.removeFile(name) }
    func renameFile(_ from: String, to: String) throws(BackendError) {
        try base.renameFile(from, to: to)
    }
    func writeWhole(_ name: String, _ bytes: [UInt8]) throws(BackendError) {
        try base.writeWhole(name, bytes)
    }
    func readWhole(_ name: String, limitBytes: Int) throws(BackendError) -> [UInt8] {
        try base.readWhole(name, limitBytes: limitBytes)
    }
    func synchronizeNames() throws(BackendError) { try base.synchronizeNames() }
}
