// One volume at one instant: inodes, names, and the way along a path.
import DiskFormat
import Trees

/// A volume at one instant: the tree below a root, and on top of it what later commits change. A
/// snapshot is one with nothing on top.
///
/// What is damaged throws a `TreeError` that names the node: `missing`, `format` (bad), `storage`
/// (the backend refused).
///
/// Threads: one at a time.
public final class VolumeState {
    /// As the newest commit names it.
    public let id: UniqueID
    /// Of a snapshot `VOLUME@NAME`.
    public let name: String
    /// Whether it is a snapshot of the volume.
    public let isSnapshot: Bool
    /// Every inode number ever used is below it.
    public let nextInode: UInt64
    /// The root of the checkpoint or snapshot, and its name.
    public let root: RootImage
    public let rootName: ChunkName
    let overlay: Overlay
    let chunks: ChunkReader
    private let orphansBelow: [UInt64: InodeImage]
    /// Images of inodes that got another name without a new image, by number.
    private var relocated: [UInt64: InodeImage] = [:]

    /// What a name means.
    public enum Target: Equatable, Sendable {
        /// An inode whose only name it is.
        case only(InodeImage)
        /// An inode with, perhaps, other names: see `inode(_:)`.
        case linked(inode: UInt64)
        /// An inode that does not exist: damage.
        case nothing(inode: UInt64)
    }

    /// A name in a directory.
    public struct Entry: Equatable, Sendable {
        /// As stored: any bytes but NUL and slash.
        public var name: [UInt8]
        /// Tells apart names that hash alike (see `DirectoryCookie`).
        public var collision: UInt8
        /// Its d_type (4 a directory, 8 a file, 10 a symbolic link …).
        public var kind: UInt8
        /// What the name means.
        public var target: Target

        /// The number of the inode, also where there is none.
        public var inode: UInt64 {
            switch target {
            case .only(let image): image.inode
            case .linked(let inode), .nothing(let inode): inode
            }
        }
    }

    init(
        id: UniqueID, name: String, nextInode: UInt64, rootName: ChunkName, root: RootImage,
        overlay: Overlay, chunks: ChunkReader, isSnapshot: Bool = false
    ) throws(TreeError) {
        self.isSnapshot = isSnapshot
        self.id = id
        self.name = name
        self.nextInode = nextInode
        self.rootName = rootName
        self.root = root
        self.overlay = overlay
        self.chunks = chunks
        var orphans: [UInt64: InodeImage] = [:]
        for orphan in root.orphans { orphans[orphan.inode] = orphan }
        orphansBelow = orphans
        try findRelocated()
    }

    /// A snapshot: its root, with nothing on top, and without the root's orphans.
    public convenience init(
        _ snapshot: SnapshotImage, in state: State
    ) throws(TreeError) {
        var image = try RootImage.read(snapshot.root, state.chunks)
        image.orphans = []
        let volume = state.volumes.first { $0.id == snapshot.volumeID }?.name
        try self.init(
            id: snapshot.volumeID, name: "\(volume ?? image.volumeName)@\(snapshot.name)",
            nextInode: image.nextInode, rootName: snapshot.root, root: image, overlay: Overlay(),
            chunks: state.chunks, isSnapshot: true)
    }

    /// Whether anything is not as the root's trees have it.
    public var hasChangesOnTop: Bool { !overlay.isEmpty }

    /// How the store names chunks and cuts files: where it is equal, equal content has equal keys.
    public var parameters: StoreParameters { chunks.inventory.parameters }

    // MARK: inodes

    /// The image of the root directory.
    public var directory: InodeImage {
        if case .put(let image) = overlay.inodes[RootImage.rootInode] { return image }
        return root.directory
    }

    /// The image of an inode of that number: root, changed, linked or orphaned. nil for one that
    /// does not exist, and for one that only its directory knows: walk there, or `resolve`.
    public func inode(_ number: UInt64) throws(TreeError) -> InodeImage? {
        switch overlay.inodes[number] {
        case .put(let image): return image
        case .gone: return nil
        case nil: break
        }
        if number == RootImage.rootInode { return root.directory }
        if let image = relocated[number] ?? orphansBelow[number] { return image }
        return try linkedBelow(number)
    }

    private func linkedBelow(_ number: UInt64) throws(TreeError) -> InodeImage? {
        try ListReader<LinkedInodesSchema, ChunkReader>(store: chunks)
            .find(LinkedInodesSchema.key(inode: number), in: root.linkedInodes)
    }

    /// Visits the inodes that have or had several names, ascending, until `body` returns false.
    public func forEachLinked(
        _ body: (InodeImage) throws(TreeError) -> Bool
    ) throws(TreeError) {
        let changed = overlay.inodes.values.compactMap { change -> InodeImage? in
            guard case .put(let image) = change, image.isLinked, image.linkCount > 0 else {
                return nil
            }
            return image
        }.sorted { $0.inode < $1.inode }
        var next = 0
        var last: UInt64 = 0
        let reader = ListReader<LinkedInodesSchema, ChunkReader>(store: chunks)
        let isWhole = try reader.forEach(of: root.linkedInodes) { _, image throws(TreeError) in
            guard image.inode > last else {
                throw .format(.badValue("linked inodes: order"), node: rootName)
            }
            last = image.inode
            while next < changed.count, changed[next].inode < image.inode {
                if try !body(changed[next]) { return false }
                next += 1
            }
            if overlay.inodes[image.inode] != nil { return true }
            return try body(image)
        }
        guard isWhole else { return }
        for image in changed[next...] {
            if try !body(image) { return }
        }
    }

    /// Inodes without a name that were open when the newest commit was made, ascending.
    public var orphans: [InodeImage] {
        var all = orphansBelow
        for (number, change) in overlay.inodes {
            all[number] = nil
            if case .put(let image) = change, image.linkCount == 0 { all[number] = image }
        }
        return all.values.sorted { $0.inode < $1.inode }
    }

    // MARK: directories

    /// Visits the names of a directory in the order of their bytes until `body` returns false.
    ///
    /// - Parameter image: a directory's, as `directory`, an entry or `resolve` gave it.
    public func forEachEntry(
        of image: InodeImage, _ body: (Entry) throws(TreeError) -> Bool
    ) throws(TreeError) {
        let changes = (overlay.names[image.inode] ?? [:])
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
        var next = 0
        var last: [UInt8] = []
        var base: NodeReference?
        if case .directory(let reference) = image.content { base = reference }
        let reader = ListReader<DirectorySchema, ChunkReader>(store: chunks)
        let isWhole = try reader.forEach(of: base) { _, entry throws(TreeError) in
            guard last.lexicographicallyPrecedes(entry.name) else {
                throw .format(
                    .badValue("directory: order of names"), node: base?.name ?? rootName)
            }
            last = entry.name
            while next < changes.count, changes[next].key.lexicographicallyPrecedes(entry.name) {
                if let changed = try self.entry(changes[next]), try !body(changed) {
                    return false
                }
                next += 1
            }
            // A changed name comes with the next ones.
            if next < changes.count, changes[next].key == entry.name { return true }
            return try body(self.entry(entry))
        }
        guard isWhole else { return }
        for change in changes[next...] {
            if let changed = try self.entry(change), try !body(changed) { return }
        }
    }

    /// What a name in a directory means; nil where there is none.
    public func lookUp(
        _ name: [UInt8], in image: InodeImage
    ) throws(TreeError) -> Entry? {
        if let changed = overlay.names[image.inode]?[name] { return try entry((name, changed)) }
        guard case .directory(let reference) = image.content else { return nil }
        return try ListReader<DirectorySchema, ChunkReader>(store: chunks)
            .find(name, in: reference).map { entry($0) }
    }

    /// The inode at a path from the volume's root. Empty parts and `.` are passed over; `..` and
    /// symbolic links are not followed. nil where there is none.
    public func resolve(_ path: some StringProtocol) throws(TreeError) -> InodeImage? {
        try resolve(bytes: Array(path.utf8))
    }

    /// As `resolve(_:)`, for paths that are not UTF-8.
    public func resolve(bytes path: [UInt8]) throws(TreeError) -> InodeImage? {
        var image = directory
        for part in path.split(separator: UInt8(ascii: "/")) where part != [0x2e] {
            guard image.mode >> 12 == 4, let entry = try lookUp(Array(part), in: image),
                let next = try self.image(of: entry)
            else { return nil }
            image = next
        }
        return image
    }

    /// The inode that an entry names; nil where it does not exist, which is damage.
    public func image(of entry: Entry) throws(TreeError) -> InodeImage? {
        switch entry.target {
        case .only(let image): image
        case .linked(let number): try inode(number)
        case .nothing: nil
        }
    }

    private func entry(_ change: (key: [UInt8], value: Overlay.Name)) throws(TreeError) -> Entry? {
        guard let target = change.value.target else { return nil }
        return Entry(
            name: change.key, collision: change.value.collision, kind: target.kind,
            target: self.target(target.inode))
    }

    private func entry(_ entry: DirectoryEntry) -> Entry {
        switch entry.target {
        case .linked(let number, let kind):
            var target = Target.linked(inode: number)
            if case .gone = overlay.inodes[number] { target = .nothing(inode: number) }
            return Entry(
                name: entry.name, collision: entry.collision, kind: kind, target: target)
        case .only(let image):
            var target = Target.only(image)
            if overlay.inodes[image.inode] != nil { target = self.target(image.inode) }
            return Entry(
                name: entry.name, collision: entry.collision, kind: UInt8(image.mode >> 12 & 15),
                target: target)
        }
    }

    /// What a changed name, or the name of a changed inode, means.
    private func target(_ number: UInt64) -> Target {
        switch overlay.inodes[number] {
        case .put(let image): return image.isLinked ? .linked(inode: number) : .only(image)
        case .gone: return .nothing(inode: number)
        case nil: return relocated[number].map { .only($0) } ?? .linked(inode: number)
        }
    }

    /// The trees of these directories, the root among them if it is wanted, as far as only such lead
    /// to them.
    ///
    /// - Throws: `storage`; what is damaged is passed over.
    func trees(of wanted: Set<UInt64>) throws(TreeError) -> [UInt64: ContentKey] {
        var found: [UInt64: ContentKey] = [:]
        var pending = [directory]
        while let image = pending.popLast() {
            guard wanted.contains(image.inode), found[image.inode] == nil else { continue }
            found[image.inode] = image.content
            do throws(TreeError) {
                try forEachEntry(of: image) { entry in
                    if case .only(let image) = entry.target, image.mode >> 12 == 4 {
                        pending.append(image)
                    }
                    return true
                }
            } catch .storage(let node) {
                throw .storage(node: node)
            } catch {
                continue
            }
        }
        return found
    }

    // MARK: inodes whose name changed and whose image did not

    /// Finds the images of inodes that a changed name refers to, and that are neither changed nor
    /// linked: they lie in the tree, beside an old name. Writers give such inodes a new image, so
    /// the walk through all directories that this takes is rare.
    private func findRelocated() throws(TreeError) {
        var wanted: Set<UInt64> = []
        for target in overlay.names.values.flatMap(\.values).compactMap(\.target)
        where overlay.inodes[target.inode] == nil && target.inode != RootImage.rootInode {
            if try linkedBelow(target.inode) == nil { wanted.insert(target.inode) }
        }
        guard !wanted.isEmpty else { return }
        var pending = [root.directory]
        var seen: Set<UInt64> = []
        let reader = ListReader<DirectorySchema, ChunkReader>(store: chunks)
        while let image = pending.popLast(), relocated.count < wanted.count {
            guard case .directory(let base) = image.content, seen.insert(image.inode).inserted
            else { continue }
            do throws(TreeError) {
                try reader.forEach(of: base) { _, entry in
                    guard case .only(let image) = entry.target else { return true }
                    if wanted.contains(image.inode) { relocated[image.inode] = image }
                    if image.mode >> 12 == 4 { pending.append(image) }
                    return true
                }
            } catch .storage(let node) {
                throw .storage(node: node)
            } catch {
                // Damage: told where the directory is met; here only its names are missing.
                continue
            }
        }
    }
}
