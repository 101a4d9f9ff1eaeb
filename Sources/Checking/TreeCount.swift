// The tree nodes that a volume's newest checkpoint owns, dead directories included.
import DiskFormat
import NamespaceIndex
import Trees

/// Counts the root, the nodes of directories and those of the table of linked inodes: each once for
/// each list that has it, since directories of equal hard links have equal nodes. What cannot be read
/// is passed over: where it is in use, the walk of the newest state tells of it.
struct TreeCount {
    let check: Checker
    let volume: VolumeState
    private let loading: LoadingVolume?
    /// Nodes of the list that is being walked: within a list each is there once, whatever a hostile
    /// one says.
    private var inList: Set<Int> = []

    init(_ check: Checker, _ volume: VolumeState, loading: LoadingVolume? = nil) {
        self.check = check
        self.volume = volume
        self.loading = loading
    }

    mutating func run() throws(CheckingError) {
        count(volume.rootName)
        if let table = volume.root.linkedInodes, !isUncounted(UnloadedRecord.linkedInodes) {
            _ = try walk(LinkedInodesSchema.self, table) { _ in nil }
        }
        var pending = [volume.root.directory]
        var seen = InodeSet()
        while let image = pending.popLast() {
            // A directory has one place; a second one is damage, and may be above itself.
            guard seen.insert(image.inode), case .directory(let reference) = image.content,
                !isUncounted(image.inode)
            else { continue }
            let below = try walk(DirectorySchema.self, reference, TreeCount.directory)
            if let position = loading?.positions[image.inode] {
                pending += loaded(reference, upTo: position)
            } else {
                pending += below
            }
        }
    }

    private static func directory(_ entry: DirectoryEntry) -> InodeImage? {
        guard case .only(let image) = entry.target, image.mode >> 12 == 4 else { return nil }
        return image
    }

    /// The directories among the first entries of one that is being loaded.
    private func loaded(_ root: NodeReference, upTo position: UInt64) -> [InodeImage] {
        let reader = ListReader<DirectorySchema, ChunkReader>(store: check.chunks)
        var found: [InodeImage] = []
        reader.forEachReadable(of: root) { _, _ in
        } _: { (place, entry) in
            guard place < position else { return false }
            if let image = TreeCount.directory(entry) { found.append(image) }
            return true
        }
        return found
    }

    private func isUncounted(_ list: UInt64) -> Bool {
        loading?.isUncounted(list) ?? false
    }

    /// Counts a node that is stored, once a list; whether it was.
    @discardableResult
    private mutating func count(_ name: ChunkName) -> Bool {
        guard let number = check.inventory.table.number(of: name),
            inList.insert(number).inserted
        else { return false }
        check.inventory.table.marks[number].insert(.live)
        check.inventory.table.addOwner(number)
        return true
    }

    /// Counts the nodes of a list; gives the directories among its entries.
    private mutating func walk<Schema: ListSchema>(
        _ schema: Schema.Type, _ root: NodeReference,
        _ directory: (Schema.Entry) -> InodeImage?
    ) throws(CheckingError) -> [InodeImage] {
        inList = []
        let reader = ListReader<Schema, ChunkReader>(store: check.chunks)
        var directories: [InodeImage] = []
        var pending = [root]
        while let reference = pending.popLast() {
            guard count(reference.name) else { continue }
            if check.monitor.isCancelled() { throw .cancelled }
            do throws(TreeError) {
                switch try reader.node(reference) {
                case .leaf(let entries):
                    directories += entries.compactMap(directory)
                case .inner(let level, let children):
                    pending += children.map { NodeReference(name: $0.child, level: level - 1) }
                }
            } catch .storage(let name) {
                throw .tree(.storage(node: name))
            } catch {
                continue
            }
        }
        return directories
    }
}
