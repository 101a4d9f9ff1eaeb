// The packs that are there, and readers for them, before numbers are given: what opening works on.
import Backends
import Compression
import DiskFormat
import Hashing
import Packs
import Platform
import SuperChunks

/// The packs of a store as its backend lists them. One thread.
final class PackSet {
    /// Open readers kept at a time.
    private static let readersMax = 64

    let backend: any Backend
    let parameters: StoreParameters
    /// Bytes of each pack's file.
    private(set) var sizes: [PackID: UInt64]
    /// Ascending.
    private(set) var ids: [PackID]
    let hashers: HasherPool
    let codec: PooledFrameCodec
    let buffers: BufferPool
    /// Commits up to this one were durable once (`StoreOptions.durableSequence`).
    var durableSequence: UInt64 = 0
    private var readers: [PackID: PackReader] = [:]

    /// Lists the packs, and takes the store's parameters from one whose header is intact. Packs that
    /// another store's writer made, and that somebody put there, are left out.
    ///
    /// Throws `notAStore` where there is no pack.
    init(
        _ backend: any Backend, codec: (StoreParameters) -> PooledFrameCodec,
        keptBufferBytes: Int
    ) throws(StoreError) {
        self.backend = backend
        let found = try PackSet.list(backend)
        let (parameters, strangers) = try PackSet.identify(found.keys.sorted(), in: backend)
        sizes = found.filter { !strangers.contains($0.key.writer) }
        ids = sizes.keys.sorted()
        self.parameters = parameters
        hashers = HasherPool(parameters.hash)
        self.codec = codec(parameters)
        buffers = BufferPool(
            capacityBytes: Int(parameters.superChunkBytes), keptBytesMax: keptBufferBytes)
    }

    /// The parameters of the store that most of the packs are of, and the writers of the others.
    /// Costs one header a writer, the newest that is intact.
    private static func identify(
        _ ids: [PackID], in backend: any Backend
    ) throws(StoreError) -> (StoreParameters, strangers: Set<UInt64>) {
        var failure: PackError?
        var stores: [UInt64: StoreParameters] = [:]
        var packCounts: [UniqueID: Int] = [:]
        for (writer, packs) in Dictionary(grouping: ids, by: \.writer) {
            for id in packs.reversed() where stores[writer] == nil {
                do throws(PackError) {
                    let header = try PackReader(id, in: backend, expecting: nil).header
                    stores[writer] = header.parameters
                    packCounts[header.parameters.storeID, default: 0] += packs.count
                } catch {
                    // What a newer program has written to is refused as a whole, also where its older
                    // packs could be read.
                    if case .format(let format, _, _) = error, format.isNewer { throw .pack(error) }
                    // A pack whose header never became whole stands for nothing; a store of which no
                    // header can be read is refused with a reason.
                    failure = failure ?? error
                }
            }
        }
        let chosen = packCounts.max {
            ($0.value, $0.key.description) < ($1.value, $1.key.description)
        }
        guard let chosen, let own = stores.values.first(where: { $0.storeID == chosen.key }) else {
            if let failure { throw .pack(failure) }
            throw .notAStore(location: backend.location)
        }
        return (own, Set(stores.filter { $0.value.storeID != chosen.key }.keys))
    }

    static func list(_ backend: any Backend) throws(StoreError) -> [PackID: UInt64] {
        var result: [PackID: UInt64] = [:]
        do throws(BackendError) {
            for file in try backend.list(prefix: "packs/") {
                if let id = PackID(fileName: file.name) { result[id] = file.size }
            }
        } catch {
            throw .backend(error)
        }
        return result
    }

    /// A reader of a pack, also of one whose header is damaged.
    func reader(_ id: PackID) throws(StoreError) -> PackReader {
        if let reader = readers[id] { return reader }
        let reader = try readingPack { () throws(PackError) in
            try PackReader(salvaging: id, in: backend, parameters: parameters)
        }
        if readers.count >= PackSet.readersMax { readers = [:] }
        readers[id] = reader
        return reader
    }

    /// Forgets a pack that was removed, or the reader of one that was changed.
    func refresh(_ id: PackID, isRemoved: Bool = false) {
        readers[id] = nil
        guard isRemoved else { return }
        sizes[id] = nil
        ids.removeAll { $0 == id }
    }

    // MARK: commits

    /// A commit as it lies in a pack.
    struct FoundCommit {
        var commit: Commit
        var hash: ChunkName
        var position: LogPosition
    }

    /// The commit whose record begins at `offset`; nil where there is no intact one.
    ///
    /// Throws what says nothing about the record.
    func commit(in pack: PackID, at offset: UInt64) throws(StoreError) -> FoundCommit? {
        do throws(StoreError) {
            return try readCommit(in: pack, at: offset)
        } catch {
            guard error.judgement != .failed else { throw error }
            return nil
        }
    }

    /// Whether the record at `offset`, a commit by its header, is intact and yet makes no sense to
    /// this program: some other one wrote it.
    func isNewerCommit(in pack: PackID, at offset: UInt64) throws(StoreError) -> Bool {
        do throws(StoreError) {
            let reader = try reader(pack)
            let (header, body) = try readingPack { () throws(PackError) in
                try reader.readRecord(at: offset)
            }
            guard Int(header.rawBytes) <= DiskFormat.bodyBytesMax,
                let raw = restored(body, header)
            else { return false }
            return raw.withUnsafeBytes { (try? Commit($0)) == nil }
        } catch {
            guard error.judgement != .failed else { throw error }
            return false
        }
    }

    private func readCommit(
        in pack: PackID, at offset: UInt64
    ) throws(StoreError) -> FoundCommit? {
        let reader = try reader(pack)
        let (header, body) = try readingPack { () throws(PackError) in
            try reader.readRecord(at: offset)
        }
        guard header.kind == .commit, Int(header.rawBytes) <= DiskFormat.bodyBytesMax,
            let raw = restored(body, header)
        else { return nil }
        let hash = try raw.withUnsafeBufferPointer { (buffer) throws(StoreError) in
            try hashers.name(of: UnsafeRawBufferPointer(buffer), domain: .tree)
        }
        let decoded: Commit
        do throws(FormatError) {
            decoded = try raw.withUnsafeBufferPointer { (buffer) throws(FormatError) in
                try Commit(UnsafeRawBufferPointer(buffer))
            }
        } catch {
            return nil
        }
        return FoundCommit(
            commit: decoded, hash: hash,
            position: LogPosition(pack: pack, offset: offset, end: offset + header.recordBytes))
    }

    private func restored(_ body: [UInt8], _ header: RecordHeader) -> [UInt8]? {
        if header.codec == 0 { return body }
        var raw = [UInt8](repeating: 0, count: Int(header.rawBytes))
        let isRestored = body.withUnsafeBytes { stored in
            raw.withUnsafeMutableBytes { target in
                (try? codec.decompress(stored, into: target)) != nil
            }
        }
        return isRestored ? raw : nil
    }

    /// Whether a valid trailer proves that all of the pack's records were durable.
    func isSealed(_ id: PackID) throws(StoreError) -> Bool {
        do throws(StoreError) {
            let reader = try reader(id)
            let scanner = try readingPack { () throws(PackError) in
                try PackScanner(reader, from: UInt64(PackHeader.byteCount))
            }
            return scanner.isSealed
        } catch {
            guard error.judgement != .failed else { throw error }
            return false
        }
    }
}
