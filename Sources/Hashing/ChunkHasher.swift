/// # Hashing: names of chunks
///
/// A name is the digest of the bytes, or of a tag and the bytes.
///
/// Words: *algorithm*, the store's hash; *domain*, what the bytes are (data, recipe, tree), whose
/// tag keeps the domains' names apart; *name*, the 32 bytes of the digest.
/// Invariants: equal bytes in one domain have equal names on every machine; the incremental form
/// and the one-shot form agree.
/// Threads: a hasher belongs to one thread at a time, and is not `Sendable`: each worker makes its
/// own. What is shared between them (the fetched digests) is read-only.

import COpenSSL
import DiskFormat

/// One reusable digest context. Either names whole chunks (`name`) or takes one in pieces
/// (`begin`, `update`…, `finish`), not both at once.
public final class ChunkHasher {
    public let algorithm: HashAlgorithm
    private let context: OpaquePointer
    private var isUnderWay = false

    public init(_ algorithm: HashAlgorithm) throws(HashingError) {
        guard ashlar_digest_available(Int32(algorithm.rawValue)) == 1 else {
            throw .unavailable(algorithm)
        }
        guard let context = ashlar_digest_new(Int32(algorithm.rawValue)) else {
            throw .outOfMemory
        }
        self.algorithm = algorithm
        self.context = context
    }

    deinit {
        ashlar_digest_free(context)
    }

    /// The name of a chunk that lies in memory as one piece. Must not be called between `begin`
    /// and `finish`.
    public func name(of bytes: UnsafeRawBufferPointer, domain: ChunkDomain) -> ChunkName {
        precondition(!isUnderWay, "a chunk is being hashed in pieces")
        let tag = domain.tag
        return finished { out in
            ashlar_digest_once(
                context, tag.utf8Start, tag.utf8CodeUnitCount, bytes.baseAddress, bytes.count, out)
        }
    }

    /// Begins a chunk that comes in pieces; forgets one that was begun and not finished.
    public func begin(domain: ChunkDomain) {
        let tag = domain.tag
        let isDone =
            ashlar_digest_begin(context) == 1
            && ashlar_digest_update(context, tag.utf8Start, tag.utf8CodeUnitCount) == 1
        precondition(isDone, "OpenSSL refused to begin a digest")
        isUnderWay = true
    }

    /// The chunk's next bytes, behind a `begin`.
    public func update(_ bytes: UnsafeRawBufferPointer) {
        precondition(isUnderWay, "no chunk was begun")
        let isDone = ashlar_digest_update(context, bytes.baseAddress, bytes.count) == 1
        precondition(isDone, "OpenSSL refused bytes to digest")
    }

    /// The name of what `begin` and the calls of `update` since then were given.
    public func finish() -> ChunkName {
        precondition(isUnderWay, "no chunk was begun")
        isUnderWay = false
        return finished { out in ashlar_digest_finish(context, out) }
    }

    /// A name that is not the digest would file the chunk under another's, so a refusal, which a
    /// fetched digest gives for no input, ends the process.
    private func finished(_ digest: (UnsafeMutablePointer<UInt8>) -> Int32) -> ChunkName {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: ChunkName.byteCount) { out in
            guard let start = out.baseAddress, digest(start) == 1 else {
                preconditionFailure("OpenSSL refused to finish a digest")
            }
            return ChunkName(UnsafeRawBufferPointer(out))
        }
    }
}
