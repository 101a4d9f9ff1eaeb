// Walking a writer's log forwards: from a commit to the next valid one, up to the last.
//
// Invariants:
// 1. A commit is valid when its record is intact, names the hash and follows the sequence of the one
//    before it, and every record in its spans is there, as its digest says, with intact frames.
// 2. Commits are made one behind the other, each durable before the next is appended. So a commit
//    that does not verify is torn only while nothing proves that it was durable once: no intact
//    commit of a higher sequence, no trailer of the pack in which it lies.
//    Where who opens the store knows that a commit was durable (`StoreOptions.durableSequence`), damage
//    in what it vouches for does not undo it.
// 3. What is intact and cannot be understood is no torn tail: a newer program wrote it.
import ChunkIndex
import DiskFormat
import Packs
import SuperChunks

/// Where and how the log ends.
struct LogEnd {
    /// Behind the last valid commit.
    var position: LogPosition
    /// Set where what follows was durable once and does not verify now: from there on.
    var damagedAt: (pack: PackID, offset: UInt64)?
}

/// Finds valid commits behind one that is known. One thread.
struct LogFollower {
    enum Step {
        case commit(AppliedCommit)
        case end(LogEnd)
    }

    private let packs: PackSet
    private let shelf: PackShelf
    private var sequence: UInt64
    private var hash: ChunkName
    private var position: LogPosition
    /// Packs that are still to be walked, in order; the first is being walked.
    private var queue: [PackID]
    private var scanner: PackScanner?
    /// Where the first commit lies that should follow and does not verify.
    private var suspect: (pack: PackID, offset: UInt64)?

    /// Begins behind the commit that `state` names.
    init(after state: StateRecord, in packs: PackSet, shelf: PackShelf) {
        self.packs = packs
        self.shelf = shelf
        sequence = state.sequence
        hash = state.hash
        position = state.position
        queue = packs.ids.filter {
            $0.writer == state.position.pack.writer && $0 >= state.position.pack
        }
    }

    /// The next valid commit, or how the log ends; then again and again the end.
    mutating func next() throws(StoreError) -> Step {
        while let pack = queue.first {
            let step = try step(in: pack)
            if let newer = scanner?.newerRecord {
                suspect = suspect ?? (pack, newer.offset)
                return damage()
            }
            switch step {
            case .record(let offset, let header):
                guard header.kind == .commit else { continue }
                if let found = try packs.commit(in: pack, at: offset) {
                    if let applied = try valid(found) { return .commit(applied) }
                    if found.commit.sequence <= sequence { continue }
                    suspect = suspect ?? (pack, offset)
                    if found.commit.sequence > sequence + 1 { return damage() }
                } else {
                    suspect = suspect ?? (pack, offset)
                    if try packs.isNewerCommit(in: pack, at: offset) { return damage() }
                }
                if try packs.isSealed(pack) { return damage() }
            case .damaged(let range):
                suspect = suspect ?? (pack, range.lowerBound)
            case .end(let end):
                if end.tail == .unreadable {
                    suspect = suspect ?? (pack, end.offset)
                    return damage()
                }
                queue.removeFirst()
                scanner = nil
            }
        }
        return .end(LogEnd(position: position))
    }

    private func damage() -> Step {
        .end(
            LogEnd(
                position: position, damagedAt: suspect ?? (position.pack, position.end)))
    }

    /// The next step of the walk; a pack that cannot be walked at all ends at once.
    private mutating func step(in pack: PackID) throws(StoreError) -> PackScanner.Step {
        do throws(StoreError) {
            if scanner == nil {
                let reader = try packs.reader(pack)
                let start =
                    pack == position.pack ? position.end : UInt64(PackHeader.byteCount)
                // Second copies are not part of the log.
                guard reader.header.role == .main else { return LogFollower.nothing }
                scanner = try readingPack { () throws(PackError) in
                    try PackScanner(reader, from: start)
                }
            }
            guard var walking = scanner else { return LogFollower.nothing }
            let step = try readingPack { () throws(PackError) in try walking.next() }
            scanner = walking
            return step
        } catch {
            guard error.judgement != .failed else { throw error }
            return LogFollower.nothing
        }
    }

    private static let nothing = PackScanner.Step.end(
        PackEnd(offset: UInt64(PackHeader.byteCount), fileBytes: 0, tail: .none))

    /// The commit when it is the valid next one.
    private mutating func valid(
        _ found: PackSet.FoundCommit
    ) throws(StoreError) -> AppliedCommit? {
        guard found.commit.sequence == sequence + 1, found.commit.previous == hash else {
            return nil
        }
        var verified = try packs.verify(found.commit.spans)
        if verified == nil, found.commit.sequence <= packs.durableSequence {
            verified = try packs.salvage(found.commit.spans)
        }
        guard let records = verified else { return nil }
        var applied = AppliedCommit(
            commit: found.commit, hash: found.hash, position: found.position)
        for record in records { record.add(to: &applied, shelf: shelf) }
        sequence = found.commit.sequence
        hash = found.hash
        position = found.position
        suspect = nil
        return applied
    }
}
