// A small writer of stores, independent of the pipeline: packs, super-chunks, commits.
import Backends
import Compression
import DiskFormat
import Foundation
import Hashing
import Packs
import Platform
import SuperChunks
import Trees
import XCTest

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), begun with ASHLAR_SEED or a random seed, which it
/// prints.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ test: String = #function) {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 0...UInt64.max)
        print("\(test): ASHLAR_SEED=\(state)")
    }

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

struct ZstdFrameCodec: FrameCodec {
    let pool = CompressionPool(idleMax: 2)

    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        pool.compress(raw, into: destination, method: .standard)
    }

    func decompress(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(FrameCodecError) {
        do { try pool.decompress(stored, codec: .zstd, into: raw) } catch { throw .damaged }
    }
}

/// Writes a store into a memory backend.
final class SmallStore: NodeStore {
    struct Options {
        var storeID = UniqueID(random: (11, 12))
        var secret = StoreSecret(high: 13, low: 14)
        var metadataCopies: UInt8 = 2
        var superChunkBytes = 20_000
        var frameBytes = 6_000
        var packBytes = StoreParameters.packBytesRange.lowerBound
        /// Whether commits are compressed.
        var compressesCommits = false
        /// Added to the numbers of packs, so that two stores have equal pack ids or not.
        var writer: UInt64 = 0xfeed
    }

    let options: Options
    let parameters: StoreParameters
    let backend = MemoryBackend()
    let hasher: ChunkHasher
    var contents: [ChunkName: (bytes: [UInt8], domain: ChunkDomain)] = [:]
    private let pool = BufferPool(capacityBytes: 1 << 16, keptBytesMax: 1 << 20)
    private let codec = ZstdFrameCodec()
    private(set) var main: PackWriter
    private(set) var copies: PackWriter
    private var nextPack: UInt64 = 3
    private var living: [PackID]
    private var dataBuilder: SuperChunkBuilder
    private var nodeBuilder: SuperChunkBuilder
    private var spanStart = UInt64(PackHeader.byteCount)
    private var copiesStart = UInt64(PackHeader.byteCount)
    private var oldSpans: [PackSpan] = []
    var previous = ChunkName.zero
    var sequence: UInt64 = 0
    /// Called with each commit before it is encoded.
    var tamper: ((inout Commit) -> Void)?
    /// Changes nodes and commits before they are hashed and written: what a hostile writer does.
    var mutate: ((inout [UInt8]) -> Void)?
    /// Names that are not stored though they are named.
    var omitted: Set<ChunkName> = []
    private(set) var commitPlaces: [(pack: PackID, offset: UInt64)] = []

    init(_ options: Options = Options()) throws {
        self.options = options
        parameters = StoreParameters(
            storeID: options.storeID, secret: options.secret,
            packBytes: options.packBytes,
            metadataCopies: options.metadataCopies)
        hasher = try ChunkHasher(.sha256)
        main = try Self.begin(1, .main, backend, parameters, options.writer)
        copies = try Self.begin(2, .copies, backend, parameters, options.writer)
        living = [main.id, copies.id]
        dataBuilder = Self.builder(options, false, pool)
        nodeBuilder = Self.builder(options, true, pool)
    }

    private static func begin(
        _ number: UInt64, _ role: PackHeader.Role, _ backend: any Backend,
        _ parameters: StoreParameters, _ writer: UInt64
    ) throws -> PackWriter {
        try PackWriter.create(
            in: backend, parameters: parameters, id: PackID(writer: writer, sequence: number),
            role: role, now: (1_700_000_000, 0))
    }

    private static func builder(
        _ options: Options, _ isMetadata: Bool, _ pool: BufferPool
    ) -> SuperChunkBuilder {
        SuperChunkBuilder(
            domainIsMetadata: isMetadata, rawBytesMax: options.superChunkBytes,
            frameBytesMax: options.frameBytes, pool: pool)
    }

    // MARK: chunks

    func put(_ bytes: [UInt8], _ domain: ChunkDomain) throws -> ChunkName {
        let name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
        if contents[name] != nil { return name }
        contents[name] = (bytes, domain)
        if !omitted.contains(name) { try store(name, bytes, domain) }
        return name
    }

    private func store(_ name: ChunkName, _ bytes: [UInt8], _ domain: ChunkDomain) throws {
        let builder = domain.isMetadata ? nodeBuilder : dataBuilder
        if bytes.withUnsafeBytes({ builder.append(name, domain: domain, $0) }) { return }
        try flush(domain.isMetadata)
        try store(name, bytes, domain)
    }

    /// Stores bytes under a name that is not theirs.
    func putLie(_ name: ChunkName, _ bytes: [UInt8]) throws {
        contents[name] = (bytes, .data)
        try store(name, bytes, .data)
    }

    /// Stores a chunk again, as a writer does that heals.
    func putAgain(_ name: ChunkName) throws {
        let known = try XCTUnwrap(contents[name])
        try store(name, known.bytes, known.domain)
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        guard let known = contents[name] else { throw .missing(name) }
        return known.bytes
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        var bytes = bytes
        mutate?(&bytes)
        do { return try put(bytes, domain) } catch { throw .storage(node: nil) }
    }

    // MARK: records

    private func flush(_ isMetadata: Bool) throws {
        let builder = isMetadata ? nodeBuilder : dataBuilder
        guard !builder.isEmpty else { return }
        let sealed = try builder.close(using: codec)
        try append(sealed, to: main, isCopy: false)
        if isMetadata {
            if options.metadataCopies == 2 { try append(sealed, to: copies, isCopy: true) }
            nodeBuilder = Self.builder(options, true, pool)
        } else {
            dataBuilder = Self.builder(options, false, pool)
        }
    }

    private func append(
        _ sealed: SealedSuperChunk, to writer: PackWriter, isCopy: Bool
    ) throws {
        let header = sealed.header
        _ = try sealed.withPieces { pieces in
            try writer.append(
                PendingRecord(
                    kind: .superChunk, flags: isCopy ? [.metadata, .copy] : header.flags,
                    parts: pieces, rawBytes: header.rawBytes, frameCount: header.frameCount,
                    itemCount: header.itemCount, checksum: header.bodyChecksum))
        }
    }

    private func span(_ writer: PackWriter, from start: UInt64) throws -> PackSpan? {
        let end = writer.position
        guard start < end else { return nil }
        let inside = writer.entries.filter { $0.offset >= start && $0.offset < end }
        guard !inside.isEmpty else { return nil }
        let bytes = try backend.readWhole(writer.id.fileName, limitBytes: 1 << 30)
        let headers = inside.flatMap { bytes[Int($0.offset)..<Int($0.offset) + 48] }
        return PackSpan(
            pack: writer.id, range: start..<end, recordCount: UInt64(inside.count),
            digest: headers.withUnsafeBytes { BodyChecksum(of: $0) })
    }

    /// Commits what was put, and the changes; a checkpoint lists the packs.
    func commit(_ volumes: [VolumeChanges], isCheckpoint: Bool) throws {
        try flush(false)
        try flush(true)
        sequence += 1
        var commit = Commit(
            epoch: 1, sequence: sequence, previous: previous,
            time: DiskTime(seconds: 1_700_000_000 + Int64(sequence), nanoseconds: 0))
        commit.spans = oldSpans
        if let span = try span(main, from: spanStart) { commit.spans.append(span) }
        if isCheckpoint {
            try copies.synchronize()
            if let span = try span(copies, from: copiesStart) { commit.spans.append(span) }
            copiesStart = copies.position
            commit.packs = try living.map {
                PackState(
                    pack: $0,
                    byteCount: UInt64(
                        try backend.readWhole($0.fileName, limitBytes: 1 << 30).count))
            }
        }
        commit.volumes = volumes
        tamper?(&commit)
        var raw = commit.encoded()
        mutate?(&raw)
        previous = raw.withUnsafeBytes { hasher.name(of: $0, domain: .tree) }
        let body = options.compressesCommits ? compressed(raw) : nil
        let offset = try (body ?? raw).withUnsafeBytes { bytes in
            try main.append(
                PendingRecord(
                    kind: .commit, codec: body == nil ? 0 : 1, parts: [bytes],
                    rawBytes: UInt32(raw.count), checksum: BodyChecksum(of: bytes)))
        }
        commitPlaces.append((main.id, offset))
        try main.synchronize()
        spanStart = main.position
        oldSpans = []
    }

    private func compressed(_ raw: [UInt8]) -> [UInt8]? {
        var target = [UInt8](repeating: 0, count: raw.count)
        let count = raw.withUnsafeBytes { raw in
            target.withUnsafeMutableBytes { codec.compress(raw, into: $0) }
        }
        return count.map { Array(target[..<$0]) }
    }

    /// Seals both packs and begins new ones.
    func roll() throws {
        try flush(false)
        try flush(true)
        if let span = try span(main, from: spanStart) { oldSpans.append(span) }
        try main.seal()
        try copies.seal()
        main = try Self.begin(nextPack, .main, backend, parameters, options.writer)
        copies = try Self.begin(nextPack + 1, .copies, backend, parameters, options.writer)
        nextPack += 2
        living += [main.id, copies.id]
        spanStart = UInt64(PackHeader.byteCount)
        copiesStart = spanStart
    }

    /// Puts super-chunks into the main pack that no commit vouches for.
    func appendWithoutCommit() throws {
        try flush(false)
        try flush(true)
    }
}
