// The tree nodes that a volume's newest checkpoint owns, dead directories included.
import DiskFormat
import Trees

/// Counts the root, the nodes of each directory and those of the table of linked inodes, each once
/// for each of these trees: directories that list the same names of linked inodes share nodes. What cannot be read is passed over: where it is in use, the walk of the newest state
/// tells of it.
struct TreeCount {
    let check: Checker
    let volume: VolumeState
    /// Nodes of the tree that is being walked.
    private var marked: [Int] = []
    private var directories = InodeSet()

    init(_ check: Checker, _ volume: VolumeState) {
        self.check = check
        self.volume = volume
    }

    mutating func run() throws(CheckingError) {
        _ = mark(volume.rootName)
        endTree()
        if let table = volume.root.linkedInodes {
            try visit(LinkedInodesSchema.self, table) { _ in }
            endTree()
        }
        var pending = [volume.root.directory]
        while let image = pending.popLast() {
            guard directories.insert(image.inode), case .directory(let reference) = image.content
            else { continue }
            try visit(DirectorySchema.self, reference) { entry in
                if case .only(let image) = entry.target, image.mode >> 12 == 4 {
                    pending.append(image)
                }
            }
            endTree()
        }
    }

    /// The next tree counts anew.
    private mutating func endTree() {
        for number in marked { check.inventory.table.marks[number].remove(.inTree) }
        marked = []
    }

    /// Counts a node; nil where it is not stored or was counted.
    private mutating func mark(_ name: ChunkName) -> Int? {
        guard let number = check.inventory.table.number(of: name),
            !check.inventory.table.marks[number].contains(.inTree)
        else { return nil }
        check.inventory.table.marks[number].formUnion([.inTree, .live])
        check.inventory.table.addOwner(number)
        marked.append(number)
        return number
    }

    /// Levels bound the recursion.
    private mutating func visit<Schema: ListSchema>(
        _ schema: Schema.Type, _ reference: NodeReference, _ body: (Schema.Entry) -> Void
    ) throws(CheckingError) {
        guard mark(reference.name) != nil else { return }
        if check.monitor.isCancelled() { throw .cancelled }
        let node: ListNode<Schema.Entry>
        do throws(TreeError) {
            node = try ListReader<Schema, ChunkReader>(store: check.chunks).node(reference)
        } catch .storage(let name) {
            throw .tree(.storage(node: name))
        } catch {
            return
        }
        switch node {
        case .leaf(let entries): for entry in entries { body(entry) }
        case .inner(let level, let children):
            for child in children {
                try visit(schema, NodeReference(name: child.child, level: level - 1), body)
            }
        }
    }
}
