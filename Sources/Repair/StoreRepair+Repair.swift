// Everything that can be put right without help from outside, in order.
import Backends
import Checking
import DiskFormat
import Pipeline
import Platform

extension StoreRepair {
    /// Checks the store and puts right what it can.
    ///
    /// - An interrupted commit is completed or given up, as mounting does.
    /// - An index that is missing, damaged or wrong is made anew, and with it every count.
    /// - Where the log is damaged, the newest state is chosen that is complete: an intact index may
    ///   have it when the packs have not. What lies beyond is put aside and told.
    /// - Packs that are gone are not expected any more; what they held is lost.
    /// - Trees with unreadable nodes, or that contradict themselves, are written anew from what can
    ///   be read; what has lost its place goes to `lost+found` as `#<inode>`.
    /// - Content that cannot be read is accepted as lost (see the module's head).
    /// - Damaged packs are rewritten, and put aside where anything is lost.
    ///
    /// - Throws: `checking(noStore)`, `checking(newerFormat)`, `store(noCommit)` where no state can
    ///   be found, `cancelled`, and errors of the medium.
    public static func repair(
        _ target: StoreToRepair, options: RepairOptions = RepairOptions(),
        monitor: RepairMonitor = RepairMonitor()
    ) throws(RepairError) -> RepairReport {
        var repair = Repairing(
            session: Session(target: target, monitor: monitor), options: options)
        return try repair.run()
    }
}

/// One repair. One thread.
struct Repairing {
    var session: Session
    let options: RepairOptions
    var actions: [RepairAction] = []

    init(session: Session, options: RepairOptions) {
        self.session = session
        self.options = options
    }

    mutating func run() throws(RepairError) -> RepairReport {
        try renameMisnamed()
        let before = try session.check(options.depth)
        var plan = try Plan(before, session)
        guard plan.hasWork || !actions.isEmpty else {
            return RepairReport(before: before, after: before)
        }
        var current = before
        if plan.hasNoState, !plan.needsTrees {
            // Where only the index has the state, nothing of it was judged before a checkpoint has it.
            if try completeLog(plan) {
                current = try session.check(options.depth)
                plan = try Plan(current, session)
            } else {
                plan.hasDamagedLog = true
            }
        }
        if plan.needsTrees {
            try writeTrees(plan)
            current = try session.check(options.depth)
        } else if plan.isIndexWrong {
            try rebuildIndex(plan.indexReason)
        }
        if try !completeLog(plan), !plan.needsTrees {
            // The engine is the stricter of the two: it follows no commit behind one that is bad.
            plan.hasDamagedLog = true
            try writeTrees(plan)
            current = try session.check(options.depth)
        }
        try acceptLosses(current, before)
        try rewriteDamagedPacks(current)
        let after = try session.check(options.depth)
        return RepairReport(before: before, actions: actions, after: after)
    }

    mutating func note(
        _ kind: RepairAction.Kind, _ count: UInt64, _ detail: String, packs: [PackID] = [],
        chunks: [ChunkName] = [], paths: [Problem.Path] = []
    ) {
        actions.append(
            RepairAction(
                kind: kind, detail: detail, count: count, packs: packs, chunks: chunks,
                paths: Array(paths.prefix(RepairAction.pathsMax))))
    }

    // MARK: index and log

    mutating func rebuildIndex(_ reason: String) throws(RepairError) {
        try session.dropIndex()
        try noteRebuilt(reason)
    }

    private mutating func noteRebuilt(_ reason: String) throws(RepairError) {
        let store = try session.open()
        let count = (try? store.statistics().chunks) ?? 0
        try session.close(store)
        note(.indexRebuilt, count, reason)
    }

    /// Replays, seals, and leaves a checkpoint as the newest commit. Returns false where the engine
    /// finds a reason to refuse writing.
    private mutating func completeLog(_ plan: Plan) throws(RepairError) -> Bool {
        do throws(RepairError) {
            if try session.settle() {
                try noteRebuilt("what deleted snapshots owned could not be counted")
            }
        } catch {
            guard case .readOnly = error, !session.target.backend.isReadOnly, !plan.needsTrees
            else { throw error }
            return false
        }
        if plan.isUnclean {
            note(.logCompleted, UInt64(plan.commitsToReplay), "\(plan.uncleanReason)")
        }
        return true
    }

    // MARK: losses

    /// What cannot be read is listed as lost, if the new trees' commit has not done so.
    private mutating func acceptLosses(
        _ report: CheckReport, _ before: CheckReport
    ) throws(RepairError) {
        let unlisted = report.lostChunks.filter { !$0.isKnown }.map(\.name)
        if !unlisted.isEmpty {
            _ = try session.withStore { (store) throws(RepairError) in
                try session.repeatCheckpoint(store, lost: unlisted)
            }
            CrashPoint.lossesListed.pass()
        }
        let known = Set(before.lostChunks.filter(\.isKnown).map(\.name))
        let lost = report.lostChunks.map(\.name).filter { !known.contains($0) }
        guard !lost.isEmpty else { return }
        let told = Set(before.problems.filter { $0.severity == .information }.flatMap(\.paths))
        let paths = Set(report.problems.flatMap(\.paths)).subtracting(told)
        note(
            .chunksLost, UInt64(lost.count), "no copy can be read", chunks: lost,
            paths: paths.sorted { $0.text < $1.text })
    }

    /// Empties packs in which anything is damaged, and deletes them; puts them aside before, where
    /// anything at all is lost, since it may lie there where nobody can tell.
    private mutating func rewriteDamagedPacks(_ report: CheckReport) throws(RepairError) {
        let damaged = Set(report.problems.compactMap(Repairing.damagedPack))
        guard !damaged.isEmpty else { return }
        let use = try session.withStore { (store) throws(RepairError) in
            try session.packUse(store)
        }
        let packs = use.filter { damaged.contains($0.id) && !$0.isCondemned }
        guard !packs.isEmpty else { return }
        let isLost = !report.lostChunks.isEmpty
        if isLost {
            do throws(RepairError) {
                let names = try Quarantine(session: session).putAside(packs.map(\.id))
                note(
                    .packsPutAside, UInt64(names.count), names.joined(separator: ", "),
                    packs: packs.map(\.id))
            } catch {
                guard case .backend(.noSpace) = error else { throw error }
                note(
                    .packsKept, UInt64(packs.count), "no room to put them aside",
                    packs: packs.map(\.id))
                return
            }
        }
        try rewrite(packs, givesUpUnreadable: isLost)
    }

    private mutating func rewrite(
        _ packs: [PackUse], givesUpUnreadable: Bool
    ) throws(RepairError) {
        var report = PurgeReport(
            before: PackFiles(count: 0, bytes: 0), after: PackFiles(count: 0, bytes: 0))
        try session.withStore { (store) throws(RepairError) in
            var purge = Purge(session: session, store: store, report: report)
            defer { report = purge.report }
            try purge.rewrite(packs, givesUpUnreadable: givesUpUnreadable)
        }
        if !report.rewrittenPacks.isEmpty {
            note(
                .packsRewritten, UInt64(report.rewrittenPacks.count),
                "\(report.movedChunks) chunks of \(report.movedBytes) bytes were moved",
                packs: report.rewrittenPacks)
        }
        let kept = report.packsWithoutRoom + report.keptPacks
        if !kept.isEmpty {
            note(.packsKept, UInt64(kept.count), "no room to rewrite them", packs: kept)
        }
        // A recipe node without a place counts its children when it is laid anew: the counts have
        // to be without them until then.
        if givesUpUnreadable { try rebuildIndex("places of what is lost were given up") }
    }

    /// The pack in which a problem says that something stored is bad.
    static func damagedPack(_ problem: Problem) -> PackID? {
        switch problem.kind {
        case .packHeaderDamaged, .packTable, .packTrailer, .rangeDamaged, .recordDamaged,
            .frameDamaged, .chunkMismatch, .commitDamaged, .commitMalformed, .packShort:
            break
        default: return nil
        }
        return switch problem.place {
        case .pack(let pack), .range(let pack, _), .record(let pack, _), .frame(let pack, _, _):
            pack
        default: nil
        }
    }
}
