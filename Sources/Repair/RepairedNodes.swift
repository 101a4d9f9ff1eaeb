// Nodes of trees that are written anew, whether or not the index thinks that it has them.
import DiskFormat
import Hashing
import Pipeline
import Trees

/// A store as a place of nodes: one that is known is read back before it is believed, and stored
/// again where that fails. Also tells what recipes say. One thread.
final class RepairedNodes: NodeStore {
    private let store: ChunkStore
    private let hashers: HasherPool
    private var failure: StoreError?

    init(_ store: ChunkStore) {
        self.store = store
        hashers = HasherPool(store.parameters.hash)
    }

    func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        do throws(StoreError) {
            return try store.bytes(of: name, domain: domain)
        } catch {
            throw .storage(node: name)
        }
    }

    func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        do throws(StoreError) {
            return try putChecked(bytes, domain)
        } catch {
            failure = error
            throw .storage(node: nil)
        }
    }

    /// Stores a node; returns its name.
    func put(_ bytes: [UInt8], _ domain: ChunkDomain) throws(RepairError) -> ChunkName {
        do throws(StoreError) {
            return try putChecked(bytes, domain)
        } catch {
            throw .store(error)
        }
    }

    private func putChecked(
        _ bytes: [UInt8], _ domain: ChunkDomain
    ) throws(StoreError) -> ChunkName {
        try bytes.withUnsafeBufferPointer { (buffer) throws(StoreError) in
            let raw = UnsafeRawBufferPointer(buffer)
            let name = try hashers.name(of: raw, domain: domain)
            if try store.isKnown(name) {
                do throws(StoreError) {
                    _ = try store.bytes(of: name, domain: domain)
                } catch {
                    return try store.putAnew(raw, domain: domain)
                }
            }
            return try store.put(raw, domain: domain)
        }
    }

    /// Writes a whole list; returns its root, nil for none, and the names of its nodes.
    func write<Schema: ListSchema>(
        _ entries: [Schema.Entry], _ schema: Schema.Type
    ) throws(RepairError) -> (NodeReference?, [ChunkName]) {
        var builder = ListBuilder<Schema, RepairedNodes>(store: self)
        do throws(TreeError) {
            for entry in entries { try builder.append(entry) }
            let root = try builder.finish()
            return (root, builder.written)
        } catch {
            throw .store(failure ?? .readOnly(reason: "a node could not be written: \(error)"))
        }
    }

    /// The bytes of a file and those of them that are not holes, as its content says; nil where
    /// that cannot be read.
    func size(of image: InodeImage) -> (bytes: UInt64, allocated: UInt64)? {
        switch image.content {
        case .chunk(let name):
            guard let bytes = try? store.bytes(of: name, domain: .data) else { return nil }
            return (UInt64(bytes.count), UInt64(bytes.count))
        case .recipe(let root):
            var (bytes, allocated, isWhole) = (UInt64(0), UInt64(0), true)
            ListReader<RecipeSchema, RepairedNodes>(store: self).forEachReadable(of: root) { _, _ in
                isWhole = false
            } _: { _, extent in
                bytes += extent.length
                allocated += extent.allocatedBytes
                return true
            }
            return isWhole ? (bytes, allocated) : nil
        case .none: return image.mode >> 12 == 8 ? (0, 0) : nil
        case .directory, .target: return nil
        }
    }
}
