// What a check's findings ask for.
import Checking
import DiskFormat

/// Which steps a repair has to take.
struct Plan {
    let report: CheckReport
    /// Packs that are gone or too short.
    let lostPacks: [PackID]
    /// Trees contradict themselves, or cannot be read whole.
    let hasBadTrees: Bool
    /// Commits that were durable cannot be reached, or may not be those that a writer made.
    var hasDamagedLog: Bool
    /// No checkpoint can be read: what the packs hold was not judged.
    let hasNoState: Bool
    /// It can be read, and says what it holds.
    let isIndexUsable: Bool
    let isIndexWrong: Bool
    let indexReason: String
    /// What every unclean end leaves.
    let isUnclean: Bool
    let uncleanReason: String

    init(_ report: CheckReport, _ session: Session) throws(RepairError) {
        self.report = report
        hasNoState = report.summary.sequence == 0
        let kinds = Set(report.problems.map(\.kind))
        lostPacks = report.problems.compactMap { problem in
            guard problem.kind == .packMissing || problem.kind == .packShort,
                case .pack(let pack) = problem.place
            else { return nil }
            return pack
        }
        hasDamagedLog = report.unreachableCommits > 0 || !kinds.isDisjoint(with: Plan.logKinds)
        hasBadTrees = report.hasUnreadableTrees || !kinds.isDisjoint(with: Plan.treeKinds)
        // Where trees or commits cannot be read, nobody can count: an index may be right then that
        // knows more owners and chunks than were found.
        let judged =
            report.hasUnreadableTrees || hasDamagedLog
            ? Plan.indexKinds.subtracting([.indexCount, .indexExtra]) : Plan.indexKinds
        let wrong = report.problems.first { judged.contains($0.kind) }
        let isUsable = try session.hasUsableIndex()
        isIndexUsable = isUsable && !kinds.contains(.indexDamaged)
        isIndexWrong = wrong != nil || !isUsable
        indexReason = wrong.map { "\($0.place): \($0.detail)" } ?? "there is no index of use"
        let unclean = report.problems.filter { Plan.uncleanKinds.contains($0.kind) }
        isUnclean = !unclean.isEmpty
        uncleanReason = unclean.map(\.detail).joined(separator: "; ")
    }

    /// Whether new trees are written from the index as it lies there, and not from one that is made of
    /// the packs. Counts that are wrong are of no use, nor are places in packs that are gone: but where
    /// trees cannot be read, it may be all that has their names, and where the log is damaged, it may
    /// hold commits that the packs alone do not lead to.
    var isIndexNeeded: Bool {
        if !isIndexUsable { return false }
        if report.hasUnreadableTrees { return true }
        return !isIndexWrong && (lostPacks.isEmpty || hasDamagedLog)
    }

    /// Whether all trees are to be written anew.
    var needsTrees: Bool { hasBadTrees || hasDamagedLog || !lostPacks.isEmpty }

    var hasWork: Bool {
        needsTrees || isIndexWrong || isUnclean
            || report.problems.contains { $0.severity > .information }
    }

    var commitsToReplay: UInt64 { report.summary.commitsToReplay }

    private static let indexKinds: Set<Problem.Kind> = [
        .indexDamaged, .indexMissing, .indexExtra, .indexPlace, .indexCount,
    ]
    private static let uncleanKinds: Set<Problem.Kind> = [
        .tornTail, .packCondemned, .logTorn, .logWaits, .indexOther,
    ]
    private static let logKinds: Set<Problem.Kind> = [
        .commitsBeyondDamage, .commitOrder, .commitFork, .commitSpans,
    ]
    private static let treeKinds: Set<Problem.Kind> = [
        .rootUnreadable, .volumeMismatch, .statisticsWrong, .sizeWrong, .allocatedWrong,
        .inodeTwice, .inodeLimit, .parentWrong, .linkCountWrong, .linkedWrong, .nameDangling,
        .nameKind, .cookieTwice, .inodeUnreachable, .attributesMalformed,
    ]
}
