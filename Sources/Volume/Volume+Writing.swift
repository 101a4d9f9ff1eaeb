// Bytes into the upper layer of a file.
import DiskFormat
import FileModel
import Folding
import Platform
import Trees

extension Volume {
    /// Largest size of a file, in bytes: that of a signed 64-bit offset.
    static let fileBytesMax = UInt64(Int64.max)

    public func write(
        _ inode: InodeNumber, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
        dropsPrivilegeBits: Bool
    ) throws(FileError) {
        try checkWritable()
        guard offset <= Volume.fileBytesMax - UInt64(bytes.count) else { throw .fileTooBig }
        guard !bytes.isEmpty else { return }
        try committer.reserve(bytes.count)
        try drains.waitForRoom()
        let (node, content) = try content(of: inode)
        let end = offset + UInt64(bytes.count)
        let outcome = content.state.withLock { state -> Written in
            let before = state.size
            state.active.write(bytes, at: offset)
            state.size = max(before, end)
            let dropped = noteWritten(
                node, from: offset, to: end, sizeBefore: before, dropsPrivilegeBits)
            var outcome = written(&state)
            outcome.droppedPrivilege = dropped
            return outcome
        }
        settle(outcome, node, content)
    }

    /// What is to be done after a change, outside the content lock.
    private struct Written {
        var change: Int
        var queues: Bool
        var foldsNow: Bool
        var reducesLater = false
        /// Setuid or setgid is gone: the kernel, which caches the mode, has to be told.
        var droppedPrivilege = false
    }

    private func written(_ state: inout FileContent.State) -> Written {
        let change = state.account()
        let queues = !state.isQueued
        state.isQueued = true
        var foldsNow =
            state.active.byteCount > DrainQueue.fileBytesMax && !state.isFolding
        var reducesLater = false
        if state.stored.pieces.count > options.piecesKept, !state.isReducing {
            if isQuiet(state) {
                state.isReducing = true
                foldsNow = true
            } else if !state.isReducingLater {
                state.isReducingLater = true
                reducesLater = true
            }
        }
        return Written(
            change: change, queues: queues, foldsNow: foldsNow, reducesLater: reducesLater)
    }

    private func settle(_ outcome: Written, _ node: Node, _ content: FileContent) {
        if outcome.droppedPrivilege { tellAttributesChanged(node.inode) }
        drains.account(outcome.change)
        if outcome.queues {
            drains.add(node, content, of: self)
        } else {
            drains.pump()
        }
        if outcome.foldsNow { drains.foldNow(node, content, of: self) }
        if outcome.reducesLater { reduceLater(node, content) }
    }

    /// Times, size and allocation after a write; under the content lock. Returns whether setuid or
    /// setgid was dropped.
    private func noteWritten(
        _ node: Node, from offset: UInt64, to end: UInt64, sizeBefore: UInt64,
        _ dropsPrivilegeBits: Bool
    ) -> Bool {
        let now = Volume.now()
        return namespace.withLock { space in
            node.image.modificationTime = now
            node.image.changeTime = now
            let dropped = dropsPrivilegeBits && dropPrivilege(node)
            let hasHoles = node.image.allocatedBytes < sizeBefore
            if hasHoles, offset < sizeBefore { node.allocatedIsStale = true }
            if end > sizeBefore {
                node.image.size = end
                node.image.allocatedBytes += end - max(offset, sizeBefore)
            }
            space.markDirty(node)
            return dropped
        }
    }

    /// As the kernel does when somebody else than root writes: setuid goes, and setgid where the
    /// group may execute. Returns whether one of them was there.
    @discardableResult
    func dropPrivilege(_ node: Node) -> Bool {
        let before = node.image.mode
        node.image.mode &= ~0o4000
        if before & 0o010 != 0 { node.image.mode &= ~0o2000 }
        return node.image.mode != before
    }

    /// The same before content is changed by something else than a write: FALLOCATE and
    /// COPY_FILE_RANGE have no flag by which the kernel would ask for it. Setgid without execution
    /// for the group goes as well, where the caller is not of the group (Linux 6.2); that he is by
    /// a supplementary group is not known here.
    private func dropPrivilege(
        of inode: InodeNumber, changedBy caller: Caller
    ) throws(FileError) {
        guard caller.user != 0 else { return }
        let dropped = try withNode(inode) { (space, node) throws(FileError) -> Bool in
            let before = node.image.mode
            dropPrivilege(node)
            if node.image.group != caller.group { node.image.mode &= ~0o2000 }
            guard node.image.mode != before else { return false }
            node.image.changeTime = Volume.now()
            space.markDirty(node)
            return true
        }
        if dropped { tellAttributesChanged(inode) }
    }

    /// What the kernel still believed of the mode would be what execve(2) goes by. Under no lock.
    private func tellAttributesChanged(_ inode: InodeNumber) {
        notifier.withLock { $0 }?.invalidateInode(inode, range: 0..<0)
    }

    /// Sets the size of a regular file.
    func resize(_ inode: InodeNumber, to newSize: UInt64) throws(FileError) {
        guard newSize <= Volume.fileBytesMax else { throw .fileTooBig }
        let (node, content) = try content(of: inode)
        let outcome = content.state.withLock { state -> Written in
            let before = state.size
            state.resize(to: newSize)
            let now = Volume.now()
            namespace.withLock { space in
                let hadHoles = node.image.allocatedBytes < before
                node.image.size = newSize
                node.image.modificationTime = now
                node.image.changeTime = now
                if newSize < before {
                    if newSize == 0 {
                        node.image.allocatedBytes = 0
                        node.allocatedIsStale = false
                    } else if hadHoles {
                        node.allocatedIsStale = true
                    } else {
                        node.image.allocatedBytes = newSize
                    }
                }
                space.markDirty(node)
            }
            return written(&state)
        }
        settle(outcome, node, content)
    }

    // MARK: allocation

    public func allocate(
        _ inode: InodeNumber, mode: AllocateMode, at offset: UInt64, length: UInt64,
        caller: Caller
    ) throws(FileError) {
        try checkWritable()
        guard length > 0 else { throw .invalid }
        guard offset <= Volume.fileBytesMax, length <= Volume.fileBytesMax - offset else {
            throw .fileTooBig
        }
        let range = offset..<offset + length
        let keepsSize = mode.contains(.keepSize)
        let kind = mode.subtracting(.keepSize)
        guard [[], .zeroRange].contains(kind) || kind == .punchHole && keepsSize else {
            throw .notSupported
        }
        try dropPrivilege(of: inode, changedBy: caller)
        switch kind {
        case .punchHole:
            try clear(inode, range, keepsSize: true) { $0.active.clear($1, as: .hole) }
        case .zeroRange:
            try clear(inode, range, keepsSize: keepsSize) { $0.active.clear($1, as: .zeros) }
        default:
            try reserveRange(inode, range, keepsSize: keepsSize)
        }
    }

    /// Lays holes or zeros over a range, as far as the file reaches, or makes it reach.
    private func clear(
        _ inode: InodeNumber, _ range: Range<UInt64>, keepsSize: Bool,
        _ lay: (inout FileContent.State, Range<UInt64>) -> Void
    ) throws(FileError) {
        let (node, content) = try content(of: inode)
        let outcome = content.state.withLock { state -> Written? in
            let size = keepsSize ? state.size : max(state.size, range.upperBound)
            let end = min(range.upperBound, size)
            guard range.lowerBound < end else { return nil }
            state.size = size
            lay(&state, range.lowerBound..<end)
            noteCleared(node, size: size)
            return written(&state)
        }
        if let outcome { settle(outcome, node, content) }
    }

    private func noteCleared(_ node: Node, size: UInt64) {
        let now = Volume.now()
        namespace.withLock { space in
            node.image.size = size
            node.image.modificationTime = now
            node.image.changeTime = now
            node.allocatedIsStale = true
            space.markDirty(node)
        }
    }

    /// What is a hole in the range becomes allocated zeros. Beyond the end of a file nothing can be
    /// allocated: space is not promised by place, but by the reserve.
    private func reserveRange(
        _ inode: InodeNumber, _ range: Range<UInt64>, keepsSize: Bool
    ) throws(FileError) {
        try committer.reserve(0)
        let (node, content) = try content(of: inode)
        while true {
            let stored = try fold(node, content)
            let size = content.state.withLock { $0.size }
            let end = keepsSize ? min(range.upperBound, size) : range.upperBound
            let behindEnd = range.upperBound - min(range.upperBound, max(size, range.lowerBound))
            guard range.lowerBound < end else {
                try checkRoom(for: behindEnd)
                return
            }
            let holes = try holes(of: stored, in: range.lowerBound..<end)
            let inside = holes.reduce(0) { $0 + UInt64($1.clamped(to: 0..<size).count) }
            try checkRoom(for: inside + behindEnd)
            let outcome = content.state.withLock { state -> Written? in
                // What was a hole may have been written and folded meanwhile.
                guard state.stored.key == stored.key, state.stored.pieces == stored.pieces,
                    state.frozen == nil
                else { return nil }
                let grown = keepsSize ? state.size : max(state.size, end)
                state.size = grown
                for hole in holes { state.clearUnlessWritten(hole) }
                noteCleared(node, size: grown)
                return written(&state)
            }
            guard let outcome else { continue }
            settle(outcome, node, content)
            return
        }
    }

    /// Who allocates more than there is wants to be told (posix_fallocate(3)), though zeros take no
    /// room: what he is going to write will.
    private func checkRoom(for byteCount: UInt64) throws(FileError) {
        guard byteCount > 0 else { return }
        guard try byteCount <= usage().availableBytes else { throw .noSpace }
    }

    private func holes(
        of stored: StoredContent, in range: Range<UInt64>
    ) throws(FileError) -> [Range<UInt64>] {
        var holes: [Range<UInt64>] = []
        let access = StoreAccess(store)
        do throws(TreeError) {
            try ContentReader(store: access, cursor: RecipeCursor()).forEachSegment(
                of: stored, in: range
            ) { part, segment in
                if case .hole = segment { holes.append(part) }
                return true
            }
        } catch {
            throw access.fileError(error)
        }
        return holes
    }

    // MARK: copying

    /// Most bytes that one call copies one by one.
    private static let copyBytesMax: UInt64 = 64 << 20

    public func copyRange(
        from source: InodeNumber, at offset: UInt64, to target: InodeNumber,
        at targetOffset: UInt64, length: UInt64, caller: Caller
    ) throws(FileError) -> UInt64 {
        try checkWritable()
        let (from, content) = try content(of: source)
        let size = content.state.withLock { $0.size }
        guard offset < size else { return 0 }
        let count = min(length, size - offset)
        guard targetOffset <= Volume.fileBytesMax - count else { throw .fileTooBig }
        if source == target {
            guard max(offset, targetOffset) - min(offset, targetOffset) >= count else {
                throw .invalid
            }
        }
        try dropPrivilege(of: target, changedBy: caller)
        if source != target, offset == 0, targetOffset == 0, count == size,
            try copyKey(of: from, content, to: target, size: size)
        {
            return count
        }
        var done: UInt64 = 0
        let buffer = BufferPool(capacityBytes: 1 << 20, keptBytesMax: 0).take()
        while done < min(count, Volume.copyBytesMax) {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: buffer.mutableBytes[
                    ..<Int(min(UInt64(buffer.capacityBytes), count - done))])
            let got = try read(source, at: offset + done, into: part)
            guard got > 0 else { break }
            try write(
                target, at: targetOffset + done, UnsafeRawBufferPointer(rebasing: part[..<got]),
                dropsPrivilegeBits: false)
            done += UInt64(got)
        }
        return done
    }

    /// Copies a whole file by its key to one that is not longer; false where that is not possible.
    private func copyKey(
        of source: Node, _ content: FileContent, to target: InodeNumber, size: UInt64
    ) throws(FileError) -> Bool {
        var stored = try fold(source, content)
        if !stored.pieces.isEmpty {
            // A key says nothing of them.
            let result = try fold(content.beginFoldOfPieces(), content, mode: .complete)
            noteAllocation(source, content, result.content)
            stored = result.content
        }
        guard stored.pieces.isEmpty, stored.size == size else { return false }
        let (node, into) = try self.content(of: target)
        let allocated = namespace.withLock { _ in
            source.allocatedIsStale ? nil : source.image.allocatedBytes
        }
        return into.state.wait(until: { !$0.isFolding }) { state in
            guard state.size <= size else { return false }
            state.active.removeAll()
            state.mustRestate = state.mustRestate || !state.stored.pieces.isEmpty
            state.stored = stored
            state.size = size
            state.cursor = nil
            drains.account(state.account())
            let now = Volume.now()
            namespace.withLock { space in
                node.image.size = size
                node.image.allocatedBytes = allocated ?? 0
                node.allocatedIsStale = allocated == nil
                node.image.modificationTime = now
                node.image.changeTime = now
                space.markDirty(node)
            }
            return true
        }
    }

    // MARK: durability

    public func synchronize(_ inode: InodeNumber, dataOnly: Bool) throws(FileError) {
        // What another file lacks is not this one's fault.
        _ = try committer.commit()
        let content = namespace.withLock { $0.nodes[inode]?.content }
        if let failure = content?.state.withLock({ $0.failure }) { throw failure }
    }

    public func synchronizeAll() throws(FileError) {
        if let leftOut = try committer.commit() { throw leftOut }
    }
}
