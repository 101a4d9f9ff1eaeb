// The walk through one pack: header, records, table, commits.
import Backends
import DiskFormat
import Packs
import SuperChunks

extension Inventory {
    func scan(_ name: String, bytes: UInt64, _ monitor: CheckMonitor) throws(CheckingError) {
        guard let id = PackID(fileName: name) else {
            note(.strangerFile, .file(name: name), "\(bytes) bytes")
            return
        }
        guard let (reader, file) = try open(id) else {
            unusable.insert(id)
            return
        }
        let first = records.count
        let number = UInt32(packs.count)
        let end: PackEnd
        do throws(PackError) {
            if let listed = try scope == .newest ? listed(reader, file, number, bytes: bytes) : nil
            {
                end = listed
            } else {
                end = try walk(
                    reader, number, tableOffset: tableOffset(reader, file, bytes: bytes))
            }
        } catch {
            // The medium refuses: what was found stays, the rest is told as one range.
            records.removeSubrange(first...)
            unusable.insert(id)
            note(.packUnreadable, .pack(id), "\(error)")
            return
        }
        add(
            Pack(
                id: id, role: reader.header.role, end: end, records: first..<records.count,
                reader: reader, file: file))
        guard scope == .whole else { return }
        try checkTable(reader, end, first..<records.count)
        for index in first..<records.count where records[index].kind == .commit {
            if monitor.isCancelled() { throw .cancelled }
            try readCommit(index)
        }
    }

    /// A pack opened, its header damaged or not; nil where it is none of this store's.
    private func open(
        _ id: PackID
    ) throws(CheckingError) -> (PackReader, any BackendFile)? {
        let reader: PackReader
        let file: any BackendFile
        do throws(PackError) {
            reader = try PackReader(salvaging: id, in: backend, parameters: parameters)
            do throws(BackendError) {
                file = try backend.openFile(id.fileName, writable: false)
            } catch {
                throw .backend(error, pack: id)
            }
        } catch {
            switch error {
            case .otherStore(_, let found):
                note(.packForeign, .pack(id), "belongs to store \(found)")
            case .otherPack(_, let found):
                note(.packMisnamed, .pack(id), "is pack \(found)")
            default: note(.packUnreadable, .pack(id), "\(error)")
            }
            return nil
        }
        switch reader.headerDamage {
        case .newerVersion(let version):
            note(.packNewer, .pack(id), "format version \(version)")
            return nil
        case .unknownFeatures(let bits):
            note(.packNewer, .pack(id), "features 0x" + String(bits, radix: 16))
            return nil
        case .some(let damage): note(.packHeaderDamaged, .pack(id), "\(damage)")
        case nil:
            var mine = reader.header.parameters
            mine.features = parameters.features
            if mine != parameters {
                note(.packParameters, .pack(id), "parameters differ from the store's")
            }
        }
        return (reader, file)
    }

    /// Where a sealed pack's trailer says that its table's record begins.
    private func tableOffset(
        _ reader: PackReader, _ file: any BackendFile, bytes: UInt64
    ) -> UInt64? {
        let count = UInt64(PackTable.trailerBytes)
        guard bytes > count else { return nil }
        var trailer = [UInt8](repeating: 0, count: Int(count))
        // What cannot be read is no trailer: the walk tells of it.
        guard let read = try? Inventory.readBytes(file, at: bytes - count, into: &trailer),
            read == trailer.count
        else { return nil }
        return trailer.withUnsafeBytes {
            PackTable.tableOffset(trailer: $0, secret: parameters.secret, pack: reader.id)
        }
    }

    /// Takes the records of a sealed pack from its table; nil where it has none that is intact.
    private func listed(
        _ reader: PackReader, _ file: any BackendFile, _ number: UInt32, bytes: UInt64
    ) throws(PackError) -> PackEnd? {
        guard tableOffset(reader, file, bytes: bytes) != nil else { return nil }
        let contents = try reader.records()
        guard contents.isFromTable else { return nil }
        for entry in contents.entries {
            records.append(
                Record(
                    pack: number, offset: entry.offset, storedBytes: entry.storedBytes,
                    itemCount: entry.itemCount, frameCount: entry.frameCount,
                    kindByte: entry.kindByte, flags: entry.flags))
        }
        return PackEnd(
            offset: bytes - UInt64(PackTable.trailerBytes), fileBytes: bytes, tail: .trailer)
    }

    /// Reads commits from the newest on, of each writer back to its newest checkpoint: all that are
    /// behind the newest one of the store are among them, since what a writer has written it has
    /// written in their order.
    func readNewestCommits() throws(CheckingError) {
        var last: [UInt64: [Pack]] = [:]
        for pack in packs { last[pack.id.writer, default: []].append(pack) }
        for (_, own) in last.sorted(by: { $0.key < $1.key }) {
            let newestFirst = own.sorted { $0.id.sequence > $1.id.sequence }
            search: for pack in newestFirst {
                for index in pack.records.reversed() where records[index].kind == .commit {
                    let known = commits.count
                    try readCommit(index)
                    if commits.count > known, commits[known].isCheckpoint { break search }
                }
            }
        }
    }

    private func walk(
        _ reader: PackReader, _ number: UInt32, tableOffset: UInt64?
    ) throws(PackError) -> PackEnd {
        var scanner = try PackScanner(reader)
        while true {
            switch try scanner.next() {
            case .record(let offset, let header):
                records.append(
                    Record(
                        pack: number, offset: offset, storedBytes: header.storedBytes,
                        itemCount: header.itemCount, frameCount: header.frameCount,
                        kindByte: header.kindByte, flags: header.flags))
            case .damaged(let range):
                let isTable = range.lowerBound == tableOffset
                note(
                    isTable ? .packTable : .rangeDamaged, .range(reader.id, range),
                    isTable ? "the table's record is damaged" : "no valid records")
            case .end(let end):
                if end.tail == .unreadable {
                    note(
                        .rangeDamaged, .range(reader.id, end.offset..<end.fileBytes),
                        "the medium does not give these bytes")
                }
                if let newer = scanner.newerRecord {
                    note(
                        .packNewer, .record(reader.id, offset: newer.offset),
                        "a record of kind \(newer.kind), which this program may not pass over")
                }
                return end
            }
        }
    }

    /// A sealed pack's table must list what the walk found.
    private func checkTable(
        _ reader: PackReader, _ end: PackEnd, _ range: Range<Int>
    ) throws(CheckingError) {
        let last = range.last.map { records[$0] }
        guard end.tail == .trailer else {
            if let last, last.kind == .packTable {
                note(
                    .packTrailer, .range(reader.id, last.end..<max(last.end, end.fileBytes)),
                    "the table has no valid trailer behind it")
            }
            return
        }
        // Where its record is damaged, the walk has told so.
        guard let last, last.kind == .packTable else { return }
        let contents: PackContents
        do throws(PackError) {
            contents = try reader.records()
        } catch {
            throw .pack(error)
        }
        guard contents.isFromTable else {
            note(.packTable, .record(reader.id, offset: last.offset), "the table is damaged")
            return
        }
        let found = range.dropLast().map { records[$0] }
        let isEqual =
            found.count == contents.entries.count
            && zip(found, contents.entries).allSatisfy { record, entry in
                record.offset == entry.offset && record.storedBytes == entry.storedBytes
                    && (record.kind == .filler
                        || record.kindByte == entry.kindByte
                            && record.itemCount == entry.itemCount)
            }
        // What is damaged now was listed then: told as a range already.
        let isDamaged = findings.contains {
            if case .range(reader.id, _) = $0.place { $0.kind == .rangeDamaged } else { false }
        }
        if !isEqual && !isDamaged {
            note(
                .packTable, .record(reader.id, offset: last.offset),
                "the table lists other records than there are")
        }
    }

    private func readCommit(_ index: Int) throws(CheckingError) {
        let record = records[index]
        let pack = packs[Int(record.pack)]
        let place = Problem.Place.record(pack.id, offset: record.offset)
        let raw: [UInt8]
        switch try commitBody(index) {
        case .success(let bytes): raw = bytes
        case .failure(let damage):
            note(.commitDamaged, place, "\(damage)")
            return
        }
        let decoded: Result<Commit, FormatError> = raw.withUnsafeBytes { bytes in
            do throws(FormatError) {
                return .success(try Commit(bytes))
            } catch {
                return .failure(error)
            }
        }
        switch decoded {
        case .failure(let damage):
            if damage.isNewer {
                note(.packNewer, place, "a commit that this program may not pass over")
            } else {
                note(.commitMalformed, place, "\(damage)")
            }
        case .success(let commit):
            commits.append(
                CommitEntry(
                    record: index, pack: pack.id, offset: record.offset, end: record.end,
                    epoch: commit.epoch, sequence: commit.sequence, previous: commit.previous,
                    hash: raw.withUnsafeBytes { hasher.name(of: $0, domain: .tree) },
                    isCheckpoint: commit.isCheckpoint))
            for record in commit.punchedRecords {
                punched.insert(PunchedKey(pack: record.pack, offset: record.offset))
            }
        }
    }

    /// The raw bytes of a commit's body, verified; `failure` where they are damaged.
    func commitBody(_ index: Int) throws(CheckingError) -> Result<[UInt8], FormatError> {
        let record = records[index]
        let pack = packs[Int(record.pack)]
        let header: RecordHeader
        let stored: [UInt8]
        do throws(PackError) {
            (header, stored) = try pack.reader.readRecord(at: record.offset)
        } catch {
            return .failure(try Inventory.damage(error))
        }
        guard header.codec == 1 else { return .success(stored) }
        // zstd makes at most some 16,000 times as much of a byte (runs of one value).
        guard header.rawBytes > 0, header.rawBytes <= DiskFormat.bodyBytesMax,
            Int(header.rawBytes) / (1 << 16) <= stored.count
        else { return .failure(.badValue("commit: raw bytes")) }
        var raw = [UInt8](repeating: 0, count: Int(header.rawBytes))
        let isRestored = stored.withUnsafeBytes { stored in
            raw.withUnsafeMutableBytes { raw in
                do throws(FrameCodecError) {
                    try codec.decompress(stored, into: raw)
                    return true
                } catch {
                    return false
                }
            }
        }
        return isRestored ? .success(raw) : .failure(.badValue("commit: compressed body"))
    }

    /// What is wrong with a place; throws where it is not the place that is wrong.
    static func damage(_ error: PackError) throws(CheckingError) -> FormatError {
        if case .format(let damage, _, _) = error { return damage }
        if error.isUnreadableMedium { return .truncated("unreadable medium") }
        throw .pack(error)
    }

    // MARK: tables of super-chunks

    /// - Parameter isWanted: of which super-chunks; of each once.
    func readChunkTables(
        _ monitor: CheckMonitor, where isWanted: (Record) -> Bool
    ) throws(CheckingError) {
        var count = table.copies.count
        var total: UInt64 = 0
        for record in records where record.kind == .superChunk && isWanted(record) {
            // The record lies within its file, and so does its table, unless the number lies.
            count += min(
                Int(record.itemCount), Int(record.storedBytes) / SuperChunkPrefix.chunkEntryBytes)
            total += UInt64(record.storedBytes)
        }
        table.reserve(count)
        var done: UInt64 = 0
        for index in records.indices
        where records[index].kind == .superChunk && isWanted(records[index]) {
            try monitor.step(.chunks, done, total)
            done += UInt64(records[index].storedBytes)
            try readChunkTable(index)
        }
        table.finish()
    }

    private func readChunkTable(_ index: Int) throws(CheckingError) {
        let record = records[index]
        let pack = packs[Int(record.pack)]
        if punched.contains(PunchedKey(pack: pack.id, offset: record.offset)) { return }
        let prefix: SuperChunkPrefix
        do throws(PackError) {
            prefix = try pack.reader.readPrefix(at: record.offset).prefix
        } catch {
            let damage = try Inventory.damage(error)
            note(.recordDamaged, .record(pack.id, offset: record.offset), "\(damage)")
            return
        }
        guard !prefix.frames.isEmpty else {
            note(.recordDamaged, .record(pack.id, offset: record.offset), "no frames")
            return
        }
        records[index].isOpen = true
        for (chunk, place) in zip(prefix.chunks, prefix.placements()) {
            table.append(
                ChunkTable.Copy(
                    name: chunk.name, record: UInt32(index), frameOffset: UInt32(place.offset),
                    packedLength: chunk.rawBytes | UInt32(chunk.domain.rawValue) << 28,
                    frame: UInt16(place.frame)))
        }
    }
}
