import DiskFormat
import Hashing
import Trees

/// What a checkpoint does to the tree of each directory in which something has changed.
enum TreeStage {
    private static let names = 1_000

    /// One unit is an edit of one name of a directory of a thousand.
    static func run(_ count: Int) throws {
        let store = try Nodes()
        var root = try edit(0..<names, time: 0, of: nil, in: store)
        for number in 1...count {
            let place = number * 379 % names
            root = try edit(place..<place + 1, time: Int64(number), of: root, in: store)
        }
        guard let root else { throw StageBenchmarks.Failure.wrong("edit-tree") }
        var left = 0
        try ListReader<DirectorySchema, Nodes>(store: store).forEach(of: root) { _, _ in
            left += 1
            return true
        }
        guard left == names else { throw StageBenchmarks.Failure.wrong("edit-tree") }
    }

    private static func edit(
        _ places: Range<Int>, time: Int64, of root: NodeReference?, in store: Nodes
    ) throws -> NodeReference? {
        let changes = places.map { place in
            let name = Array("file \(10_000 + place)".utf8)
            let time = DiskTime(seconds: 1_700_000_000 + time, nanoseconds: 1)
            let word = UInt64(place + 1) &* 0x9e37_79b9_7f4a_7c15
            let image = InodeImage(
                inode: UInt64(place + 2), generation: 1, mode: 0o100644, linkCount: 1, owner: 1000,
                group: 1000, parent: 1, size: 8192, allocatedBytes: 8192, modificationTime: time,
                changeTime: time, accessTime: time, birthTime: time,
                content: .chunk(ChunkName(w0: word, w1: word &* 3, w2: word &* 5, w3: word &* 7)))
            let entry: DirectoryEntry? = DirectoryEntry(name: name, target: .only(image))
            return (key: name, entry: entry)
        }
        return try KeyedEdit<DirectorySchema, Nodes>.apply(changes, to: root, in: store).root
    }

    /// Nodes in memory.
    private final class Nodes: NodeStore {
        private var nodes: [ChunkName: [UInt8]] = [:]
        private let hasher: ChunkHasher

        init() throws {
            hasher = try ChunkHasher(.sha256)
        }

        func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
            guard let bytes = nodes[name] else { throw .missing(name) }
            return bytes
        }

        func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
            let name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
            nodes[name] = bytes
            return name
        }
    }
}
