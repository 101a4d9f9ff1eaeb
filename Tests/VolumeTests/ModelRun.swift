// One random history: the same operations on a volume and on the model.
import Backends
import DiskFormat
import FileModel
import Foundation
import Metadata
import Pipeline
import Platform
import XCTest

@testable import Volume

/// What does not fit together; ends the history.
struct Mismatch: Error, CustomStringConvertible {
    var description: String
}

/// One thread's.
final class ModelRun {
    var random: SeededGenerator
    var backend = MemoryBackend()
    var index = MemoryIndexProvider()
    var open: OpenStore
    var model = ModelTree()
    /// The state of the newest commit.
    var durable: ModelTree
    var durableSequence: UInt64
    /// The volume as it was at each snapshot, now and at the newest commit.
    var snapshots: [String: ModelTree] = [:]
    var durableSnapshots: [String: ModelTree] = [:]
    /// Volumes that clones have taken the place of, oldest first.
    var formerVolumes: [String] = []
    /// Every number ever given out.
    var usedInodes: Set<UInt64> = [1]
    /// What was done, newest last, for the report of a mismatch.
    var log: [String] = []
    /// Often seen bytes, so that there is something to deduplicate.
    let stock: [UInt8]
    /// To find where something begins: ASHLAR_CHECK=1.
    let checksEachCommit = ProcessInfo.processInfo.environment["ASHLAR_CHECK"] == "1"
    /// When the operation under way began.
    var stepTime = Timestamp.zero

    var volume: Volume { open.volume }

    init(seed: UInt64) throws {
        random = SeededGenerator(seed: seed)
        let copies: UInt8 = random.chance(1, in: 2) ? 2 : 1
        try makeStore(backend, index, parameters: smallParameters(copies: copies))
        open = try OpenStore(backend, index)
        stock = random.bytes(96 << 10)
        durable = model
        durableSequence = open.sequence
        try adoptTimes(of: 1)
        durable = model
    }

    // MARK: running

    func run(steps: Int) throws {
        do {
            for _ in 0..<steps { try step() }
            try compareEverything()
            try reopen(isCrash: false, deletesIndex: false)
            try compareEverything()
            try compareSnapshots()
            try check(after: "the end")
            try open.live.close()
            try check(after: "closing")
        } catch {
            let history = log.suffix(60).joined(separator: "\n")
            throw Mismatch(description: "\(error)\nafter:\n\(history)")
        }
    }

    private func step() throws {
        switch random.below(100) {
        case 0..<52: try within { try contentStep() }
        case 52..<84: try within { try nameStep() }
        case 84..<90: try within { try attributeStep() }
        case 90..<92: try listingStep()
        default: try within { try lifeStep() }
        }
    }

    /// One operation, in which there may be a commit.
    func within(_ operation: () throws -> Void) throws {
        let before = model
        stepTime = Timestamp(Volume.now())
        try operation()
        let isNew = open.sequence != durableSequence
        noteCommit(before)
        if isNew, checksEachCommit { try check(after: "commit \(durableSequence)") }
    }

    /// What a commit holds is what was there before the operation in which it came.
    private func noteCommit(_ before: ModelTree) {
        let sequence = open.sequence
        guard sequence != durableSequence else { return }
        durable = before
        durableSequence = sequence
    }

    private func lifeStep() throws {
        switch random.below(31) {
        case 0..<6: try synchronize()
        case 6..<8: try checkpoint()
        case 8..<13: try forgetAndEvict()
        case 13..<16: try forgetSome()
        case 16: try reopen(isCrash: false, deletesIndex: random.chance(1, in: 3))
        case 17, 18: try reopen(isCrash: true, deletesIndex: random.chance(1, in: 3))
        case 19:
            try volume.synchronizeAll()
            noteCommit(model)
            try check(after: "a commit")
        case 20: try compareEverything()
        case 24...30: try snapshotStep()
        default: try compareSome()
        }
    }

    func note(_ text: @autoclosure () -> String) { log.append(text()) }

    func expect(_ isTrue: Bool, _ text: @autoclosure () -> String) throws {
        if !isTrue { throw Mismatch(description: text()) }
    }

    /// Runs an operation; throws unless it ends as the model says: with `failure`, or well.
    func perform<Output>(
        expecting failure: FileError?, _ text: String, _ body: () throws(FileError) -> Output
    ) throws -> Output? {
        note(text + (failure.map { " → \($0)" } ?? ""))
        let result = Result { () throws(FileError) in try body() }
        switch result {
        case .success(let output):
            try expect(failure == nil, "\(text) did not fail")
            return output
        case .failure(let refusal):
            try expect(refusal == failure, "\(text): \(refusal)")
            return nil
        }
    }

    // MARK: life and death

    private func synchronize() throws {
        note("synchronize")
        let files = known { $0.kind == .regular }
        if let file = files.randomElement(using: &random), random.chance(1, in: 2) {
            try volume.synchronize(file, dataOnly: random.chance(1, in: 2))
        } else {
            try volume.synchronizeAll()
        }
    }

    private func checkpoint() throws {
        let folds = random.chance(1, in: 2)
        note("checkpoint, folds \(folds)")
        if folds { return try open.live.checkpoint() }
        let live = open.live
        let leftOut = try live.committer.commit { () throws(FileError) in
            try live.checkpointVolumes(foldsPieces: false)
        }
        if let leftOut { throw leftOut }
    }

    func forgetEverything() {
        for (inode, count) in model.lookups.sorted(by: { $0.key < $1.key }) {
            volume.forget(inode, count: count)
        }
        model.forgetAll()
    }

    private func forgetAndEvict() throws {
        note("forget all, evict")
        forgetEverything()
        if random.chance(1, in: 2) {
            try volume.synchronizeAll()
            noteCommit(model)
        }
        volume.evict()
    }

    private func forgetSome() throws {
        for (inode, count) in model.lookups.sorted(by: { $0.key < $1.key })
        where random.chance(1, in: 2) {
            let part = UInt64(random.below(Int(count))) + 1
            note("forget \(inode) × \(part)")
            volume.forget(inode, count: part)
            model.forget(inode, part)
        }
    }

    func reopen(isCrash: Bool, deletesIndex: Bool) throws {
        note("reopen crash \(isCrash) index deleted \(deletesIndex)")
        if isCrash {
            backend =
                random.chance(1, in: 2) ? backend.crash() : backend.crash(using: &random)
            index = index.crash(keepingBatches: random.below(12))
            // The old store writes into its own, old backend.
            try open.live.close()
            model = durable
            snapshots = durableSnapshots
        } else {
            try open.live.close()
        }
        if deletesIndex { index.delete() }
        model.forgetAll()
        for orphan in model.all({ $0.linkCount == 0 }) { model.inodes[orphan] = nil }
        model.lookups = [:]
        open = try OpenStore(backend, index)
        try expect(!open.store.isReadOnly, "read-only: \(open.store.failure as Any)")
        if isCrash {
            try expect(
                open.sequence >= durableSequence,
                "commit \(durableSequence) is lost: \(open.sequence)")
        }
        durableSequence = open.sequence
        durable = model
        durableSnapshots = snapshots
        if random.chance(1, in: 4) { try compareSnapshots() }
        if random.chance(1, in: 3) { try compareEverything() } else { try compareSome() }
    }

    func check(after moment: String) throws {
        let found = try complaints(backend, index)
        try expect(found.isEmpty, "checked after \(moment): \(found.prefix(8))")
    }

    // MARK: what the kernel knows

    /// Inodes that the kernel knows; operations are on these.
    func known(_ isWanted: (ModelInode) -> Bool = { _ in true }) -> [UInt64] {
        model.all { isWanted($0) && ($0.inode == 1 || model.lookups[$0.inode] != nil) }
    }

    /// Some inode, made known by looking up its names from the root; nil where there is none.
    func pick(_ isWanted: (ModelInode) -> Bool) throws -> UInt64? {
        guard let inode = model.all(isWanted).randomElement(using: &random) else { return nil }
        try makeKnown(inode)
        return inode
    }

    func makeKnown(_ inode: UInt64) throws {
        guard inode != 1, model.lookups[inode] == nil else { return }
        guard let path = model.path(to: inode) else {
            throw Mismatch(description: "the model lost \(inode)")
        }
        var parent: UInt64 = 1
        for name in path {
            let child = model[parent].entries[name] ?? 0
            if model.lookups[child] == nil || child == inode { _ = try lookup(name, in: parent) }
            parent = child
        }
    }

    func lookup(_ name: [UInt8], in parent: UInt64) throws -> UInt64? {
        let found = try volume.find(name, in: parent)
        let expected = model.child(name, of: parent)
        try expect(
            found?.inode == expected?.inode,
            "lookup \(text(name)) in \(parent): \(found as Any), not \(expected?.inode as Any)")
        if let found {
            model.know(found.inode)
            try compare(found)
        }
        return found?.inode
    }

    func text(_ name: [UInt8]) -> String { String(decoding: name.prefix(24), as: UTF8.self) }
}
