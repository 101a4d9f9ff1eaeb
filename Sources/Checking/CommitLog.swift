// The chain of commits: which of them make the newest valid state.
import DiskFormat
import Packs
import Trees

/// A commit whose body is intact.
public struct CommitEntry: Equatable, Sendable {
    /// The record's position in the inventory.
    public var record: Int
    /// The pack in which it lies.
    public var pack: PackID
    /// Where its record begins and ends.
    public var offset: UInt64
    public var end: UInt64
    /// Its place in the order of commits.
    public var epoch: UInt64
    public var sequence: UInt64
    /// The hash of the commit before it, and its own.
    public var previous: ChunkName
    public var hash: ChunkName
    /// Whether a state may begin here.
    public var isCheckpoint: Bool
}

/// The newest valid state, as a checkpoint and the commits after it, and what is wrong with the
/// commits. Takes its own small copy of what it needs; a value, any thread.
public struct CommitLog {
    /// The newest checkpoint that can be used, then the commits that follow it.
    public private(set) var chain: [CommitEntry] = []
    /// Commits behind the chain whose data did not arrive: what an unclean end leaves.
    public private(set) var torn: [CommitEntry] = []
    /// Valid commits that cannot be reached, since one before them is damaged.
    public private(set) var beyond: [CommitEntry] = []
    /// Contradictions in the chain.
    public private(set) var findings: [Finding] = []
    /// What the newest checkpoint says of the packs that are alive.
    public private(set) var promised: [PackState] = []
    /// Packs that a commit of the chain lists as about to be deleted.
    public private(set) var condemned: Set<PackID> = []
    /// Chunks that the newest checkpoint, or a commit behind it, lists as lost and accepted.
    public private(set) var lostChunks: Set<ChunkName> = []
    /// Super-chunks that a commit of the chain vouches for and whose frames are bad.
    private(set) var badRecords: Set<Int> = []
    /// Up to where each pack was proved to be durable; behind it lies the tail.
    private(set) var durableEnds: [PackID: UInt64] = [:]

    /// The checkpoint that the state begins with; nil where none can be read.
    public var checkpoint: CommitEntry? { chain.first }
    /// The last commit of the state.
    public var newest: CommitEntry? { chain.last }

    /// Finds the newest valid state. Verifies the bodies of what was written since the newest
    /// checkpoint.
    public init(_ inventory: Inventory, _ chunks: ChunkReader) throws(CheckingError) {
        let commits = inventory.commits
        var successors: [ChunkName: [Int]] = [:]
        for (index, commit) in commits.enumerated() {
            successors[commit.previous, default: []].append(index)
        }
        checkOldLinks(commits)
        guard let start = try CommitLog.start(inventory, chunks, commits) else {
            findings.append(
                Finding(kind: .noState, place: .store, detail: "no checkpoint can be read"))
            return
        }
        chain = [commits[start]]
        try follow(inventory, commits, successors, from: start)
        try readPromises(inventory)
        let known = Set(chain.map(\.hash) + torn.map(\.hash))
        let last = chain[chain.count - 1]
        beyond = commits.filter {
            !known.contains($0.hash) && ($0.epoch, $0.sequence) > (last.epoch, last.sequence)
        }
        measureDurableEnds(inventory)
    }

    /// The newest checkpoint whose roots can be read; the newest of all where none can.
    private static func start(
        _ inventory: Inventory, _ chunks: ChunkReader, _ commits: [CommitEntry]
    ) throws(CheckingError) -> Int? {
        var newest: Int?
        for index in commits.indices.reversed() where commits[index].isCheckpoint {
            let commit = try inventory.commit(commits[index])
            // A checkpoint that is the last commit and did not arrive whole is none.
            var isWhole = index < commits.count - 1 || inventory.provesDurable(commits[index])
            if !isWhole { isWhole = try inventory.spansAreValid(commit).isValid }
            guard isWhole else { continue }
            if newest == nil { newest = index }
            let roots = commit.volumes.compactMap(\.root)
            let areReadable = roots.allSatisfy { name in
                (try? chunks.chunk(name, domain: .tree)) != nil
            }
            if areReadable { return index }
        }
        return newest
    }

    /// Commits before the newest checkpoint need not be there, but those that are must link.
    private mutating func checkOldLinks(_ commits: [CommitEntry]) {
        for (a, b) in zip(commits, commits.dropFirst()) where a.epoch == b.epoch {
            if b.sequence == a.sequence + 1, b.previous != a.hash, b.hash != a.hash {
                findings.append(
                    Finding(
                        kind: .commitOrder,
                        place: .commit(epoch: b.epoch, sequence: b.sequence),
                        detail: "does not name the hash of the commit before it"))
            }
        }
    }

    private mutating func follow(
        _ inventory: Inventory, _ commits: [CommitEntry], _ successors: [ChunkName: [Int]],
        from start: Int
    ) throws(CheckingError) {
        var candidates: [CommitEntry] = []
        var current = commits[start]
        var seen: Set<ChunkName> = [current.hash]
        while let next = successors[current.hash]?.map({ commits[$0] }).filter({
            !seen.contains($0.hash)
        }), let chosen = next.last {
            let place = Problem.Place.commit(epoch: chosen.epoch, sequence: chosen.sequence)
            if Set(next.map(\.hash)).count > 1 {
                findings.append(
                    Finding(
                        kind: .commitFork, place: place,
                        detail: "\(next.count) commits follow commit \(current.sequence)"))
            }
            if chosen.sequence != current.sequence &+ 1 || chosen.epoch < current.epoch {
                findings.append(
                    Finding(
                        kind: .commitOrder, place: place,
                        detail: "follows commit \(current.epoch)/\(current.sequence)"))
            }
            candidates.append(chosen)
            seen.insert(chosen.hash)
            current = chosen
        }
        try judge(inventory, candidates)
    }

    /// Verifies what the commits vouch for. The last ones that do not verify are the torn tail.
    private mutating func judge(
        _ inventory: Inventory, _ candidates: [CommitEntry]
    ) throws(CheckingError) {
        var verdicts: [(isValid: Bool, badRecords: [Int], why: String)] = []
        for entry in candidates {
            let spans = try inventory.spansAreValid(try inventory.commit(entry))
            verdicts.append((spans.isValid, spans.badRecords, spans.why))
        }
        let lastValid = candidates.indices.last {
            verdicts[$0].isValid || inventory.provesDurable(candidates[$0])
        }
        let count = lastValid.map { $0 + 1 } ?? 0
        chain += candidates[..<count]
        torn = Array(candidates[count...])
        for index in 0..<count where !verdicts[index].isValid {
            badRecords.formUnion(verdicts[index].badRecords)
            if !verdicts[index].badRecords.isEmpty { continue }
            let entry = candidates[index]
            findings.append(
                Finding(
                    kind: .commitSpans,
                    place: .commit(epoch: entry.epoch, sequence: entry.sequence),
                    detail: verdicts[index].why))
        }
    }

    private mutating func readPromises(_ inventory: Inventory) throws(CheckingError) {
        for entry in chain {
            let commit = try inventory.commit(entry)
            if entry.isCheckpoint { promised = commit.packs }
            condemned.formUnion(commit.condemnedPacks)
            lostChunks.formUnion(commit.lostChunks)
            for span in commit.spans { prove(span.pack, span.range.upperBound) }
            prove(entry.pack, entry.end)
        }
        for state in promised { prove(state.pack, state.byteCount) }
    }

    private mutating func measureDurableEnds(_ inventory: Inventory) {
        for entry in beyond { prove(entry.pack, entry.end) }
        for pack in inventory.packs where pack.isSealed { prove(pack.id, pack.end.fileBytes) }
    }

    private mutating func prove(_ pack: PackID, _ end: UInt64) {
        durableEnds[pack] = max(durableEnds[pack] ?? 0, end)
    }

    /// Whether a place lies where only an unclean end left something.
    func isTail(_ pack: PackID, _ offset: UInt64) -> Bool {
        offset >= (durableEnds[pack] ?? 0)
    }
}

extension Inventory {
    /// A commit, decoded from its record, which was intact when the inventory was taken.
    public func commit(_ entry: CommitEntry) throws(CheckingError) -> Commit {
        switch try commitBody(entry.record) {
        case .failure(let damage):
            throw .pack(.format(damage, pack: entry.pack, offset: entry.offset))
        case .success(let raw):
            do throws(FormatError) {
                return try raw.borrowing { (bytes) throws(FormatError) in try Commit(bytes) }
            } catch {
                throw .pack(.format(error, pack: entry.pack, offset: entry.offset))
            }
        }
    }

    /// Whether the commit had become durable: its pack was sealed behind it, or an index holds it,
    /// which is told of no commit before.
    func provesDurable(_ entry: CommitEntry) -> Bool {
        entry.hash == durableCommit || (pack(entry.pack)?.isSealed ?? false)
    }

    /// Whether everything that a commit vouches for is there and intact.
    func spansAreValid(
        _ commit: Commit
    ) throws(CheckingError) -> (isValid: Bool, badRecords: [Int], why: String) {
        var why = ""
        var bad: [Int] = []
        for span in commit.spans {
            guard let number = packNumber(span.pack) else {
                why = "pack \(span.pack) is not there"
                continue
            }
            let inside = records(of: number, in: span.range)
            var headers: [UInt8] = []
            for index in inside {
                let header = try bytes(
                    packs[number], at: records[index].offset, count: RecordHeader.byteCount)
                headers += header ?? []
                if records[index].kind == .superChunk, try !framesAreIntact(index) {
                    bad.append(index)
                }
            }
            let digest = headers.withUnsafeBytes { BodyChecksum(of: $0) }
            if UInt64(inside.count) != span.recordCount || digest != span.digest {
                why = "records of pack \(span.pack) are not those that the commit names"
            }
        }
        return (why.isEmpty && bad.isEmpty, bad, why)
    }

    private func framesAreIntact(_ index: Int) throws(CheckingError) -> Bool {
        let record = records[index]
        let pack = packs[Int(record.pack)]
        if punched.contains(PunchedKey(pack: pack.id, offset: record.offset)) { return true }
        // Tables of data are not read before they are needed.
        guard record.isOpen || scope == .newest else { return false }
        do throws(PackError) {
            let (_, prefix) = try pack.reader.readPrefix(at: record.offset)
            return try pack.reader.verifyFrames(at: record.offset, prefix: prefix).isEmpty
        } catch {
            _ = try Inventory.damage(error)
            return false
        }
    }
}
