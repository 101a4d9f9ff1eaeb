// What lies in the packs of a store: read once, from their headers and tables.
import Backends
import Compression
import DiskFormat
import Hashing
import Packs
import Platform
import SuperChunks

/// All packs of a backend, their records, commits and chunks, and what is wrong with them so far.
///
/// Taking one reads the header of each pack and record, the table of each super-chunk, and each
/// commit; bodies are read by `verify`. Damage never ends it; a backend that refuses does.
///
/// Threads: one at a time.
public final class Inventory {
    /// A pack that can be read.
    public struct Pack {
        /// As its file is named.
        public let id: PackID
        /// As its header says; `.main` where that is damaged.
        public let role: PackHeader.Role
        /// Where its valid records end, and its length.
        public let end: PackEnd
        /// Its records' positions in `records`.
        public let records: Range<Int>
        /// Whether a valid trailer proves that everything before it was durable once.
        public var isSealed: Bool { end.tail == .trailer }
        let reader: PackReader
        let file: any BackendFile
    }

    /// A record with a valid header.
    public struct Record: Sendable {
        /// The pack's position in `packs`.
        public var pack: UInt32
        /// Of its header within the pack.
        public var offset: UInt64
        /// As in its header.
        public var storedBytes: UInt32
        public var itemCount: UInt32
        public var frameCount: UInt16
        public var kindByte: UInt8
        public var flags: RecordHeader.Flags
        /// Whether chunks may be looked for in it: a super-chunk whose table is intact.
        var isOpen = false

        /// nil for an optional kind that this program does not know.
        public var kind: RecordHeader.Kind? { RecordHeader.Kind(rawValue: kindByte) }

        /// Past its padding.
        public var end: UInt64 {
            DiskFormat.aligned(offset + UInt64(RecordHeader.byteCount) + UInt64(storedBytes))
        }
    }

    /// How much is read at once.
    public enum Scope: Sendable {
        /// Everything, as a check needs it.
        case whole
        /// What the newest state needs: lists of records from the tables of sealed packs, commits back
        /// to the newest checkpoint, tables of metadata. Those of data are read when one is looked for.
        /// Findings are not complete.
        case newest
    }

    struct FrameNumber: Hashable {
        var record: Int
        var frame: UInt16
    }

    /// Where the packs lie.
    public let backend: any Backend
    /// Of the store, from the headers of its packs.
    public let parameters: StoreParameters
    /// By id, without those that cannot be read.
    public internal(set) var packs: [Pack] = []
    /// By pack and offset.
    public internal(set) var records: [Record] = []
    /// All commits whose bodies are intact, by epoch and sequence.
    public internal(set) var commits: [CommitEntry] = []
    /// What is bad, in the order in which it was found; places behind the log's end are among it.
    public internal(set) var findings: [Finding] = []
    /// Packs by id.
    private(set) var packNumbers: [PackID: Int] = [:]
    /// Ids of pack files that are there and could not be used.
    var unusable: Set<PackID> = []
    var punched: Set<PunchedKey> = []
    var table = ChunkTable()
    let scope: Scope
    /// A commit that is known to have been durable (`init`).
    let durableCommit: ChunkName?
    /// Whether `table` has the chunks of all records.
    private(set) var hasAllChunks = false
    var damagedFrames: Set<FrameNumber> = []
    var verifiedBytes: UInt64 = 0
    let hasher: ChunkHasher
    let codec = ZstdFrames()
    let pool = BufferPool(capacityBytes: 1 << 20, keptBytesMax: 4 << 20)

    struct PunchedKey: Hashable {
        var pack: PackID
        var offset: UInt64
    }

    /// Reads all packs of `backend`.
    ///
    /// - Parameters:
    ///   - store: the store to look at; nil: the one that most packs belong to.
    ///   - durableCommit: the hash of a commit that is known to have been durable, as an index says.
    public init(
        _ backend: any Backend, store: StoreIdentity? = nil, scope: Scope = .whole,
        durableCommit: ChunkName? = nil, monitor: CheckMonitor = CheckMonitor()
    ) throws(CheckingError) {
        self.backend = backend
        self.scope = scope
        self.durableCommit = durableCommit
        let files: [(name: String, size: UInt64)]
        do throws(BackendError) {
            files = try backend.list(prefix: "packs/")
        } catch {
            throw .backend(error)
        }
        parameters = try Inventory.identify(files, in: backend, store)
        do throws(HashingError) {
            hasher = try ChunkHasher(parameters.hash)
        } catch {
            throw .hashing(error)
        }
        let total = files.reduce(0) { $0 + $1.size }
        var done: UInt64 = 0
        for file in files {
            try monitor.step(.packs, done, total)
            try scan(file.name, bytes: file.size, monitor)
            done += file.size
        }
        if scope == .newest { try readNewestCommits() }
        commits.sort { ($0.epoch, $0.sequence, $0.record) < ($1.epoch, $1.sequence, $1.record) }
        try readChunkTables(monitor) { scope == .whole || $0.flags.contains(.metadata) }
        hasAllChunks = scope == .whole
    }

    /// The number of a chunk in `table`, where any copy of it is stored: looked for among those of data
    /// only when it is not among the others.
    func number(of name: ChunkName) throws(CheckingError) -> Int? {
        if let number = table.number(of: name) { return number }
        guard !hasAllChunks else { return nil }
        try readChunkTables(CheckMonitor()) { !$0.flags.contains(.metadata) }
        hasAllChunks = true
        return table.number(of: name)
    }

    /// The store that most pack headers name (the one of the smallest id among equals).
    private static func identify(
        _ files: [(name: String, size: UInt64)], in backend: any Backend, _ store: StoreIdentity?
    ) throws(CheckingError) -> StoreParameters {
        var votes: [StoreIdentity: (count: Int, parameters: StoreParameters)] = [:]
        var hasNewer = false
        for file in files {
            guard let id = PackID(fileName: file.name) else { continue }
            let result = header(of: file.name, in: backend)
            switch result {
            case .success(let header):
                let identity = StoreIdentity(header.parameters)
                if let store, identity != store { continue }
                // A file under its own name speaks first.
                let weight = header.id == id ? 2 : 1
                votes[identity, default: (0, header.parameters)].count += weight
            case .failure(.newerVersion), .failure(.unknownFeatures): hasNewer = true
            case .failure: continue
            }
        }
        let best = votes.max { a, b in
            a.value.count == b.value.count
                ? a.key.storeID.description > b.key.storeID.description
                : a.value.count < b.value.count
        }
        if let best { return best.value.parameters }
        throw hasNewer ? .newerFormat : .noStore
    }

    static func header(
        of name: String, in backend: any Backend
    ) -> Result<PackHeader, FormatError> {
        var bytes = [UInt8](repeating: 0, count: PackHeader.byteCount)
        do throws(BackendError) {
            let file = try backend.openFile(name, writable: false)
            let count = try readBytes(file, at: 0, into: &bytes)
            bytes.removeSubrange(count...)
        } catch {
            return .failure(.truncated("pack header: \(error)"))
        }
        return bytes.withUnsafeBytes { raw in
            do throws(FormatError) {
                return .success(try PackHeader(raw))
            } catch {
                return .failure(error)
            }
        }
    }

    static func readBytes(
        _ file: any BackendFile, at offset: UInt64, into bytes: inout [UInt8]
    ) throws(BackendError) -> Int {
        let result: Result<Int, BackendError> = bytes.withUnsafeMutableBytes { buffer in
            do throws(BackendError) {
                return .success(try file.read(at: offset, into: buffer))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    // MARK: what there is

    /// The pack of that id, where it can be read.
    public func pack(_ id: PackID) -> Pack? { packNumbers[id].map { packs[$0] } }

    func packNumber(_ id: PackID) -> Int? { packNumbers[id] }

    func add(_ pack: Pack) {
        packNumbers[pack.id] = packs.count
        packs.append(pack)
    }

    func note(_ kind: Problem.Kind, _ place: Problem.Place, _ detail: String) {
        findings.append(Finding(kind: kind, place: place, detail: detail))
    }

    func packID(of record: Int) -> PackID { packs[Int(records[record].pack)].id }

    /// The records of a pack that begin in `range`.
    func records(of pack: Int, in range: Range<UInt64>) -> Range<Int> {
        let all = packs[pack].records
        func first(from offset: UInt64) -> Int {
            var low = all.lowerBound
            var high = all.upperBound
            while low < high {
                let middle = (low + high) / 2
                if records[middle].offset < offset { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return first(from: range.lowerBound)..<first(from: range.upperBound)
    }

    /// Whether a copy can be expected to be readable, as far as is known.
    func isIntact(_ copy: ChunkTable.Copy) -> Bool {
        if copy.flags & 1 != 0 { return false }
        if damagedFrames.isEmpty { return true }
        return !damagedFrames.contains(FrameNumber(record: Int(copy.record), frame: copy.frame))
    }

    /// Number of stored copies of chunks.
    public var chunkCopyCount: Int { table.copies.count }
}

/// zstd for `SuperChunkOpener`; this module compresses nothing.
struct ZstdFrames: FrameCodec {
    private let pool = CompressionPool(idleMax: 1)

    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? { nil }

    func decompress(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(FrameCodecError) {
        do throws(CompressionError) {
            try pool.decompress(stored, codec: .zstd, into: raw)
        } catch {
            throw error == .outOfMemory ? .outOfMemory : .damaged
        }
    }
}
