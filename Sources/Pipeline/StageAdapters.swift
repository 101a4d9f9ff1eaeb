import Compression
import DiskFormat
import Hashing
import Platform
import SuperChunks

/// zstd, as the super-chunk stage wants its codec.
struct PooledFrameCodec: FrameCodec {
    let pool: CompressionPool
    let method: CompressionMethod

    init(_ parameters: StoreParameters, _ options: StoreOptions) {
        pool = CompressionPool(idleMax: max(1, options.workerCount) + 1)
        let own = CompressionMethod.zstd(level: Int(parameters.level)) ?? .standard
        method = options.method ?? (parameters.codec == Codec.zstd.rawValue ? own : .none)
    }

    /// With contexts of its own, which go with it.
    init(_ method: CompressionMethod, contextsMax: Int) {
        pool = CompressionPool(idleMax: contextsMax)
        self.method = method
    }

    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        pool.compress(raw, into: destination, method: method)
    }

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

/// Hashers for whoever needs one just now; each is used by one thread at a time.
public final class HasherPool: Sendable {
    private struct Idle: @unchecked Sendable {
        var hashers: [ChunkHasher] = []
    }

    private let algorithm: HashAlgorithm
    private let idle = ConditionMutex(Idle())

    public init(_ algorithm: HashAlgorithm) {
        self.algorithm = algorithm
    }

    public func name(
        of bytes: UnsafeRawBufferPointer, domain: ChunkDomain
    ) throws(StoreError) -> ChunkName {
        try withHasher { $0.name(of: bytes, domain: domain) }
    }

    public func withHasher<Result>(
        _ body: (ChunkHasher) -> Result
    ) throws(StoreError) -> Result {
        let kept = idle.withLock { $0.hashers.popLast().map(HasherBox.init) }
        let hasher: ChunkHasher
        if let kept {
            hasher = kept.hasher
        } else {
            do throws(HashingError) {
                hasher = try ChunkHasher(algorithm)
            } catch {
                throw .hashing(error)
            }
        }
        let box = HasherBox(hasher: hasher)
        defer { idle.withLock { $0.hashers.append(box.hasher) } }
        return body(hasher)
    }

    /// Carries a hasher over the lock: it belongs to one side at a time.
    private struct HasherBox: @unchecked Sendable {
        let hasher: ChunkHasher
    }
}
