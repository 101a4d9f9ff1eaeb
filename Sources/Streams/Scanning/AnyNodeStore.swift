import DiskFormat
import Trees

/// The nodes of whatever store; read only. Any thread that may use the store.
public final class AnyNodeStore: NodeStore {
    private let read: (ChunkName, ChunkDomain) throws(TreeError) -> [UInt8]

    public init(_ store: some NodeStore) {
        read = { (name, domain) throws(TreeError) in
            try store.readNode(name, domain: domain)
        }
    }

    public func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        try read(name, domain)
    }

    /// Always throws `storage`: nothing is written here.
    public func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        throw .storage(node: nil)
    }
}
