// Commits: what was laid and what a draft says become durable, then the index learns of it.
import ChunkIndex
import Compression
import DiskFormat
import Metadata
import NamespaceIndex
import Packs
import Platform
import SuperChunks

/// A commit's record that was appended, and what has to be made durable with it.
private struct AppendedCommit {
    var commit: Commit
    var hash: ChunkName
    var position: LogPosition
    var generation: UInt64
    var writer: PackWriter
    /// The open pack of second copies, where it has some that this commit vouches for.
    var copies: PackWriter?
    /// Full packs: their ends are synchronised and sealed.
    var retired: [PackWriter]
    var copied: [NewChunk]
}

extension ChunkStore {
    /// Commits shorter than this are not compressed: their latency counts, not their size.
    static let compressedCommitBytesMin = 4096

    /// Makes a draft durable, with all chunks that were put before the call. One commit at a time;
    /// others wait. When it returns the index holds the commit.
    ///
    /// Throws `noSpace` when nothing was committed and the store goes on: the draft may be committed
    /// later, or another that frees space before. Every other error of writing ends writing for good:
    /// whether the draft is durable is only known after the store was opened anew.
    public func commit(_ draft: CommitDraft) throws(StoreError) -> CommitReceipt {
        try committing.withLock { (committing) throws(StoreError) in
            try checkWritable()
            let condemned =
                draft.isCheckpoint
                ? try chooseCondemned(committing.state, notNamedBy: draft)
                : Condemned(chunks: [], packs: [])
            do throws(StoreError) {
                let receipt = try commit(draft, condemned, &committing)
                dropCondemned()
                return receipt
            } catch {
                keepCondemned(condemned)
                if error.isNoSpace, failure == nil { throw .noSpace }
                if case .commitTooLong = error { throw error }
                if case .tooManySnapshots = error { throw error }
                fail(error)
                throw error
            }
        }
    }

    private func commit(
        _ draft: CommitDraft, _ condemned: Condemned, _ committing: inout CommittingState
    ) throws(StoreError) -> CommitReceipt {
        if committing.hasLoaded {
            try index.makeDurable()
            committing.hasLoaded = false
        }
        try layDownEverything()
        try checkNothingStuck(draft)
        CrashPoint.chunksLaid.pass()
        if draft.isCheckpoint {
            try copyMetadata()
            CrashPoint.metadataCopied.pass()
        }
        let commit = try makeCommit(draft, condemned, committing)
        let appended = try appending.withLock { (appending) throws(StoreError) in
            try append(commit, isCheckpoint: draft.isCheckpoint, &appending)
        }
        CrashPoint.commitAppended.pass()
        do throws(StoreError) {
            committing.sealed += try makeDurable(appended)
            CrashPoint.commitDurable.pass()
            if !condemned.chunks.isEmpty { CrashPoint.chunksCondemned.pass() }
            if !condemned.packs.isEmpty { CrashPoint.packsCondemned.pass() }
            try tellIndex(appended, &committing)
            CrashPoint.commitIndexed.pass()
            if draft.isCheckpoint { try deleteCondemned(&committing) }
        } catch {
            // The record is in the pack, durable or not: no error from here on leaves things as they
            // were, not even want of space.
            fail(error)
            throw error
        }
        return CommitReceipt(
            sequence: appended.commit.sequence, isCheckpoint: appended.commit.isCheckpoint)
    }

    // MARK: everything appended

    /// Closes the open super-chunks on this thread, and waits for those that workers are closing.
    private func layDownEverything() throws(StoreError) {
        let (own, awaited) = laying.withLock { state in
            let awaited = state.closing
            var own = state.stuck
            state.stuck = []
            for use in SuperChunkUse.allCases {
                if let builder = state.builders.removeValue(forKey: use), !builder.isEmpty {
                    own.append(builder)
                }
            }
            for builder in own { state.closing.insert(ObjectIdentifier(builder)) }
            return (own, awaited)
        }
        for builder in own { layDown(builder) }
        laying.wait { $0.closing.isDisjoint(with: awaited) || $0.failure != nil }
        try checkWritable()
    }

    /// Where space lacked for some super-chunks, only drafts that name none of their chunks go on:
    /// those that delete.
    private func checkNothingStuck(_ draft: CommitDraft) throws(StoreError) {
        let isStuck = laying.withLock { !$0.stuck.isEmpty }
        guard isStuck else { return }
        let names = draft.namedChunks
        let isNamed = laying.withLock { state in
            var next = names
            var seen: Set<ChunkName> = []
            while let name = next.popLast() {
                if state.open[name] != nil { return true }
                guard seen.insert(name).inserted, let fresh = state.fresh[name] else { continue }
                next.append(contentsOf: fresh.children)
            }
            return false
        }
        if isNamed { throw .noSpace }
    }

    // MARK: the record

    /// The commit but for its spans.
    private func makeCommit(
        _ draft: CommitDraft, _ condemned: Condemned, _ committing: CommittingState
    ) throws(StoreError) -> Commit {
        let state = committing.state
        var commit = Commit(
            epoch: state.epoch, sequence: state.sequence + 1, previous: state.hash,
            time: draft.time)
        var missing = committing.volumes
        for draft in draft.volumes {
            var changes = draft
            let known = committing.volumes.first { $0.value.volumeID == draft.volumeID }
            precondition(
                draft.beginning == nil || known == nil, "only a new volume begins as a snapshot")
            if let known { missing[known.key] = nil }
            changes.epoch = known?.value.epoch ?? 1
            changes.sequence = (known?.value.sequence ?? 0) + 1
            commit.volumes.append(changes)
        }
        commit.nodeCounts = draft.nodeCounts.filter { $0.change != 0 }
        commit.lostChunks = try lostChunks(draft, condemned)
        if let above = draft.newEpochAbove {
            precondition(draft.isCheckpoint, "an epoch begins with a checkpoint")
            commit.epoch = max(commit.epoch, above.epoch) + 1
            commit.sequence = max(commit.sequence, above.sequence + 1)
        }
        try takeSnapshots(of: draft, into: &commit, committing.snapshots)
        commit.rules = Self.rules(of: draft, committing.volumes)
        guard draft.isCheckpoint else {
            precondition(
                !commit.volumes.contains { $0.isRemoved }, "volumes end with a checkpoint")
            return commit
        }
        precondition(
            commit.volumes.allSatisfy { ($0.root != nil) != $0.isRemoved },
            "a checkpoint has all roots")
        for (number, record) in missing.sorted(by: { $0.key < $1.key }) {
            var changes = VolumeChanges(
                volumeID: record.volumeID, volumeName: record.name, epoch: record.epoch,
                sequence: record.sequence + 1, nextInode: record.nextInode)
            changes.root = record.root
            // Its root knows nothing of pieces that could not be folded, and what the last checkpoint
            // said of them counts no more.
            changes.extents = try index.pieces(ofVolume: number)
            commit.volumes.append(changes)
        }
        commit.condemnedChunks = condemned.chunks
        commit.condemnedPacks = condemned.packs
        return commit
    }

    /// Encodes and appends the commit with the spans of all records before it. Nothing else can be
    /// appended in between.
    private func append(
        _ draft: Commit, isCheckpoint: Bool, _ appending: inout AppendingState
    ) throws(StoreError) -> AppendedCommit {
        var commit = draft
        commit.spans = appending.main.spans.map(\.encoded)
        if isCheckpoint {
            commit.spans += appending.copies.spans.map(\.encoded)
            commit.packs = try livingPacks(commit)
        }
        let raw = commit.encoded()
        guard raw.count <= DiskFormat.bodyBytesMax else { throw .commitTooLong(bytes: raw.count) }
        let hash = try raw.withUnsafeBufferPointer { (buffer) throws(StoreError) in
            try hashers.name(of: UnsafeRawBufferPointer(buffer), domain: .tree)
        }
        let place = try appendRecord(raw, &appending)
        let appended = AppendedCommit(
            commit: commit, hash: hash, position: place.position,
            generation: appending.generation, writer: place.writer,
            copies: isCheckpoint ? appending.copies.writer : nil,
            retired: appending.main.takeRetired()
                + (isCheckpoint ? appending.copies.takeRetired() : []),
            copied: isCheckpoint ? appending.copied : [])
        appending.generation += 1
        appending.main.dropSpans()
        if isCheckpoint {
            appending.copies.dropSpans()
            appending.copied = []
        }
        return appended
    }

    private func appendRecord(
        _ raw: [UInt8], _ appending: inout AppendingState
    ) throws(StoreError) -> (writer: PackWriter, position: LogPosition) {
        let stored = raw.count >= ChunkStore.compressedCommitBytesMin ? compressed(raw) : nil
        let body = stored ?? raw
        var attempts = 0
        while true {
            do throws(PackError) {
                let (writer, offset) = try body.withUnsafeBufferPointer {
                    (buffer) throws(PackError) in
                    let bytes = UnsafeRawBufferPointer(buffer)
                    return try appending.main.appendAlone(
                        PendingRecord(
                            kind: .commit, codec: stored == nil ? 0 : 1, parts: [bytes],
                            rawBytes: UInt32(raw.count), checksum: BodyChecksum(of: bytes)))
                }
                let bytes = DiskFormat.aligned(UInt64(RecordHeader.byteCount + body.count))
                return (
                    writer, LogPosition(pack: writer.id, offset: offset, end: offset + bytes)
                )
            } catch {
                // What was cut back has left some room: enough perhaps for a commit in a new pack.
                attempts += 1
                guard case .backend(.noSpace, _) = error, attempts < 2 else {
                    throw .pack(error)
                }
            }
        }
    }

    private func compressed(_ raw: [UInt8]) -> [UInt8]? {
        var target = [UInt8](repeating: 0, count: raw.count - 1)
        let count = raw.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { codec.compress(source, into: $0) }
        }
        guard let count, count < raw.count else { return nil }
        target.removeSubrange(count...)
        return target
    }

    // MARK: durable, then the index

    /// Synchronises all that the commit vouches for. Returns the packs that were sealed on the way.
    private func makeDurable(_ appended: AppendedCommit) throws(StoreError) -> [PackID] {
        var sealed: [PackID] = []
        for writer in appended.retired {
            if try seal(writer) { sealed.append(writer.id) }
            CrashPoint.packSealed.pass()
        }
        try synchronize(appended.writer, upTo: appended.position.end)
        if let copies = appended.copies {
            CrashPoint.checkpointHalfDurable.pass()
            try synchronize(copies, upTo: appended.commit.spans.end(of: copies.id))
        }
        return sealed
    }

    private func synchronize(_ writer: PackWriter, upTo end: UInt64) throws(StoreError) {
        do throws(PackError) {
            try writer.synchronize()
        } catch {
            // Another thread's append may have failed for want of space meanwhile: the pack was then
            // cut back, and made durable, behind what counts here.
            let isSafe = appending.withLock { appending in
                appending.main.isCutBack(writer.id, at: end)
                    || appending.copies.isCutBack(writer.id, at: end)
            }
            guard !isSafe else { return }
            noteUnsafe(writer)
            throw .pack(error)
        }
    }

    private func tellIndex(
        _ appended: AppendedCommit, _ committing: inout CommittingState
    ) throws(StoreError) {
        let (fresh, damaged, vacating) = laying.withLock { state in
            (
                state.fresh.filter { $0.value.generation <= appended.generation }, state.damaged,
                state.vacating
            )
        }
        var applied = AppliedCommit(
            commit: appended.commit, hash: appended.hash, position: appended.position)
        applied.news = fresh.map { name, chunk in
            NewChunk(
                name: name, rawBytes: chunk.rawBytes, domain: chunk.domain,
                places: chunk.places, children: chunk.children)
        }
        applied.copies = appended.copied
        applied.damaged = Array(damaged)
        applied.vacating = vacating
        applied.sealed = committing.sealed
        applied.deleted = committing.deleted
        var applier = CommitApplier(
            index: index, shelf: shelf, secret: parameters.secret, state: committing.state,
            volumes: committing.volumes, snapshots: committing.snapshots
        ) { [reader] (name, places) throws(StoreError) in
            try reader.children(of: name, at: places)
        }
        let upcoming = appending.withLock { $0.main.upcomingSequence }
        let batch = try applier.apply(applied) { $0.nextPackSequence = upcoming }
        try index.apply(batch)
        committing.state = applier.state
        committing.volumes = applier.volumes
        committing.snapshots = applier.snapshots
        committing.sealed = []
        committing.deleted = []
        published.withLock {
            $0 = Published(
                state: applier.state, volumes: applier.volumes, snapshots: applier.snapshots)
        }
        laying.withLock { state in
            for (name, chunk) in fresh where state.fresh[name]?.generation == chunk.generation {
                state.fresh[name] = nil
            }
            state.damaged.subtract(damaged)
            // One that ended meanwhile is for the next commit.
            if !vacating.isEmpty { state.vacating = Vacating() }
        }
    }
}

extension [PackSpan] {
    /// Where the last span of a pack ends; 0 where there is none.
    func end(of pack: PackID) -> UInt64 {
        reduce(0) { $1.pack == pack ? Swift.max($0, $1.range.upperBound) : $0 }
    }
}

extension CommitDraft {
    /// The chunks that it names itself.
    var namedChunks: [ChunkName] {
        var names = nodeCounts.filter { $0.change > 0 }.map(\.name)
        for case .put(let image) in snapshots { names.append(image.root) }
        for volume in volumes {
            if let root = volume.root { names.append(root) }
            for case .put(let image) in volume.inodes {
                names.append(contentsOf: OwnedChunk.of(image).map(\.name))
            }
            for extent in volume.extents {
                names.append(contentsOf: extent.pieces.compactMap(\.chunk))
            }
        }
        return names
    }
}
