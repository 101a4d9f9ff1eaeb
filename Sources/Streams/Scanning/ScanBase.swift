import DiskFormat
import Trees

/// An earlier snapshot of what is scanned. One thread.
public struct ScanBase {
    let root: RootImage
    let nodes: AnyNodeStore
    /// Brings what a file's image names into the store that is written, where that is another.
    let carry: ((InodeImage) throws(TreeError) -> Void)?

    /// - Parameters:
    ///   - nodes: the store that has the trees below the root.
    ///   - carry: puts the content and attributes that an image names into the store that the scan
    ///     writes; nil where that has them.
    public init(
        _ root: RootImage, in nodes: some NodeStore,
        carry: ((InodeImage) throws(TreeError) -> Void)? = nil
    ) {
        self.root = root
        self.nodes = AnyNodeStore(nodes)
        self.carry = carry
    }

    /// Whether a regular file is as this snapshot has it.
    func hasUnchanged(_ image: InodeImage, _ now: InodeImage) -> Bool {
        image.mode >> 12 == 8 && now.mode >> 12 == 8 && image.size == now.size
            && image.modificationTime == now.modificationTime
            && image.changeTime == now.changeTime && image.generation == now.generation
            && image.changeTime < root.time
    }

    /// What is in a directory, from the first name on.
    func cursor(_ directory: InodeImage?) -> Cursor {
        var node: NodeReference?
        if case .directory(let reference)? = directory?.content { node = reference }
        return Cursor(node, base: self)
    }

    /// The names of a directory, asked for in ascending order.
    struct Cursor {
        private var entries: ListDifference<DirectorySchema, AnyNodeStore>
        private var next: DirectoryEntry?
        private var hasBegun = false
        private let base: ScanBase

        init(_ node: NodeReference?, base: ScanBase) {
            entries = ListDifference(from: nil, to: node, in: base.nodes)
            self.base = base
        }

        /// What the base has of a name. Without it nothing but speed is lost, so what cannot be read
        /// counts as not there.
        mutating func image(of name: [UInt8]) -> InodeImage? {
            if !hasBegun {
                hasBegun = true
                advance()
            }
            while let entry = next, entry.name.lexicographicallyPrecedes(name) { advance() }
            guard let entry = next, entry.name == name else { return nil }
            switch entry.target {
            case .only(let image): return image
            case .linked(let inode, _):
                let reader = ListReader<LinkedInodesSchema, AnyNodeStore>(store: base.nodes)
                let key = LinkedInodesSchema.key(inode: inode)
                return (try? reader.find(key, in: base.root.linkedInodes)) ?? nil
            }
        }

        private mutating func advance() {
            next = (try? entries.next())??.new
        }
    }
}
