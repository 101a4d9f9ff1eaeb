import Checking
import DiskFormat
import Trees

/// A walk through a volume at one instant, with nothing on top: names in the order of their bytes, each
/// directory with all below it. What a hostile tree says is believed as far as its own statistics go.
///
/// Memory: the nodes on the way to where it is. One thread.
public struct StoredWalk {
    public enum Event {
        /// Of the root the name is empty.
        case begin(name: [UInt8], InodeImage)
        case end
        case file(name: [UInt8], InodeImage)
    }

    private typealias Entries = ListDifference<DirectorySchema, AnyNodeStore>

    private let tree: StoredTree
    private var frames: [Entries] = []
    private var hasBegun = false
    private var directoriesLeft: UInt64

    public init(_ tree: StoredTree) {
        self.tree = tree
        directoriesLeft = tree.root.statistics.directories
    }

    public init(_ volume: VolumeState) {
        self.init(StoredTree(volume))
    }

    /// The next event; nil behind the end of the root.
    public mutating func next() throws(TreeError) -> Event? {
        guard hasBegun else {
            hasBegun = true
            return try begin([], tree.root.directory)
        }
        guard var frame = frames.popLast() else { return nil }
        guard let entry = try frame.next()?.new else { return .end }
        frames.append(frame)
        let image = try tree.image(of: entry)
        if image.mode >> 12 == 4 { return try begin(entry.name, image) }
        return .file(name: entry.name, image)
    }

    private mutating func begin(
        _ name: [UInt8], _ image: InodeImage
    ) throws(TreeError) -> Event {
        // A tree of few nodes may list one of them many times.
        guard directoriesLeft > 0 else {
            throw .format(.badValue("more directories than it says"), node: tree.rootName)
        }
        directoriesLeft -= 1
        var node: NodeReference?
        if case .directory(let reference) = image.content { node = reference }
        frames.append(Entries(from: nil, to: node, in: tree.nodes))
        return .begin(name: name, image)
    }
}
