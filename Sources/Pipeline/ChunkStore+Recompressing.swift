// Laying packs anew so that they take less: chunks that resemble each other side by side, in larger
// super-chunks, compressed with more effort.
//
// A vacating (ChunkStore+Relocating.swift), with its steps and promises, but for where chunks of data
// go. They are gathered twice: first all of them are sketched, in the order in which they lie, then
// they are read again in an order that puts similar ones side by side. What is gathered is known to
// nobody until it is appended: commits do not wait for its compression, and chunks that are put or hit
// meanwhile have nothing to do with it. Nodes of metadata are laid as ever: they are read singly.
//
// Super-chunks made so carry the flag `dense`. It is a hint: that there is no more to be had.
import ChunkIndex
import Chunking
import Compression
import DiskFormat
import Packs
import Platform
import SuperChunks

/// How to lay chunks anew so that they take less.
public struct Recompression: Equatable, Sendable {
    /// Of zstd, one of `CompressionMethod.levels`.
    public var level = 9
    /// Raw bytes of a super-chunk, which is decompressed whole by whoever reads a byte of it. Where
    /// the store's are larger, theirs.
    public var superChunkBytes: UInt32 = 4 << 20
    /// Super-chunks compressed at a time; each takes two of them and some 20 MiB.
    public var threadCount = 1

    public init() {}

    /// Whether a store can do it.
    public var isSane: Bool {
        CompressionMethod.levels.contains(level) && (1...256).contains(threadCount)
            && StoreParameters.superChunkBytesRange.contains(superChunkBytes)
    }
}

extension ChunkStore {
    /// Stored bytes of a pack's super-chunks of data, and of those among them that were never
    /// recompressed; none where the pack cannot be read.
    public func dataBytes(of id: PackID) throws(StoreError) -> (all: UInt64, plain: UInt64) {
        guard let number = shelf.knownNumber(of: id) else { return (0, 0) }
        do throws(StoreError) {
            let pack = try shelf.reader(number)
            var (all, plain): (UInt64, UInt64) = (0, 0)
            for entry in try readingPack({ () throws(PackError) in try pack.records() }).entries
            where entry.kindByte == RecordHeader.Kind.superChunk.rawValue
                && entry.flags.isDisjoint(with: [.metadata, .copy])
            {
                all += UInt64(entry.storedBytes)
                if !entry.flags.contains(.dense) { plain += UInt64(entry.storedBytes) }
            }
            return (all, plain)
        } catch {
            guard error.judgement != .failed else { throw error }
            return (0, 0)
        }
    }

    /// Lays the living chunks of sealed packs anew, as `vacate` does, but densely. Takes as long as it
    /// takes to compress them; a core for each thread, at low priority.
    ///
    /// Memory: about 200 bytes for each chunk of these packs, and that of the threads.
    ///
    /// - Returns: nil where `isCancelled` said so, and nothing will be forgotten.
    /// - Throws: as `vacate`.
    public func recompress(
        _ ids: [PackID], _ how: Recompression, isCancelled: () -> Bool = { false }
    ) throws(StoreError) -> Vacated? {
        precondition(how.isSane)
        try checkWritable()
        var vacating = Vacating()
        var result = Vacated()
        vacating.packs = Set(ids.compactMap { shelf.knownNumber(of: $0) })
        guard let names = try survey(&vacating, &result, isCancelled) else { return nil }
        var layer = try DenseLayer(self, how)
        defer { layer.shutdown() }
        for name in names {
            // It may have died and been condemned meanwhile.
            guard let record = try index.chunk(name) else { continue }
            guard let bytes = try verifiedBytes(name, record) else {
                result.unreadable.append(name)
                continue
            }
            if layer.isFull(for: bytes.count) {
                if isCancelled() { return nil }
                try layer.append(to: self)
            }
            layer.gather(name, bytes)
            CrashPoint.chunkMoved.pass()
            vacating.relaid.insert(name)
            result.movedChunks += 1
            result.movedBytes += UInt64(bytes.count)
        }
        try layer.append(to: self)
        let done = vacating
        laying.withLock { $0.vacating = done }
        CrashPoint.packsVacated.pass()
        return result
    }

    /// Moves the nodes of metadata, and tells the chunks of data, those that resemble each other side
    /// by side.
    private func survey(
        _ vacating: inout Vacating, _ result: inout Vacated, _ isCancelled: () -> Bool
    ) throws(StoreError) -> [ChunkName]? {
        var names: [ChunkName] = []
        var resemblance = ResemblanceOrder()
        for number in vacating.packs.sorted() {
            for offset in try superChunks(of: number) {
                if isCancelled() { return nil }
                for name in try namesInSuperChunk(number, offset)
                where !vacating.chunks.contains(name) {
                    guard let record = try toBeMoved(name, &vacating, &result) else { continue }
                    guard record.domain == .data else {
                        try move(name, record, &vacating, &result)
                        continue
                    }
                    do throws(StoreError) {
                        let sketch = try reader.withBytes(
                            of: name, at: record.places, domain: .data
                        ) { ChunkSketch(of: $0) }
                        names.append(name)
                        resemblance.append(sketch)
                    } catch {
                        guard error.isDamageOfChunk else { throw error }
                        result.unreadable.append(name)
                    }
                }
            }
        }
        return resemblance.order.map { names[$0] }
    }
}

/// Gathers dense super-chunks, one for each thread, compresses them together and appends them. One
/// thread at a time.
private struct DenseLayer: ~Copyable {
    private let builderBytes: Int
    private let threadCount: Int
    private let codec: PooledFrameCodec
    private let pool: BufferPool
    private let workers: WorkerPool
    private var builders: [SuperChunkBuilder] = []

    init(_ store: ChunkStore, _ how: Recompression) throws(StoreError) {
        builderBytes = Int(max(how.superChunkBytes, store.parameters.superChunkBytes))
        threadCount = how.threadCount
        let method = CompressionMethod.zstd(level: how.level) ?? .standard
        codec = PooledFrameCodec(method, contextsMax: threadCount)
        pool = BufferPool(
            capacityBytes: builderBytes, keptBytesMax: 3 * threadCount * builderBytes)
        do throws(Errno) {
            workers = try WorkerPool(
                name: "ashlar-dense", threadCount: threadCount, queueCapacity: threadCount)
        } catch {
            throw .threads(code: error.rawValue)
        }
    }

    func shutdown() { workers.shutdown() }

    /// Whether the chunk needs what was gathered to be appended first.
    func isFull(for byteCount: Int) -> Bool {
        builders.count == threadCount
            && (builders.last.map { $0.rawBytes + byteCount > builderBytes } ?? false)
    }

    /// Takes a chunk, for which there is room.
    mutating func gather(_ name: ChunkName, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { raw in
            if let last = builders.last, last.append(name, domain: .data, raw) { return }
            // What is written replaces what is deleted afterwards: it is compared.
            let next = SuperChunkBuilder(
                domainIsMetadata: false, rawBytesMax: builderBytes, frameBytesMax: builderBytes,
                pool: pool, verifies: true)
            _ = next.append(name, domain: .data, raw)
            builders.append(next)
        }
    }

    /// Compresses what was gathered, and appends it.
    mutating func append(to store: ChunkStore) throws(StoreError) {
        let gathered = builders
        builders = []
        let closed = ConditionMutex<[Int: Result<SealedSuperChunk, SuperChunkError>]>([:])
        for (number, builder) in gathered.enumerated() {
            workers.submit { [codec] in
                PlatformThread.lowerPriorityOfCurrent(by: 10)
                let result = Result { () throws(SuperChunkError) in
                    try builder.close(using: codec)
                }
                closed.withLock { $0[number] = result }
            }
        }
        workers.drain()
        let results = closed.withLock { $0 }
        for (number, builder) in gathered.enumerated() {
            guard let result = results[number] else { continue }
            do throws(StoreError) {
                let sealed: SealedSuperChunk
                do throws(SuperChunkError) {
                    sealed = try result.get()
                } catch {
                    throw .superChunk(error)
                }
                try store.append(sealed, of: builder, flags: .dense)
            } catch {
                if error.isNoSpace {
                    store.gate.close()
                    throw .noSpace
                }
                store.fail(error)
                throw error
            }
        }
    }
}
