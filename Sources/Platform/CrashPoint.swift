/// Named places where a process can be made to die, so that tests die at each of them.
///
/// A crash that matters falls between two steps whose order matters: appended and not durable,
/// durable and not indexed, indexed and not removed. Random kills rarely meet the short ones. Each
/// such place is named here and passed in the code:
///
///     CrashPoint.commitDurable.pass()
///
/// Without ASHLAR_CRASH_AT in the environment, which only tests set, a pass costs one predictable
/// branch; so the points are in every build, and what is tested is what is shipped. With
/// ASHLAR_CRASH_AT=commit-durable:3 the process is killed (SIGKILL: nothing is flushed, no handler
/// runs) at the third pass of that point. What does not name a point arms nothing.
///
/// Any thread.
import Glibc
import Synchronization

/// A place between two steps whose order matters. In the order of a store's life.
public enum CrashPoint: String, CaseIterable, Sendable {
    // Opening after an unclean end.
    /// A commit that the index did not hold was applied to it.
    case commitReplayed = "commit-replayed"
    /// The old index is gone and the new one is empty.
    case indexEmptied = "index-emptied"
    /// The rebuilt index knows places and names, and still says that it is being built.
    case indexWalked = "index-walked"
    /// The rebuilt index is whole, perhaps in memory only.
    case indexRebuilt = "index-rebuilt"
    /// A pack was cut at its last valid commit and is sealed; the index does not know.
    case tailCut = "tail-cut"
    /// The index knows that the packs are in order; what no commit vouches for is still there.
    case packsOrdered = "packs-ordered"
    /// The file of a pack that no commit vouches for was removed, perhaps not durably.
    case leftoverRemoved = "leftover-removed"

    // A commit.
    /// What changed is known, and belongs to this commit.
    case volumesCut = "volumes-cut"
    /// Contents are folded; nothing vouches for what was put.
    case contentsCaptured = "contents-captured"
    /// A new pack has its header; its name is not durable.
    case packBegun = "pack-begun"
    /// All super-chunks are appended, the commit is not.
    case chunksLaid = "chunks-laid"
    /// The commit's record is appended, not durable.
    case commitAppended = "commit-appended"
    /// A pack that ends has its table, durably, and no trailer.
    case tableWritten = "table-written"
    /// A pack that ends has its trailer, not durably.
    case trailerWritten = "trailer-written"
    /// A full pack is sealed; the commit that vouches for its end is not durable.
    case packSealed = "pack-sealed"
    /// The commit is durable, the index does not know of it.
    case commitDurable = "commit-durable"
    /// The index holds the commit, perhaps in memory only; nobody was told.
    case commitIndexed = "commit-indexed"

    /// Names of a volume that began as a snapshot are in the index, perhaps in memory only.
    case namesLoaded = "names-loaded"

    // A checkpoint.
    /// The commit before the checkpoint is there; no tree is written.
    case contentsFolded = "contents-folded"
    /// The trees are written; no root names them.
    case treesWritten = "trees-written"
    /// Second copies of metadata are appended; nothing vouches for them.
    case metadataCopied = "metadata-copied"
    /// The checkpoint's pack is durable, that of the second copies perhaps not.
    case checkpointHalfDurable = "checkpoint-half-durable"

    // Giving up what is dead.
    /// A commit that condemns chunks is durable; the index still has them.
    case chunksCondemned = "chunks-condemned"
    /// A commit that condemns packs is durable; the index does not know.
    case packsCondemned = "packs-condemned"
    /// The index is durable with what condemned packs; their files are there.
    case condemnedIndexed = "condemned-indexed"
    /// A condemned pack's file was removed, perhaps not durably.
    case packRemoved = "pack-removed"

    // Rewriting mostly dead packs.
    /// A living chunk of such a pack is put anew; its old place counts.
    case chunkMoved = "chunk-moved"
    /// All that lives in such packs is put anew; no commit vouches for it.
    case packsVacated = "packs-vacated"

    // The end.
    /// All packs are sealed; the index does not say so.
    case packsClosed = "packs-closed"
    /// The index says that the end was clean, perhaps in memory only.
    case endNoted = "end-noted"

    // What fsck does.
    /// Packs that will be cut or deleted have copies under quarantine/.
    case packPutAside = "pack-put-aside"
    /// New trees are committed, in a new epoch; the index is not made of them.
    case treesCommitted = "trees-committed"
    /// What is lost is listed in a commit; damaged packs are there.
    case lossesListed = "losses-listed"
    /// A chunk that was lost is put anew; no commit vouches for it.
    case chunkHealed = "chunk-healed"

    /// Whether only fsck passes it, and no mount does.
    public var isOfRepair: Bool {
        switch self {
        case .packPutAside, .treesCommitted, .lossesListed, .chunkHealed: true
        default: false
        }
    }

    /// Dies here, where that is asked for.
    @inline(__always)
    public func pass() {
        guard let plan = CrashPoint.plan else { return }
        if plan.isDue(self) { CrashPoint.die() }
    }

    private static let plan = CrashPlan(getenv("ASHLAR_CRASH_AT").map { String(cString: $0) } ?? "")

    private static func die() {
        kill(getpid(), SIGKILL)
        // The signal is on its way: no step beyond the point may be taken before it arrives.
        while true { pause() }
    }
}

/// At which pass of which point to die.
final class CrashPlan: Sendable {
    private let point: CrashPoint
    private let count: Int
    private let passes = Atomic<Int>(0)

    /// Understands `name:count`, and `name` for the first pass; nil for everything else.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let name = parts.first, let point = CrashPoint(rawValue: String(name)) else {
            return nil
        }
        let count = parts.count == 1 ? 1 : parts.count == 2 ? Int(parts[1]) : nil
        guard let count, count >= 1 else { return nil }
        self.point = point
        self.count = count
    }

    /// Counts a pass; whether it is the one to die at.
    func isDue(_ passed: CrashPoint) -> Bool {
        guard passed == point else { return false }
        return passes.add(1, ordering: .relaxed).newValue == count
    }
}
