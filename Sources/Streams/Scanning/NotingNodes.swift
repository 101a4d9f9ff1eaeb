import DiskFormat
import Pipeline
import Trees

/// The nodes of a store, whose own errors are remembered: `TreeError` tells little of them. One thread.
final class NotingNodes: NodeStore {
    private let store: ChunkStore
    /// The last one.
    private(set) var failure: StoreError?

    init(_ store: ChunkStore) {
        self.store = store
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        try store.readNode(name, domain: domain)
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        do throws(StoreError) {
            return try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
                try store.put(UnsafeRawBufferPointer(buffer), domain: domain)
            }
        } catch {
            failure = error
            throw .storage(node: nil)
        }
    }

    /// What a body throws, as `StreamError`.
    func noting<Result>(
        _ body: () throws(TreeError) -> Result
    ) throws(StreamError) -> Result {
        do throws(TreeError) {
            return try body()
        } catch {
            throw failure.map { .store($0) } ?? .tree(error)
        }
    }
}
