// The whole check, in order: packs, bodies, commits, volumes, index, and what all of it means.
import Backends
import DiskFormat
import Metadata
import Packs
import Trees

/// The index that belongs to a store, for comparison.
public struct IndexToCheck {
    /// The open index; only read.
    public var store: any MetadataStore
    /// The hash of the last commit that the index says it holds; nil: take it for current.
    public var lastCommit: ChunkName?

    /// From its parts.
    public init(_ store: any MetadataStore, lastCommit: ChunkName? = nil) {
        self.store = store
        self.lastCommit = lastCommit
    }
}

/// Checks a store. See the module's head.
public enum StoreCheck {
    /// Finds everything that is wrong with the store in `backend`. Nobody may write to it meanwhile.
    ///
    /// - Parameter index: compared with what the packs say, where one is given.
    /// - Throws: `noStore`, `newerFormat`, `cancelled`, and what is no damage: a backend that
    ///   refuses, a hasher that cannot be made. A store without a readable state is a report.
    public static func run(
        _ backend: any Backend, options: CheckOptions = CheckOptions(),
        index: IndexToCheck? = nil, monitor: CheckMonitor = CheckMonitor()
    ) throws(CheckingError) -> CheckReport {
        let inventory = try Inventory(
            backend, store: options.store, durableCommit: index?.lastCommit, monitor: monitor)
        let chunks = ChunkReader(inventory, cacheBytes: options.cacheBytes)
        let log = try CommitLog(inventory, chunks)
        let check = Checker(inventory, log, chunks, options, monitor)
        try check.checkBodies()
        check.judgePacks()
        if log.checkpoint != nil {
            let state = try State(inventory, log, chunks)
            check.checkUnreadable(state)
            let loading = LoadingVolumes(index, newest: log.newest?.hash)
            for volume in state.volumes {
                try VolumeCheck(check, volume, loading: loading[volume.id]).run()
            }
            var snapshots = SnapshotCheck(check, state, alsoKept: loading.roots)
            try snapshots.run()
            if let index {
                try IndexCheck(check, index, state, keptOwners: snapshots.owners).run()
            }
        }
        return check.report()
    }
}

/// What the parts of one check share.
final class Checker {
    let inventory: Inventory
    let log: CommitLog
    let chunks: ChunkReader
    let options: CheckOptions
    let monitor: CheckMonitor
    var book: ProblemBook
    var summary: CheckReport.Summary
    /// Whether what is being checked is a snapshot's.
    var isInSnapshot = false
    /// Whether what is being walked is counted by its nodes, and not in the index: see LoadingVolumes.
    var isUnloaded = false
    /// Recipe nodes that were walked, by number.
    var recipes: [Int: RecipeVerdict] = [:]
    /// Chunks in use that cannot be read; whether that is known and accepted.
    private(set) var lost: [ChunkName: Bool] = [:]
    /// Problems that nothing is lost by but chunks that are known to be lost, as far as is seen.
    private(set) var knownLosses: Set<Int> = []
    private var newLosses: Set<Int> = []
    /// Whether some directory, table of linked inodes or root could not be read whole.
    private(set) var hasUnreadableTrees = false
    /// Findings before this are in the book, or left out of it on purpose.
    private var findingsTaken = 0

    init(
        _ inventory: Inventory, _ log: CommitLog, _ chunks: ChunkReader, _ options: CheckOptions,
        _ monitor: CheckMonitor
    ) {
        self.inventory = inventory
        self.log = log
        self.chunks = chunks
        self.options = options
        self.monitor = monitor
        book = ProblemBook(problemsMax: options.problemsMax, pathsMax: options.pathsMax)
        summary = CheckReport.Summary(
            storeID: inventory.parameters.storeID, depth: options.depth)
    }

    func checkBodies() throws(CheckingError) {
        let begin = ResumeNote(
            options.resumeNote, storeID: inventory.parameters.storeID,
            newestCommit: log.newest?.hash ?? .zero)
        try inventory.verify(options.depth, from: begin, monitor: monitor)
        // A quick check reads these too: the newest state depends on them.
        for record in log.badRecords.sorted() where inventory.records[record].isOpen {
            try inventory.verifyFrames(record)
        }
    }

    /// Enters new findings as problems, but for those that nothing is lost by: in the tail that an
    /// unclean end leaves, and in packs that are about to be deleted.
    func takeFindings() {
        while findingsTaken < inventory.findings.count {
            let finding = inventory.findings[findingsTaken]
            findingsTaken += 1
            if isOfNoWorth(finding) {
                if finding.kind == .packHeaderDamaged {
                    book.add(
                        .tornTail, finding.place, "no commit needs the pack; its header is bad")
                }
                continue
            }
            book.add(finding.kind, finding.place, finding.detail)
        }
    }

    private func isOfNoWorth(_ finding: Finding) -> Bool {
        // What is intact and cannot be understood is not what an unclean end leaves.
        if finding.kind == .commitMalformed || finding.kind == .packNewer {
            guard case .record(let pack, _) = finding.place else { return false }
            return log.condemned.contains(pack)
        }
        if finding.kind == .packTrailer, case .range(let pack, _) = finding.place {
            return log.condemned.contains(pack) || !isProvenSealed(pack)
        }
        // Without a state nothing says where the tail begins.
        if log.checkpoint == nil { return false }
        return switch finding.place {
        case .range(let pack, let range):
            log.condemned.contains(pack) || log.isTail(pack, range.lowerBound)
        case .record(let pack, let offset), .frame(let pack, let offset, _):
            log.condemned.contains(pack) || log.isTail(pack, offset)
        case .pack(let pack):
            log.condemned.contains(pack)
                || finding.kind == .packHeaderDamaged && log.isTail(pack, 0)
        default: false
        }
    }

    /// Whether a pack had its trailer once. A full pack is sealed while the commit behind its last record
    /// is being made durable, that commit's own record being written already; so the one after it
    /// proves that it was. A pack that is not full is sealed when the store is closed, or opened after an
    /// unclean end.
    private func isProvenSealed(_ pack: PackID) -> Bool {
        guard let newest = log.newest else { return false }
        let role = inventory.pack(pack)?.role
        let later = log.durableEnds.keys.filter {
            $0.writer == pack.writer && $0.sequence > pack.sequence
                && inventory.pack($0)?.role == role
        }.count
        // Copies are only sealed by checkpoints.
        if role == .copies { return later > (newest.isCheckpoint ? 1 : 0) }
        guard later > 0 else { return false }
        guard let before = inventory.commits.last(where: { $0.hash == newest.previous }) else {
            return true
        }
        return pack.writer != before.pack.writer || pack.sequence < before.pack.sequence
    }

    // MARK: chunks that cannot be read

    /// The problems that keep a chunk from being read; each is then a loss. Where there is none yet
    /// it is made.
    func culprits(_ name: ChunkName, _ why: String) -> [Int] {
        takeFindings()
        guard let number = inventory.table.number(of: name) else {
            return missing(name, why)
        }
        var found: [Int] = []
        for position in inventory.table.range(of: number) {
            let copy = inventory.table.copies[position]
            let record = Int(copy.record)
            let place = Problem.Place.frame(
                inventory.packID(of: record), offset: inventory.records[record].offset,
                frame: copy.frame)
            for kind in [Problem.Kind.frameDamaged, .chunkMismatch] {
                if let problem = book.number(of: kind, place) { found.append(problem) }
            }
        }
        if found.isEmpty, let problem = book.add(.nodeMalformed, .chunk(name), why) {
            found.append(problem)
        }
        return lose(name, found)
    }

    /// What keeps a chunk in use from being read is a loss, unless that is known.
    private func lose(_ name: ChunkName, _ problems: [Int]) -> [Int] {
        let isKnown = log.lostChunks.contains(name)
        lost[name] = isKnown
        if isKnown {
            knownLosses.formUnion(problems)
        } else {
            newLosses.formUnion(problems)
            for problem in problems { book.raise(problem, to: .loss) }
        }
        return problems
    }

    /// What only known losses follow from is no news.
    func settleKnownLosses() {
        for problem in knownLosses.subtracting(newLosses).sorted() {
            book.settle(problem, as: .information, "known to be lost")
        }
    }

    /// A chunk of which no copy is stored: what hides it, if that can be told.
    private func missing(_ name: ChunkName, _ why: String) -> [Int] {
        if log.lostChunks.contains(name) {
            // Whatever is damaged now, it is not what hides this one.
            return lose(name, [book.add(.chunkMissing, .chunk(name), why)].compactMap { $0 })
        }
        let hiding = book.hiding.filter { canHide(book.problems[$0].place) }
        let problem: Int?
        switch hiding.count {
        case 1: problem = hiding[0]
        case 0: problem = book.add(.chunkMissing, .chunk(name), "no copy is stored")
        default:
            problem = book.add(
                .chunkMissing, .store, "chunks lay in the places that are damaged or missing")
        }
        return lose(name, [problem].compactMap { $0 })
    }

    /// Packs of second copies hide nothing alone, nor do strangers that nothing refers to.
    private func canHide(_ place: Problem.Place) -> Bool {
        switch place {
        case .pack(let pack):
            log.durableEnds[pack] != nil && inventory.pack(pack)?.role != .copies
        case .range(let pack, _), .record(let pack, _): inventory.pack(pack)?.role != .copies
        default: true
        }
    }

    /// The problems behind an error of a tree; throws where nothing is damaged.
    func culprits(
        _ error: TreeError, isTree: Bool = true
    ) throws(CheckingError) -> [Int] {
        if isTree, !isInSnapshot { hasUnreadableTrees = true }
        switch error {
        case .missing(let name): return culprits(name, "not stored")
        case .format(let why, let name): return culprits(name, "\(why)")
        case .storage, .splitsChunk, .badEdit: throw .tree(error)
        }
    }

    /// Volumes whose roots cannot be read, and those that are read without their newest ones.
    func checkUnreadable(_ state: State) {
        for (id, name, root, error) in state.unreadable {
            hasUnreadableTrees = true
            let found = culprits(root, "\(error)")
            for problem in found {
                book.note("the root of volume \(name) cannot be read", on: problem)
                book.affect(problem, .init(volume: name, bytes: Array("/".utf8)))
            }
            if found.isEmpty { book.add(.rootUnreadable, .volume(id), "\(error)") }
        }
        for (id, _, root, error) in state.passedOver {
            hasUnreadableTrees = true
            book.add(
                .rootPassedOver, .volume(id),
                "root \(root) cannot be read (\(error)); what commits say since an older one is "
                    + "the same state")
        }
    }
}
