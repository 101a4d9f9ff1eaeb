// Many threads on one volume, with commits, checkpoints and evictions under way.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class ConcurrencyTests: XCTestCase {
    private static let threadCount = 8
    /// What two cores under a sanitizer need, many times over.
    private static let patienceSeconds = 240.0

    func testThreadsOnSharedAndOwnDirectories() throws {
        let seed = printedSeed()
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var timing = quietTiming()
        timing.commitSeconds = 0.05
        timing.checkpointChanges = 300
        let open = try OpenStore(backend, index, timing: timing)
        let shared = try open.volume.makeFolder(Array("shared".utf8), in: 1).inode
        let failures = ConditionMutex<[String]>([])
        let running = ConditionMutex(ConcurrencyTests.threadCount)
        var threads: [PlatformThread] = []
        for number in 0..<ConcurrencyTests.threadCount {
            let worker = Worker(
                volume: open.volume, shared: shared, number: number, seed: seed &+ UInt64(number))
            threads.append(
                try PlatformThread(name: "worker \(number)") {
                    do {
                        try worker.run(steps: isLong ? 3_000 : 250)
                    } catch {
                        failures.withLock { $0.append("worker \(number): \(error)") }
                    }
                    running.withLock { $0 -= 1 }
                    running.broadcast()
                })
        }
        try watch(running, open, seed)
        for thread in threads { thread.join() }
        XCTAssertEqual(failures.withLock { $0 }, [], "ASHLAR_SEED=\(seed)")
        try open.live.checkpoint()
        XCTAssertEqual(try complaints(backend, index), [], "ASHLAR_SEED=\(seed)")
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [], "closed, ASHLAR_SEED=\(seed)")
        index.delete()
        let again = try OpenStore(backend, index)
        try again.live.close()
        XCTAssertEqual(try complaints(backend, index), [], "rebuilt, ASHLAR_SEED=\(seed)")
    }

    /// Evicts and checkpoints until all workers have ended; a standstill ends the process, since
    /// its threads could not be joined.
    private func watch(
        _ running: ConditionMutex<Int>, _ open: OpenStore, _ seed: UInt64
    ) throws {
        let end = Date().addingTimeInterval(ConcurrencyTests.patienceSeconds)
        while running.withLock({ $0 }) > 0 {
            if Date() > end { fatalError("a standstill, ASHLAR_SEED=\(seed)") }
            Thread.sleep(forTimeInterval: 0.02)
            open.volume.evict()
            try open.live.checkpoint()
        }
    }
}

/// One thread's random operations. Its own directory it knows exactly; in the shared one it checks
/// what must hold whatever the others do.
private final class Worker: @unchecked Sendable {
    private let volume: Volume
    private let shared: UInt64
    private let number: Int
    private var random: SeededGenerator
    /// The bytes of its own files, by name; each begins with its length.
    private var own: [[UInt8]: [UInt8]] = [:]
    private var home: UInt64 = 0

    struct Wrong: Error {
        var text: String
    }

    init(volume: Volume, shared: UInt64, number: Int, seed: UInt64) {
        self.volume = volume
        self.shared = shared
        self.number = number
        random = SeededGenerator(seed: seed)
    }

    func run(steps: Int) throws {
        home = try volume.makeFolder(Array("own \(number)".utf8), in: 1).inode
        for _ in 0..<steps {
            switch random.below(10) {
            case 0..<4: try ownStep()
            case 4..<9: try tolerate { try sharedStep() }
            default: try volume.synchronizeAll()
            }
        }
        for (name, bytes) in own { try compare(name, bytes) }
        volume.forget(home, count: 1)
    }

    /// What the other threads may have brought about.
    private func tolerate(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as FileError {
            switch error {
            case .noEntry, .exists, .isDirectory, .notDirectory, .notEmpty, .stale, .invalid,
                .noSuchPosition, .notPermitted:
                return
            default: throw error
            }
        }
    }

    private func ownStep() throws {
        let name = Array("f\(random.below(6))".utf8)
        let bytes = random.bytes(random.below(30_000))
        switch random.below(5) {
        case 0, 1:
            if own[name] == nil {
                volume.forget(try volume.makeFile(name, in: home).inode, count: 1)
                own[name] = []
            }
            var content = own[name] ?? []
            let offset = random.below(content.count + 1)
            try withNode(name, in: home) { try volume.put(bytes, into: $0, at: UInt64(offset)) }
            content.replaceSubrange(
                offset..<min(offset + bytes.count, content.count), with: bytes)
            own[name] = content
        case 2:
            guard own.removeValue(forKey: name) != nil else { return }
            try volume.removeFile(name, in: home)
        case 3:
            guard let content = own.removeValue(forKey: name) else { return }
            let target = Array("f\(random.below(6))".utf8)
            try volume.move(name, in: home, to: target, in: home)
            own[target] = content
        default:
            if let content = own[name] { try compare(name, content) }
        }
    }

    private func compare(_ name: [UInt8], _ bytes: [UInt8]) throws {
        try withNode(name, in: home) { inode in
            let found = try volume.get(inode, count: bytes.count + 1)
            if found != bytes {
                throw Wrong(text: "bytes of \(String(decoding: name, as: UTF8.self))")
            }
        }
    }

    private func withNode(_ name: [UInt8], in parent: UInt64, _ body: (UInt64) throws -> Void)
        throws
    {
        guard let found = try volume.find(name, in: parent) else {
            if parent == home { throw Wrong(text: "a name is gone") }
            return
        }
        defer { volume.forget(found.inode, count: 1) }
        try body(found.inode)
    }

    private func sharedName() -> [UInt8] { Array("s\(random.below(8))".utf8) }

    private func sharedStep() throws {
        let name = sharedName()
        switch random.below(14) {
        case 0, 1: volume.forget(try volume.makeFile(name, in: shared).inode, count: 1)
        case 2: volume.forget(try volume.makeFolder(name, in: shared).inode, count: 1)
        case 3: try volume.removeFile(name, in: shared)
        case 4: try volume.removeFolder(name, in: shared)
        case 5, 6:
            let flags: RenameFlags = random.chance(1, in: 3) ? .exchange : []
            try volume.move(name, in: shared, to: sharedName(), in: shared, flags: flags)
        case 7:
            try withNode(name, in: shared) {
                volume.forget(try volume.addLink($0, as: sharedName(), in: shared).inode, count: 1)
            }
        case 8: try list()
        default: try withNode(name, in: shared) { try contentStep($0) }
        }
    }

    private func contentStep(_ inode: UInt64) throws {
        let offset = UInt64(random.below(60_000))
        switch random.below(9) {
        case 0..<3: try volume.put(random.bytes(random.below(9_000)), into: inode, at: offset)
        case 3: _ = try volume.get(inode, at: offset, count: 20_000)
        case 4:
            var change = AttributeChange()
            change.size = offset
            _ = try volume.setAttributes(of: inode, change, caller: someone)
        case 5:
            try volume.allocate(
                inode, mode: [.punchHole, .keepSize], at: offset, length: 10_000,
                caller: someone)
        case 6: _ = try volume.seek(inode, .hole, from: offset)
        case 7:
            try volume.setAttribute("user.a", of: inode, to: random.bytes(random.below(500)))
        default:
            try withNode(sharedName(), in: shared) {
                _ = try volume.copyRange(
                    from: inode, at: 0, to: $0, at: 0, length: 1 << 20, caller: someone)
            }
        }
    }

    private func list() throws {
        var given: [UInt64] = []
        try volume.readDirectory(shared, after: 0, withAttributes: true) {
            _, inode, _, next, attributes in
            if next > 2, attributes != nil { given.append(inode) }
            return true
        }
        for inode in given { volume.forget(inode, count: 1) }
    }
}
