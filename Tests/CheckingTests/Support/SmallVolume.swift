// A model of a volume that writes itself into a SmallStore, and knows what a reader must find.
import DiskFormat
import Trees
import XCTest

/// One volume. Operations change the model and are gathered until `commit` or `checkpoint`.
final class SmallVolume {
    static let root = RootImage.rootInode

    let store: SmallStore
    let id: UniqueID
    let name: String
    var images: [UInt64: InodeImage] = [:]
    /// By directory and name: the inode.
    var names: [UInt64: [[UInt8]: UInt64]] = [:]
    /// What regular files hold.
    var bytes: [UInt64: [UInt8]] = [:]
    var nextInode: UInt64 = 2
    var changes: VolumeChanges
    private var sequence: UInt64 = 0
    /// Changes of the root before it is written.
    var tamperRoot: ((inout RootImage) -> Void)?
    /// Changes of an entry before a directory is written.
    var tamperEntry: ((inout DirectoryEntry) -> Void)?
    var chunkBytes = 700

    init(_ store: SmallStore, name: String = "data", number: UInt64 = 1) {
        self.store = store
        self.name = name
        id = UniqueID(random: (0x1000 + number, 0x2000))
        changes = VolumeChanges(
            volumeID: id, volumeName: name, epoch: 1, sequence: 0, nextInode: 2)
        images[Self.root] = InodeImage(inode: Self.root, generation: 1, mode: 0o040755)
        names[Self.root] = [:]
    }

    // MARK: operations

    private func new(_ mode: UInt32, in parent: UInt64, _ name: String) -> InodeImage {
        let image = InodeImage(inode: nextInode, generation: 1, mode: mode, parent: parent)
        nextInode += 1
        setName(parent, name, image.inode, mode)
        return image
    }

    private func setName(_ parent: UInt64, _ name: String, _ inode: UInt64?, _ mode: UInt32) {
        names[parent, default: [:]][Array(name.utf8)] = inode
        changes.names.append(
            NameChange(
                parent: parent, name: Array(name.utf8), collision: 0,
                target: inode.map { .init(inode: $0, kind: UInt8(mode >> 12)) }))
        if let directory = images[parent] { put(directory) }
    }

    func put(_ image: InodeImage) {
        images[image.inode] = image
        changes.inodes.append(.put(image))
    }

    @discardableResult
    func makeDirectory(_ name: String, in parent: UInt64 = root) -> UInt64 {
        let image = new(0o040755, in: parent, name)
        names[image.inode] = [:]
        put(image)
        return image.inode
    }

    @discardableResult
    func makeFile(
        _ name: String, in parent: UInt64 = root, _ content: [UInt8],
        attributes: AttributeSet? = nil
    ) throws -> UInt64 {
        var image = new(0o100644, in: parent, name)
        try fill(&image, content)
        if let attributes {
            let encoded = attributes.encoded()
            image.attributes =
                encoded.count <= DiskFormat.inlineAttributeBytesMax
                ? .inline(encoded)
                : .chunk(try store.put(encoded, .data), byteCount: UInt32(encoded.count))
        }
        put(image)
        return image.inode
    }

    /// A file of extents, given with what they read as.
    @discardableResult
    func makeFile(
        _ name: String, in parent: UInt64 = root, extents: [Extent], reading content: [UInt8]
    ) throws -> UInt64 {
        var image = new(0o100644, in: parent, name)
        image.size = UInt64(content.count)
        image.allocatedBytes = extents.reduce(0) { $0 + $1.allocatedBytes }
        image.content = try RecipeEdit.build(extents, in: store).map { .recipe($0) } ?? .none
        bytes[image.inode] = content
        put(image)
        return image.inode
    }

    private func fill(_ image: inout InodeImage, _ content: [UInt8]) throws {
        image.size = UInt64(content.count)
        image.allocatedBytes = image.size
        var extents: [Extent] = []
        for start in stride(from: 0, to: content.count, by: chunkBytes) {
            let part = Array(content[start..<min(start + chunkBytes, content.count)])
            extents.append(.data(try store.put(part, .data), length: UInt32(part.count)))
        }
        switch extents.count {
        case 0: image.content = .none
        case 1:
            if case .data(let name, _) = extents[0] { image.content = .chunk(name) }
        default:
            image.content = try RecipeEdit.build(extents, in: store).map { .recipe($0) } ?? .none
        }
        bytes[image.inode] = content
    }

    @discardableResult
    func makeLink(_ name: String, in parent: UInt64 = root, to target: String) -> UInt64 {
        var image = new(0o120777, in: parent, name)
        image.content = .target(Array(target.utf8))
        image.size = UInt64(target.utf8.count)
        put(image)
        return image.inode
    }

    func link(_ inode: UInt64, _ name: String, in parent: UInt64 = root) throws {
        var image = try XCTUnwrap(images[inode])
        image.linkCount += 1
        image.isLinked = true
        image.parent = nil
        setName(parent, name, inode, image.mode)
        put(image)
    }

    func unlink(_ name: String, in parent: UInt64 = root, staysOpen: Bool = false) throws {
        let inode = try XCTUnwrap(names[parent]?[Array(name.utf8)])
        var image = try XCTUnwrap(images[inode])
        names[parent]?[Array(name.utf8)] = nil
        setName(parent, name, nil, image.mode)
        image.linkCount -= 1
        image.parent = image.linkCount == 0 ? nil : image.parent
        if image.linkCount == 0, !staysOpen {
            images[inode] = nil
            names[inode] = nil
            bytes[inode] = nil
            changes.inodes.append(.gone(inode))
        } else {
            put(image)
        }
    }

    func rename(_ name: String, in from: UInt64, to newName: String, in to: UInt64) throws {
        let inode = try XCTUnwrap(names[from]?[Array(name.utf8)])
        var image = try XCTUnwrap(images[inode])
        setName(from, name, nil, image.mode)
        names[from]?[Array(name.utf8)] = nil
        if !image.isLinked { image.parent = to }
        setName(to, newName, inode, image.mode)
        put(image)
    }

    /// Overwrites or extends a file by a piece on top of its content.
    func write(_ content: [UInt8], to inode: UInt64, at offset: Int) throws {
        var image = try XCTUnwrap(images[inode])
        var all = bytes[inode] ?? []
        let name = try store.put(content, .data)
        var owners = pieceOwners[inode] ?? []
        let missing = max(0, offset + content.count - owners.count)
        owners += [ChunkName?](repeating: nil, count: missing)
        for index in offset..<offset + content.count { owners[index] = name }
        pieceOwners[inode] = owners
        changes.extents.append(
            ExtentChange(
                inode: inode, range: UInt64(offset)..<UInt64(offset + content.count),
                pieces: [
                    .init(
                        offset: UInt64(offset), length: UInt64(content.count),
                        source: .data(name, chunkBytes: UInt32(content.count), offset: 0))
                ]))
        if all.count < offset + content.count {
            all += [UInt8](repeating: 0, count: offset + content.count - all.count)
        }
        all.replaceSubrange(offset..<offset + content.count, with: content)
        bytes[inode] = all
        image.size = UInt64(all.count)
        image.allocatedBytes = image.size
        put(image)
    }

    /// For each byte of a file which piece's chunk it lies in, if any.
    private var pieceOwners: [UInt64: [ChunkName?]] = [:]

    /// The chunks of the pieces on top of files, once for each piece: a run of bytes of one owner.
    var pieceChunks: [ChunkName] {
        pieceOwners.values.flatMap { owners in
            owners.indices.compactMap { index in
                index > 0 && owners[index - 1] == owners[index] ? nil : owners[index]
            }
        }
    }

    // MARK: commits

    /// The changes so far, as a section of a commit; begins anew.
    func takeSection() -> VolumeChanges {
        sequence += 1
        changes.sequence = sequence
        changes.nextInode = nextInode
        let section = changes
        changes.inodes = []
        changes.names = []
        changes.extents = []
        return section
    }

    func commit() throws {
        try store.commit([takeSection()], isCheckpoint: false)
    }

    /// Writes the whole volume as a root; returns the section for a checkpoint.
    func checkpointSection() throws -> VolumeChanges {
        // Files whose content has pieces on top are folded.
        for change in changes.extents + folded {
            guard var image = images[change.inode], let content = bytes[change.inode] else {
                continue
            }
            try fill(&image, content)
            images[change.inode] = image
        }
        folded = []
        var section = takeSection()
        section.inodes = []
        section.names = []
        section.extents = []
        section.root = try writeRoot()
        return section
    }

    /// Extents of commits since the last checkpoint, of files that are to be folded.
    var folded: [ExtentChange] = []

    func checkpoint() throws {
        try store.commit([try checkpointSection()], isCheckpoint: true)
    }

    private func writeRoot() throws -> ChunkName {
        let directory = try writeDirectory(Self.root)
        let linked = images.values.filter { $0.isLinked && $0.linkCount > 0 }
            .sorted { $0.inode < $1.inode }
        var builder = ListBuilder<LinkedInodesSchema, SmallStore>(store: store)
        for image in linked { try builder.append(image) }
        var root = RootImage(
            volumeID: id, volumeName: name, time: DiskTime(seconds: 1, nanoseconds: 0),
            nextInode: nextInode, directory: directory, linkedInodes: try builder.finish(),
            orphans: images.values.filter { $0.linkCount == 0 }.sorted { $0.inode < $1.inode })
        for image in images.values {
            switch image.mode >> 12 {
            case 8:
                root.statistics.files += 1
                root.statistics.logicalBytes += image.size
            case 4: root.statistics.directories += 1
            default: root.statistics.others += 1
            }
        }
        tamperRoot?(&root)
        return try store.put(root.encoded(), .tree)
    }

    private func writeDirectory(_ inode: UInt64) throws -> InodeImage {
        var image = try XCTUnwrap(images[inode])
        var builder = ListBuilder<DirectorySchema, SmallStore>(store: store)
        let sorted = (names[inode] ?? [:]).sorted { $0.key.lexicographicallyPrecedes($1.key) }
        for (name, target) in sorted {
            var child = try XCTUnwrap(images[target])
            if child.mode >> 12 == 4 { child = try writeDirectory(target) }
            var entry = DirectoryEntry(
                name: name,
                target: child.isLinked
                    ? .linked(inode: target, kind: UInt8(child.mode >> 12)) : .only(child))
            tamperEntry?(&entry)
            try builder.append(entry)
        }
        image.content = try builder.finish().map { .directory($0) } ?? .none
        images[inode] = image
        return image
    }

    // MARK: what a reader must find

    /// All paths with their inodes.
    func paths(_ inode: UInt64 = root, _ prefix: String = "") -> [String: UInt64] {
        var result: [String: UInt64] = [:]
        for (name, child) in names[inode] ?? [:] {
            let path = prefix + "/" + String(decoding: name, as: UTF8.self)
            result[path] = child
            if names[child] != nil { result.merge(paths(child, path)) { a, _ in a } }
        }
        return result
    }
}
