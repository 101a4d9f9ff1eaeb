// After an unclean end: packs are cut at their last valid record and sealed, what nothing was
// committed in is removed.
import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Packs
import Platform

extension StoreOpening {
    /// Puts the packs in order, and notes in the index that they are. Only for a store that may be
    /// written, and whose log ends without damage.
    func putInOrder(_ parts: inout ChunkStore.Parts) throws(StoreError) {
        var batch = MetadataBatch()
        let known = try parts.index.packs()
        for (number, pack) in known where !pack.isSealed && !pack.isCondemned {
            try seal(pack)
            var record = pack
            record.isSealed = true
            batch.put(IndexKey.pack(number), record.encoded())
        }
        let last = packs.ids.last { $0.writer == parts.state.writer }
        parts.state.nextPackSequence = max(
            parts.state.nextPackSequence, (last?.sequence ?? 0) + 1)
        parts.state.isClean = false
        batch.put(StateRecord.key, parts.state.encoded())
        try parts.index.apply(batch)
        try parts.index.makeDurable()
        CrashPoint.packsOrdered.pass()
        try removeLeftovers(known.map(\.record), parts.state)
        try removeCondemned(known, &parts)
        try synchronizeNames()
        if packs.parameters.metadataCopies > 1 { parts.uncopied = try findUncopied(parts.state) }
    }

    /// Accepts that packs are gone, or shorter than they were (`StoreOptions.acceptsLosses`): the
    /// next checkpoint does not list them, or only as far as their records reach. So does the index:
    /// a chunk that has no place any more is stored anew when somebody puts it.
    func forget(_ lost: [PackID], _ parts: inout ChunkStore.Parts) throws(StoreError) {
        // It goes over all chunks, which an opening otherwise does not.
        guard !lost.isEmpty else { return }
        try forgetPlaces(in: lost, parts.index)
        var batch = MetadataBatch()
        for id in lost {
            guard let number = shelf.knownNumber(of: id), var record = try parts.index.pack(number)
            else { continue }
            if packs.sizes[id] == nil {
                parts.state.totals.remove(record)
                shelf.remove(number)
                batch.delete(IndexKey.pack(number))
            } else {
                let reader = try packs.reader(id)
                let end = try readingPack { () throws(PackError) in try reader.records() }.end
                record.validBytes = min(record.validBytes, end.offset)
                record.isSealed = end.tail == .trailer
                batch.put(IndexKey.pack(number), record.encoded())
            }
        }
        try parts.index.apply(batch)
    }

    /// Takes places out that lie in packs which are gone, or behind the end of what is left of them.
    private func forgetPlaces(
        in lost: [PackID], _ index: any MetadataStore
    ) throws(StoreError) {
        var ends: [UInt32: UInt64] = [:]
        for id in lost {
            guard let number = shelf.knownNumber(of: id) else { continue }
            guard packs.sizes[id] != nil else {
                ends[number] = 0
                continue
            }
            let reader = try packs.reader(id)
            ends[number] = try readingPack { () throws(PackError) in try reader.records() }.end
                .offset
        }
        var changed: [(name: ChunkName, record: ChunkRecord)] = []
        try index.visit([IndexKey.chunkPrefix]) { (key, value) throws(FormatError) in
            guard let name = IndexKey.chunkName(key) else { return true }
            var record = try ChunkRecord(value)
            let count = record.places.count
            record.places.removeAll { $0.recordOffset >= ends[$0.pack] ?? .max }
            if record.places.count == count { return true }
            if record.places.isEmpty { record.isDamaged = true }
            changed.append((name, record))
            return true
        }
        var batch = MetadataBatch()
        for (name, record) in changed { batch.put(IndexKey.chunk(name), record.encoded()) }
        try index.apply(batch)
    }

    /// Cuts a pack behind the last record that a commit vouches for, and seals it.
    private func seal(_ pack: PackRecord) throws(StoreError) {
        let end = max(pack.validBytes, UInt64(PackHeader.byteCount))
        do throws(PackError) {
            try PackWriter.resumeSealing(
                pack.id, in: packs.backend, expecting: StoreIdentity(packs.parameters),
                validEnd: end, restoringHeaderBy: packs.parameters)
            packs.refresh(pack.id)
            CrashPoint.tailCut.pass()
            tell(.sealedTornPack(pack.id, at: end))
        } catch {
            if case .sealed = error { return }
            // One that is damaged is never appended to all the same.
            if options.acceptsLosses, case .format = error { return }
            throw .pack(error)
        }
    }

    /// Removes packs that no commit has ever vouched for. One that the index does not know and that
    /// lies before the log's end is only removed when there is no commit in it.
    private func removeLeftovers(
        _ known: [PackRecord], _ state: StateRecord
    ) throws(StoreError) {
        var kept = Set(known.map(\.id))
        if let newest = state.newest,
            let checkpoint = try packs.commit(in: newest.pack, at: newest.offset)
        {
            kept.formUnion(checkpoint.commit.packs.map(\.pack))
        }
        for id in packs.ids where id.writer == state.writer && !kept.contains(id) {
            if id < state.position.pack {
                let isOfUse = try hasCommit(id)
                if isOfUse { continue }
            }
            try remove(id)
            CrashPoint.leftoverRemoved.pass()
            tell(.removedTornPack(id))
        }
    }

    private func hasCommit(_ id: PackID) throws(StoreError) -> Bool {
        do throws(StoreError) {
            let reader = try packs.reader(id)
            let contents = try readingPack { () throws(PackError) in try reader.records() }
            return contents.entries.contains {
                $0.kindByte == RecordHeader.Kind.commit.rawValue
            }
        } catch {
            guard error.judgement != .failed else { throw error }
            return false
        }
    }

    /// Finishes what the last session condemned and perhaps did not remove.
    private func removeCondemned(
        _ known: [(number: UInt32, record: PackRecord)], _ parts: inout ChunkStore.Parts
    ) throws(StoreError) {
        for (number, pack) in known where pack.isCondemned {
            if packs.sizes[pack.id] != nil {
                try remove(pack.id)
                tell(.deletedPack(pack.id))
            }
            shelf.remove(number)
            parts.deleted.append(number)
        }
    }

    private func remove(_ id: PackID) throws(StoreError) {
        do throws(BackendError) {
            try packs.backend.removeFile(id.fileName)
        } catch {
            throw .backend(error)
        }
        packs.refresh(id, isRemoved: true)
    }

    private func synchronizeNames() throws(StoreError) {
        do throws(BackendError) {
            try packs.backend.synchronizeNames()
        } catch {
            throw .backend(error)
        }
    }

    /// Metadata that was committed since the newest checkpoint, which has no second copies yet.
    private func findUncopied(_ state: StateRecord) throws(StoreError) -> [RecordPlace] {
        guard let newest = state.newest, newest.sequence < state.sequence else { return [] }
        var result: [RecordPlace] = []
        for id in packs.ids
        where id.writer == state.writer && id >= newest.pack && id <= state.position.pack {
            guard let number = shelf.knownNumber(of: id) else { continue }
            let reader = try packs.reader(id)
            guard reader.header.role == .main else { continue }
            let contents = try readingPack { () throws(PackError) in try reader.records() }
            for entry in contents.entries
            where entry.kindByte == RecordHeader.Kind.superChunk.rawValue
                && entry.flags.contains(.metadata)
            {
                let isBefore = id == newest.pack && entry.offset < newest.offset
                let isBehind = id == state.position.pack && entry.offset >= state.position.end
                if isBefore || isBehind { continue }
                result.append(RecordPlace(pack: number, offset: entry.offset))
            }
        }
        return result
    }
}
