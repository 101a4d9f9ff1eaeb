import Glibc
import Metadata
import Platform

/// Where a store's index lies. It is derived from the packs and may be made anew at any time.
public protocol IndexProvider: Sendable {
    /// The index that is there; nil where there is none.
    ///
    /// Throws `damaged` where it cannot be read, `busy` where somebody else holds it.
    func open(readOnly: Bool, memoryBytes: Int) throws(MetadataError) -> (any MetadataStore)?
    /// An empty index, in the place of what is there.
    func create(memoryBytes: Int) throws(MetadataError) -> any MetadataStore
}

/// An index on disk: the directory `index` of a store.
public struct RocksIndexProvider: IndexProvider {
    /// The index's folder; its parent must exist.
    public let path: String

    public init(path: String) {
        self.path = path
    }

    public func open(
        readOnly: Bool, memoryBytes: Int
    ) throws(MetadataError) -> (any MetadataStore)? {
        guard access(path, F_OK) == 0 else { return nil }
        return try RocksMetadataStore(
            path: path, memoryBytes: memoryBytes, readOnly: readOnly, create: false)
    }

    public func create(memoryBytes: Int) throws(MetadataError) -> any MetadataStore {
        try RocksMetadataStore.destroy(path: path)
        return try RocksMetadataStore(
            path: path, memoryBytes: memoryBytes, readOnly: false, create: true)
    }
}

/// An index in memory that outlives the store's closing: for tests, also of crashes.
///
/// Each opening works on a store of its own, which begins with all that was written before.
public final class MemoryIndexProvider: IndexProvider {
    private let kept: ConditionMutex<MemoryMetadataStore?>

    /// - Parameter store: what is there at the beginning; nil for nothing.
    public init(_ store: MemoryMetadataStore? = nil) {
        kept = ConditionMutex(store)
    }

    /// The store of the last opening.
    public var current: MemoryMetadataStore? { kept.withLock { $0 } }

    /// The index as a crash now leaves it, with what was flushed and the first `batches` written.
    public func crash(keepingBatches batches: Int = 0) -> MemoryIndexProvider {
        MemoryIndexProvider(current.map { $0.crash(keepingBatches: batches) })
    }

    /// Forgets the index, as if its folder had been deleted.
    public func delete() {
        kept.withLock { $0 = nil }
    }

    public func open(
        readOnly: Bool, memoryBytes: Int
    ) throws(MetadataError) -> (any MetadataStore)? {
        kept.withLock { kept in
            kept = kept.map { $0.crash(keepingBatches: .max) }
            return kept
        }
    }

    public func create(memoryBytes: Int) throws(MetadataError) -> any MetadataStore {
        let fresh = MemoryMetadataStore()
        kept.withLock { $0 = fresh }
        return fresh
    }
}
