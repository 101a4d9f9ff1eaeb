// What a tree node owns for the snapshots that own it.
import DiskFormat

/// The children of a kept node, each name once: tree nodes, and content and attributes of the inodes
/// whose images it holds.
enum KeptChildren {
    /// A node that is none throws `damagedChunk`.
    static func of(
        _ name: ChunkName, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> [OwnedChunk] {
        let node: TreeNode
        do throws(FormatError) {
            node = try TreeNode(bytes)
        } catch {
            throw .damagedChunk(name)
        }
        var seen: Set<ChunkName> = []
        var result: [OwnedChunk] = []
        for child in node.nodes where seen.insert(child.node.name).inserted {
            result.append(OwnedChunk(name: child.node.name, domain: .tree))
        }
        for image in node.images {
            for owned in OwnedChunk.of(image) where seen.insert(owned.name).inserted {
                result.append(owned)
            }
        }
        // In the order of keys, for the index.
        return result.sorted { $0.name < $1.name }
    }
}
