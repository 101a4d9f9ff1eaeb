// A small store taken apart into records, changed, and put together again with right checksums.
import Backends
import DiskFormat
import Hashing
import Packs

/// The packs of a store as bytes, and where records lie in them.
struct Forgery {
    struct Pack {
        var id: PackID
        var bytes: [UInt8]
        var isRemoved = false
    }

    struct Record {
        var pack: Int
        var offset: Int
        var header: RecordHeader
        /// Header and body, without padding.
        var byteCount: Int { RecordHeader.byteCount + Int(header.storedBytes) }
        /// The place of a commit in the chain; nil for other records.
        var sequence: UInt64?
    }

    /// How much of what was changed gets right checksums.
    enum Depth {
        /// None: damage, as media make it.
        case none
        /// Records: their headers, bodies and frames.
        case records
        /// Records, and the commits that vouch for them: what a hostile writer does.
        case chain
    }

    private(set) var packs: [Pack] = []
    private(set) var records: [Record] = []
    private let secret: StoreSecret

    init(_ backend: MemoryBackend) throws {
        var secret = StoreSecret(high: 0, low: 0)
        for (name, size) in try backend.list(prefix: "packs/") {
            guard let id = PackID(fileName: name) else { continue }
            let reader = try PackReader(id, in: backend, expecting: nil)
            secret = reader.header.parameters.secret
            let bytes = try backend.readWhole(name, limitBytes: Int(size))
            var entries = try reader.records().entries.map(\.offset)
            if let table = Forgery.tableOffset(bytes, secret, id) { entries.append(table) }
            for offset in entries {
                var record = Record(
                    pack: packs.count, offset: Int(offset),
                    header: try reader.header(at: offset))
                if record.header.kind == .commit {
                    record.sequence = Sealing.load(
                        UInt64.self, at: Int(offset) + RecordHeader.byteCount + 8, of: bytes)
                }
                records.append(record)
            }
            packs.append(Pack(id: id, bytes: bytes))
        }
        self.secret = secret
    }

    private static func tableOffset(
        _ bytes: [UInt8], _ secret: StoreSecret, _ id: PackID
    ) -> UInt64? {
        bytes.withUnsafeBytes {
            PackTable.tableOffset(
                trailer: UnsafeRawBufferPointer(
                    rebasing: $0.suffix(PackTable.trailerBytes)),
                secret: secret, pack: id)
        }
    }

    /// The store with these packs.
    func backend() throws -> MemoryBackend {
        let backend = MemoryBackend()
        for pack in packs where !pack.isRemoved {
            try backend.writeWhole(pack.id.fileName, pack.bytes)
        }
        return backend.copy()
    }

    // MARK: changes

    mutating func remove(pack number: Int) {
        packs[number % packs.count].isRemoved = true
    }

    mutating func cut(_ record: Record, by offset: Int) {
        let end = min(record.offset + offset, packs[record.pack].bytes.count)
        packs[record.pack].bytes.removeLast(packs[record.pack].bytes.count - end)
    }

    /// Changes bytes of a record's body, or, where `start` is behind it, of its padding.
    mutating func change(
        _ record: Record, at start: Int, count: Int, _ body: (inout ArraySlice<UInt8>) -> Void
    ) {
        change(packAt: record.pack, from: record.offset + start, count: count, body)
    }

    mutating func change(
        packAt number: Int, from start: Int, count: Int,
        _ body: (inout ArraySlice<UInt8>) -> Void
    ) {
        let end = min(start + count, packs[number].bytes.count)
        guard start < end else { return }
        body(&packs[number].bytes[start..<end])
    }

    /// Puts one record, header and body, over another one as far as that reaches.
    mutating func copy(_ source: Record, over target: Record) {
        let start = source.offset
        let end = min(
            start + min(source.byteCount, target.byteCount), packs[source.pack].bytes.count)
        guard start < end else { return }
        let bytes = packs[source.pack].bytes[start..<end]
        change(packAt: target.pack, from: target.offset, count: bytes.count) { slice in
            slice.replaceSubrange(
                slice.startIndex..<slice.endIndex, with: bytes.prefix(slice.count))
        }
    }

    // MARK: checksums

    mutating func seal(_ depth: Depth, _ hasher: ChunkHasher) {
        if depth == .none { return }
        for number in packs.indices where packs[number].bytes.count >= PackHeader.byteCount {
            Sealing.packHeader(&packs[number].bytes)
        }
        for record in records where record.sequence == nil { seal(record) }
        let commits = records.filter { $0.sequence != nil }
            .sorted { ($0.sequence ?? 0) < ($1.sequence ?? 0) }
        var previous: ChunkName?
        for commit in commits {
            if depth == .chain { vouch(commit, previous) }
            seal(commit)
            previous = hash(commit, hasher)
        }
        for number in packs.indices { sealTrailer(of: number) }
    }

    private func isWhole(_ record: Record) -> Bool {
        record.offset + record.byteCount <= packs[record.pack].bytes.count
    }

    private mutating func seal(_ record: Record) {
        guard isWhole(record) else { return }
        let start = record.offset
        let body = start + RecordHeader.byteCount..<start + record.byteCount
        let kind = RecordHeader.Kind(rawValue: packs[record.pack].bytes[start + 4])
        var covered = body
        if kind == .superChunk {
            let bytes = packs[record.pack].bytes
            let frames = Int(Sealing.load(UInt16.self, at: start + 16, of: bytes))
            let chunks = Int(Sealing.load(UInt32.self, at: start + 40, of: bytes))
            let count = SuperChunkPrefix.byteCount(frames: frames, chunks: chunks)
            if count <= body.count {
                covered = body.lowerBound..<body.lowerBound + count
                sealFrames(of: record, frames, from: covered.upperBound, to: body.upperBound)
            }
        }
        Sealing.checksum(of: covered, at: start + 24, in: &packs[record.pack].bytes)
        Sealing.recordHeader(
            &packs[record.pack].bytes, at: start, offset: UInt64(start), secret: secret,
            pack: packs[record.pack].id)
    }

    private mutating func sealFrames(of record: Record, _ count: Int, from: Int, to: Int) {
        var offset = from
        for frame in 0..<count {
            let entry =
                record.offset + RecordHeader.byteCount
                + frame * SuperChunkPrefix.frameEntryBytes
            let stored = Int(
                Sealing.load(UInt32.self, at: entry, of: packs[record.pack].bytes))
            guard stored <= to - offset else { return }
            Sealing.checksum(
                of: offset..<offset + stored, at: entry + 16, in: &packs[record.pack].bytes)
            offset += stored
        }
    }

    /// The digests of a commit's spans, and the hash of the one before it.
    private mutating func vouch(_ record: Record, _ previous: ChunkName?) {
        guard isWhole(record) else { return }
        let body = record.offset + RecordHeader.byteCount..<record.offset + record.byteCount
        let decoded = packs[record.pack].bytes[body].withUnsafeBytes { try? Commit($0) }
        guard var commit = decoded else { return }
        if let previous { commit.previous = previous }
        for number in commit.spans.indices {
            commit.spans[number].digest = digest(commit.spans[number])
        }
        let bytes = commit.encoded()
        // What was made longer or shorter than it was is not put right.
        guard bytes.count == body.count else { return }
        packs[record.pack].bytes.replaceSubrange(body, with: bytes)
    }

    private func digest(_ span: PackSpan) -> BodyChecksum {
        var headers: [UInt8] = []
        for record in records where packs[record.pack].id == span.pack {
            guard span.range.contains(UInt64(record.offset)), isWhole(record) else { continue }
            headers +=
                packs[record.pack].bytes[
                    record.offset..<record.offset + RecordHeader.byteCount]
        }
        return headers.withUnsafeBytes { BodyChecksum(of: $0) }
    }

    private func hash(_ record: Record, _ hasher: ChunkHasher) -> ChunkName? {
        guard isWhole(record) else { return nil }
        let body = record.offset + RecordHeader.byteCount..<record.offset + record.byteCount
        return packs[record.pack].bytes[body].withUnsafeBytes {
            hasher.name(of: $0, domain: .tree)
        }
    }

    private mutating func sealTrailer(of number: Int) {
        let start = packs[number].bytes.count - PackTable.trailerBytes
        guard start > PackHeader.byteCount,
            Sealing.load(UInt64.self, at: start, of: packs[number].bytes)
                == 0x4e45_5241_4c48_5341
        else { return }
        Sealing.trailer(
            &packs[number].bytes, at: start, secret: secret, pack: packs[number].id)
    }
}
