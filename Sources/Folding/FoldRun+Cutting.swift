import Chunking
import DiskFormat
import Trees

/// Where bytes of the new content come from.
enum FoldSource {
    case patch
    case stored(ChunkName, chunkBytes: UInt32, offset: UInt32)
    case hole
    case zeros
}

extension FoldRun {
    /// What byte `offset` of the new content is, and where that ends.
    func source(at offset: UInt64) throws(TreeError) -> (end: UInt64, source: FoldSource) {
        let index = patches.firstIndex(from: 0) { $0.range.upperBound > offset }
        var limit = newSize
        if index < patches.count {
            let patch = patches[index]
            if patch.range.lowerBound <= offset {
                let end = min(limit, patch.range.upperBound)
                switch patch.kind {
                case .bytes: return (end, .patch)
                case .hole: return (end, .hole)
                case .zeros: return (end, .zeros)
                }
            }
            limit = min(limit, patch.range.lowerBound)
        }
        let (range, segment) = try reader.segment(of: content, at: offset)
        let end = min(limit, range.upperBound)
        switch segment {
        case .data(let name, let chunkBytes, let within):
            return (end, .stored(name, chunkBytes: chunkBytes, offset: within))
        case .hole: return (end, .hole)
        case .zeros: return (end, .zeros)
        }
    }

    /// Cuts from `cutEnd` on until old and new cuts meet, or to the end.
    mutating func cutRegion() throws(TreeError) -> RegionEnd {
        while true {
            if pendingBytes == window.count, try cutWindow(isEnd: false) { return .met(cutEnd) }
            let position = cutEnd + UInt64(pendingBytes)
            guard position < newSize else { return try endFile() }
            let (end, source) = try source(at: position)
            let hasMet: Bool
            switch source {
            case .hole: hasMet = try takeHole(to: end)
            case .zeros: hasMet = try takeZeros(to: end)
            case .patch:
                let target = room(for: end - position)
                try bytes.copy(position..<position + UInt64(target.count), into: target)
                pendingBytes += target.count
                hasMet = false
            case .stored(let name, let chunkBytes, let offset):
                hasMet = try takeStored(name, chunkBytes, from: offset, to: end)
            }
            if hasMet { return .met(cutEnd) }
        }
    }

    /// The window's free part, at most `byteCount` of it.
    private func room(for byteCount: UInt64) -> UnsafeMutableRawBufferPointer {
        let free = window.count - pendingBytes
        let count = byteCount < UInt64(free) ? Int(byteCount) : free
        return UnsafeMutableRawBufferPointer(
            rebasing: window[pendingBytes..<pendingBytes + count])
    }

    /// Reads stored bytes; cuts at once where old and new cuts may meet.
    private mutating func takeStored(
        _ name: ChunkName, _ chunkBytes: UInt32, from offset: UInt32, to end: UInt64
    ) throws(TreeError) -> Bool {
        let position = cutEnd + UInt64(pendingBytes)
        let target = room(for: end - position)
        try reader.store.readData(name, from: Int(offset), into: target)
        pendingBytes += target.count
        dataBytesRead += UInt64(target.count)

        let next = changes.firstIndex(from: nextChange) { $0.upperBound > position }
        let unchangedEnd = next < changes.count ? changes[next].lowerBound : UInt64.max
        guard next > regionChange, position < unchangedEnd else { return false }
        let lastCut =
            Int(offset) + target.count == Int(chunkBytes)
            ? position + UInt64(target.count) : position
        let isAtCut = offset == 0 || lastCut > position
        let clear =
            chunker.parameters.algorithm == .fixed
            ? 0 : UInt64(chunker.parameters.zeroRunMinimumBytes)
        guard isAtCut, unchangedEnd - position >= clear else { return false }
        return try cutWindow(isEnd: false)
    }

    /// Ends the chunk under way and takes a hole.
    private mutating func takeHole(to end: UInt64) throws(TreeError) -> Bool {
        if try cutWindow(isEnd: true) { return true }
        if try meets(at: cutEnd, isAmidZeros: false) { return true }
        recipe.append(.hole(length: end - cutEnd))
        cutEnd = end
        followsZeros = false
        cutStands = false
        try stepIfFull()
        return false
    }

    /// Takes zeros: as bytes where they may belong to a chunk, else as they are.
    private mutating func takeZeros(to end: UInt64) throws(TreeError) -> Bool {
        let position = cutEnd + UInt64(pendingBytes)
        let isFixed = chunker.parameters.algorithm == .fixed
        let blockBytes = UInt64(chunker.parameters.meanBytes)
        let whole =
            isFixed
            ? (position % blockBytes == 0 ? (end - position) / blockBytes * blockBytes : 0)
            : (followsZeros ? end - position : 0)
        if pendingBytes == 0, whole > 0 {
            if try meets(at: cutEnd, isAmidZeros: true) { return true }
            recipe.append(.zeros(length: whole))
            cutEnd += whole
            followsZeros = true
            cutStands = false
            try stepIfFull()
            return try meets(at: cutEnd, isAmidZeros: true)
        }
        // So many decide: a run is long enough now, or a block is full.
        let deciding =
            isFixed
            ? blockBytes - position % blockBytes : UInt64(chunker.parameters.zeroRunMinimumBytes)
        let target = room(for: min(end - position, deciding))
        target.zero()
        pendingBytes += target.count
        return UInt64(target.count) == deciding ? try cutWindow(isEnd: false) : false
    }

    /// Cuts what is in the window; a hole or the file's end follows it when `isEnd`. Returns whether
    /// old and new cuts meet, at `cutEnd`; the window's rest is of no use then.
    mutating func cutWindow(isEnd: Bool) throws(TreeError) -> Bool {
        guard pendingBytes > 0 else { return false }
        let input = UnsafeRawBufferPointer(rebasing: window[..<pendingBytes])
        let (cuts, consumed) = workspace.cut(
            input, at: cutEnd, isEnd: isEnd, followsZeros: followsZeros, by: chunker)
        var position = 0
        for cut in cuts {
            switch cut.kind {
            case .data:
                let chunk = UnsafeRawBufferPointer(
                    rebasing: input[position..<position + cut.length])
                recipe.append(
                    .data(try reader.store.putData(chunk), length: UInt32(cut.length)))
                chunksPut += 1
                cutStands = !isEnd && chunk[cut.length - 1] != 0
            case .zeros:
                recipe.append(.zeros(length: UInt64(cut.length)))
                cutStands = false
            }
            followsZeros = cut.kind == .zeros
            position += cut.length
            cutEnd += UInt64(cut.length)
            try stepIfFull()
            let isAmidZeros = followsZeros && position == input.count && !isEnd
            if try meets(at: cutEnd, isAmidZeros: isAmidZeros) { return true }
        }
        pendingBytes -= consumed
        if pendingBytes > 0, consumed > 0, let start = window.baseAddress {
            start.copyMemory(from: start + consumed, byteCount: pendingBytes)
        }
        return false
    }

    /// The end of the new content was reached.
    private mutating func endFile() throws(TreeError) -> RegionEnd {
        if mode == .complete {
            return try cutWindow(isEnd: true) ? .met(cutEnd) : .file(newSize)
        }
        var before = -1
        while before != pendingBytes {
            before = pendingBytes
            if try cutWindow(isEnd: false) { return .met(cutEnd) }
        }
        let storedEnd = self.storedEnd
        if cutEnd < storedEnd {
            pendingBytes = Int(storedEnd - cutEnd)
            if try cutWindow(isEnd: true) { return .met(cutEnd) }
        }
        return .file(cutEnd)
    }

    /// Makes nodes of the extents so far where they are many.
    private mutating func stepIfFull() throws(TreeError) {
        guard recipe.isFull else { return }
        var edge = recipe.end
        if edge < base.size {
            let (range, extent) = try reader.keyExtent(of: base, at: edge)
            if case .data = extent, range.lowerBound < edge { edge = range.upperBound }
        }
        try recipe.step(oldEdge: edge)
    }
}
