// Logs that are damaged, packs that are gone, trees that contradict themselves: the volumes' trees
// are written whole, and a checkpoint that begins a new epoch is all that counts from then on.
import Backends
import Checking
import DiskFormat
import Metadata
import NamespaceIndex
import Pipeline
import Platform

extension Repairing {
    /// The order: what is about to be cut off is put aside; the store is opened at its newest state
    /// that is complete, by the index where that is sound, else from the packs; the trees are
    /// written from the index, and committed; the index is made anew.
    mutating func writeTrees(_ plan: Plan) throws(RepairError) {
        let log = try readLog()
        try putAsideWhatIsCut(plan, log)
        if !plan.isIndexNeeded { try session.dropIndex() }
        session.noteDurable(upTo: log.newest?.sequence ?? 0)
        let store = try session.open(acceptsLosses: true)
        do throws(RepairError) {
            if let failure = store.failure { throw .store(failure) }
            tellLostCommits(log, store.lastCommit)
            try loadEverything(store)
            if store.isIncomplete { try bringBackEntries(store) }
            try commitTrees(store, plan, log)
            CrashPoint.treesCommitted.pass()
        } catch {
            // The first error is the one to report.
            try? store.close()
            throw error
        }
        try session.close(store)
        try acceptWhatTreesShow()
        if !plan.lostPacks.isEmpty {
            note(
                .packsForgotten, UInt64(plan.lostPacks.count), "they are gone or too short",
                packs: plan.lostPacks)
        }
        try rebuildIndex("the trees are new")
    }

    /// Trees are written from the index: what of volumes is not in it is brought there, as far as it can be
    /// read.
    private func loadEverything(_ store: ChunkStore) throws(RepairError) {
        do throws(StoreError) {
            for (number, _) in try store.volumes() {
                _ = try store.loadEverything(of: number, passesOver: true)
            }
        } catch {
            throw .store(error)
        }
    }

    /// What could not be seen to be lost before the trees could be read: the index that is made of
    /// them would be incomplete otherwise.
    private func acceptWhatTreesShow() throws(RepairError) {
        let lost = try session.check(options.depth).lostChunks.filter { !$0.isKnown }.map(\.name)
        guard !lost.isEmpty else { return }
        let store = try session.open(acceptsLosses: true)
        do throws(RepairError) {
            try session.repeatCheckpoint(store, lost: lost)
        } catch {
            // The first error is the one to report.
            try? store.close()
            throw error
        }
        try session.close(store)
    }

    // MARK: the log

    /// What the packs say of the log, before it is cut.
    struct LogSeen {
        /// Above all commits that can be read.
        var highest = LogMark(epoch: 0, sequence: 0)
        /// The last commit of the newest state that is complete.
        var newest: CommitEntry?
        var beyond: [CommitEntry] = []
        /// What the commits behind the checkpoint and those beyond change, by their numbers.
        var changes: [(mark: LogMark, paths: [Problem.Path])] = []
    }

    private func readLog() throws(RepairError) -> LogSeen {
        let durable = try session.indexedCommit()
        return try session.withChecking { () throws(CheckingError) in
            var seen = LogSeen()
            let inventory = try Inventory(
                session.target.backend, durableCommit: durable, monitor: session.checkMonitor)
            let log = try CommitLog(inventory, ChunkReader(inventory, cacheBytes: 16 << 20))
            for commit in inventory.commits {
                seen.highest.epoch = max(seen.highest.epoch, commit.epoch)
                seen.highest.sequence = max(seen.highest.sequence, commit.sequence)
            }
            seen.newest = log.newest
            seen.beyond = log.beyond
            // Those of the chain are kept, as far as the engine can follow it.
            for entry in log.chain.dropFirst() + log.beyond {
                let commit = try inventory.commit(entry)
                let paths = commit.volumes.flatMap { volume in
                    volume.names.map {
                        Problem.Path(
                            volume: volume.volumeName,
                            bytes: Array("<inode \($0.parent)>/".utf8) + $0.name)
                    }
                        + volume.inodes.compactMap {
                            guard case .put(let image) = $0 else { return nil }
                            return Problem.Path(
                                volume: volume.volumeName,
                                bytes: Array("<inode \(image.inode)>".utf8))
                        }
                }
                seen.changes.append(
                    (LogMark(epoch: entry.epoch, sequence: entry.sequence), paths))
            }
            return seen
        }
    }

    /// Packs that opening cuts or removes though commits lie in them that were durable, and packs
    /// that are shorter than they were.
    private mutating func putAsideWhatIsCut(
        _ plan: Plan, _ log: LogSeen
    ) throws(RepairError) {
        var packs = Set(log.beyond.map(\.pack)).union(plan.lostPacks)
        if plan.hasDamagedLog, let newest = log.newest { packs.insert(newest.pack) }
        guard !packs.isEmpty else { return }
        let names = try Quarantine(session: session).putAside(packs.sorted())
        guard !names.isEmpty else { return }
        note(
            .packsPutAside, UInt64(names.count), names.joined(separator: ", "),
            packs: packs.sorted())
    }

    private mutating func tellLostCommits(_ log: LogSeen, _ kept: LogMark) {
        let lost = log.changes.filter { $0.mark > kept }
        guard let first = lost.first, let last = lost.last else { return }
        note(
            .commitsLost, UInt64(lost.count),
            "commits \(first.mark.epoch)/\(first.mark.sequence) to "
                + "\(last.mark.epoch)/\(last.mark.sequence) follow a damaged one",
            paths: lost.flatMap(\.paths))
    }

    // MARK: the trees

    /// Puts what the search for lost entries finds into the index; the new trees take it up.
    private func bringBackEntries(_ store: ChunkStore) throws(RepairError) {
        let volumes: [(number: UInt32, record: VolumeRecord)]
        do throws(StoreError) {
            volumes = try store.volumes()
        } catch {
            throw .store(error)
        }
        var search = try LostEntries(session, store)
        try search.collect()
        for (number, record) in volumes {
            for changes in try search.changes(of: number, record) {
                do throws(StoreError) {
                    _ = try store.commit(CommitDraft(volumes: [changes], time: Session.now()))
                } catch {
                    throw .store(error)
                }
            }
        }
    }

    private mutating func commitTrees(
        _ store: ChunkStore, _ plan: Plan, _ log: LogSeen
    ) throws(RepairError) {
        let volumes: [(number: UInt32, record: VolumeRecord)]
        do throws(StoreError) {
            volumes = try store.volumes()
        } catch {
            throw .store(error)
        }
        var draft = CommitDraft(isCheckpoint: true, time: Session.now())
        let highest = max(log.highest, store.lastCommit)
        draft.newEpochAbove = LogMark(
            epoch: highest.epoch, sequence: max(log.highest.sequence, store.lastCommit.sequence))
        // At once: the index that is made of these trees is incomplete otherwise.
        draft.lostChunks = plan.report.lostChunks.map(\.name)
        var counts: [ChunkName: Int64] = [:]
        for (number, record) in volumes {
            var writing = TreesAnew(
                session, store, number: number, record: record,
                suspects: plan.suspects(of: record.volumeID))
            let trees = try writing.write()
            draft.volumes.append(trees.changes)
            // What the old trees had is not taken off: the index is made anew, and counts what is
            // there.
            for name in trees.nodes { counts[name, default: 0] += 1 }
            tell(trees, record.name)
        }
        draft.nodeCounts = counts.sorted { $0.key < $1.key }
            .map { CountChange(name: $0.key, change: $0.value) }
        do throws(StoreError) {
            _ = try store.commit(draft)
        } catch {
            throw .store(error)
        }
    }

    private mutating func tell(_ trees: NewTrees, _ volume: String) {
        note(
            .treesWritten, trees.corrected,
            "volume \(volume): \(trees.corrected) inodes were put right")
        if !trees.recovered.isEmpty {
            note(
                .entriesRecovered, UInt64(trees.recovered.count), "in lost+found of \(volume)",
                paths: trees.recovered.map { Problem.Path(volume: volume, bytes: $0) })
        }
        if !trees.dropped.isEmpty {
            note(
                .namesDropped, UInt64(trees.dropped.count), "names of nothing in \(volume)",
                paths: trees.dropped.map { Problem.Path(volume: volume, bytes: $0) })
        }
    }
}

extension Plan {
    /// Inodes of a volume whose sizes or attributes the check has found wrong.
    func suspects(of volume: UniqueID) -> Suspects {
        var result = Suspects()
        for problem in report.problems {
            guard case .inode(volume, let inode) = problem.place else { continue }
            switch problem.kind {
            case .sizeWrong, .allocatedWrong: result.sizes.insert(inode)
            case .attributesMalformed: result.attributes.insert(inode)
            default: continue
            }
        }
        return result
    }
}
