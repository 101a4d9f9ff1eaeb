// Every system call of a volume in a directory fails once, in every way in which it can.
import Backends
import Checking
import DiskFormat
import FileModel
import Foundation
import Metadata
import Pipeline
import Platform
import XCTest

@testable import Volume

/// One fixed workload, from opening to closing, again and again; each time another system call fails.
/// Nothing crashes, no wrong byte is read, nothing acknowledged is lost; a call that failed has
/// changed nothing; and once the fault is gone the volume works, or says that it is read-only.
final class SystemCallFaultTests: XCTestCase {
    /// Files by name, with their bytes.
    private typealias State = [String: [UInt8]]

    private static let bigBytes = 96 << 10
    private var folder = ""
    private var template = ""
    private var templateIndex = MemoryIndexProvider()
    /// What the template holds.
    private var old: State = [:]

    override func setUpWithError() throws {
        folder = NSTemporaryDirectory() + "/ashlar-faults-\(UUID().uuidString)"
        template = folder + "/template"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        try makeTemplate()
    }

    override func tearDown() {
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func bytes(_ seed: UInt64, _ count: Int) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        return random.bytes(count)
    }

    /// A store with some files, and a pack in which nothing lives any more: some checkpoints later it
    /// is deleted.
    private func makeTemplate() throws {
        let backend = try DirectoryBackend(path: template, create: true)
        try makeStore(backend, templateIndex)
        let first = try OpenStore(backend, templateIndex)
        let filler = try first.volume.makeFile(Array("filler".utf8), in: 1).inode
        try first.volume.put(Self.bytes(99, 300_000), into: filler)
        try first.live.close()
        let second = try OpenStore(backend, templateIndex)
        for number in 1...4 {
            let name = "old-\(number)"
            old[name] = Self.bytes(UInt64(number), number * 15_000)
        }
        old["database"] = Self.bytes(50, Self.bigBytes)
        for (name, bytes) in old.sorted(by: { $0.key < $1.key }) {
            let inode = try second.volume.makeFile(Array(name.utf8), in: 1).inode
            try second.volume.put(bytes, into: inode)
        }
        try second.volume.removeFile(Array("filler".utf8), in: 1)
        try second.live.close()
    }

    // MARK: one run

    /// The workload while something fails; what must be there, and what may be.
    private final class Run {
        let volume: Volume
        let live: LiveStore
        private let context: String
        private(set) var state: State
        /// All states since the last promise, that one first.
        private(set) var since: [State]
        private(set) var errors: [FileError] = []

        init(_ open: OpenStore, _ old: State, _ context: String) {
            volume = open.volume
            live = open.live
            self.context = context
            state = old
            since = [old]
        }

        /// A change that takes place, or throws and has done nothing.
        private func change(
            _ after: (inout State) -> Void, _ body: () throws(FileError) -> Void
        ) {
            do throws(FileError) {
                try body()
                after(&state)
                since.append(state)
            } catch {
                errors.append(error)
            }
        }

        func promise(_ body: () throws(FileError) -> Void) {
            do throws(FileError) {
                try body()
                since = [state]
            } catch {
                errors.append(error)
            }
        }

        func create(_ name: String, _ bytes: [UInt8]) {
            var inode: UInt64?
            change({ $0[name] = [] }) { () throws(FileError) in
                inode = try volume.makeFile(Array(name.utf8), in: 1).inode
            }
            guard let inode else { return }
            change({ $0[name] = bytes }) { () throws(FileError) in
                try volume.put(bytes, into: inode)
            }
            volume.forget(inode, count: 1)
        }

        func overwrite(_ name: String, _ bytes: [UInt8], at offset: Int) {
            let range = offset..<(offset + bytes.count)
            change({ $0[name]?.replaceSubrange(range, with: bytes) }) { () throws(FileError) in
                guard let found = try volume.find(Array(name.utf8), in: 1) else { throw .noEntry }
                defer { volume.forget(found.inode, count: 1) }
                try volume.put(bytes, into: found.inode, at: UInt64(offset))
            }
        }

        func rename(_ name: String, _ other: String) {
            guard state[name] != nil else { return }
            change({
                $0[other] = $0[name]
                $0[name] = nil
            }) { () throws(FileError) in
                try volume.move(Array(name.utf8), in: 1, to: Array(other.utf8), in: 1)
            }
        }

        func link(_ name: String, _ other: String) {
            change({ $0[other] = $0[name] }) { () throws(FileError) in
                guard let found = try volume.find(Array(name.utf8), in: 1) else { throw .noEntry }
                defer { volume.forget(found.inode, count: 2) }
                _ = try volume.addLink(found.inode, as: Array(other.utf8), in: 1)
            }
        }

        func remove(_ name: String) {
            change({ $0[name] = nil }) { () throws(FileError) in
                try volume.removeFile(Array(name.utf8), in: 1)
            }
        }

        /// What is read is right, or an error; without a fault it is right.
        func readAll(mustSucceed: Bool = false) {
            for (name, bytes) in state {
                do throws(FileError) {
                    guard let found = try volume.find(Array(name.utf8), in: 1) else {
                        XCTFail("\(name) is gone: \(context)")
                        continue
                    }
                    defer { volume.forget(found.inode, count: 1) }
                    let read = try volume.get(found.inode, count: bytes.count + 1)
                    XCTAssertTrue(read == bytes, "\(name) is another: \(context)")
                } catch {
                    errors.append(error)
                    if mustSucceed { XCTFail("\(name): \(error), \(context)") }
                }
            }
        }
    }

    private func work(_ run: Run) {
        run.readAll()
        run.create("new", Self.bytes(10, 40_000))
        run.promise { () throws(FileError) in try run.live.commit() }
        run.create("temporary", Self.bytes(11, 20_000))
        run.rename("temporary", "old-2")
        run.overwrite("database", Self.bytes(12, 4096), at: 8192)
        run.promise { () throws(FileError) in try run.volume.synchronizeAll() }
        run.remove("old-3")
        run.link("old-1", "again")
        run.promise { () throws(FileError) in try run.live.checkpoint() }
        run.volume.evict()
        run.readAll()
        run.create("big", Self.bytes(13, 150_000))
        run.promise { () throws(FileError) in try run.live.checkpoint() }
        run.remove("big")
        run.promise { () throws(FileError) in try run.live.checkpoint() }
        run.overwrite("database", Self.bytes(14, 4096), at: 20_480)
        run.promise { () throws(FileError) in try run.live.checkpoint() }
        run.readAll()
    }

    /// Runs the workload with a fault; returns whether it struck.
    private func run(_ fault: Fault<SystemCall>?, _ context: String) throws -> FaultPlan<SystemCall>
    {
        let store = folder + "/store"
        try? FileManager.default.removeItem(atPath: store)
        try FileManager.default.copyItem(atPath: template, toPath: store)
        let index = MemoryIndexProvider(templateIndex.current?.crash(keepingBatches: .max))
        let plan = FaultPlan<SystemCall>()
        if let fault { plan.add(fault) }
        var states = [old]
        do {
            let calls = FaultInjectingSystemCalls(plan: plan)
            let backend = try DirectoryBackend(path: store, systemCalls: calls)
            let open = try OpenStore(backend, index)
            let run = Run(open, old, context)
            work(run)
            plan.clear()
            afterwards(run, open, context, waits: fault?.error == .noSpace)
            if fault == nil { XCTAssertEqual(run.errors, [], context) }
            // Closing promises, too; and where it throws, what it committed may be there.
            states = (try? open.live.close()) != nil ? [run.state] : run.since
        } catch let error as BackendError {
            XCTAssertNotNil(fault, "\(error): \(context)")
        } catch let error as StoreError {
            XCTAssertNotNil(fault, "\(error): \(context)")
        }
        plan.clear()
        for provider in [index, MemoryIndexProvider()] {
            try checkSurvivor(store, provider, states, context)
        }
        return plan
    }

    /// The fault is gone, the store still open: everything is read, and writing works or says why not.
    private func afterwards(
        _ run: Run, _ open: OpenStore, _ context: String, waits: Bool
    ) {
        run.readAll(mustSucceed: true)
        // A full medium is asked again after a while only, also where a worker met it and nobody was
        // told yet.
        sleepNanoseconds(waits || run.errors.contains(.noSpace) ? 250_000_000 : 0)
        let before = run.errors.count
        run.create("afterwards", Self.bytes(15, 5000))
        run.promise { () throws(FileError) in try run.live.commit() }
        guard run.errors.count > before else { return }
        XCTAssertNotNil(open.store.failure, "writing fails for no reason: \(context)")
    }

    private func checkSurvivor(
        _ store: String, _ index: MemoryIndexProvider, _ states: [State], _ context: String
    ) throws {
        let backend = try DirectoryBackend(path: store)
        let open = try OpenStore(backend, index)
        XCTAssertNil(open.store.failure, context)
        var found: State = [:]
        let names = Set(states.flatMap(\.keys))
            .union(["temporary", "big", "again", "new", "old-3", "afterwards"])
        for name in names {
            guard let file = try open.volume.find(Array(name.utf8), in: 1) else { continue }
            found[name] = try open.volume.get(file.inode, count: Int(file.size) + 1)
        }
        XCTAssertTrue(
            states.contains(found),
            "\(found.mapValues(\.count)) is none of \(states.count) states: \(context)")
        try open.live.close()
        let report = try StoreCheck.run(
            try DirectoryBackend(path: store, isReadOnly: true),
            options: CheckOptions(depth: .deep))
        let problems = report.problems.filter { $0.severity > .information }
        XCTAssertTrue(problems.isEmpty, "\(problems): \(context)")
    }

    // MARK: tests

    private static let kinds: [(error: Errno, effect: Fault<SystemCall>.Effect)] = [
        (.ioError, .nothing), (.noSpace, .nothing), (.interrupted, .nothing),
        (.tooManyOpenFiles, .nothing), (.noMemory, .nothing), (.ioError, .complete),
        (.noSpace, .partial(bytes: 700)), (.ioError, .short(bytes: 700)),
    ]

    func testWithoutFaults() throws {
        let plan = try run(nil, "no fault")
        for call in [SystemCall.open, .pread, .pwritev, .fdatasync, .fsync, .unlinkat, .fstat] {
            XCTAssertGreaterThan(plan.callCount(call), 0, "\(call) is not in the workload")
        }
        print("\(plan.totalCallCount) system calls")
    }

    /// Some calls in one of the ways, or, in the long version, every call in all of them.
    func testEverySystemCallFailsOnce() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        var call = 1
        while true {
            var hasStruck = false
            let kinds =
                isLong ? Self.kinds : [Self.kinds[random.below(Self.kinds.count)]]
            for kind in kinds {
                let fault = Fault<SystemCall>(
                    firstCall: call, error: kind.error, effect: kind.effect)
                let context =
                    "call \(call), \(kind.error), \(kind.effect), ASHLAR_SEED=\(seed)"
                let plan = try run(fault, context)
                hasStruck = hasStruck || plan.struckCount > 0
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
            guard hasStruck else { break }
            call += isLong ? 1 : 1 + random.below(4)
        }
        XCTAssertGreaterThan(call, 100)
        print("up to call \(call)")
    }

    /// After a commit that failed for good, no fsync, no checkpoint and no closing says that what it
    /// should have held is safe.
    func testNothingIsPromisedAfterAFailureForGood() throws {
        let store = folder + "/store"
        try FileManager.default.copyItem(atPath: template, toPath: store)
        let plan = FaultPlan<SystemCall>()
        let calls = FaultInjectingSystemCalls(plan: plan)
        let open = try OpenStore(
            try DirectoryBackend(path: store, systemCalls: calls), MemoryIndexProvider())
        let inode = try open.volume.makeFile(Array("new".utf8), in: 1).inode
        try open.volume.put([1, 2, 3], into: inode)
        plan.add(Fault([.fdatasync]))
        XCTAssertThrowsError(try open.volume.synchronize(inode, dataOnly: true))
        for _ in 0..<2 {
            XCTAssertThrowsError(try open.volume.synchronize(inode, dataOnly: true))
            XCTAssertThrowsError(try open.volume.synchronize(1, dataOnly: false))
            XCTAssertThrowsError(try open.volume.synchronizeAll())
            XCTAssertThrowsError(try open.live.checkpoint())
        }
        XCTAssertEqual(try open.volume.get(inode, count: 4), [1, 2, 3])
        XCTAssertThrowsError(try open.live.close())
        // One that can only be read, from its opening on, has nothing to lose.
        let again = try OpenStore(
            try DirectoryBackend(path: store, isReadOnly: true), MemoryIndexProvider())
        XCTAssertNoThrow(try again.volume.synchronizeAll())
        XCTAssertNoThrow(try again.live.close())
    }

    /// From the n-th call of one kind on, all fail, until the fault is gone.
    func testCallsFailForGood() throws {
        let lasting: [(SystemCall, Errno)] = [
            (.fdatasync, .ioError), (.fsync, .ioError), (.pwritev, .noSpace), (.pwritev, .ioError),
            (.open, .tooManyOpenFiles), (.pread, .ioError), (.ftruncate, .ioError),
            (.unlinkat, .ioError),
        ]
        for (call, error) in lasting {
            for first in stride(from: 1, through: 400, by: isLong ? 1 : 5) {
                let fault = Fault<SystemCall>(
                    [call], firstCall: first, isLasting: true, error: error)
                let plan = try run(fault, "\(call) from the \(first). on, \(error)")
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
                if plan.struckCount == 0 { break }
            }
        }
    }
}
