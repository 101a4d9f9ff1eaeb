import Synchronization

/// Lends compressors and decompressors to any thread and keeps those that come back, up to a limit:
/// one per worker is enough. More may be lent at the same time; what exceeds the limit is freed
/// when it comes back.
public final class CompressionPool: Sendable {
    /// Idle contexts are reached by one thread only: the one that takes them out.
    private struct Idle: @unchecked Sendable {
        var compressors: [Compressor] = []
        var decompressors: [Decompressor] = []
    }

    private let idle = Mutex(Idle())
    private let idleMax: Int

    /// Keeps at most `idleMax` compressors, and as many decompressors.
    public init(idleMax: Int) {
        precondition(idleMax >= 0)
        self.idleMax = idleMax
    }

    /// What the idle contexts hold.
    public var idleMemoryBytes: Int {
        idle.withLock { idle in
            idle.compressors.reduce(0) { $0 + $1.memoryBytes }
                + idle.decompressors.reduce(0) { $0 + $1.memoryBytes }
        }
    }

    /// Frees the idle contexts.
    public func trim() {
        idle.withLock { $0 = Idle() }
    }

    /// Calls `body` with a compressor that nobody else has meanwhile; `body` must not keep it.
    /// Throws `outOfMemory`, and what `body` throws.
    public func withCompressor<Result>(
        _ body: (Compressor) throws(CompressionError) -> Result
    ) throws(CompressionError) -> Result {
        let lent = idle.withLock { Lent(context: $0.compressors.popLast()) }
        let compressor = if let context = lent.context { context } else { try Compressor() }
        defer {
            let back = Lent(context: compressor)
            idle.withLock { idle in
                if idle.compressors.count < idleMax, let context = back.context {
                    idle.compressors.append(context)
                }
            }
        }
        return try body(compressor)
    }

    /// Calls `body` with a decompressor that nobody else has meanwhile; `body` must not keep it.
    /// Throws `outOfMemory`, and what `body` throws.
    public func withDecompressor<Result>(
        _ body: (Decompressor) throws(CompressionError) -> Result
    ) throws(CompressionError) -> Result {
        let lent = idle.withLock { Lent(context: $0.decompressors.popLast()) }
        let decompressor = if let context = lent.context { context } else { try Decompressor() }
        defer {
            let back = Lent(context: decompressor)
            idle.withLock { idle in
                if idle.decompressors.count < idleMax, let context = back.context {
                    idle.decompressors.append(context)
                }
            }
        }
        return try body(decompressor)
    }

    /// A context on its way through the lock, in one thread's hands.
    private struct Lent<Context>: @unchecked Sendable {
        var context: Context?
    }
}

extension CompressionPool {
    /// As `Compressor.compress`; nil also for the codec `none` and where memory is out.
    public func compress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer,
        method: CompressionMethod
    ) -> Int? {
        guard method.codec == .zstd else { return nil }
        do throws(CompressionError) {
            return try withCompressor { compressor throws(CompressionError) in
                compressor.compress(source, into: destination, level: method.level)
            }
        } catch {
            return nil
        }
    }

    /// Restores all of `destination` from `source`. Throws as `Decompressor.decompress` does; for
    /// the codec `none` only `wrongContentLength`.
    public func decompress(
        _ source: UnsafeRawBufferPointer, codec: Codec,
        into destination: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) {
        switch codec {
        case .none:
            guard source.count == destination.count else {
                throw .wrongContentLength(
                    expected: destination.count, found: UInt64(source.count))
            }
            destination.copyMemory(from: source)
        case .zstd:
            try withDecompressor { decompressor throws(CompressionError) in
                try decompressor.decompress(source, into: destination)
            }
        }
    }
}
