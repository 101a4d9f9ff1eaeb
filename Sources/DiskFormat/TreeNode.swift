/// A node of the tree domain, of whatever kind its head says.
public enum TreeNode: Equatable, Sendable {
    case root(RootImage)
    case directory(DirectoryNode)
    case linkedInodes(LinkedInodesNode)

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "tree node")
        switch try NodeHead(from: &reader).kind {
        case .root: self = .root(try RootImage(bytes))
        case .directory: self = .directory(try DirectoryNode(bytes))
        case .linkedInodes: self = .linkedInodes(try LinkedInodesNode(bytes))
        default: throw reader.bad("kind")
        }
    }

    /// A node that another names, and what that says of it.
    public struct Child: Hashable, Sendable {
        public var node: NodeReference
        public var kind: NodeHead.Kind

        public init(node: NodeReference, kind: NodeHead.Kind) {
            self.node = node
            self.kind = kind
        }
    }

    public var kind: NodeHead.Kind {
        switch self {
        case .root: .root
        case .directory: .directory
        case .linkedInodes: .linkedInodes
        }
    }

    public var level: UInt8 {
        switch self {
        case .directory(.inner(let level, _)), .linkedInodes(.inner(let level, _)): level
        case .root, .directory(.leaf), .linkedInodes(.leaf): 0
        }
    }

    /// The nodes of the tree domain that it names, as often as it does.
    public var nodes: [Child] {
        switch self {
        case .root(let root):
            return TreeNode.directory(of: root.directory)
                + (root.linkedInodes.map { [Child(node: $0, kind: .linkedInodes)] } ?? [])
        case .directory(.inner(_, let entries)), .linkedInodes(.inner(_, let entries)):
            return entries.map { entry in
                let below = NodeReference(name: entry.child, level: level - 1)
                return Child(node: below, kind: kind)
            }
        case .directory(.leaf(let entries)):
            return entries.flatMap { entry -> [Child] in
                guard case .only(let image) = entry.target else { return [] }
                return TreeNode.directory(of: image)
            }
        case .linkedInodes(.leaf): return []
        }
    }

    /// The inodes whose images it holds, but for a root's orphans.
    public var images: [InodeImage] {
        switch self {
        case .root(let root): [root.directory]
        case .directory(.leaf(let entries)):
            entries.compactMap { if case .only(let image) = $0.target { image } else { nil } }
        case .linkedInodes(.leaf(let images)): images
        case .directory(.inner), .linkedInodes(.inner): []
        }
    }

    private static func directory(of image: InodeImage) -> [Child] {
        if case .directory(let node) = image.content {
            [Child(node: node, kind: .directory)]
        } else {
            []
        }
    }
}
