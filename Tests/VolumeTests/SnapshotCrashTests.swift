// Power cuts at every change of the backend while snapshots come and go.
import Backends
import DiskFormat
import FileModel
import Foundation
import Platform
import XCTest

@testable import Pipeline
@testable import Volume

final class SnapshotCrashTests: XCTestCase {
    /// The volume at a snapshot: what each of its files begins with and how long it is.
    private typealias Content = [String: [UInt8]]

    private func bytes(_ version: Int, _ file: Int) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(version * 100 + file))
        return random.bytes(2_000 + 4_000 * (file % 5))
    }

    private func name(_ file: Int) -> String { "d\(file % 3)/f\(file)" }

    /// A history whose marks say which snapshots are promised, `+` and `-`. Returns what each has.
    private func record(
        _ index: MemoryIndexProvider
    ) throws -> (operations: [RecordedOperation], contents: [String: Content]) {
        let backend = RecordingBackend(MemoryBackend())
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        var contents: [String: Content] = [:]
        var now: Content = [:]
        var folders: [UInt64] = []
        for number in 0..<3 {
            folders.append(try open.volume.makeFolder(Array("d\(number)".utf8), in: 1).inode)
        }
        for version in 1...10 {
            for file in 0..<12 where (file + version) % 4 == 0 || version == 1 {
                let text = Array("f\(file)".utf8)
                let parent = folders[file % 3]
                if now[name(file)] != nil {
                    try open.volume.removeFile(text, in: parent)
                    now[name(file)] = nil
                }
                guard (file + version) % 8 != 0 else { continue }
                let made = try open.volume.makeFile(text, in: parent)
                try open.volume.put(bytes(version, file), into: made.inode)
                open.volume.forget(made.inode, count: 1)
                now[name(file)] = bytes(version, file)
            }
            let snapshot = "v\(version)"
            contents[snapshot] = now
            backend.recording.mark("?\(snapshot)")
            _ = try open.live.createSnapshot(SnapshotDraft(name: snapshot), of: "main")
            backend.recording.mark("+\(snapshot)")
            if version % 3 != 0 { while try open.store.settleSnapshots() != nil {} }
            if version > 2, version % 2 == 0 {
                let old = "v\(version - 2)"
                backend.recording.mark("!\(old)")
                _ = try open.live.deleteSnapshot(named: old, of: "main")
                backend.recording.mark("-\(old)")
                _ = try open.store.settleSnapshots()
            }
            if version % 4 == 0 { try open.live.checkpoint() }
        }
        try open.live.close()
        return (backend.recording.operations, contents)
    }

    func testCutsAtEveryChange() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let (operations, contents) = try record(MemoryIndexProvider())
        let replay = BackendReplay(operations)
        let first = operations.firstIndex { if case .mark = $0 { true } else { false } } ?? 0
        let step = isLong ? 1 : 7
        let begin = first + 1 + random.below(step)
        for position in stride(from: begin, through: operations.count, by: step) {
            try replay.advance(to: position)
            let backend =
                random.chance(1, in: 2)
                ? replay.backend.crash() : replay.backend.crash(using: &random)
            try check(
                backend, contents, replay.marks, &random,
                "cut at \(position), ASHLAR_SEED=\(seed)")
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
    }

    /// At every cut the volume is what it was before, or what the snapshot has.
    func testGoingBackIsWholeOrNotAtAll() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let backend = RecordingBackend(MemoryBackend())
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        var then: Content = [:]
        for file in 0..<12 {
            let made = try open.volume.makeFile(Array("f\(file)".utf8), in: 1)
            try open.volume.put(bytes(1, file), into: made.inode)
            open.volume.forget(made.inode, count: 1)
            then["f\(file)"] = bytes(1, file)
        }
        _ = try open.live.createSnapshot(SnapshotDraft(name: "then"), of: "main")
        var now = then
        for file in 0..<6 {
            try open.volume.removeFile(Array("f\(file)".utf8), in: 1)
            now["f\(file)"] = nil
        }
        let made = try open.volume.makeFile(Array("new".utf8), in: 1)
        try open.volume.put(bytes(2, 3), into: made.inode)
        open.volume.forget(made.inode, count: 1)
        now["new"] = bytes(2, 3)
        try open.live.checkpoint()
        backend.recording.mark("begun")
        _ = try open.live.rollBack("main", to: "then")
        backend.recording.mark("done")
        try open.live.close()
        let replay = BackendReplay(backend.recording.operations)
        let first =
            backend.recording.operations.firstIndex { if case .mark = $0 { true } else { false } }
            ?? 0
        for position in (first + 1)...backend.recording.operations.count {
            try replay.advance(to: position)
            let context = "cut at \(position), ASHLAR_SEED=\(seed)"
            let crashed = replay.backend.crash(using: &random)
            let again = MemoryIndexProvider()
            let opened = try OpenStore(crashed, again)
            let found = try read(opened.volume, 1, "")
            XCTAssertTrue(found == then || found == now, context)
            if replay.marks.contains("done") { XCTAssertEqual(found, then, context) }
            try opened.live.close()
            XCTAssertEqual(try complaints(crashed, again), [], context)
        }
    }

    private func check(
        _ backend: MemoryBackend, _ contents: [String: Content], _ marks: [String],
        _ random: inout SeededGenerator, _ context: String
    ) throws {
        var promised: Set<String> = []
        var possible: Set<String> = []
        for mark in marks {
            let name = String(mark.dropFirst())
            switch mark.first {
            case "?": possible.insert(name)
            case "+": promised.insert(name)
            case "!": promised.remove(name)
            default: possible.remove(name)
            }
        }
        let index = MemoryIndexProvider()
        var open = try OpenStore(backend, index)
        XCTAssertFalse(open.store.isReadOnly, context)
        try compare(open, contents, promised, possible, context)
        // What is not settled when the next end comes is settled later.
        for _ in 0..<random.below(4) { _ = try open.store.settleSnapshots() }
        let found = Set(open.store.snapshots.values.map(\.name))
        try open.live.close()
        open = try OpenStore(backend, index)
        while try open.store.settleSnapshots() != nil {}
        for number in 0..<4 {
            let made = try open.volume.makeFile(Array("tick\(number)".utf8), in: 1)
            open.volume.forget(made.inode, count: 1)
            try open.live.checkpoint()
        }
        try compare(open, contents, found, found, context)
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [], context)
    }

    private func compare(
        _ open: OpenStore, _ contents: [String: Content], _ promised: Set<String>,
        _ possible: Set<String>, _ context: String
    ) throws {
        let found = Set(open.store.snapshots.values.map(\.name))
        XCTAssertTrue(promised.isSubset(of: found), "\(found) without \(promised): \(context)")
        XCTAssertTrue(found.isSubset(of: possible), "\(found) beyond \(possible): \(context)")
        for name in found.sorted() {
            let mounted = try open.live.mountedSnapshot(named: name, of: "main")
            XCTAssertEqual(try read(mounted, 1, ""), contents[name], "\(name): \(context)")
        }
    }

    private func read(_ mounted: any FilesystemOperations, _ folder: UInt64, _ path: String) throws
        -> Content
    {
        var entries: [(name: [UInt8], inode: UInt64, kind: FileModel.FileKind)] = []
        try mounted.readDirectory(folder, after: 2, withAttributes: false) {
            name, inode, kind, _, _ in
            entries.append((Array(name), inode, kind))
            return true
        }
        var content: Content = [:]
        for entry in entries {
            let own = path + String(decoding: entry.name, as: UTF8.self)
            let attributes = try XCTUnwrap(
                try entry.name.withUnsafeBytes { try mounted.lookup($0, in: folder) })
            if entry.kind == .directory {
                content.merge(try read(mounted, entry.inode, own + "/")) { $1 }
                continue
            }
            var buffer = [UInt8](repeating: 0, count: Int(attributes.size))
            let count = try buffer.withUnsafeMutableBytes {
                try mounted.read(entry.inode, at: 0, into: $0)
            }
            content[own] = Array(buffer.prefix(count))
        }
        return content
    }
}
