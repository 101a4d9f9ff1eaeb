// Room, and what takes it.
import Backends
import ChunkIndex
import DiskFormat
import SuperChunks

/// What a store holds, as of the last commit and what was appended since.
public struct StoreStatistics: Equatable, Sendable {
    /// Raw bytes of all different chunks.
    public var uniqueBytes: UInt64 = 0
    /// Bytes of the super-chunks in packs, headers, padding and second copies included.
    public var storedBytes: UInt64 = 0
    public var chunks: UInt64 = 0
    public var superChunks: UInt64 = 0
    public var packs: UInt64 = 0
    /// Chunks that nobody owns and that are not given up yet, and their raw bytes.
    public var deadChunks: UInt64 = 0
    public var deadBytes: UInt64 = 0
    /// Raw bytes of chunks that are on their way: in no commit yet.
    public var pendingBytes: UInt64 = 0
    /// The cache of decoded frames.
    public var frameHits: UInt64 = 0
    public var frameMisses: UInt64 = 0
    public var frameBytes = 0
    /// The index on its medium, and in memory.
    public var indexStoredBytes: UInt64 = 0
    public var indexMemoryBytes: UInt64 = 0

    public init() {}
}

extension ChunkStore {
    /// Takes no time worth mentioning; any thread.
    public func statistics() throws(StoreError) -> StoreStatistics {
        let totals = published.withLock { $0.state.totals }
        var result = StoreStatistics()
        result.uniqueBytes = totals.uniqueBytes
        result.storedBytes = totals.storedBytes
        result.chunks = totals.chunks
        result.superChunks = totals.superChunks
        result.deadChunks = totals.deadChunks
        result.deadBytes = totals.deadBytes
        result.packs = UInt64(shelf.count)
        result.pendingBytes = laying.withLock { state in
            UInt64(state.openBytes) + state.fresh.values.reduce(0) { $0 + UInt64($1.rawBytes) }
        }
        let counters = reader.frames.counters
        result.frameHits = counters.hits
        result.frameMisses = counters.misses
        result.frameBytes = counters.bytes
        result.indexStoredBytes = index.storedBytes()
        result.indexMemoryBytes = index.memoryBytes()
        return result
    }

    /// Keeps decoded frames and leaves up to a part of what the options allow, in percent.
    public func limitFrames(toPercent percent: Int) {
        let percent = max(0, min(100, percent))
        leaves?.limit(toBytes: options.leafCacheBytes / 100 * percent)
        let limit = options.frameCacheBytes / 100 * percent
        guard reader.frames.limitBytes != limit else { return }
        reader.frames.limitBytes = limit
        reader.recent.removeAll()
    }

    /// The medium's sizes, as the backend tells them; the reserve is not taken off.
    public func space() throws(StoreError) -> BackendSpace {
        do throws(BackendError) {
            return try backend.space()
        } catch {
            throw .backend(error)
        }
    }

    /// Raw bytes that were put and are in no pack yet: what the medium still has to take of them, at
    /// most.
    public var unappendedBytes: Int {
        laying.withLock { state in
            state.stuck.reduce(state.openBytes) { $0 + $1.rawBytes }
                + state.closing.count * Int(parameters.superChunkBytes)
        }
    }

    /// Chunks that were put since the last commit. Each takes some hundred bytes of memory until the
    /// next one is in the index.
    public var uncommittedChunks: Int {
        laying.withLock { $0.open.count + $0.fresh.count }
    }

    /// Bytes that new data leaves free for commits, checkpoints and the index: 64 MiB, or 1/64 of
    /// the medium where that is more, at most 2 GiB; of a medium below 512 MiB an eighth.
    public func reserveBytes() throws(StoreError) -> UInt64 {
        SpaceGate.reserveBytes(of: try space())
    }

    /// Throws `noSpace` while there is no room for new data.
    func checkSpace(for byteCount: Int) throws(StoreError) {
        if !gate.isOpen() { throw .noSpace }
        // What waits for room has its bytes in memory: no more of it.
        if laying.withLock({ !$0.stuck.isEmpty }) {
            retryStuck()
            if laying.withLock({ !$0.stuck.isEmpty }) { throw .noSpace }
        }
    }

    /// Tries once more to append what could not be for want of space.
    func retryStuck() {
        let stuck = laying.withLock { state in
            let stuck = state.stuck
            state.stuck = []
            for builder in stuck { state.closing.insert(ObjectIdentifier(builder)) }
            return stuck
        }
        for builder in stuck { layDown(builder) }
    }
}
