import DiskFormat

/// Files of equal content, by their keys: no byte is read. Memory: about 100 bytes for each content,
/// and the path of each file that has one.
///
/// A file whose last changes are not folded yet has another key than its equals; they are found after
/// the next checkpoint. A value of one thread.
public struct Duplicates {
    /// Files with one content.
    public struct Group: Equatable, Sendable {
        public var key: ChunkName
        /// Bytes of each.
        public var size: UInt64
        /// In the order in which they were found; hard links of one inode are one file.
        public var paths: [[UInt8]]

        /// What they would take more were they not shared.
        public var sharedBytes: UInt64 { size * UInt64(paths.count - 1) }
    }

    private var groups: [ChunkName: Group] = [:]
    private var linked: Set<UInt64> = []

    public init() {}

    public mutating func take(_ file: FoundFile) {
        guard file.image.mode >> 12 == 8, file.image.size > 0,
            let key = file.image.content.keyName
        else { return }
        if file.image.linkCount > 1, !linked.insert(file.image.inode).inserted { return }
        groups[key, default: Group(key: key, size: file.image.size, paths: [])].paths
            .append(file.path)
    }

    /// Contents of several files, those that share most first.
    public var found: [Group] {
        groups.values.filter { $0.paths.count > 1 }.sorted {
            $0.sharedBytes != $1.sharedBytes
                ? $0.sharedBytes > $1.sharedBytes
                : $0.paths[0].lexicographicallyPrecedes($1.paths[0])
        }
    }
}
