// What is lost is looked for elsewhere, and stored anew.
import Checking
import DiskFormat
import Pipeline
import Platform

/// What a healing found, and what it did not.
public struct HealReport: Equatable, Sendable {
    /// The check before anything was changed.
    public var before: CheckReport
    /// Afterwards; equal to `before` where nothing was stored.
    public var after: CheckReport
    /// Chunks that were lost and are there again.
    public var healed: [ChunkName] = []
    public var searchedFiles: UInt64 = 0
    public var searchedPacks: UInt64 = 0
    public var searchedBytes: UInt64 = 0
    /// Sources that could not be read, and the system's error number: the first of them.
    public var unreadable: [UnreadableSource] = []
    public var unreadableCount: UInt64 = 0

    public struct UnreadableSource: Equatable, Sendable {
        public var path: String
        public var code: Int32
    }

    static let unreadableMax = 100

    /// Chunks that are lost still; the problems of `after` name the paths.
    public var missing: [ChunkName] { after.lostChunks.map(\.name) }
    /// Files that cannot be read whole still: the first of them.
    public var missingPaths: [Problem.Path] {
        var seen: Set<Problem.Path> = []
        return after.problems.flatMap(\.paths).filter { seen.insert($0).inserted }
    }
}

extension StoreRepair {
    /// Looks for chunks that cannot be read, known to be lost or not, in files and directories, and
    /// stores what it finds. Then it checks again.
    ///
    /// A regular file is searched from its beginning as the store would cut it, so a copy of a lost
    /// file heals it, and one that begins as it did heals its beginning; the recipe of such a file
    /// is found as well. Every pack that is met (of a copy of the store, of another store, from
    /// `quarantine/`) is searched for its chunks. Nothing is taken on trust: what is stored has the
    /// name that was looked for.
    ///
    /// Nodes that are found may name more that is lost, so the search is repeated while it finds
    /// any.
    ///
    /// - Parameters:
    ///   - paths: files and directories; symbolic links below them are not followed, and the
    ///   store's
    ///     own directory is passed over. Quarantined packs are given as files.
    /// - Throws: `readOnly` where the store has to be repaired first, `cancelled`, and errors of
    ///   writing. Sources that cannot be read are in the report.
    public static func heal(
        _ target: StoreToRepair, from paths: [String], depth: CheckDepth = .full,
        monitor: RepairMonitor = RepairMonitor()
    ) throws(RepairError) -> HealReport {
        let session = Session(target: target, monitor: monitor)
        let before = try session.check(depth)
        var healing = Healing(session: session, report: HealReport(before: before, after: before))
        for _ in 0..<Healing.roundsMax {
            let wanted = healing.report.after.lostChunks.map(\.name)
            guard !wanted.isEmpty else { break }
            let found = try healing.search(Set(wanted), paths)
            guard found else { break }
            healing.report.after = try session.check(depth)
        }
        let lost = Set(healing.report.after.lostChunks.map(\.name))
        healing.report.healed.removeAll { lost.contains($0) }
        return healing.report
    }
}

/// One healing. One thread.
struct Healing {
    /// Deeper than recipes are.
    static let roundsMax = Int(NodeReference.levelMax) + 2
    /// Raw bytes that are stored between two commits.
    private static let bytesPerCommit: UInt64 = 256 << 20

    var session: Session
    var report: HealReport

    /// Searches all sources once. Returns whether anything was found.
    mutating func search(
        _ wanted: Set<ChunkName>, _ paths: [String]
    ) throws(RepairError) -> Bool {
        try session.settle()
        var report = report
        let (found, hasNodes) = try session.withStore { (store) throws(RepairError) in
            let keeper = FoundChunks(store: store, session: session)
            let search = try ChunkSearch(
                wanted, parameters: store.parameters
            ) { (bytes, domain) throws(RepairError) in try keeper.keep(bytes, domain) }
            try Healing.search(search, paths, session, &report)
            try keeper.commit()
            report.searchedBytes += search.bytesRead
            return (search.found, search.hasFoundNodes)
        }
        report.healed += found
        self.report = report
        // What a node names may be stored though the index does not know it, since nothing that it
        // could read named it.
        if hasNodes {
            try session.dropIndex()
            try session.settle()
        }
        return !found.isEmpty
    }

    private static func search(
        _ search: ChunkSearch, _ paths: [String], _ session: Session, _ report: inout HealReport
    ) throws(RepairError) {
        let walk = SourceWalk(excluding: session.target.path)
        var result = report
        // Each round meets the same ones.
        result.unreadable = []
        result.unreadableCount = 0
        for path in paths where !search.wanted.isEmpty {
            try walk.forEachFile(below: path) { path, code in
                result.unreadableCount += 1
                if result.unreadable.count < HealReport.unreadableMax {
                    result.unreadable.append(.init(path: path, code: code))
                }
            } _: { (file) throws(RepairError) in
                try session.monitor.step(.searching, search.bytesRead, 0)
                if let header = ChunkSearch.packHeader(file) {
                    result.searchedPacks += 1
                    try search.searchPack(file, header)
                }
                // A user's file may begin like a pack, and still be the file that is looked for.
                result.searchedFiles += 1
                try search.searchFile(file)
                return !search.wanted.isEmpty
            }
        }
        report = result
    }

    /// Stores what was found. One thread.
    private final class FoundChunks {
        private let store: ChunkStore
        private let session: Session
        private var pendingBytes: UInt64 = 0

        init(store: ChunkStore, session: Session) {
            self.store = store
            self.session = session
        }

        func keep(_ bytes: [UInt8], _ domain: ChunkDomain) throws(RepairError) {
            do throws(StoreError) {
                try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                    _ = try store.putAnew(UnsafeRawBufferPointer(buffer), domain: domain)
                }
            } catch {
                throw .store(error)
            }
            CrashPoint.chunkHealed.pass()
            pendingBytes += UInt64(bytes.count)
            if pendingBytes >= Healing.bytesPerCommit { try commit() }
        }

        func commit() throws(RepairError) {
            guard pendingBytes > 0 else { return }
            try session.repeatCheckpoint(store)
            pendingBytes = 0
        }
    }
}
