// A volume of an image: what its files are, and how that gets into commits and trees.
import Chunking
import DiskFormat
import Trees

/// A file's bytes, in the order of the file.
enum Segment {
    case bytes([UInt8])
    case hole(UInt64)
    /// Zeros that were allocated and never written.
    case zeros(UInt64)
}

/// One volume while its image is made. Operations are gathered until `section` or `checkpoint`.
final class ImageVolume {
    static let root = RootImage.rootInode

    let writer: ImageWriter
    let id: UniqueID
    let name: String
    private(set) var images: [UInt64: InodeImage] = [:]
    private var names: [UInt64: [[UInt8]: UInt64]] = [:]
    private var nextInode: UInt64 = 2
    private var sequence: UInt64 = 0
    private var inodeChanges: [VolumeChanges.InodeChange] = []
    private var nameChanges: [NameChange] = []
    private var extentChanges: [ExtentChange] = []
    /// Nodes of the newest checkpoint's trees, with how often each is there.
    private(set) var nodes: [ChunkName: Int64] = [:]
    private(set) var rootName: ChunkName?
    /// The root of the newest checkpoint.
    private var rootImage: RootImage?

    init(_ writer: ImageWriter, name: String = "main", number: UInt64 = 1) {
        self.writer = writer
        self.name = name
        id = UniqueID(random: (0x766f_6c75_6d65_0000 | number, 0x6173_686c_6172))
        put(ImageVolume.stamped(Self.root, 0o040755, linkCount: 2))
        names[Self.root] = [:]
    }

    // MARK: inodes

    /// An image with the times that follow from the number: no two of a file are equal.
    private static func stamped(
        _ inode: UInt64, _ mode: UInt32, linkCount: UInt64 = 1
    ) -> InodeImage {
        func time(_ offset: Int64) -> DiskTime {
            DiskTime(
                seconds: ImageWriter.epochSeconds + offset + Int64(inode),
                nanoseconds: UInt32(inode))
        }
        return InodeImage(
            inode: inode, generation: 1, mode: mode, linkCount: linkCount,
            modificationTime: time(0), changeTime: time(1000), accessTime: time(2000),
            birthTime: time(-1000))
    }

    /// Makes an inode with its first name; `fill` completes its image.
    @discardableResult
    func make(
        _ name: String, in parent: UInt64 = root, _ mode: UInt32,
        _ fill: (inout InodeImage) throws -> Void = { _ in }
    ) throws -> UInt64 {
        try make(Array(name.utf8), in: parent, mode, fill)
    }

    @discardableResult
    func make(
        _ name: [UInt8], in parent: UInt64 = root, _ mode: UInt32,
        _ fill: (inout InodeImage) throws -> Void = { _ in }
    ) throws -> UInt64 {
        let isDirectory = mode >> 12 == 4
        var image = ImageVolume.stamped(nextInode, mode, linkCount: isDirectory ? 2 : 1)
        image.parent = parent
        nextInode += 1
        try fill(&image)
        if isDirectory {
            names[image.inode] = [:]
            change(parent) { $0.linkCount += 1 }
        }
        put(image)
        setName(parent, name, image)
        return image.inode
    }

    func put(_ image: InodeImage) {
        images[image.inode] = image
        inodeChanges.removeAll {
            if case .put(let old) = $0 { old.inode == image.inode } else { false }
        }
        inodeChanges.append(.put(image))
    }

    func change(_ inode: UInt64, _ body: (inout InodeImage) throws -> Void) rethrows {
        guard var image = images[inode] else { return }
        try body(&image)
        put(image)
    }

    private func setName(_ parent: UInt64, _ name: [UInt8], _ image: InodeImage?) {
        names[parent, default: [:]][name] = image?.inode
        nameChanges.append(
            NameChange(
                parent: parent, name: name, collision: 0,
                target: image.map { .init(inode: $0.inode, kind: UInt8($0.mode >> 12)) }))
    }

    // MARK: names

    func link(_ inode: UInt64, _ name: String, in parent: UInt64 = root) {
        if let image = images[inode], !image.isLinked, let home = image.parent,
            let first = names[home]?.first(where: { $0.value == inode })?.key
        {
            setName(home, first, image)
        }
        change(inode) { image in
            image.linkCount += 1
            image.isLinked = true
            image.parent = nil
        }
        setName(parent, Array(name.utf8), images[inode])
    }

    /// - Parameter staysOpen: leaves an orphan where it was the last name.
    func unlink(_ name: String, in parent: UInt64 = root, staysOpen: Bool = false) {
        guard let inode = names[parent]?[Array(name.utf8)], var image = images[inode] else {
            return
        }
        setName(parent, Array(name.utf8), nil)
        if image.mode >> 12 == 4 {
            image.linkCount = 0
            change(parent) { $0.linkCount -= 1 }
        } else {
            image.linkCount -= 1
        }
        if image.linkCount == 0 { image.parent = nil }
        put(image)
        if image.linkCount == 0, !staysOpen { end(inode) }
    }

    /// An orphan is closed.
    func end(_ inode: UInt64) {
        images[inode] = nil
        names[inode] = nil
        inodeChanges.removeAll {
            if case .put(let old) = $0 { old.inode == inode } else { false }
        }
        inodeChanges.append(.gone(inode))
    }

    func rename(
        _ name: String, in from: UInt64 = root, to newName: String, in to: UInt64 = root
    ) {
        guard let inode = names[from]?[Array(name.utf8)] else { return }
        setName(from, Array(name.utf8), nil)
        change(inode) { if !$0.isLinked { $0.parent = to } }
        if images[inode].map({ $0.mode >> 12 == 4 }) ?? false, from != to {
            change(from) { $0.linkCount -= 1 }
            change(to) { $0.linkCount += 1 }
        }
        setName(to, Array(newName.utf8), images[inode])
    }

    // MARK: content

    /// Stores a file's bytes as the rules of cutting want, and notes the key in its image.
    func fill(_ image: inout InodeImage, _ segments: [Segment]) throws {
        var extents: [Extent] = []
        var size: UInt64 = 0
        let chunker = Chunker(parameters: writer.plan.parameters.chunker)
        var scratch = ChunkerScratch()
        for segment in segments {
            switch segment {
            case .hole(let length):
                extents.append(.hole(length: length))
                size += length
            case .zeros(let length):
                extents.append(.zeros(length: length))
                size += length
            case .bytes(let bytes):
                var cuts: [Cut] = []
                _ = bytes.withUnsafeBytes {
                    chunker.cut(
                        $0, at: size, isEnd: true, followsZeros: false, into: &cuts,
                        scratch: &scratch)
                }
                var begin = 0
                for cut in cuts {
                    let part = Array(bytes[begin..<begin + cut.length])
                    extents.append(
                        cut.kind == .zeros
                            ? .zeros(length: UInt64(cut.length))
                            : .data(writer.put(part, .data), length: UInt32(cut.length)))
                    begin += cut.length
                }
                size += UInt64(bytes.count)
            }
        }
        image.size = size
        image.allocatedBytes = extents.reduce(0) { $0 + $1.allocatedBytes }
        if extents.count == 1, case .data(let name, _) = extents[0] {
            image.content = .chunk(name)
        } else {
            image.content = try RecipeEdit.build(extents, in: writer).map { .recipe($0) } ?? .none
        }
    }

    func attach(_ image: inout InodeImage, _ attributes: [(String, [UInt8])]) throws {
        var set = AttributeSet()
        for (name, value) in attributes { try set.set(Array(name.utf8), to: value) }
        let bytes = set.encoded()
        image.attributes =
            bytes.count <= DiskFormat.inlineAttributeBytesMax
            ? .inline(bytes)
            : .chunk(writer.put(bytes, .data), byteCount: UInt32(bytes.count))
    }

    /// Lays pieces on top of a file's content.
    func lay(_ inode: UInt64, _ range: Range<UInt64>, _ pieces: [ExtentChange.Piece]) {
        extentChanges.append(ExtentChange(inode: inode, range: range, pieces: pieces))
    }

    /// A piece of a chunk of its own.
    func data(at offset: UInt64, _ bytes: [UInt8]) -> ExtentChange.Piece {
        let name = writer.put(bytes, .data)
        return ExtentChange.Piece(
            offset: offset, length: UInt64(bytes.count),
            source: .data(name, chunkBytes: UInt32(bytes.count), offset: 0))
    }

    // MARK: commits

    /// The changes so far, as a section of a commit.
    func section() -> VolumeChanges {
        sequence += 1
        var changes = VolumeChanges(
            volumeID: id, volumeName: name, epoch: 1, sequence: sequence, nextInode: nextInode)
        changes.inodes = inodeChanges
        changes.names = nameChanges
        changes.extents = extentChanges
        inodeChanges = []
        nameChanges = []
        extentChanges = []
        return changes
    }

    /// Writes the volume as trees and a root; the section names the root, and `counts` gets how the
    /// counts of nodes change. What was changed must have been committed before, but for the first.
    func checkpoint(_ counts: inout [ChunkName: Int64]) throws -> VolumeChanges {
        let before = nodes
        nodes = [:]
        let old = images
        let directory = try writeDirectory(Self.root)
        var builder = ListBuilder<LinkedInodesSchema, ImageWriter>(store: writer)
        let sorted = images.values.sorted { $0.inode < $1.inode }
        for image in sorted where image.isLinked && image.linkCount > 0 {
            try builder.append(image)
        }
        let linked = try builder.finish()
        for name in builder.written { nodes[name, default: 0] += 1 }
        var root = RootImage(
            volumeID: id, volumeName: name,
            time: DiskTime(
                seconds: ImageWriter.epochSeconds + Int64(writer.sequence), nanoseconds: 0),
            nextInode: nextInode, directory: directory, linkedInodes: linked,
            orphans: sorted.filter { $0.linkCount == 0 })
        // Orphans are in no directory.
        for image in sorted where image.linkCount > 0 { root.statistics.count(image) }
        rootImage = root
        let rootName = writer.put(root.encoded(), .tree)
        nodes[rootName, default: 0] += 1
        for (name, count) in nodes { counts[name, default: 0] += count }
        for (name, count) in before { counts[name, default: 0] -= count }
        self.rootName = rootName
        inodeChanges = []
        for image in sorted where image.mode >> 12 == 4 && old[image.inode] != images[image.inode] {
            inodeChanges.append(.put(images[image.inode] ?? image))
        }
        nameChanges = []
        var changes = section()
        changes.root = rootName
        return changes
    }

    /// The first section of this volume, which begins as another's newest checkpoint, where a snapshot was
    /// made. Of its nodes the root alone is counted by the commit. A checkpoint of it is not provided for.
    func begin(
        as other: ImageVolume, _ snapshot: UniqueID
    ) throws -> (section: VolumeChanges, count: CountChange) {
        guard var root = other.rootImage else { throw FormatError.badValue("no checkpoint") }
        root.volumeID = id
        root.volumeName = name
        root.orphans = []
        images = other.images
        names = other.names
        nextInode = root.nextInode
        inodeChanges = [.put(root.directory)]
        let rootName = writer.put(root.encoded(), .tree)
        var changes = section()
        changes.root = rootName
        changes.beginning = .init(snapshot: snapshot, statistics: root.statistics)
        return (changes, CountChange(name: rootName, change: 1))
    }

    private func writeDirectory(_ inode: UInt64) throws -> InodeImage {
        var builder = ListBuilder<DirectorySchema, ImageWriter>(store: writer)
        let entries = (names[inode] ?? [:]).sorted { $0.key.lexicographicallyPrecedes($1.key) }
        for (name, number) in entries {
            guard var child = images[number] else { continue }
            if child.mode >> 12 == 4 { child = try writeDirectory(number) }
            try builder.append(
                DirectoryEntry(
                    name: name,
                    target: child.isLinked
                        ? .linked(inode: number, kind: UInt8(child.mode >> 12)) : .only(child)))
        }
        let reference = try builder.finish()
        for name in builder.written { nodes[name, default: 0] += 1 }
        var image = images[inode] ?? ImageVolume.stamped(inode, 0o040755)
        image.content = reference.map { .directory($0) } ?? .none
        images[inode] = image
        return image
    }
}

extension RootImage.Statistics {
    fileprivate mutating func count(_ image: InodeImage) {
        switch image.mode >> 12 {
        case 8:
            files += 1
            logicalBytes += image.size
        case 4: directories += 1
        default: others += 1
        }
    }
}

extension ImageWriter {
    /// A checkpoint of these volumes, with everything that `fill` adds.
    func checkpoint(
        _ volumes: [ImageVolume], _ fill: (inout Commit) -> Void = { _ in }
    ) throws {
        var counts: [ChunkName: Int64] = [:]
        var sections: [VolumeChanges] = []
        for volume in volumes { sections.append(try volume.checkpoint(&counts)) }
        commit(isCheckpoint: true) { commit in
            commit.volumes = sections
            commit.nodeCounts = counts.filter { $0.value != 0 }.sorted { $0.key < $1.key }
                .map { CountChange(name: $0.key, change: $0.value) }
            fill(&commit)
        }
    }

    /// A commit of what changed in these volumes.
    func commit(_ volumes: [ImageVolume], _ fill: (inout Commit) -> Void = { _ in }) {
        let sections = volumes.map { $0.section() }
        commit(isCheckpoint: false) { commit in
            commit.volumes = sections
            fill(&commit)
        }
    }
}
