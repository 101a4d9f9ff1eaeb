import Checking
import DiskFormat
import Trees

/// What a file is in one volume and not in another.
public struct FileDifference: Equatable, Sendable {
    /// What of a file that both have is not the same.
    public struct Aspects: OptionSet, Sendable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// A file is something else: a directory, say.
        public static let kind = Aspects(rawValue: 1)
        /// Bytes, a link's target, a device's numbers.
        public static let content = Aspects(rawValue: 2)
        public static let permissions = Aspects(rawValue: 4)
        /// User or group.
        public static let owner = Aspects(rawValue: 8)
        /// Of modification. Not of directories: it tells of names that are told themselves.
        public static let time = Aspects(rawValue: 16)
        /// Extended attributes and access lists.
        public static let attributes = Aspects(rawValue: 32)
        /// How many names a file has, but for directories: whether the same names are of one file.
        public static let links = Aspects(rawValue: 64)

        public static let all: Aspects = [
            .kind, .content, .permissions, .owner, .time, .attributes, .links,
        ]
    }

    /// From the root, without a leading slash; empty for the root directory itself.
    public var path: [UInt8]
    /// nil: only the second has it.
    public var old: InodeImage?
    /// nil: only the first has it.
    public var new: InodeImage?
    /// Empty where only one has it.
    public var aspects: Aspects
    /// The path that the first has it under, where that is another (see `RenamedDifferences`).
    public var oldPath: [UInt8]?
}

/// The differences of two volumes or snapshots of stores with the same parameters, one by one, in the
/// order of paths: each directory before what is in it, names by their bytes.
///
/// Directories whose trees are the same are not opened, so the cost is what differs. Two things take
/// a walk through all names: commits behind the newest checkpoint, which no tree has, and changes of
/// files with several names, whose names nobody knows. Memory: the nodes, or in such a walk the names,
/// of the directories on one path. One thread.
public struct VolumeDifference {
    private typealias Trees = ListDifference<DirectorySchema, VolumeState>

    /// A directory that is being compared.
    private struct Frame {
        /// With a slash behind it, but for the root.
        var path: [UInt8]
        var trees: Trees?
        /// All names, where trees do not tell; the next last.
        var old: [VolumeState.Entry] = []
        var new: [VolumeState.Entry] = []
    }

    private let old: VolumeState
    private let new: VolumeState
    private let wanted: FileDifference.Aspects
    /// Only what is at or below one of these is told; empty: all.
    private let prefixes: PathPrefixes
    /// Equal trees do not tell that all below is equal.
    private let isExhaustive: Bool
    /// Files all of whose names are told.
    private let shared: SharedFiles
    private var frames: [Frame] = []
    private var hasBegun = false

    /// - Parameters:
    ///   - wanted: what is looked at of files that both have.
    ///   - prefixes: paths; only what is at or below one of them is told, and nothing opened that does
    ///     not lie on the way. Empty: all.
    ///   - shared: files of which names are told also where nothing of them differs, without aspects.
    public init(
        from old: VolumeState, to new: VolumeState, wanted: FileDifference.Aspects = .all,
        below prefixes: [[UInt8]] = [], shared: SharedFiles = SharedFiles()
    ) throws(TreeError) {
        self.shared = shared
        self.prefixes = PathPrefixes(prefixes)
        self.old = old
        self.new = new
        self.wanted = wanted
        var exhausts = old.hasChangesOnTop || new.hasChangesOnTop || !shared.isEmpty
        if !exhausts {
            var linked = ListDifference<LinkedInodesSchema, VolumeState>(
                from: old.root.linkedInodes, in: old, to: new.root.linkedInodes, in: new)
            while !exhausts, let pair = try linked.next() {
                // One that is only in one of them has names there that the other has not.
                exhausts = pair.old != nil && pair.new != nil
            }
        }
        isExhaustive = exhausts
    }

    /// The next difference; nil where there is none any more.
    public mutating func next() throws(TreeError) -> FileDifference? {
        if !hasBegun {
            hasBegun = true
            if let found = try compare([], old.directory, new.directory) { return found }
        }
        while var frame = frames.popLast() {
            guard let (name, old, new) = try nextPair(&frame) else { continue }
            frames.append(frame)
            if let found = try compare(frame.path + name, old, new) { return found }
        }
        return nil
    }

    // MARK: one name

    /// What is different of a name; where it is a directory, what is in it comes next.
    private mutating func compare(
        _ path: [UInt8], _ a: InodeImage?, _ b: InodeImage?
    ) throws(TreeError) -> FileDifference? {
        let isWithin = prefixes.contain(path)
        let aIsFolder = a.map { $0.mode >> 12 == 4 } ?? false
        let bIsFolder = b.map { $0.mode >> 12 == 4 } ?? false
        if aIsFolder || bIsFolder, isWithin || prefixes.lead(from: path) {
            try open(path, aIsFolder ? a : nil, bIsFolder ? b : nil)
        }
        guard isWithin else { return nil }
        guard let a, let b else {
            return FileDifference(path: path, old: a, new: b, aspects: [])
        }
        let aspects = try Self.aspects(a, in: old, b, in: new).intersection(wanted)
        if aspects.isEmpty, !shared.has(a, b) { return nil }
        return FileDifference(path: path, old: a, new: b, aspects: aspects)
    }

    /// Whether both are of one volume, so that inodes are the same by their numbers.
    var isOfOneVolume: Bool { old.id == new.id }

    /// A file that has another path in the second.
    func renamed(
        from oldPath: [UInt8], _ a: InodeImage, to path: [UInt8], _ b: InodeImage
    ) throws(TreeError) -> FileDifference {
        FileDifference(
            path: path, old: a, new: b,
            aspects: try Self.aspects(a, in: old, b, in: new).intersection(wanted),
            oldPath: oldPath)
    }

    /// What of two files is not the same.
    public static func aspects(
        _ a: InodeImage, in old: VolumeState, _ b: InodeImage, in new: VolumeState
    ) throws(TreeError) -> FileDifference.Aspects {
        var result: FileDifference.Aspects = []
        if a.mode & 0o7777 != b.mode & 0o7777 { result.insert(.permissions) }
        if a.owner != b.owner || a.group != b.group { result.insert(.owner) }
        if a.attributes != b.attributes { result.insert(.attributes) }
        guard a.mode >> 12 == b.mode >> 12 else { return result.union(.kind) }
        if a.mode >> 12 == 4 { return result }
        if a.modificationTime != b.modificationTime { result.insert(.time) }
        if a.linkCount != b.linkCount { result.insert(.links) }
        if try !hasEqualContent(a, in: old, b, in: new) { result.insert(.content) }
        return result
    }

    private static func hasEqualContent(
        _ a: InodeImage, in old: VolumeState, _ b: InodeImage, in new: VolumeState
    ) throws(TreeError) -> Bool {
        guard a.size == b.size, a.device?.major == b.device?.major,
            a.device?.minor == b.device?.minor
        else { return false }
        guard old.hasPieces(a) || new.hasPieces(b) else { return a.content == b.content }
        // Not folded yet: keys do not tell.
        var offset: UInt64 = 0
        while offset < a.size {
            let bytes = try old.read(a, at: offset, count: VolumeDifference.stepBytes)
            if try new.read(b, at: offset, count: VolumeDifference.stepBytes) != bytes {
                return false
            }
            offset += UInt64(bytes.count)
        }
        return true
    }

    private static let stepBytes = 1 << 20

    // MARK: directories

    private mutating func open(
        _ path: [UInt8], _ a: InodeImage?, _ b: InodeImage?
    ) throws(TreeError) {
        var frame = Frame(path: path.isEmpty ? [] : path + [UInt8(ascii: "/")])
        if isExhaustive {
            frame.old = try VolumeDifference.names(of: a, in: old)
            frame.new = try VolumeDifference.names(of: b, in: new)
        } else {
            frame.trees = Trees(
                from: VolumeDifference.tree(of: a), in: old, to: VolumeDifference.tree(of: b),
                in: new)
        }
        frames.append(frame)
    }

    private static func tree(of image: InodeImage?) -> NodeReference? {
        if case .directory(let node)? = image?.content { node } else { nil }
    }

    private static func names(
        of image: InodeImage?, in volume: VolumeState
    ) throws(TreeError) -> [VolumeState.Entry] {
        var entries: [VolumeState.Entry] = []
        guard let image else { return entries }
        try volume.forEachEntry(of: image) { entry in
            entries.append(entry)
            return true
        }
        return entries.reversed()
    }

    private typealias NamedPair = (name: [UInt8], old: InodeImage?, new: InodeImage?)

    /// The next name that may differ.
    private func nextPair(_ frame: inout Frame) throws(TreeError) -> NamedPair? {
        guard frame.trees != nil else { return try nextListed(&frame) }
        guard let pair = try frame.trees?.next() else { return nil }
        return (
            pair.old?.name ?? pair.new?.name ?? [],
            try pair.old.map { entry throws(TreeError) in
                try VolumeDifference.image(entry, in: old)
            },
            try pair.new.map { entry throws(TreeError) in
                try VolumeDifference.image(entry, in: new)
            }
        )
    }

    private static func image(
        _ entry: DirectoryEntry, in volume: VolumeState
    ) throws(TreeError) -> InodeImage {
        if case .only(let image) = entry.target { return image }
        return try there(try volume.inode(entry.inode), in: volume)
    }

    private static func there(
        _ image: InodeImage?, in volume: VolumeState
    ) throws(TreeError) -> InodeImage {
        guard let image else {
            throw .format(.badValue("entry without an inode"), node: volume.rootName)
        }
        return image
    }

    private func nextListed(_ frame: inout Frame) throws(TreeError) -> NamedPair? {
        let a = frame.old.last
        let b = frame.new.last
        guard
            let name = [a?.name, b?.name].compactMap({ $0 }).min(by: {
                $0.lexicographicallyPrecedes($1)
            })
        else { return nil }
        var pair: NamedPair = (name, nil, nil)
        if let a, a.name == name {
            frame.old.removeLast()
            pair.old = try VolumeDifference.there(try old.image(of: a), in: old)
        }
        if let b, b.name == name {
            frame.new.removeLast()
            pair.new = try VolumeDifference.there(try new.image(of: b), in: new)
        }
        return pair
    }
}
