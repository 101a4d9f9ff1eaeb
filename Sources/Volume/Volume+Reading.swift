// Bytes out of the layers of a file.
import DiskFormat
import FileModel
import Folding
import Trees
import WriteBuffers

extension Volume {
    /// Fetched ahead of a sequential reader, in bytes.
    static let readAheadBytes: UInt64 = 4 << 20

    public func read(
        _ inode: InodeNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        let (node, content) = try content(of: inode)
        noteAccess(node)
        // What a fold replaces while it is being read may be read again, but not for ever.
        for _ in 0..<Volume.readAttemptsMax {
            let plan = plan(content, at: offset, into: buffer)
            guard plan.count > 0 else { return 0 }
            do throws(FileError) {
                try fill(buffer, plan, at: offset, content)
                readAhead(content, plan)
                return plan.count
            } catch {
                let isSame = content.state.withLock { $0.stored.key == plan.stored.key }
                if isSame { throw error }
            }
        }
        throw .io
    }

    private static let readAttemptsMax = 4

    /// What a read has to fetch from the store, after everything buffered has been copied.
    private struct ReadPlan {
        var count = 0
        /// Ranges of the file that are not buffered.
        var gaps: [Range<UInt64>] = []
        var stored: StoredContent
        var cursor: RecipeCursor?
        /// To be fetched ahead; empty for others than sequential readers.
        var ahead: Range<UInt64> = 0..<0
    }

    private func plan(
        _ content: FileContent, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) -> ReadPlan {
        content.state.withLock { state in
            var plan = ReadPlan(stored: state.stored)
            guard offset < state.size else { return plan }
            plan.count = Int(min(UInt64(buffer.count), state.size - offset))
            let range = offset..<offset + UInt64(plan.count)
            plan.gaps = [range]
            if !state.active.isEmpty {
                plan.gaps = Layers.copy(state.active, plan.gaps, into: buffer, at: offset)
            }
            if let frozen = state.frozen {
                plan.gaps = Layers.copy(frozen.ranges, plan.gaps, into: buffer, at: offset)
            }
            plan.cursor = state.cursor.take()
            if offset == state.readEnd, offset > 0 || UInt64(buffer.count) < state.size {
                let wanted = min(state.size, range.upperBound + Volume.readAheadBytes)
                let from = max(state.fetchedEnd, range.upperBound)
                // In big steps, so that most reads ask for nothing.
                if wanted > from, wanted - from >= Volume.readAheadBytes / 2 || wanted == state.size
                {
                    plan.ahead = from..<wanted
                    state.fetchedEnd = wanted
                }
            } else {
                state.fetchedEnd = 0
            }
            state.readEnd = range.upperBound
            return plan
        }
    }

    private func fill(
        _ buffer: UnsafeMutableRawBufferPointer, _ plan: ReadPlan, at offset: UInt64,
        _ content: FileContent
    ) throws(FileError) {
        guard !plan.gaps.isEmpty else { return }
        let access = StoreAccess(store)
        let cursor = plan.cursor ?? RecipeCursor()
        let reader = ContentReader(store: access, cursor: cursor)
        do throws(TreeError) {
            for gap in plan.gaps {
                let start = Int(gap.lowerBound - offset)
                let part = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[start..<start + gap.count])
                try reader.read(of: plan.stored, at: gap.lowerBound, into: part)
            }
        } catch {
            throw access.fileError(error)
        }
        content.state.withLock { state in
            if state.cursor == nil, state.stored.key == plan.stored.key { state.cursor = cursor }
        }
    }

    /// Asks for the chunks that a sequential reader will want next. Only a hint: errors are met
    /// again, and told, when the bytes are read.
    private func readAhead(_ content: FileContent, _ plan: ReadPlan) {
        guard !plan.ahead.isEmpty, case .recipe = plan.stored.key else { return }
        let reader = ContentReader(store: StoreAccess(store), cursor: RecipeCursor())
        var names: [ChunkName] = []
        try? reader.forEachSegment(of: plan.stored, in: plan.ahead) { _, segment in
            if case .data(let name, _, _) = segment { names.append(name) }
            return true
        }
        store.prefetch(names)
    }

    // MARK: seeking

    public func seek(
        _ inode: InodeNumber, _ target: SeekTarget, from offset: UInt64
    ) throws(FileError) -> UInt64 {
        let (node, content) = try content(of: inode)
        let size = content.state.withLock { $0.size }
        guard offset < size else { throw .noSuchPosition }
        let stored = try fold(node, content)
        let access = StoreAccess(store)
        let reader = ContentReader(store: access, cursor: RecipeCursor())
        do throws(TreeError) {
            switch target {
            case .data:
                guard let found = try reader.nextData(of: stored, from: offset, size: size) else {
                    throw TreeError.badEdit
                }
                return found
            case .hole:
                return try reader.nextHole(of: stored, from: offset, size: size) ?? size
            }
        } catch {
            if error == .badEdit { throw .noSuchPosition }
            throw access.fileError(error)
        }
    }
}

/// How one layer covers another.
enum Layers {
    /// Copies what `ranges` have of `gaps` to its place in `buffer`, which begins at byte `offset`
    /// of the file; holes and zeros as zero bytes. Returns what remains to be found below.
    static func copy(
        _ ranges: borrowing DirtyRanges, _ gaps: [Range<UInt64>],
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) -> [Range<UInt64>] {
        var rest: [Range<UInt64>] = []
        for gap in gaps {
            var position = gap.lowerBound
            ranges.forEach(in: gap) { range, piece in
                if position < range.lowerBound { rest.append(position..<range.lowerBound) }
                position = range.upperBound
                let start = Int(range.lowerBound - offset)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[start..<start + range.count])
                switch piece {
                case .bytes(let bytes): target.copyMemory(from: bytes)
                case .hole, .zeros: target.initializeMemory(as: UInt8.self, repeating: 0)
                }
            }
            if position < gap.upperBound { rest.append(position..<gap.upperBound) }
        }
        return rest
    }
}
