// Power cuts between any two system calls of a volume in a directory, and what must have survived.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

/// A volume in a directory does a bit of everything; every write, fsync, rename, truncation, punch and
/// removal that it asked the kernel for is recorded, and the power is cut behind each of them, with
/// nothing that is not durable surviving, and with a random part of it: sectors, sizes, names of each
/// directory. What opens is one commit's state: the last acknowledged one's, or that of the next.
final class SystemCallCutTests: XCTestCase {
    /// All files by name, with their bytes; directories are empty ones.
    private typealias State = [String: [UInt8]]

    /// A run of the workload.
    private struct History {
        var calls: [RecordedCall]
        /// What the volume held at each commit; the first is the empty volume.
        var states: [State]
    }

    private static let stepCount = 66
    private static let names = (0..<14).map { "file-\($0)" }
    private static let database = "database"

    func testACutBehindEverySystemCall() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let history = try record(&random)
        let unlinked = history.calls.contains { if case .unlink = $0 { true } else { false } }
        XCTAssertTrue(unlinked, "no pack was ever deleted")
        print("\(history.calls.count) calls, \(history.states.count) states")
        let replay = SystemCallReplay(history.calls)
        // The store's own making is the affair of mkfs: it is over when the first commit is.
        let first = history.calls.firstIndex(of: .mark("0")) ?? 0
        let step = isLong ? 1 : 29
        let begin = first + 1 + (isLong ? 0 : random.below(step))
        for position in stride(from: begin, through: history.calls.count, by: step) {
            try replay.advance(to: position)
            let acknowledged = Int(replay.marks.last ?? "") ?? 0
            let context = "cut at \(position) of \(history.calls.count), ASHLAR_SEED=\(seed)"
            try check(try replay.crash(), history, acknowledged, context)
            try check(
                try replay.crash(using: &random), history, acknowledged, "random " + context)
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
    }

    // MARK: the workload

    private func record(_ random: inout SeededGenerator) throws -> History {
        let folder = NSTemporaryDirectory() + "/ashlar-cuts-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let calls = RecordingSystemCalls()
        let backend = try DirectoryBackend(path: folder, create: true, systemCalls: calls)
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        var states: [State] = [[:]]
        var state: State = [:]
        calls.mark("0")
        for step in 0..<Self.stepCount {
            try change(open.volume, &state, &random, step)
            states.append(state)
            switch step % 4 {
            case 0: try open.volume.synchronizeAll()
            case 2: try open.live.checkpoint()
            default:
                let some = try open.volume.find(Array(Self.database.utf8), in: 1)
                try open.volume.synchronize(some?.inode ?? 1, dataOnly: step % 3 == 0)
            }
            calls.mark("\(states.count - 1)")
        }
        try open.live.close()
        return History(calls: calls.calls, states: states)
    }

    /// Some changes of names and content.
    private func change(
        _ volume: Volume, _ state: inout State, _ random: inout SeededGenerator, _ step: Int
    ) throws {
        if step == 0 { try write(Self.database, random.bytes(96 << 10), volume, &state) }
        try overwrite(volume, &state, &random)
        for _ in 0..<3 {
            let name = Self.names[random.below(Self.names.count)]
            let other = Self.names[random.below(Self.names.count)]
            switch random.below(5) {
            case 0 where state[name] != nil:
                try volume.removeFile(Array(name.utf8), in: 1)
                state[name] = nil
            case 1 where state[name] != nil && state[other] == nil:
                let inode = try XCTUnwrap(try volume.find(Array(name.utf8), in: 1)).inode
                _ = try volume.addLink(inode, as: Array(other.utf8), in: 1)
                state[other] = state[name]
            case 2 where state[name] == nil:
                try volume.move(
                    Array(Self.database.utf8), in: 1, to: Array(name.utf8), in: 1)
                state[name] = state[Self.database]
                state[Self.database] = nil
                try write(Self.database, random.bytes(96 << 10), volume, &state)
            default:
                try write("temporary", random.bytes(1 + random.below(90_000)), volume, &state)
                try volume.move(Array("temporary".utf8), in: 1, to: Array(name.utf8), in: 1)
                state[name] = state["temporary"]
                state["temporary"] = nil
            }
        }
    }

    /// A new file of these bytes.
    private func write(
        _ name: String, _ bytes: [UInt8], _ volume: Volume, _ state: inout State
    ) throws {
        let inode = try volume.makeFile(Array(name.utf8), in: 1).inode
        try volume.put(bytes, into: inode)
        volume.forget(inode, count: 1)
        state[name] = bytes
    }

    /// 4 KiB in the middle of a file that is big enough for it to be committed as a piece.
    private func overwrite(
        _ volume: Volume, _ state: inout State, _ random: inout SeededGenerator
    ) throws {
        let inode = try XCTUnwrap(try volume.find(Array(Self.database.utf8), in: 1)).inode
        let offset = random.below(22) * 4096
        let bytes = random.bytes(4096)
        try volume.put(bytes, into: inode, at: UInt64(offset))
        state[Self.database]?.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    }

    // MARK: what survives

    private func check(
        _ backend: MemoryBackend, _ history: History, _ acknowledged: Int, _ context: String
    ) throws {
        let index = MemoryIndexProvider()
        let open = try OpenStore(backend, index)
        XCTAssertNil(open.store.failure, context)
        let found = try state(of: open.volume)
        let isRight =
            found == history.states[acknowledged]
            || (acknowledged + 1 < history.states.count
                && found == history.states[acknowledged + 1])
        XCTAssertTrue(
            isRight,
            "commit \(acknowledged) was acknowledged, found \(found.keys.sorted()): \(context)")
        // It goes on, and ends without a word from the checker.
        let fresh = try open.volume.makeFile(Array("fresh".utf8), in: 1).inode
        try open.volume.put([1, 2, 3], into: fresh)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [], context)
    }

    private func state(of volume: Volume) throws -> State {
        var state: State = [:]
        for name in Self.names + [Self.database, "temporary"] {
            guard let found = try volume.find(Array(name.utf8), in: 1) else { continue }
            state[name] = try volume.get(found.inode, count: Int(found.size) + 1)
            volume.forget(found.inode, count: 1)
        }
        return state
    }
}
