import Checking
import DiskFormat
import Trees

/// The tree below a root, with nothing on top, wherever its nodes are. One thread.
public struct StoredTree {
    public let root: RootImage
    /// The root's own name, for those who are told.
    let rootName: ChunkName
    let nodes: AnyNodeStore

    public init(_ root: RootImage, named rootName: ChunkName, in nodes: some NodeStore) {
        self.root = root
        self.rootName = rootName
        self.nodes = AnyNodeStore(nodes)
    }

    public init(_ volume: VolumeState) {
        self.init(volume.root, named: volume.rootName, in: volume)
    }

    // MARK: names

    /// What an entry of a directory names.
    func image(of entry: DirectoryEntry) throws(TreeError) -> InodeImage {
        switch entry.target {
        case .only(let image): return image
        case .linked(let inode, let kind):
            let found = try ListReader<LinkedInodesSchema, AnyNodeStore>(store: nodes)
                .find(LinkedInodesSchema.key(inode: inode), in: root.linkedInodes)
            guard let found, found.mode >> 12 == kind, kind != 4 else {
                throw .format(.badValue("entry without an inode"), node: rootName)
            }
            return found
        }
    }

    /// nil where there is nothing.
    func resolve(_ path: [UInt8]) throws(TreeError) -> InodeImage? {
        var image = root.directory
        for part in path.split(separator: UInt8(ascii: "/")) {
            guard case .directory(let node) = image.content,
                let entry = try ListReader<DirectorySchema, AnyNodeStore>(store: nodes)
                    .find(Array(part), in: node)
            else { return nil }
            image = try self.image(of: entry)
        }
        return image
    }

    /// Visits what is in a directory until `body` returns false.
    func forEachEntry(
        of image: InodeImage, _ body: (DirectoryEntry) throws(TreeError) -> Bool
    ) throws(TreeError) {
        guard case .directory(let node) = image.content else { return }
        try ListReader<DirectorySchema, AnyNodeStore>(store: nodes).forEach(of: node) {
            _, entry throws(TreeError) in try body(entry)
        }
    }

    // MARK: content

    /// Visits what a file consists of from `start` on, with the place of each, until `body` returns
    /// false.
    func forEachExtent(
        of image: InodeImage, from start: UInt64 = 0,
        _ body: (_ position: UInt64, Extent) throws(TreeError) -> Bool
    ) throws(TreeError) {
        switch image.content {
        case .chunk(let name):
            guard image.size > start else { return }
            _ = try body(0, .data(name, length: UInt32(clamping: image.size)))
        case .recipe(let root):
            try ListReader<RecipeSchema, AnyNodeStore>(store: nodes).forEach(
                of: root, from: start, body)
        case .none, .directory, .target: return
        }
    }

    /// The bytes of a file; of holes, zeros.
    func read(_ image: InodeImage, _ range: Range<UInt64>) throws(TreeError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try forEachExtent(of: image, from: range.lowerBound) {
            position, extent throws(TreeError) in
            let part = (position..<position + extent.length).clamped(to: range)
            if !part.isEmpty, case .data(let name, let length) = extent {
                let chunk = try nodes.readNode(name, domain: .data)
                guard chunk.count == Int(length) else {
                    throw .format(.badValue("chunk: length"), node: name)
                }
                let from = Int(part.lowerBound - position)
                let to = Int(part.lowerBound - range.lowerBound)
                bytes.replaceSubrange(
                    to..<to + part.count, with: chunk[from..<from + part.count])
            }
            return position + extent.length < range.upperBound
        }
        return bytes
    }
}
