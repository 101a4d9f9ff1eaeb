// Memory for inodes is bounded, however many the kernel is given.
import Backends
import DiskFormat
import FileModel
import Foundation
import Pipeline
import Platform
import XCTest

@testable import Volume

final class ForgettingTests: XCTestCase {
    /// A kernel that lets go of what it is asked to let go of, a little later, as the real one does:
    /// on a thread of its own, by name.
    private final class Kernel: KernelNotifier, @unchecked Sendable {
        private struct State {
            var names: [String: UInt64] = [:]
            var asked: [(parent: UInt64, name: [UInt8])] = []
            var isStopping = false
        }

        private let volume: Volume
        private let state = ConditionMutex(State())
        private var thread: PlatformThread?

        init(_ volume: Volume) throws {
            self.volume = volume
            thread = try PlatformThread(name: "kernel") { [self] in run() }
        }

        private static func key(_ parent: UInt64, _ name: [UInt8]) -> String {
            "\(parent)/\(String(decoding: name, as: UTF8.self))"
        }

        /// The kernel was given a name with its inode.
        func keep(_ name: [UInt8], in parent: UInt64, _ inode: UInt64) {
            let had = state.withLock {
                $0.names.updateValue(inode, forKey: Self.key(parent, name))
            }
            if had != nil { volume.forget(inode, count: 1) }
        }

        var count: Int { state.withLock { $0.names.count } }

        func invalidateEntry(_ name: [UInt8], in parent: InodeNumber) {
            state.withLock { $0.asked.append((parent, name)) }
            state.broadcast()
        }
        func invalidateInode(_ inode: InodeNumber, range: Range<UInt64>) {}
        var pendingCount: Int { state.withLock { $0.asked.count } }

        private func run() {
            while true {
                let item = state.wait(until: { !$0.asked.isEmpty || $0.isStopping }) {
                    state -> (parent: UInt64, name: [UInt8])? in state.asked.popLast()
                }
                guard let item else { return }
                let key = Self.key(item.parent, item.name)
                let inode = state.withLock { $0.names.removeValue(forKey: key) }
                if let inode { volume.forget(inode, count: 1) }
            }
        }

        func stop() {
            state.withLock { state in
                state.isStopping = true
                state.asked = []
            }
            state.broadcast()
            thread?.join()
        }
    }

    private func options(_ nodes: Int) -> VolumeOptions {
        var options = smallOptions()
        options.nodesMax = nodes
        return options
    }

    private func nodeCount(_ volume: Volume) -> Int {
        volume.namespace.withLock { $0.nodes.count }
    }

    private func nameCount(_ volume: Volume) -> Int {
        volume.namespace.withLock { space in
            space.nodes.values.reduce(0) { $0 + ($1.directory?.entries.count ?? 0) }
        }
    }

    /// Well above what is kept of nodes that nobody knows (`Namespace.idleNodesMax` and a lot).
    private let limit = 12_500
    private let filesPerDirectory = 3_000

    private func assertBounded(_ volume: Volume, _ context: String, line: UInt = #line) {
        XCTAssertLessThanOrEqual(
            nodeCount(volume), 3 * limit, "nodes, \(context)", line: line)
        XCTAssertLessThanOrEqual(nameCount(volume), 4 * limit, "names, \(context)", line: line)
    }

    func testManyFilesAndLinks() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index, options: options(limit))
        let volume = open.volume
        let kernel = try Kernel(volume)
        volume.setNotifier(kernel)
        defer { kernel.stop() }
        var directories: [UInt64] = []
        for directory in 0..<20 {
            let folder = try volume.makeFolder(Array("d\(directory)".utf8), in: 1).inode
            directories.append(folder)
            for file in 0..<filesPerDirectory {
                let name = Array("f\(file)".utf8)
                let made = try volume.makeFile(name, in: folder)
                kernel.keep(name, in: folder, made.inode)
                if file % 8 == 0 {
                    // Linked inodes have no place of their own: they are found by their names.
                    let link = Array("l\(file)".utf8)
                    _ = try volume.addLink(made.inode, as: link, in: folder)
                    kernel.keep(link, in: folder, made.inode)
                }
            }
            assertBounded(volume, "directory \(directory)")
        }
        // Looking at everything again is bounded, too.
        for folder in directories {
            for file in 0..<filesPerDirectory {
                for name in [Array("f\(file)".utf8), Array("l\(file)".utf8)] {
                    guard let found = try volume.find(name, in: folder) else { continue }
                    kernel.keep(name, in: folder, found.inode)
                }
            }
            assertBounded(volume, "looking at \(folder)")
        }
        XCTAssertLessThan(kernel.count, 3 * limit)
        volume.setNotifier(nil)
        volume.forgetKernel()
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index, depth: .quick), [])
    }

    func testTheGovernorShrinksAndGrows() {
        var governor = MemoryGovernor(limitBytes: 1_000)
        var now: UInt64 = 10_000_000_000
        var given = 0
        func look(_ before: UInt64, _ after: UInt64) -> Bool {
            var answers = [after, before]
            now += MemoryGovernor.intervalNanoseconds
            return governor.look(
                at: now, resident: { answers.popLast() }, giveBack: { given += 1 })
        }
        XCTAssertFalse(look(800, 0))
        XCTAssertEqual(governor.percent, 100)
        XCTAssertEqual(given, 0, "in between nothing is done")
        XCTAssertFalse(look(950, 700))
        XCTAssertEqual(given, 1)
        XCTAssertEqual(governor.percent, 100, "the allocator's gaps were enough")
        XCTAssertTrue(look(1_200, 1_100))
        XCTAssertEqual(governor.percent, 80)
        for _ in 0..<9 { _ = look(1_200, 1_100) }
        XCTAssertEqual(governor.percent, MemoryGovernor.leastPercent)
        XCTAssertFalse(look(690, 0))
        XCTAssertEqual(governor.percent, 40)
        for _ in 0..<9 { _ = look(100, 0) }
        XCTAssertEqual(governor.percent, 100)
        let before = given
        for resident: UInt64 in [900, 5_000] {
            XCTAssertFalse(
                governor.look(at: now + 1, resident: { resident }, giveBack: { given += 1 }),
                "too soon")
        }
        now += MemoryGovernor.urgentIntervalNanoseconds
        XCTAssertFalse(governor.look(at: now, resident: { 900 }, giveBack: { given += 1 }))
        XCTAssertEqual(given, before)
        XCTAssertTrue(governor.look(at: now, resident: { 940 }, giveBack: { given += 1 }))
        XCTAssertEqual(given, before + 1)
    }

    /// Memory is looked at whatever else goes on: it was only between commits, and a long one took the
    /// process 30 MB above its limit.
    func testMemoryIsLookedAtWhileACommitIsUnderWay() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var options = VolumeOptions()
        options.residentBytesMax = 1 << 20
        let open = try OpenStore(backend, index, options: options)
        let least = MemoryGovernor.leastPercent
        try open.live.committer.commit(by: { () throws(FileError) in
            let deadline = Date(timeIntervalSinceNow: 60)
            while open.volume.nodesPercent.load(ordering: .relaxed) > least, Date() < deadline {
                sleepNanoseconds(10_000_000)
            }
            return nil
        })
        XCTAssertEqual(open.volume.nodesPercent.load(ordering: .relaxed), least)
        try open.live.close()
    }

    /// A kernel that has everything in use is not waited for, and not asked all the time.
    func testAKernelThatKeepsEverything() throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index, options: options(100))
        let volume = open.volume
        let stubborn = Stubborn()
        volume.setNotifier(stubborn)
        for file in 0..<2_000 { _ = try volume.makeFile(Array("f\(file)".utf8), in: 1) }
        XCTAssertEqual(nodeCount(volume), 2_001)
        let before = open.sequence
        XCTAssertLessThan(before, 200, "a commit for each of them")
        volume.setNotifier(nil)
        volume.forgetKernel()
        try open.live.close()
    }

    private final class Stubborn: KernelNotifier, @unchecked Sendable {
        func invalidateEntry(_ name: [UInt8], in parent: InodeNumber) {}
        func invalidateInode(_ inode: InodeNumber, range: Range<UInt64>) {}
        var pendingCount: Int { 0 }
    }
}
