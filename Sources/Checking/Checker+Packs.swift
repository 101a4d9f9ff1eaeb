// What the findings in packs and commits mean, seen together.
import DiskFormat
import Packs

extension Checker {
    /// Packs against what the newest commits say of them, and the log's own findings.
    func judgePacks() {
        takeFindings()
        for finding in log.findings where finding.kind != .noState {
            if isExplained(finding) { continue }
            book.add(finding.kind, finding.place, finding.detail)
        }
        for (pack, proven) in log.durableEnds.sorted(by: { $0.key < $1.key })
        where !log.condemned.contains(pack) {
            judge(pack, proven)
        }
        judgeLog()
        tellTails()
        for pack in inventory.packs where log.condemned.contains(pack.id) {
            book.add(.packCondemned, .pack(pack.id), "\(pack.end.fileBytes) bytes")
        }
    }

    /// A commit whose spans do not verify because of damage that is told already.
    private func isExplained(_ finding: Finding) -> Bool {
        guard finding.kind == .commitSpans else { return false }
        let ofPacks: Set<Problem.Kind> = [
            .packForeign, .packMisnamed, .packNewer, .packUnreadable, .packMissing, .packShort,
            .rangeDamaged, .recordDamaged, .commitDamaged, .commitMalformed,
        ]
        let isMissing = log.durableEnds.keys.contains { inventory.pack($0) == nil }
        return isMissing || book.problems.contains { ofPacks.contains($0.kind) }
    }

    /// One pack against the length that it was proved to have.
    private func judge(_ id: PackID, _ proven: UInt64) {
        guard let pack = inventory.pack(id) else {
            if !inventory.unusable.contains(id) {
                book.add(.packMissing, .pack(id), "\(proven) bytes of it are needed")
            }
            return
        }
        if pack.end.fileBytes < proven {
            book.add(
                .packShort, .pack(id),
                "\(pack.end.fileBytes) bytes, at least \(proven) were durable")
        } else if !pack.isSealed, pack.end.offset < proven {
            let rest = pack.end.offset..<proven
            let isTrailer = book.number(of: .packTrailer, .range(id, rest)) != nil
            if !isTrailer { book.add(.rangeDamaged, .range(id, rest), "no valid records") }
        }
    }

    /// Commits that are lost, and where the log ends.
    private func judgeLog() {
        guard let newest = log.newest else {
            explain("no checkpoint can be read", .noState, .store, after: nil)
            return
        }
        if let first = log.beyond.first {
            explain(
                "\(log.beyond.count) valid commits lie beyond it and cannot be replayed",
                .commitsBeyondDamage, .commit(epoch: first.epoch, sequence: first.sequence),
                after: newest)
        } else {
            for (number, problem) in book.problems.enumerated() where isNewerCommit(problem, newest)
            {
                book.raise(number, to: .loss)
                book.note("its changes are lost", on: number)
            }
        }
        if log.chain.count > 1 {
            book.add(
                .logWaits, .commit(epoch: newest.epoch, sequence: newest.sequence),
                "\(log.chain.count - 1) commits wait to be replayed")
        }
    }

    /// A damaged commit that followed the newest one that is valid.
    private func isNewerCommit(_ problem: Problem, _ newest: CommitEntry) -> Bool {
        guard problem.kind == .commitDamaged || problem.kind == .commitMalformed,
            case .record(let pack, let offset) = problem.place
        else { return false }
        return isBehind(newest, pack, offset)
    }

    private func isBehind(_ entry: CommitEntry, _ pack: PackID, _ offset: UInt64) -> Bool {
        if pack == entry.pack { return offset >= entry.end }
        return pack.writer == entry.pack.writer && pack.sequence > entry.pack.sequence
    }

    /// Raises the damage that made commits unreachable, or tells of it where none is known.
    private func explain(
        _ text: String, _ kind: Problem.Kind, _ place: Problem.Place, after: CommitEntry?
    ) {
        let preference: [Problem.Kind] = [
            .commitDamaged, .commitMalformed, .rangeDamaged, .packShort, .packMissing,
            .packForeign, .packMisnamed, .packUnreadable, .packNewer,
        ]
        for wanted in preference {
            let found = book.problems.indices.first { index in
                let problem = book.problems[index]
                guard problem.kind == wanted else { return false }
                guard let after else { return true }
                switch problem.place {
                case .record(let pack, let offset): return isBehind(after, pack, offset)
                case .range(let pack, let range): return isBehind(after, pack, range.upperBound)
                default: return true
                }
            }
            if let found {
                book.raise(found, to: .loss)
                book.note(text, on: found)
                return
            }
        }
        book.add(kind, place, text)
    }

    /// What an unclean end left: normal, and told.
    private func tellTails() {
        for pack in inventory.packs where !pack.isSealed && !log.condemned.contains(pack.id) {
            let durable = log.durableEnds[pack.id] ?? UInt64(PackHeader.byteCount)
            guard pack.end.fileBytes > durable, !goesOnNewer(pack.id) else { continue }
            if pack.role == .copies, pack.end.tail == .none { continue }
            let tail = durable..<pack.end.fileBytes
            let torn = log.torn.filter { $0.pack == pack.id }.count
            if torn > 0 {
                book.add(
                    .logTorn, .range(pack.id, tail),
                    "\(torn) commits whose data did not arrive; none was acknowledged")
            } else {
                book.add(.tornTail, .range(pack.id, tail), "written behind the last commit")
            }
        }
    }

    /// Whether a newer program has gone on in the pack: what lies behind the log's end is no tail.
    private func goesOnNewer(_ id: PackID) -> Bool {
        inventory.findings.contains { finding in
            guard finding.kind == .packNewer, case .record(let pack, _) = finding.place else {
                return false
            }
            return pack == id
        }
    }

    // MARK: the end

    /// Counts everything, and settles what each damaged frame means.
    func report() -> CheckReport {
        takeFindings()
        settleKnownLosses()
        settleFrames()
        countChunks()
        summary.packs = inventory.packs.count
        summary.packBytes = inventory.packs.reduce(0) { $0 + $1.end.fileBytes }
        summary.records = UInt64(inventory.records.count)
        summary.commits = UInt64(inventory.commits.count)
        summary.epoch = log.newest?.epoch ?? 0
        summary.sequence = log.newest?.sequence ?? 0
        summary.commitsToReplay = UInt64(max(0, log.chain.count - 1))
        summary.verifiedBytes = inventory.verifiedBytes
        if summary.singleCopyNodes > 0 {
            book.add(
                .singleCopy, .store,
                "\(summary.singleCopyNodes) recipe and tree nodes have one copy")
        }
        if summary.unownedChunks > 0 {
            book.add(
                .unownedChunks, .store,
                "\(summary.unownedChunks) chunks of \(summary.unownedBytes) bytes")
        }
        let lost = lost.sorted { $0.key < $1.key }
            .map { CheckReport.LostChunk(name: $0.key, isKnown: $0.value) }
        return CheckReport(
            summary: summary, lostChunks: lost, unreachableCommits: log.beyond.count,
            hasUnreadableTrees: hasUnreadableTrees, problems: book.sorted(),
            problemsNotListed: book.notListed)
    }

    /// A damaged frame in use, of which other copies are intact, is damage; one that nothing needs
    /// stays a warning.
    private func settleFrames() {
        guard
            !inventory.damagedFrames.isEmpty
                || inventory.findings.contains(where: {
                    $0.kind == .chunkMismatch
                })
        else { return }
        var number = 0
        for position in inventory.table.copies.indices {
            let copy = inventory.table.copies[position]
            if copy.name != inventory.table.copies[number].name { number = position }
            if lost[copy.name] == true { continue }
            guard inventory.table.marks[number].contains(.live), !inventory.isIntact(copy)
            else { continue }
            let record = Int(copy.record)
            let place = Problem.Place.frame(
                inventory.packID(of: record), offset: inventory.records[record].offset,
                frame: copy.frame)
            for kind in [Problem.Kind.frameDamaged, .chunkMismatch] {
                if let problem = book.number(of: kind, place) { book.raise(problem, to: .damage) }
            }
        }
    }

    private func countChunks() {
        let table = inventory.table
        summary.chunkCopies = UInt64(table.copies.count)
        var number = 0
        while number < table.copies.count {
            let range = table.range(of: number)
            let copy = table.copies[number]
            summary.chunks += 1
            summary.chunkBytes += UInt64(copy.rawBytes)
            if !table.marks[number].contains(.live) {
                summary.unownedChunks += 1
                summary.unownedBytes += UInt64(copy.rawBytes)
            } else if copy.domain.isMetadata, inventory.parameters.metadataCopies > 1 {
                let intact = range.map { table.copies[$0] }.filter { inventory.isIntact($0) }
                let packs = Set(intact.map { inventory.records[Int($0.record)].pack })
                if packs.count < 2 { summary.singleCopyNodes += 1 }
            }
            number = range.upperBound
        }
    }
}
