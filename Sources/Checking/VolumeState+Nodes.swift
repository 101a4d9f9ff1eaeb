// The nodes of a volume's trees, for whoever walks those without the names.
import DiskFormat
import Trees

extension VolumeState: NodeStore {
    /// The verified bytes of a node.
    public func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        try chunks.readNode(name, domain: domain)
    }

    /// Always throws `storage`: nothing is written here.
    public func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        try chunks.writeNode(bytes, domain: domain)
    }
}
