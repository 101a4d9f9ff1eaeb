/// # Module: stage-benchmarks — each stage of the way of a byte, alone
///
/// Purpose: does one stage's work on fixed input, so often, so that its instructions can be counted
/// under callgrind (`packaging/check-instructions`, `make bench-instructions`). Built only where
/// ASHLAR_STAGES=1, as the fuzzers are: nobody needs it to use Ashlar.
///
///     stage-benchmarks --list
///     stage-benchmarks STAGE COUNT
///     stage-benchmarks --grow FOLDER ENTRIES [MEBIBYTES]    (`IndexGrowth`)
///
/// Words: a *unit* is a mebibyte of input, or one operation; `--list` says which. Counting a run
/// of many units and one of few, and dividing the difference, leaves no share to starting up.
///
/// Invariants: the same stage and count do the same work, whatever the time or the machine. There is
/// no stage for FUSE: half of a round trip is the kernel's, and is measured by the clock
/// (`ashlar-benchmarks`), beside a plain passthrough.
///
/// Threads: one; the stages of the pipeline have a worker besides.
import Backends
import ChunkIndex
import Chunking
import Compression
import DiskFormat
import Foundation
import Hashing
import Metadata
import Pipeline

@main
enum StageBenchmarks {
    enum Failure: Error {
        case usage
        /// A stage did not do what it should: its count would mean nothing.
        case wrong(String)
    }

    /// All stages, with what a unit is.
    static let stages: [(name: String, unit: String, run: @Sendable (Int) throws -> Void)] = [
        ("cut", "MiB", cut), ("hash", "MiB", hash), ("compress", "MiB", compress),
        ("decompress", "MiB", decompress), ("index-put", "chunk", putIndex),
        ("index-get", "chunk", getIndex), ("put-new", "MiB", putNew),
        ("put-known", "MiB", putKnown), ("edit-tree", "edit", TreeStage.run),
        ("commit", "commit", commit),
    ]

    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments == ["--list"] {
            for stage in stages { print(stage.name, stage.unit) }
            return
        }
        if arguments.first == "--grow", let growth = IndexGrowth(Array(arguments.dropFirst())) {
            return try growth.run()
        }
        guard arguments.count == 2, let name = arguments.first,
            let stage = stages.first(where: { $0.name == name }),
            let count = arguments.last.flatMap({ Int($0) }), count > 0
        else {
            FileHandle.standardError.write(
                Data(
                    ("usage: stage-benchmarks --list | STAGE COUNT "
                        + "| --grow FOLDER ENTRIES [MEBIBYTES]\n").utf8))
            exit(16)
        }
        try stage.run(count)
    }

    // MARK: input

    private static let mebibyte = 1 << 20
    private static let meanChunkBytes = 32 << 10

    /// A mebibyte that compresses about as source code does: words of a small vocabulary.
    private static let text: [UInt8] = {
        var state: UInt64 = 42
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        let words = (0..<512).map { _ in
            (0..<(2 + next() % 9)).map { _ in UInt8(97 + next() % 26) } + [32]
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(mebibyte + 16)
        while bytes.count < mebibyte { bytes += words[Int(next() & next() & 511)] }
        bytes.removeLast(bytes.count - mebibyte)
        return bytes
    }()

    /// Chunks of the text, each made another one by a number in its first bytes.
    private static func eachChunk(
        from first: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        var bytes = text
        try bytes.withUnsafeMutableBytes { all in
            for (index, start) in stride(from: 0, to: mebibyte, by: meanChunkBytes).enumerated() {
                all.storeBytes(of: first + UInt64(index), toByteOffset: start, as: UInt64.self)
                try body(UnsafeRawBufferPointer(rebasing: all[start..<start + meanChunkBytes]))
            }
        }
    }

    private static let chunksInMebibyte = UInt64(mebibyte / meanChunkBytes)

    // MARK: stages

    private static func cut(_ count: Int) throws {
        let chunker = Chunker(parameters: .gear(meanBytes: UInt32(meanChunkBytes)))
        var scratch = ChunkerScratch()
        var cuts: [Cut] = []
        for _ in 0..<count {
            cuts.removeAll(keepingCapacity: true)
            let used = text.withUnsafeBytes {
                chunker.cut(
                    $0, at: 0, isEnd: true, followsZeros: false, into: &cuts, scratch: &scratch)
            }
            guard used == mebibyte, cuts.count > 8 else { throw Failure.wrong("cut") }
        }
    }

    private static func hash(_ count: Int) throws {
        let hasher = try ChunkHasher(.sha256)
        var names: Set<ChunkName> = []
        for _ in 0..<count {
            eachChunk(from: 0) { names.insert(hasher.name(of: $0, domain: .data)) }
        }
        guard names.count == Int(chunksInMebibyte) else { throw Failure.wrong("hash") }
    }

    private static func compress(_ count: Int) throws {
        let pool = CompressionPool(idleMax: 1)
        var room = [UInt8](repeating: 0, count: mebibyte - 1)
        for _ in 0..<count {
            let size = text.withUnsafeBytes { raw in
                room.withUnsafeMutableBytes { pool.compress(raw, into: $0, method: .standard) }
            }
            guard let size, size < mebibyte / 2 else { throw Failure.wrong("compress") }
        }
    }

    private static func decompress(_ count: Int) throws {
        let pool = CompressionPool(idleMax: 1)
        var room = [UInt8](repeating: 0, count: mebibyte - 1)
        let size = text.withUnsafeBytes { raw in
            room.withUnsafeMutableBytes { pool.compress(raw, into: $0, method: .standard) }
        }
        guard let size else { throw Failure.wrong("compress") }
        var again = [UInt8](repeating: 0, count: mebibyte)
        for _ in 0..<count {
            try room.withUnsafeBytes { frame in
                try again.withUnsafeMutableBytes {
                    try pool.decompress(
                        UnsafeRawBufferPointer(rebasing: frame[..<size]), codec: .zstd, into: $0)
                }
            }
        }
        guard again == text else { throw Failure.wrong("decompress") }
    }

    // MARK: the index

    private static let batchChunks = 1000

    /// A name as random as a hash is.
    private static func name(_ number: Int) -> ChunkName {
        let word = UInt64(number + 1) &* 0x9e37_79b9_7f4a_7c15
        return ChunkName(w0: word, w1: word &* 3, w2: word &* 5, w3: word &* 7)
    }

    private static func withIndex(_ body: (RocksMetadataStore) throws -> Void) throws {
        let path = "/tmp/ashlar-stages.\(getpid())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let index = try RocksMetadataStore(
            path: path, memoryBytes: 256 << 20, readOnly: false, create: true)
        do {
            try body(index)
        } catch {
            try? index.close(flushing: false)
            throw error
        }
        try index.close(flushing: false)
    }

    private static func fill(_ index: RocksMetadataStore, _ count: Int) throws {
        for begin in stride(from: 0, to: count, by: batchChunks) {
            var batch = MetadataBatch(reservingBytes: batchChunks * 80)
            for number in begin..<min(begin + batchChunks, count) {
                let place = ChunkPlace(
                    pack: 1, recordOffset: UInt64(number) * 8, recordBytes: 4096, frame: 0,
                    frameOffset: 0)
                let record = ChunkRecord(count: 1, rawBytes: 32768, domain: .data, places: [place])
                batch.put(IndexKey.chunk(name(number)), record.encoded())
            }
            try index.write(batch)
        }
    }

    private static func putIndex(_ count: Int) throws {
        try withIndex { try fill($0, count) }
    }

    private static let indexedChunks = 20_000

    private static func getIndex(_ count: Int) throws {
        try withIndex { index in
            try fill(index, indexedChunks)
            for number in 0..<count {
                // Half of them are there, half are not.
                let key = IndexKey.chunk(name(number % (2 * indexedChunks)))
                let isThere = try index.get(key) != nil
                guard isThere == (number % (2 * indexedChunks) < indexedChunks) else {
                    throw Failure.wrong("index-get")
                }
            }
        }
    }

    // MARK: the pipeline, in memory

    private static func withStore(_ body: (ChunkStore) throws -> Void) throws {
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        let parameters = StoreParameters(
            storeID: UniqueID(high: 1, low: 2), secret: StoreSecret(high: 3, low: 4))
        let root = InodeImage(inode: 1, generation: 1, mode: 0o040755, linkCount: 2)
        try ChunkStore.create(
            in: backend, index: index, parameters: parameters,
            volumes: [NewVolume(name: "main", volumeID: volume, root: root)])
        var options = StoreOptions()
        options.workerCount = 1
        options.memoryBytes = 64 << 20
        let store = try ChunkStore.open(backend, index: index, options: options)
        do {
            try body(store)
        } catch {
            try? store.close()
            throw error
        }
        try store.close()
    }

    private static let volume = UniqueID(high: 5, low: 6)

    private static func putNew(_ count: Int) throws {
        try withStore { store in
            for round in 0..<count {
                try eachChunk(from: UInt64(round) * chunksInMebibyte) {
                    _ = try store.put($0, domain: .data)
                }
            }
            _ = try store.commit(draft(1))
        }
    }

    private static func putKnown(_ count: Int) throws {
        try withStore { store in
            for _ in 0..<count {
                try eachChunk(from: 0) { _ = try store.put($0, domain: .data) }
            }
            guard try store.statistics().chunks < 2 * chunksInMebibyte else {
                throw Failure.wrong("put-known")
            }
        }
    }

    private static func commit(_ count: Int) throws {
        try withStore { store in
            for number in 1...count { _ = try store.commit(draft(number)) }
        }
    }

    /// A commit of one small change, as an fsync of one file makes it.
    private static func draft(_ number: Int) -> CommitDraft {
        var changes = VolumeChanges(
            volumeID: volume, volumeName: "main", epoch: 0, sequence: 0, nextInode: 2)
        let time = DiskTime(seconds: Int64(number), nanoseconds: 0)
        changes.inodes = [
            .put(
                InodeImage(
                    inode: 1, generation: 1, mode: 0o040755, linkCount: 2, modificationTime: time))
        ]
        return CommitDraft(volumes: [changes], time: time)
    }
}
