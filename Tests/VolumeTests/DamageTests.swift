// Every byte of a small store is changed, one at a time; packs are cut at every record and removed;
// what a volume then reads is right, or an error.
import Backends
import Checking
import DiskFormat
import FileModel
import Foundation
import Packs
import Pipeline
import Platform
import XCTest

@testable import Volume

final class DamageTests: XCTestCase {
    private typealias State = [String: [UInt8]]

    /// A store with some small files, cleanly closed.
    private func makeSealed(
        _ random: inout SeededGenerator, _ index: MemoryIndexProvider = MemoryIndexProvider()
    ) throws -> (MemoryBackend, State) {
        let backend = MemoryBackend()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        var state: State = [:]
        for number in 0..<5 {
            let bytes = random.bytes(1 + number * 2500)
            let inode = try open.volume.makeFile(Array("file-\(number)".utf8), in: 1).inode
            try open.volume.put(bytes, into: inode)
            state["file-\(number)"] = bytes
            if number == 2 { try open.live.checkpoint() }
        }
        let linked = try XCTUnwrap(try open.volume.find(Array("file-4".utf8), in: 1)).inode
        _ = try open.volume.addLink(linked, as: Array("link".utf8), in: 1)
        state["link"] = state["file-4"]
        try open.live.close()
        return (backend, state)
    }

    /// What can be read is right; where something cannot, the checker has told of damage, or the store
    /// is refused for writing. Returns how many files could not be read.
    private func assertNothingWrong(
        _ damaged: MemoryBackend, _ state: State, _ context: String,
        index: MemoryIndexProvider = MemoryIndexProvider()
    ) throws -> Int {
        // The checker judges what was found, not what opening made of it.
        let backend = damaged.copy()
        let open: OpenStore
        do {
            open = try OpenStore(backend, index)
        } catch {
            // Refused as a whole: never where the checker calls the store sound.
            XCTAssertFalse(try isSound(damaged), "\(error): \(context)")
            return state.count
        }
        defer { try? open.live.close() }
        var unread: Set<String> = []
        for (name, bytes) in state {
            do throws(FileError) {
                guard let found = try open.volume.find(Array(name.utf8), in: 1) else {
                    unread.insert(name)
                    continue
                }
                let read = try open.volume.get(found.inode, count: bytes.count + 1)
                XCTAssertTrue(read == bytes, "\(name) is another: \(context)")
            } catch {
                unread.insert(name)
            }
        }
        if !unread.isEmpty, open.store.failure == nil {
            XCTAssertFalse(try isSound(damaged), "\(unread.sorted()): \(context)")
        }
        return unread.count
    }

    private func isSound(_ backend: MemoryBackend) throws -> Bool {
        do {
            let report = try StoreCheck.run(
                backend.copy(isReadOnly: true), options: CheckOptions(depth: .deep))
            return report.problems.allSatisfy { $0.severity <= .information }
        } catch {
            return false
        }
    }

    func testEveryByteFlipped() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let (backend, state) = try makeSealed(&random)
        let step = isLong ? 1 : 149
        var flips = 0
        var unread = 0
        for (name, size) in try backend.list(prefix: "packs/") {
            let sound = try backend.readWhole(name, limitBytes: 1 << 24)
            for offset in stride(from: random.below(step), to: Int(size), by: step) {
                var bytes = sound
                bytes[offset] ^= UInt8(1 << random.below(8))
                let damaged = backend.copy()
                try damaged.writeWhole(name, bytes)
                unread += try assertNothingWrong(
                    damaged, state, "\(name), byte \(offset), ASHLAR_SEED=\(seed)")
                flips += 1
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
        }
        print("\(flips) bytes flipped, \(unread) files unreadable")
        XCTAssertGreaterThan(unread, 0)
    }

    /// The index is what tells packs that lost their end from those whose end was never durable: with
    /// it the store is refused for writing where anything is missing.
    func testEveryPackCutAtEveryRecordAndRemoved() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let kept = MemoryIndexProvider()
        let (backend, state) = try makeSealed(&random, kept)
        var index: MemoryIndexProvider { kept.crash(keepingBatches: .max) }
        for (name, _) in try backend.list(prefix: "packs/") {
            let id = try XCTUnwrap(PackID(fileName: name))
            let reader = try PackReader(id, in: backend, expecting: nil)
            let bytes = try backend.readWhole(name, limitBytes: 1 << 24)
            for cut in try reader.records().entries.map(\.offset) + [0, 100] {
                let damaged = backend.copy()
                try damaged.writeWhole(name, Array(bytes.prefix(Int(cut))))
                _ = try assertNothingWrong(
                    damaged, state, "\(name) cut at \(cut)", index: index)
            }
            let damaged = backend.copy()
            try damaged.removeFile(name)
            _ = try assertNothingWrong(damaged, state, "\(name) removed", index: index)
        }
    }

    /// Packs under each other's names, and of another store: never taken for what they are not.
    func testPacksSwapped() throws {
        var random = SeededGenerator(seed: 5)
        let (backend, state) = try makeSealed(&random)
        let names = try backend.list(prefix: "packs/").map(\.name)
        XCTAssertGreaterThan(names.count, 1)
        for (name, other) in zip(names, names.dropFirst()) {
            let damaged = backend.copy()
            try damaged.writeWhole(name, try backend.readWhole(other, limitBytes: 1 << 24))
            try damaged.writeWhole(other, try backend.readWhole(name, limitBytes: 1 << 24))
            _ = try assertNothingWrong(damaged, state, "\(name) and \(other) swapped")
        }
    }
}
