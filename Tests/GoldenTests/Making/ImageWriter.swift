// The writer of a whole image: chunks, super-chunks, commits, by the specification alone.
import Compression
import DiskFormat
import Hashing
import Trees

/// How an image's store is made, and what is strange about it.
struct ImagePlan {
    enum Frames {
        /// As they are.
        case none
        /// `PlainFrames`: the same on every machine.
        case plain
        /// libzstd's first level: the same with the same libzstd.
        case library
    }

    var parameters: StoreParameters
    var frames = Frames.plain
    /// Raw bytes of a frame.
    var frameBytesMax = 16 << 10
    /// Changes of each pack header's bytes, before its checksum.
    var patchHeader: (inout [UInt8]) -> Void = { _ in }
    /// Bytes behind a commit's sections.
    var commitTail: (_ sequence: UInt64) -> [UInt8] = { _ in [] }

    /// - Parameter number: of the image: a store of its own.
    init(number: UInt64, _ change: (inout StoreParameters) -> Void = { _ in }) {
        parameters = StoreParameters(
            storeID: UniqueID(random: (0x676f_6c64_656e_0000 | number, 0x6173_686c_6172)),
            secret: StoreSecret(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210),
            chunker: .gear(meanBytes: 4096), superChunkBytes: 64 << 10, packBytes: 1 << 20,
            metadataCopies: 1)
        change(&parameters)
    }
}

/// Makes one image in memory. One thread.
final class ImageWriter: NodeStore {
    /// Of all packs.
    static let writerID: UInt64 = 0x1234_5678_9abc_def0
    /// When everything is said to have happened: 2023-11-14 22:13:20 UTC.
    static let epochSeconds: Int64 = 1_700_000_000

    let plan: ImagePlan
    let hasher: ChunkHasher
    private(set) var packs: [ImagePack] = []
    private var main: ImagePack
    private var copies: ImagePack?
    private(set) var contents: [ChunkName: (bytes: [UInt8], domain: ChunkDomain)] = [:]
    private var pending: [(name: ChunkName, domain: ChunkDomain)] = []
    private var spans: [OpenSpan] = []
    private var copySpans: [OpenSpan] = []
    private(set) var previous = ChunkName.zero
    private(set) var sequence: UInt64 = 0
    /// Whether chunks of data are stored, or named alone.
    var keepsData = true
    /// Where commits lie.
    private(set) var commitOffsets: [UInt64] = []

    private struct OpenSpan {
        var pack: PackID
        var from: UInt64
        var to: UInt64
        var count: UInt64 = 0
        var headers: [UInt8] = []

        var encoded: PackSpan {
            PackSpan(
                pack: pack, range: from..<to, recordCount: count,
                digest: headers.withUnsafeBytes { BodyChecksum(of: $0) })
        }
    }

    init(_ plan: ImagePlan) throws {
        self.plan = plan
        hasher = try ChunkHasher(plan.parameters.hash)
        main = ImageWriter.pack(1, .main, plan)
        packs = [main]
        if plan.parameters.metadataCopies == 2 {
            let pack = ImageWriter.pack(2, .copies, plan)
            copies = pack
            packs.append(pack)
        }
    }

    private static func pack(
        _ number: UInt64, _ role: PackHeader.Role, _ plan: ImagePlan
    ) -> ImagePack {
        ImagePack(
            PackID(writer: writerID, sequence: number), role, plan.parameters,
            seconds: epochSeconds, patch: plan.patchHeader)
    }

    /// The image: its files by their names within a store.
    var files: [String: [UInt8]] {
        Dictionary(
            uniqueKeysWithValues: packs.map { ($0.id.fileName, $0.bytes) })
    }

    /// The main pack that is written now.
    var open: ImagePack { main }

    // MARK: chunks

    @discardableResult
    func put(_ bytes: [UInt8], _ domain: ChunkDomain) -> ChunkName {
        let name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
        if contents[name] == nil, keepsData || domain != .data {
            contents[name] = (bytes, domain)
            pending.append((name, domain))
        }
        return name
    }

    /// Forgets what a commit has condemned: when it is put again it is stored again.
    func forget(_ name: ChunkName) {
        contents[name] = nil
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        guard let known = contents[name] else { throw .missing(name) }
        return known.bytes
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        put(bytes, domain)
    }

    // MARK: records

    /// Writes what was put: data first, then nodes.
    func flush() {
        for isMetadata in [false, true] {
            let chunks = pending.filter { $0.domain.isMetadata == isMetadata }
            guard !chunks.isEmpty else { continue }
            let (prefix, frames) = superChunk(chunks)
            let head = prefix.encoded()
            let header = RecordHeader(
                kind: .superChunk, flags: isMetadata ? .metadata : [],
                storedBytes: UInt32(head.count + frames.count),
                rawBytes: prefix.frames.reduce(0) { $0 + $1.rawBytes },
                frameCount: UInt16(prefix.frames.count), itemCount: UInt32(chunks.count),
                bodyChecksum: head.withUnsafeBytes { BodyChecksum(of: $0) })
            append(header, head + frames)
            guard isMetadata, let copies else { continue }
            var copy = header
            copy.flags = [.metadata, .copy]
            Self.append(copy, head + frames, to: copies, &copySpans)
        }
        pending = []
    }

    private func superChunk(
        _ chunks: [(name: ChunkName, domain: ChunkDomain)]
    ) -> (prefix: SuperChunkPrefix, frames: [UInt8]) {
        var prefix = SuperChunkPrefix(frames: [], chunks: [])
        var stored: [UInt8] = []
        var frame: [UInt8] = []
        func close() {
            let compressed = compress(frame)
            let bytes = compressed ?? frame
            prefix.frames.append(
                .init(
                    storedBytes: UInt32(bytes.count), rawBytes: UInt32(frame.count),
                    codec: compressed == nil ? 0 : 1,
                    checksum: bytes.withUnsafeBytes { BodyChecksum(of: $0) }))
            stored += bytes
            frame = []
        }
        for chunk in chunks {
            let bytes = contents[chunk.name]?.bytes ?? []
            if !frame.isEmpty, frame.count + bytes.count > plan.frameBytesMax { close() }
            frame += bytes
            prefix.chunks.append(
                .init(name: chunk.name, rawBytes: UInt32(bytes.count), domain: chunk.domain))
        }
        close()
        return (prefix, stored)
    }

    private func compress(_ raw: [UInt8]) -> [UInt8]? {
        switch plan.frames {
        case .none: return nil
        case .plain: return PlainFrames.frame(of: raw)
        case .library:
            guard raw.count > 1 else { return nil }
            var target = [UInt8](repeating: 0, count: raw.count - 1)
            let count = raw.withUnsafeBytes { source in
                target.withUnsafeMutableBytes {
                    CompressionPool(idleMax: 1).compress(source, into: $0, method: .standard)
                }
            }
            return count.map { Array(target[..<$0]) }
        }
    }

    /// Appends a record that the next commit vouches for.
    func append(
        _ header: RecordHeader, _ body: [UInt8], patch: (inout [UInt8]) -> Void = { _ in }
    ) {
        Self.append(header, body, to: main, &spans, patch: patch)
    }

    private static func append(
        _ header: RecordHeader, _ body: [UInt8], to pack: ImagePack, _ spans: inout [OpenSpan],
        patch: (inout [UInt8]) -> Void = { _ in }
    ) {
        let (offset, encoded) = pack.append(header, body, patch: patch)
        if spans.last?.pack != pack.id || spans.last?.to != offset {
            spans.append(OpenSpan(pack: pack.id, from: offset, to: offset))
        }
        let last = spans.count - 1
        spans[last].to = pack.end
        spans[last].count += 1
        spans[last].headers += encoded
    }

    // MARK: commits

    /// Commits what was put, and what `fill` adds; a checkpoint lists the packs.
    func commit(isCheckpoint: Bool, _ fill: (inout Commit) -> Void) {
        flush()
        sequence += 1
        var commit = Commit(
            epoch: 1, sequence: sequence, previous: previous,
            time: DiskTime(
                seconds: ImageWriter.epochSeconds + Int64(sequence) * 60, nanoseconds: 5))
        commit.spans = (spans + (isCheckpoint ? copySpans : [])).map(\.encoded)
        fill(&commit)
        if isCheckpoint {
            commit.packs = packs.filter { !commit.condemnedPacks.contains($0.id) }
                .map { PackState(pack: $0.id, byteCount: $0.end) }
            copySpans = []
        }
        spans = []
        let raw = commit.encoded() + plan.commitTail(sequence)
        previous = raw.withUnsafeBytes { hasher.name(of: $0, domain: .tree) }
        let compressed = compress(raw)
        let body = compressed ?? raw
        let header = RecordHeader(
            kind: .commit, codec: compressed == nil ? 0 : 1, storedBytes: UInt32(body.count),
            rawBytes: UInt32(raw.count),
            bodyChecksum: body.withUnsafeBytes { BodyChecksum(of: $0) })
        commitOffsets.append(main.append(header, body).offset)
    }

    /// Seals the packs and begins new ones.
    func roll() {
        flush()
        let next = (packs.map(\.id.sequence).max() ?? 0) + 1
        main.seal()
        main = ImageWriter.pack(next, .main, plan)
        packs.append(main)
        guard let old = copies else { return }
        old.seal()
        let pack = ImageWriter.pack(next + 1, .copies, plan)
        copies = pack
        packs.append(pack)
    }

    /// Begins a pack that nothing will be committed in, as a crash leaves it.
    func beginTornPack(_ role: PackHeader.Role, bytes: UInt64) {
        let next = (packs.map(\.id.sequence).max() ?? 0) + 1
        let pack = ImageWriter.pack(next, role, plan)
        pack.cut(to: bytes)
        packs.append(pack)
    }
}
