// What a commit holds of a volume: cut, captured, and let go when it is in the index.
import DiskFormat
import FileModel
import Folding
import NamespaceIndex
import Platform
import Trees

/// What was changed when a generation ended.
final class Cut: @unchecked Sendable {
    let generation: UInt64
    /// Images as they were; contents are captured after the cut, and may be newer.
    let inodes: [(node: Node, image: InodeImage)]
    let gone: [UInt64]
    let names: [(directory: Node, name: [UInt8], change: NameChange)]
    let nextInode: UInt64
    /// The numbers that may be used once the commit is durable.
    let inodesReserved: UInt64

    init(
        generation: UInt64, inodes: [(node: Node, image: InodeImage)], gone: [UInt64],
        names: [(directory: Node, name: [UInt8], change: NameChange)], nextInode: UInt64,
        inodesReserved: UInt64
    ) {
        self.generation = generation
        self.inodes = inodes
        self.gone = gone
        self.names = names
        self.nextInode = nextInode
        self.inodesReserved = inodesReserved
    }

    var isEmpty: Bool { inodes.isEmpty && gone.isEmpty && names.isEmpty }
}

/// A volume's part of a commit, and what has to be known should the commit fail.
struct VolumeSection {
    var changes: VolumeChanges
    /// What the commit before said of the files' contents.
    var before: [(content: FileContent, committed: FileContent.Committed)] = []
    /// Files whose content the commit does not hold as of the cut.
    var unheld: Set<UInt64> = []
    /// Why, of one of them.
    var leftOut: FileError?
    /// Why there must be no such commit: a file was renamed or linked whose content cannot be stored.
    var failure: FileError?
}

extension Volume {
    /// Inode numbers that a commit makes usable before they are needed: what is lost of them in a
    /// crash is never used.
    static let inodesReservedAhead: UInt64 = 1 << 16
    /// Files captured by one job.
    static let captureBatchFiles = 64

    /// Ends the generation. Everything changed from now on belongs to the next commit.
    func cut() -> Cut {
        namespace.withLock { space in
            var inodes: [(node: Node, image: InodeImage)] = []
            inodes.reserveCapacity(space.dirtyNodes.count)
            for node in space.dirtyNodes where space.nodes[node.inode] === node {
                inodes.append((node, node.image))
            }
            var names: [(directory: Node, name: [UInt8], change: NameChange)] = []
            names.reserveCapacity(space.dirtyNames.count)
            for (directory, name) in space.dirtyNames {
                guard let dentry = directory.directory?.entries[name] else { continue }
                let target: NameChange.Target? =
                    dentry.isPresent
                    ? NameChange.Target(inode: dentry.inode, kind: dentry.kind) : nil
                let change = NameChange(
                    parent: directory.inode, name: name,
                    collision: DirectoryCookie.collision(of: dentry.cookie), target: target)
                names.append((directory, name, change))
            }
            let isShort = space.inodesReserved < space.nextInode + Volume.inodesReservedAhead / 2
            let reserved =
                isShort ? space.nextInode + Volume.inodesReservedAhead : space.inodesReserved
            let cut = Cut(
                generation: space.generation, inodes: inodes, gone: space.gone, names: names,
                nextInode: space.nextInode,
                inodesReserved: min(reserved, DiskFormat.inodeLimit))
            space.generation += 1
            space.dirtyNodes = []
            space.dirtyNames = []
            space.gone = []
            return cut
        }
    }

    /// Whether somebody waits for inode numbers, so that a commit is due for their sake. Commits that
    /// are made anyway take more before they run out.
    var needsInodes: Bool { namespace.withLock { $0.wantsInodes } }

    /// The commit's section: folds what the cut's files have buffered, on the workers.
    func section(of cut: Cut, foldsAll: Bool) -> VolumeSection {
        var changes = VolumeChanges(
            volumeID: volumeID, volumeName: name, epoch: 0, sequence: 0,
            nextInode: cut.inodesReserved)
        changes.names = cut.names.map(\.change)
        var section = VolumeSection(changes: changes)
        let captured = ConditionMutex<[Int: Captured]>([:])
        let withContent = namespace.withLock { _ in
            cut.inodes.indices.filter { cut.inodes[$0].node.content != nil }
        }
        var jobs: [@Sendable () -> Void] = []
        for start in stride(from: 0, to: withContent.count, by: Volume.captureBatchFiles) {
            let batch = withContent[
                start..<min(start + Volume.captureBatchFiles, withContent.count)]
            jobs.append { [self] in
                for index in batch {
                    let (node, image) = cut.inodes[index]
                    let result = capture(node, image, foldsAll: foldsAll)
                    captured.withLock { $0[index] = result }
                }
            }
        }
        drains.runAll(jobs)
        let results = captured.withLock { $0 }
        for (index, entry) in cut.inodes.enumerated() {
            if let result = results[index] {
                if let before = result.before {
                    section.before.append(before)
                } else {
                    section.unheld.insert(result.image.inode)
                }
                if let failure = result.leftOut {
                    section.leftOut = failure
                    if result.mustNotBe { section.failure = failure }
                }
                changes.inodes.append(.put(result.image))
                changes.extents.append(contentsOf: result.extents)
            } else {
                changes.inodes.append(.put(entry.image))
            }
        }
        for inode in cut.gone { changes.inodes.append(.gone(inode)) }
        section.changes = changes
        return section
    }

    /// A file as the commit holds it.
    private struct Captured: Sendable {
        var image: InodeImage
        var extents: [ExtentChange] = []
        /// nil where the content could not be stored.
        var before: (content: FileContent, committed: FileContent.Committed)?
        /// Why it could not.
        var leftOut: FileError?
        /// There must be no commit without the content.
        var mustNotBe = false
    }

    /// Folds a file and gives its image: names and owner as of the cut, content, size and times as
    /// of now.
    private func capture(_ node: Node, _ atCut: InodeImage, foldsAll: Bool) -> Captured {
        // Whoever is asked to capture has content.
        guard let content = namespace.withLock({ _ in node.content }) else {
            return Captured(image: atCut)
        }
        var image = atCut
        let begun = content.beginFold { _ in
            namespace.withLock { _ in
                (
                    node.image.size, node.image.modificationTime, node.image.changeTime,
                    node.image.allocatedBytes, node.allocatedIsStale
                )
            }
        }
        (image.size, image.modificationTime, image.changeTime, image.allocatedBytes, _) = begun.seen
        do throws(FileError) {
            let stored = try foldCaptured(node, content, begun.beginning, begun.stored, foldsAll)
            image.size = stored.size
            if let count = stored.allocatedBytes {
                image.allocatedBytes = count
            } else if begun.seen.4 {
                image.allocatedBytes = try allocatedBytes(of: stored.content)
            }
            image.content = stored.content.key
            return commitContent(node, content, image, stored.content)
        } catch {
            // What cannot be folded, beside damage or for want of space, may yet do as it is.
            if foldsAll { return capture(node, atCut, foldsAll: false) }
            return keepCommitted(node, content, atCut, error)
        }
    }

    private struct CapturedContent {
        var content: StoredContent

        init(_ content: StoredContent) {
            self.content = content
        }

        /// A complete fold ends where the file does.
        var size: UInt64 { content.size }
        /// Counted by whoever made the content; nil where it is not known.
        var allocatedBytes: UInt64? { content.allocatedBytes }
    }

    private func foldCaptured(
        _ node: Node, _ content: FileContent, _ beginning: FileContent.Beginning?,
        _ stored: StoredContent, _ foldsAll: Bool
    ) throws(FileError) -> CapturedContent {
        if let beginning {
            if !foldsAll, let laid = try layPieces(beginning, content) {
                noteAllocation(node, content, laid)
                return CapturedContent(laid)
            }
            let result = try fold(beginning, content, mode: .complete)
            noteAllocation(node, content, result.content)
            return CapturedContent(result.content)
        }
        guard foldsAll, !stored.pieces.isEmpty else { return CapturedContent(stored) }
        // Only pieces: laid over nothing new, they are folded all the same.
        let pieced = content.beginFoldOfPieces()
        let result = try fold(pieced, content, mode: .complete)
        noteAllocation(node, content, result.content)
        return CapturedContent(result.content)
    }

    private func allocatedBytes(of stored: StoredContent) throws(FileError) -> UInt64 {
        let access = StoreAccess(store)
        do throws(TreeError) {
            return try ContentReader(store: access, cursor: RecipeCursor())
                .allocatedBytes(of: stored, in: 0..<stored.size)
        } catch {
            throw access.fileError(error)
        }
    }

    /// Says what the commit will know of the content, and which pieces it has to be told.
    private func commitContent(
        _ node: Node, _ content: FileContent, _ image: InodeImage, _ stored: StoredContent
    ) -> Captured {
        content.state.withLock { state in
            state.failure = nil
            let before = state.committed
            state.committed = FileContent.Committed(
                key: stored.key, size: image.size, allocatedBytes: image.allocatedBytes,
                hasPieces: !stored.pieces.isEmpty)
            state.committedNanoseconds = monotonicNanoseconds()
            let ranges = state.piecedRanges
            let restates = state.mustRestate
            // Folded once more meanwhile: the next commit says it again, as it is then.
            if state.stored.key == stored.key, state.stored.pieces == stored.pieces {
                state.piecedRanges = []
                state.mustRestate = false
            }
            var captured = Captured(image: image, before: (content, before))
            guard restates || before.hasPieces || !stored.pieces.isEmpty else { return captured }
            if restates || stored.pieces.isEmpty {
                let all = ExtentChange(
                    inode: node.inode, range: 0..<ExtentChange.endOfFile, pieces: stored.pieces)
                captured.extents = [all]
                return captured
            }
            captured.extents = Pieces.joined(ranges).map { range in
                ExtentChange(
                    inode: node.inode, range: range,
                    pieces: Pieces.clip(stored.pieces, to: range))
            }
            return captured
        }
    }

    /// What was written cannot be stored now: the commit keeps the content that the last one had,
    /// and the file stays dirty. Only that a file that was renamed or linked since must not come
    /// without its content (DESIGN 3.3): then there is no commit, unless the reason is damage, which
    /// would stay.
    private func keepCommitted(
        _ node: Node, _ content: FileContent, _ atCut: InodeImage, _ failure: FileError
    ) -> Captured {
        var image = atCut
        content.state.withLock { state in
            state.failure = failure
            image.content = state.committed.key
            image.size = state.committed.size
            image.allocatedBytes = state.committed.allocatedBytes
        }
        let isMoved = namespace.withLock { space in
            space.markDirty(node)
            return node.movedGeneration > node.heldGeneration
        }
        return Captured(
            image: image, leftOut: failure, mustNotBe: isMoved && failure != .damaged)
    }

    /// Nothing was changed in the generation: there is nothing to wait for.
    func settleEmpty(_ cut: Cut) {
        namespace.withLock { space in
            space.appliedGeneration = max(space.appliedGeneration, cut.generation)
        }
    }

    /// The commit is in the index: what it held need not be kept.
    func settle(_ cut: Cut, _ section: VolumeSection) {
        namespace.withLock { space in
            space.appliedGeneration = max(space.appliedGeneration, cut.generation)
            space.inodesReserved = max(space.inodesReserved, cut.inodesReserved)
            space.wantsInodes = false
            // Who has read the index before this commit, and not looked at the memory since, must
            // not bring back what the memory is now allowed to forget.
            space.forgettings += 1
            for inode in cut.gone { space.unappliedGone.remove(inode) }
            for (node, _) in cut.inodes where !section.unheld.contains(node.inode) {
                node.heldGeneration = cut.generation
            }
            for (directory, name, _) in cut.names {
                guard let cache = directory.directory else { continue }
                cache.dirtyCount -= 1
                guard let dentry = cache.entries[name], !dentry.isPresent,
                    dentry.generation <= cut.generation
                else { continue }
                // The index has no such name any more: nothing is to be remembered of it.
                cache.remove(name)
            }
            space.changed.add(section.changes)
            space.boundNames(nodesLimit)
        }
    }

    /// The commit has failed: everything it held belongs to the next one.
    func reinstate(_ cut: Cut, _ section: VolumeSection) {
        for (content, committed) in section.before {
            content.state.withLock { state in
                state.committed = committed
                state.mustRestate = true
            }
        }
        namespace.withLock { space in
            for (node, _) in cut.inodes where space.nodes[node.inode] === node {
                space.markDirty(node)
            }
            for (directory, name, _) in cut.names {
                guard let cache = directory.directory, let dentry = cache.entries[name] else {
                    continue
                }
                cache.dirtyCount -= 1
                if dentry.generation <= cut.generation {
                    space.setName(name, in: directory, dentry)
                }
            }
            space.gone.append(contentsOf: cut.gone)
        }
    }
}
