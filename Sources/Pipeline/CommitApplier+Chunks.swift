// Chunks' records: places, counts, deaths.
import ChunkIndex
import DiskFormat
import Metadata

/// A chunk that a commit touches.
struct StagedChunk {
    /// As in the index; nil: not there.
    let before: ChunkRecord?
    var now: ChunkRecord?
    /// A rebuild put it in with its places alone: if it is a recipe node, its children have not
    /// been counted yet. In the index: count 0, and not dead.
    var isUnwalked: Bool
    /// Laid with the records of this commit: whoever put it has had no commit yet to name it.
    var isLaid = false

    init(_ record: ChunkRecord?) {
        before = record
        now = record
        isUnwalked = record.map { $0.count == 0 && $0.deadSince == nil } ?? false
    }
}

extension CommitApplier {
    private mutating func stage(_ name: ChunkName) throws(StoreError) -> StagedChunk {
        if let staged = chunks[name] { return staged }
        let staged = StagedChunk(try index.chunk(name))
        chunks[name] = staged
        return staged
    }

    /// The chunk's places so far; nil where it is not known.
    mutating func stagedPlaces(_ name: ChunkName) throws(StoreError) -> [ChunkPlace]? {
        try stage(name).now?.places
    }

    /// Replaces the places of a chunk that was asked for by `stagedPlaces`.
    mutating func setPlaces(_ name: ChunkName, _ places: [ChunkPlace]) {
        chunks[name]?.now?.places = places
    }

    /// Takes up a chunk that was laid, or the second copy of one.
    mutating func take(_ new: NewChunk, isCopy: Bool) throws(StoreError) {
        var staged = try stage(new.name)
        if isCopy {
            // A copy of what is condemned by now is of no use.
            guard staged.now != nil else { return }
            staged.now?.places.append(contentsOf: new.places)
        } else {
            let isFirst = staged.now.map { $0.places.isEmpty } ?? true
            let ownsNothingYet = isFirst || staged.isUnwalked
            var record =
                staged.now
                ?? ChunkRecord(count: 0, rawBytes: new.rawBytes, domain: new.domain, places: [])
            record.rawBytes = new.rawBytes
            record.domain = new.domain
            record.isDamaged = false
            record.deadSince = nil
            record.places.insert(contentsOf: new.places, at: 0)
            staged.now = record
            staged.isUnwalked = false
            staged.isLaid = true
            chunks[new.name] = staged
            trimPlaces(new.name)
            if ownsNothingYet {
                for child in new.children { try count(child, by: 1, domain: .data) }
            }
            return
        }
        chunks[new.name] = staged
        trimPlaces(new.name)
    }

    private mutating func trimPlaces(_ name: ChunkName) {
        guard let count = chunks[name]?.now?.places.count, count > ChunkRecord.placesMax else {
            return
        }
        chunks[name]?.now?.places.removeLast(count - ChunkRecord.placesMax)
    }

    /// Changes the number of owners. A name that is in no record is kept with its count and without a
    /// place: reading it tells that it is missing, and laying it anew mends it.
    mutating func count(
        _ name: ChunkName, by change: Int64, domain: ChunkDomain
    ) throws(StoreError) {
        // No recursion: how deep hostile nodes nest is their maker's choice.
        var walked = try countOne(name, by: change, domain: domain)
        while let child = walked.popLast() {
            walked += try countOne(child, by: 1, domain: .data)
        }
    }

    /// Returns what the chunk owns when it is a recipe node that has its first owner only now.
    private mutating func countOne(
        _ name: ChunkName, by change: Int64, domain: ChunkDomain
    ) throws(StoreError) -> [ChunkName] {
        var staged = try stage(name)
        guard
            var record = staged.now
                ?? (change > 0
                    ? ChunkRecord(count: 0, rawBytes: 0, domain: domain, places: []) : nil)
        else { return [] }
        // A count at its limit stays there: the chunk is never given up.
        if record.count < UInt32.max {
            record.count = UInt32(clamping: max(0, Int64(record.count) + change))
        }
        let isWalkedNow = staged.isUnwalked && record.count > 0
        if isWalkedNow { staged.isUnwalked = false }
        staged.now = record
        chunks[name] = staged
        guard isWalkedNow, record.domain == .recipe else { return [] }
        if let owned = try owned(by: name, record.places) { return owned }
        // Its children are not counted, so it must not pass for a node whose children are: without a
        // place it is laid anew when it is put again, and counts them then.
        chunks[name]?.now?.places = []
        return []
    }

    /// What a recipe node owns; nil where no copy of it can be read.
    private func owned(
        by name: ChunkName, _ places: [ChunkPlace]
    ) throws(StoreError) -> [ChunkName]? {
        do throws(StoreError) {
            return try children(name, places)
        } catch {
            guard error.isDamageOfChunk else { throw error }
            return nil
        }
    }

    mutating func markDamaged(_ name: ChunkName, unless news: [NewChunk]) throws(StoreError) {
        if news.contains(where: { $0.name == name }) { return }
        _ = try stage(name)
        chunks[name]?.now?.isDamaged = true
    }

    /// Forgets condemned chunks and gives up what they own. One that has owners again, or was laid
    /// anew with this very commit, stays.
    mutating func condemn(
        _ names: [ChunkName], new news: [NewChunk]
    ) throws(StoreError) {
        guard !names.isEmpty else { return }
        let new = Set(news.map(\.name))
        for name in names where !new.contains(name) {
            let staged = try stage(name)
            guard let record = staged.now, record.count == 0 else { continue }
            if record.domain == .tree, try isKept(name) { continue }
            chunks[name]?.now = nil
            guard record.domain == .recipe, !staged.isUnwalked, !record.places.isEmpty else {
                continue
            }
            // What a node owned that nobody can read any more keeps its count: space is lost until
            // the index is rebuilt, never data.
            for child in try owned(by: name, record.places) ?? [] {
                try count(child, by: -1, domain: .data)
            }
        }
    }

    /// Puts every chunk that changed into the batch, and keeps totals and packs' living bytes.
    ///
    /// - Parameters:
    ///   - died: since which checkpoint those are dead that lost their last owner.
    ///   - laid: since which those are that are new and have none yet.
    mutating func finishChunks(
        died: UInt64, laid: UInt64, _ batch: inout MetadataBatch
    ) throws(StoreError) {
        // In the order of keys: the index takes them up several times faster so.
        for name in chunks.keys.sorted() {
            guard let staged = chunks[name] else { continue }
            var now = staged.now
            if let record = now {
                if record.count > 0 {
                    now?.deadSince = nil
                } else if record.deadSince == nil, !staged.isUnwalked {
                    now?.deadSince = staged.isLaid ? laid : died
                }
            }
            let before = staged.before
            guard before != now else { continue }
            if before?.deadSince != now?.deadSince {
                if let old = before?.deadSince { batch.delete(IndexKey.dead(since: old, name)) }
                if let new = now?.deadSince { batch.put(IndexKey.dead(since: new, name), []) }
            }
            if let now {
                batch.put(IndexKey.chunk(name), now.encoded())
            } else {
                batch.delete(IndexKey.chunk(name))
            }
            changeTotals { totals in
                if let before { totals.remove(before) }
                if let now { totals.add(now) }
            }
            try changeLiving(from: before, to: now)
        }
    }

    private mutating func changeLiving(
        from before: ChunkRecord?, to now: ChunkRecord?
    ) throws(StoreError) {
        let old = before?.places ?? []
        let new = now?.places ?? []
        guard old != new else { return }
        for place in old where !new.contains(place) {
            let bytes = UInt64(before?.rawBytes ?? 0)
            try changePack(place.pack) { $0.livingBytes -= min($0.livingBytes, bytes) }
        }
        for place in new where !old.contains(place) {
            let bytes = UInt64(now?.rawBytes ?? 0)
            try changePack(place.pack) { $0.livingBytes += bytes }
        }
    }
}

extension StoreTotals {
    mutating func add(_ record: ChunkRecord) {
        chunks += 1
        uniqueBytes += UInt64(record.rawBytes)
        guard record.count == 0 else { return }
        deadChunks += 1
        deadBytes += UInt64(record.rawBytes)
    }

    mutating func remove(_ record: ChunkRecord) {
        chunks -= min(chunks, 1)
        uniqueBytes -= min(uniqueBytes, UInt64(record.rawBytes))
        guard record.count == 0 else { return }
        deadChunks -= min(deadChunks, 1)
        deadBytes -= min(deadBytes, UInt64(record.rawBytes))
    }

    /// A pack is gone, with all that was stored in it.
    mutating func remove(_ pack: PackRecord) {
        storedBytes -= min(storedBytes, pack.storedBytes)
        superChunks -= min(superChunks, pack.superChunks)
    }
}
