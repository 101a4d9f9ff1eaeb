// Emptying packs: living chunks are laid anew elsewhere, so that the pack can be condemned.
//
// A pack is *vacated* in three steps, each durable before the next:
// 1. `vacate` lays what lives in the pack anew; the next commit, a checkpoint, vouches for the new
//    records, and with its batch the index forgets the old places.
// 2. Another checkpoint: then the last two both do without the pack, and it is condemned.
// 3. When that is durable the file is removed (ChunkStore+Condemning).
//
// What the index forgets in step 1 is known to the live store alone. A replay or rebuild finds old
// and new places of the chunks: more places, never fewer, and the next vacating of the pack only
// has to forget them. Condemning a pack drops whatever places in it are still indexed
// (`CommitApplier.dropCondemnedPlaces`), so that no place outlives its pack.
import Backends
import ChunkIndex
import DiskFormat
import Metadata
import Packs
import Platform
import SuperChunks

/// How much of a pack is of use.
public struct PackUse: Equatable, Sendable {
    public var id: PackID
    /// Bytes up to its last committed record.
    public var validBytes: UInt64
    /// Raw bytes of all copies of chunks that were ever laid in it.
    public var rawBytes: UInt64
    /// Raw bytes of those that the index still has a place of.
    public var livingBytes: UInt64
    public var isSealed: Bool
    /// Condemned: to be removed by the next checkpoint.
    public var isCondemned: Bool
    public var holdsCopies: Bool

    /// The part of its chunks that nobody needs any more: 0 ... 1.
    public var deadShare: Double {
        rawBytes == 0 ? 1 : 1 - min(1, Double(livingBytes) / Double(rawBytes))
    }
}

/// What a vacating did.
public struct Vacated: Equatable, Sendable {
    /// Chunks laid anew, and their raw bytes.
    public var movedChunks: UInt64 = 0
    public var movedBytes: UInt64 = 0
    /// Chunks that have another place anyway.
    public var forgottenChunks: UInt64 = 0
    /// Living chunks of which no copy could be read. They keep their places, and the pack with
    /// them, unless they were to be given up.
    public var unreadable: [ChunkName] = []
}

/// Which places the next commit takes out of the index.
struct Vacating {
    var packs: Set<UInt32> = []
    /// Chunks with a place in one of the packs.
    var chunks: Set<ChunkName> = []
    /// Those that were laid anew: all their older places go.
    var relaid: Set<ChunkName> = []
    /// Those that lose their places though there is no other.
    var givenUp: Set<ChunkName> = []

    var isEmpty: Bool { chunks.isEmpty }
}

extension ChunkStore {
    /// All packs of the index, ascending.
    public func packUse() throws(StoreError) -> [PackUse] {
        try index.packs().map { _, pack in
            PackUse(
                id: pack.id, validBytes: pack.validBytes, rawBytes: pack.rawBytes,
                livingBytes: pack.livingBytes, isSealed: pack.isSealed,
                isCondemned: pack.isCondemned, holdsCopies: pack.holdsCopies)
        }.sorted { $0.id < $1.id }
    }

    /// Begins new packs with what is appended next: the next checkpoint seals the open ones, which can
    /// be vacated then.
    public func endOpenPacks() throws(StoreError) {
        try checkWritable()
        appending.withLock { state in
            state.main.retireOpen()
            state.copies.retireOpen()
        }
    }

    /// A checkpoint of the volumes as the newest one has them: it condemns what died long enough
    /// ago. Only while no volume was changed since.
    ///
    /// - Parameter lost: chunks that are accepted as lost from now on.
    public func repeatCheckpoint(
        time: DiskTime, lost: [ChunkName] = []
    ) throws(StoreError) -> CommitReceipt {
        let changes = try changesSinceCheckpoint()
        precondition(
            changes.allSatisfy { $0.inodes.isEmpty && $0.names.isEmpty && $0.extents.isEmpty },
            "changes need a checkpoint of their own")
        var draft = CommitDraft(isCheckpoint: true, time: time)
        draft.lostChunks = lost
        return try commit(draft)
    }

    /// Lays the living chunks of sealed packs anew, in the order in which they lie there. They are
    /// in place with the next commit; the caller makes it a checkpoint, and another one, which
    /// condemns what is empty. Others may put, hit and commit meanwhile: a commit that comes before
    /// the end of this call gives chunks that were laid anew another place, and the one behind it
    /// takes the old ones away. One vacating at a time.
    ///
    /// Memory: about 100 bytes for each chunk of these packs.
    ///
    /// - Parameters:
    ///   - givesUpUnreadable: forgets the places of chunks that no copy of can be read: their data
    ///     goes with the pack. Only for packs of which a copy was put aside, and while nobody else
    ///     commits.
    ///   - findsStragglers: looks through the whole index where a pack's own records do not account
    ///     for all that lives in it. Without, such packs keep what was not found.
    ///   - isCancelled: asked after each super-chunk; what was laid until then is of no harm.
    /// - Returns: nil where `isCancelled` said so, and nothing will be forgotten.
    /// - Throws: `noSpace`, errors of reading that are no damage, or of writing, which are final.
    public func vacate(
        _ ids: [PackID], givesUpUnreadable: Bool = false, findsStragglers: Bool = true,
        isCancelled: () -> Bool = { false }
    ) throws(StoreError) -> Vacated? {
        try checkWritable()
        var vacating = Vacating()
        var result = Vacated()
        vacating.packs = Set(ids.compactMap { shelf.knownNumber(of: $0) })
        for number in vacating.packs.sorted() {
            for offset in try superChunks(of: number) {
                if isCancelled() { return nil }
                let names = try namesInSuperChunk(number, offset)
                for name in names where !vacating.chunks.contains(name) {
                    try vacate(name, &vacating, &result)
                }
            }
        }
        if findsStragglers { try vacateStragglers(&vacating, &result) }
        if givesUpUnreadable { vacating.givenUp = Set(result.unreadable) }
        let done = vacating
        laying.withLock { $0.vacating = done }
        CrashPoint.packsVacated.pass()
        return result
    }

    /// Stores a chunk though the index may think that it is there: for those whose copies are known
    /// to be bad. Otherwise as `put`.
    public func putAnew(
        _ bytes: UnsafeRawBufferPointer, domain: ChunkDomain
    ) throws(StoreError) -> ChunkName {
        try checkWritable()
        let name = try hashers.name(of: bytes, domain: domain)
        try relay(name, Array(bytes), domain: domain)
        return name
    }

    func superChunks(of number: UInt32) throws(StoreError) -> [UInt64] {
        do throws(StoreError) {
            let pack = try shelf.reader(number)
            return try readingPack { () throws(PackError) in try pack.records() }.entries
                .filter { $0.kindByte == RecordHeader.Kind.superChunk.rawValue }.map(\.offset)
        } catch {
            guard error.judgement != .failed else { throw error }
            return []
        }
    }

    func namesInSuperChunk(
        _ number: UInt32, _ offset: UInt64
    ) throws(StoreError) -> [ChunkName] {
        do throws(StoreError) {
            let pack = try shelf.reader(number)
            return try readingPack { () throws(PackError) in try pack.readPrefix(at: offset) }
                .prefix.chunks.map(\.name)
        } catch {
            guard error.judgement != .failed else { throw error }
            return []
        }
    }

    /// Chunks with places in these packs that the packs' tables do not tell of: damaged ones, where
    /// a pack has any.
    private func vacateStragglers(
        _ vacating: inout Vacating, _ result: inout Vacated
    ) throws(StoreError) {
        var isWhole = true
        for number in vacating.packs {
            guard let pack = try index.pack(number) else { continue }
            var living: UInt64 = 0
            for name in vacating.chunks {
                guard let record = try index.chunk(name) else { continue }
                for place in record.places where place.pack == number {
                    living += UInt64(record.rawBytes)
                }
            }
            if living != pack.livingBytes { isWhole = false }
        }
        if isWhole { return }
        let (packs, known) = (vacating.packs, vacating.chunks)
        var names: [ChunkName] = []
        try index.visit([IndexKey.chunkPrefix]) { (key, value) throws(FormatError) in
            guard let name = IndexKey.chunkName(key), !known.contains(name) else { return true }
            if try ChunkRecord(value).places.contains(where: { packs.contains($0.pack) }) {
                names.append(name)
            }
            return true
        }
        for name in names { try vacate(name, &vacating, &result) }
    }

    /// What the index says of a chunk that has to be laid anew, so that the packs can go; nil where it
    /// need not be.
    func toBeMoved(
        _ name: ChunkName, _ vacating: inout Vacating, _ result: inout Vacated
    ) throws(StoreError) -> ChunkRecord? {
        guard let record = try index.chunk(name),
            record.places.contains(where: { vacating.packs.contains($0.pack) })
        else { return nil }
        vacating.chunks.insert(name)
        let others = record.places.filter { !vacating.packs.contains($0.pack) }
        // Nodes have to stay in two copies: they are laid anew, and copied by the checkpoint.
        if !others.isEmpty, !record.domain.isMetadata, isReadable(name, at: others) {
            result.forgottenChunks += 1
            return nil
        }
        return record
    }

    private func vacate(
        _ name: ChunkName, _ vacating: inout Vacating, _ result: inout Vacated
    ) throws(StoreError) {
        guard let record = try toBeMoved(name, &vacating, &result) else { return }
        try move(name, record, &vacating, &result)
    }

    /// Lays a chunk anew, as writers do.
    func move(
        _ name: ChunkName, _ record: ChunkRecord, _ vacating: inout Vacating,
        _ result: inout Vacated
    ) throws(StoreError) {
        guard let bytes = try verifiedBytes(name, record) else {
            result.unreadable.append(name)
            return
        }
        try relay(name, bytes, domain: record.domain)
        CrashPoint.chunkMoved.pass()
        vacating.relaid.insert(name)
        result.movedChunks += 1
        result.movedBytes += UInt64(bytes.count)
    }

    private func isReadable(_ name: ChunkName, at places: [ChunkPlace]) -> Bool {
        (try? reader.withBytes(of: name, at: places, domain: .data) { $0.count }) != nil
    }

    /// The chunk's bytes, verified by its name and not by its frame alone; nil where there are
    /// none.
    func verifiedBytes(
        _ name: ChunkName, _ record: ChunkRecord
    ) throws(StoreError) -> [UInt8]? {
        for place in record.places {
            do throws(StoreError) {
                let bytes = try reader.withBytes(of: name, at: [place], domain: record.domain) {
                    Array($0)
                }
                let found = try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                    try hashers.name(of: UnsafeRawBufferPointer(buffer), domain: record.domain)
                }
                if found == name { return bytes }
            } catch {
                guard error.isDamageOfChunk else { throw error }
            }
        }
        return nil
    }

    /// Lays a chunk that is known anew.
    private func relay(
        _ name: ChunkName, _ bytes: [UInt8], domain: ChunkDomain
    ) throws(StoreError) {
        try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
            let raw = UnsafeRawBufferPointer(buffer)
            var children: [ChunkName] = []
            if domain == .recipe { children = try RecipeChildren.names(raw, of: name) }
            let full = try lay(
                name, raw, domain: domain, children: children, use: domain.use)
            if let full { layDown(full) }
        }
        try checkWritable()
        if laying.withLock({ !$0.stuck.isEmpty }) { throw .noSpace }
    }
}

extension CommitApplier {
    /// Takes the places out that a vacating gave up; what would be left without any keeps its own.
    mutating func dropVacated(_ applied: AppliedCommit) throws(StoreError) {
        let vacating = applied.vacating
        guard !vacating.isEmpty else { return }
        var fresh: [ChunkName: Set<ChunkPlace>] = [:]
        for new in applied.news + applied.copies where vacating.relaid.contains(new.name) {
            fresh[new.name, default: []].formUnion(new.places)
        }
        for name in vacating.chunks.sorted() {
            guard let places = try stagedPlaces(name) else { continue }
            let kept: [ChunkPlace]
            if vacating.relaid.contains(name), let new = fresh[name] {
                kept = places.filter { new.contains($0) }
            } else {
                kept = places.filter { !vacating.packs.contains($0.pack) }
            }
            if !kept.isEmpty || vacating.givenUp.contains(name) { setPlaces(name, kept) }
        }
    }

    /// Takes all places in a condemned pack out. They are there only where an index was replayed or
    /// rebuilt since the pack was vacated: then all chunks have to be looked at.
    mutating func dropCondemnedPlaces(_ numbers: [UInt32]) throws(StoreError) {
        var occupied: Set<UInt32> = []
        for number in numbers where (try index.pack(number)?.livingBytes ?? 0) > 0 {
            occupied.insert(number)
        }
        guard !occupied.isEmpty else { return }
        var names: [ChunkName] = []
        try index.visit([IndexKey.chunkPrefix]) { (key, value) throws(FormatError) in
            guard let name = IndexKey.chunkName(key) else { return true }
            if try ChunkRecord(value).places.contains(where: { occupied.contains($0.pack) }) {
                names.append(name)
            }
            return true
        }
        for name in names {
            guard let places = try stagedPlaces(name) else { continue }
            setPlaces(name, places.filter { !occupied.contains($0.pack) })
        }
    }
}
