import Checking
import DiskFormat
import Hashing
import Pipeline
import Trees

/// Makes of a snapshot that has one side of a difference the tree that has the other side, in the
/// same store. One thread.
///
/// Both come in the order of paths and are merged: what the difference touches must be as its first
/// side has it, everything else is taken over. Nothing is anybody's before the root is, so a base that
/// is another is refused with nothing changed, wherever that shows.
///
/// Memory: what a `TreeAssembler` takes, and the files of the base that have several names.
public struct SnapshotApplication {
    /// A directory of the tree that is being made.
    private struct Folder {
        var path: [UInt8]
        /// Whether the base has no directory there, so that no event ends it.
        var isAdded: Bool
    }

    private let base: StoredTree
    private let old: VolumeState
    private let new: VolumeState
    private let hasher: ChunkHasher
    private let carrier: ChunkCarrier
    private let keepClock: KeepClock
    private let isCancelled: () -> Bool
    private var assembler: TreeAssembler
    private var open: [Folder] = []
    /// The base's directories that end, from the outermost on: nothing of them is in the tree.
    private var ending = 0
    private var path: [UInt8] = []
    /// Where the names of the base's directories on the way begin in `path`.
    private var starts: [Int] = []
    private var links: Set<FileIdentity> = []
    private var next: AppliedDifference?
    public private(set) var count: UInt64 = 0

    /// - Parameters:
    ///   - base: the snapshot, in the store that is written.
    ///   - old: the side of the difference that it has.
    ///   - new: the side that the tree gets.
    ///   - nextInode: above every inode number of the volume.
    ///   - keep: makes durable what was put; called now and then.
    public init(
        of base: StoredTree, from old: VolumeState, to new: VolumeState, in store: ChunkStore,
        nextInode: UInt64, isCancelled: @escaping () -> Bool = { false },
        keep: @escaping () throws(StreamError) -> Void
    ) throws(StreamError) {
        self.base = base
        self.old = old
        self.new = new
        self.isCancelled = isCancelled
        do throws(HashingError) {
            hasher = try ChunkHasher(store.parameters.hash)
        } catch {
            throw .store(.hashing(error))
        }
        carrier = try ChunkCarrier(from: new, to: store, withData: true)
        carrier.acceptsKnown = true
        carrier.isCancelled = isCancelled
        let keepClock = KeepClock(store, keep: keep)
        self.keepClock = keepClock
        carrier.onData = { _ in keepClock.note() }
        assembler = TreeAssembler(
            store: store, nextInode: max(nextInode, base.root.nextInode))
    }

    /// Applies. Once.
    ///
    /// - Returns: the root, of the base's volume: its tree is in the store.
    public mutating func run(
        _ source: DifferenceApplication.Source, volumeName: String
    ) throws(ApplyError) -> RootImage {
        guard carrier.cutsAlike else { throw .cutsOtherwise }
        try advance(source)
        var walk = StoredWalk(base)
        while let event = try inTree({ () throws(TreeError) in try walk.next() }) {
            if isCancelled() { throw .cancelled }
            switch event {
            case .begin(let name, let image): try begin(name, image, source)
            case .file(let name, let image): try file(name, image, source)
            case .end: try end(source)
            }
            try keeping { () throws(StreamError) in try keepClock.tick() }
        }
        guard next == nil else { throw .isOther(path: next?.path ?? [], what: "there is nothing") }
        return try inTree { () throws(TreeError) in
            try assembler.finish(
                volumeID: base.root.volumeID, volumeName: volumeName, time: new.root.time)
        }
    }

    /// Throws `isOther` for the first path that is not as the first side has it. Changes nothing.
    public mutating func check(_ source: DifferenceApplication.Source) throws(ApplyError) {
        guard carrier.cutsAlike else { throw .cutsOtherwise }
        while true {
            if isCancelled() { throw .cancelled }
            try advance(source)
            guard let found = next else { return }
            let image = try inTree { () throws(TreeError) in try base.resolve(found.path) }
            guard let image else {
                if found.old != nil { throw .isOther(path: found.path, what: "there is nothing") }
                continue
            }
            try check(image, found)
            guard image.mode >> 12 == 4, (found.new?.mode ?? 0) >> 12 != 4 else { continue }
            try checkIsKnown(image, found)
        }
    }

    /// A directory that ends must not have anything that the difference does not know.
    private func checkIsKnown(
        _ image: InodeImage, _ found: AppliedDifference
    ) throws(ApplyError) {
        guard let wanted = found.old else { return }
        var unknown: [UInt8]?
        try inTree { () throws(TreeError) in
            try base.forEachEntry(of: image) { entry throws(TreeError) in
                if try old.lookUp(entry.name, in: wanted) == nil { unknown = entry.name }
                return unknown == nil
            }
        }
        guard let unknown else { return }
        throw .isOther(
            path: found.path + [UInt8(ascii: "/")] + unknown,
            what: "its directory ends, and it is not known")
    }

    private mutating func advance(_ source: DifferenceApplication.Source) throws(ApplyError) {
        next = try inTree(source)
        if next != nil { count += 1 }
    }

    // MARK: what the base has

    private mutating func begin(
        _ name: [UInt8], _ image: InodeImage, _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        enter(name)
        starts.append(path.count)
        if ending > 0 {
            ending += 1
            return try takeEnding(image, source)
        }
        try addBefore(path, source)
        guard let found = next, found.path == path else {
            return try begin(name, try leading(image), previous: image, isAdded: false)
        }
        try check(image, found)
        try advance(source)
        if let changed = found.new, changed.mode >> 12 == 4 {
            return try begin(name, try carry(changed), previous: image, isAdded: false)
        }
        ending = 1
        if let successor = found.new { try add(name, successor, previous: nil) }
    }

    private mutating func file(
        _ name: [UInt8], _ image: InodeImage, _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        enter(name)
        if ending > 0 { return try takeEnding(image, source) }
        try addBefore(path, source)
        guard let found = next, found.path == path else {
            return try append(name, image, device: 0, previous: image)
        }
        try check(image, found)
        try advance(source)
        guard let changed = found.new else { return }
        if changed.mode >> 12 == 4 {
            return try begin(name, try carry(changed), previous: nil, isAdded: true)
        }
        if let wanted = found.old, image.mode >> 12 == 8, changed.mode >> 12 == 8,
            image.content != wanted.content
        {
            try hold(image, wanted)
        }
        defer { carrier.held = nil }
        try add(name, changed, previous: image)
    }

    /// Of a file that is cut otherwise than the difference has it, chunks are found by their places.
    private func hold(_ image: InodeImage, _ wanted: InodeImage) throws(ApplyError) {
        var content = held(image)
        try content.look(for: wanted, in: old)
        carrier.held = { [content] name throws(TreeError) in
            do throws(ApplyError) {
                return try content.bytes(of: name)
            } catch {
                if case .tree(let reason) = error { throw reason }
                throw .storage(node: name)
            }
        }
    }

    private mutating func end(_ source: DifferenceApplication.Source) throws(ApplyError) {
        let start = starts.removeLast()
        path.removeSubrange(start...)
        if ending > 0 {
            ending -= 1
            return
        }
        while let found = next, Self.isBelow(found.path, path) { try add(found, source) }
        try close(upTo: path)
        open.removeLast()
        try inTree { () throws(TreeError) in try assembler.end() }
    }

    /// Makes `path` that of a name in the directory that the walk is in.
    private mutating func enter(_ name: [UInt8]) {
        path.removeSubrange((starts.last ?? 0)...)
        if !path.isEmpty { path.append(UInt8(ascii: "/")) }
        path += name
    }

    /// What ends with its directory must be known to the difference.
    private mutating func takeEnding(
        _ image: InodeImage, _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        guard let found = next, found.path == path, found.new == nil else {
            throw .isOther(path: path, what: "its directory ends, and it is not known")
        }
        try check(image, found)
        try advance(source)
    }

    private func check(
        _ image: InodeImage, _ found: AppliedDifference
    ) throws(ApplyError) {
        guard let wanted = found.old else {
            throw .isOther(path: found.path, what: "something is there")
        }
        if let what = try difference(image, wanted) {
            throw .isOther(path: found.path, what: what)
        }
    }

    /// What of a file is not as a side of the difference has it; nil where all is.
    private func difference(
        _ image: InodeImage, _ wanted: InodeImage
    ) throws(ApplyError) -> String? {
        if image.mode >> 12 != wanted.mode >> 12 { return "it is another kind of file" }
        if image.mode != wanted.mode { return "its permissions" }
        if image.owner != wanted.owner || image.group != wanted.group {
            return "its owner or group"
        }
        if image.attributes != wanted.attributes { return "its extended attributes" }
        if image.mode >> 12 == 4 { return nil }
        if image.modificationTime != wanted.modificationTime {
            return "its time of modification"
        }
        if image.size != wanted.size { return "its size" }
        if image.device?.major != wanted.device?.major
            || image.device?.minor != wanted.device?.minor
        {
            return "its device number"
        }
        return try hasContent(image, of: wanted) ? nil : "its content"
    }

    /// Keys tell at once that content is equal; where holes are at other places, bytes tell.
    private func hasContent(
        _ image: InodeImage, of wanted: InodeImage
    ) throws(ApplyError) -> Bool {
        if image.content == wanted.content { return true }
        guard image.mode >> 12 == 8 else { return false }
        return try held(image).isContent(of: wanted, in: old)
    }

    private func held(_ image: InodeImage) -> HeldContent {
        HeldContent(
            TreeFileContent(image: image, tree: base), hasher, isCancelled: isCancelled)
    }

    // MARK: what the difference adds

    /// Adds what comes before a path of the base.
    private mutating func addBefore(
        _ path: [UInt8], _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        while let found = next, Self.precedes(found.path, path) { try add(found, source) }
        try close(upTo: path)
    }

    private mutating func add(
        _ found: AppliedDifference, _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        guard found.old == nil, let image = found.new else {
            throw .isOther(path: found.path, what: "there is nothing")
        }
        try close(upTo: found.path)
        let slash = found.path.lastIndex(of: UInt8(ascii: "/"))
        // The folder is there, in the base or in the difference.
        guard let folder = open.last, folder.path == Array(found.path[..<(slash ?? 0)]) else {
            throw .isOther(path: found.path, what: "its directory is not there")
        }
        let name = Array(found.path[(slash.map { $0 + 1 } ?? 0)...])
        if image.mode >> 12 == 4 {
            open.append(Folder(path: found.path, isAdded: true))
            let carried = try carry(image)
            assembler.begin(name, Self.bare(carried), previous: nil)
        } else {
            try add(name, image, previous: nil)
        }
        try advance(source)
    }

    /// Ends the added directories that do not lead to a path.
    private mutating func close(upTo path: [UInt8]) throws(ApplyError) {
        while let last = open.last, last.isAdded, !Self.isBelow(path, last.path) {
            open.removeLast()
            try inTree { () throws(TreeError) in try assembler.end() }
        }
    }

    // MARK: the tree

    private mutating func begin(
        _ name: [UInt8], _ image: InodeImage, previous: InodeImage?, isAdded: Bool
    ) throws(ApplyError) {
        open.append(Folder(path: path, isAdded: isAdded))
        assembler.begin(name, Self.bare(image), previous: previous)
    }

    /// A directory of the base with the times that it gets where something in it differs.
    private func leading(_ image: InodeImage) throws(ApplyError) -> InodeImage {
        guard let found = next, Self.isBelow(found.path, path) else { return image }
        let path = path
        let target = try inTree { () throws(TreeError) in try new.resolve(bytes: path) }
        guard let target, target.mode >> 12 == 4 else { return image }
        var image = image
        image.modificationTime = target.modificationTime
        image.changeTime = target.changeTime
        return image
    }

    private mutating func add(
        _ name: [UInt8], _ image: InodeImage, previous: InodeImage?
    ) throws(ApplyError) {
        try append(name, try carry(image), device: 1, previous: previous)
    }

    /// - Parameter device: tells the inode numbers of the base from those of the difference.
    private mutating func append(
        _ name: [UInt8], _ image: InodeImage, device: UInt64, previous: InodeImage?
    ) throws(ApplyError) {
        let link = FileIdentity(device: device, inode: image.inode)
        try inTree { () throws(TreeError) in
            guard image.isLinked else {
                return try assembler.add(name, image, previous: previous)
            }
            if links.contains(link) {
                _ = try assembler.add(name, link: link)
                return
            }
            links.insert(link)
            var image = image
            image.isLinked = false
            // How many of its names there are is known in the end.
            try assembler.add(
                name, image, previous: previous, link: link, namesTotal: .max)
        }
    }

    private func carry(_ image: InodeImage) throws(ApplyError) -> InodeImage {
        do throws(TreeError) {
            return try carrier.carry(image)
        } catch {
            if isCancelled() { throw .cancelled }
            guard case .missing = error else { throw .tree(error) }
            throw .lacksContent(path: path)
        }
    }

    /// A directory's image without what is in it.
    private static func bare(_ image: InodeImage) -> InodeImage {
        var image = image
        image.content = .none
        return image
    }

    private func inTree<Result>(
        _ body: () throws(TreeError) -> Result
    ) throws(ApplyError) -> Result {
        do throws(TreeError) {
            return try body()
        } catch {
            throw .tree(error)
        }
    }

    private func keeping(_ body: () throws(StreamError) -> Void) throws(ApplyError) {
        do throws(StreamError) {
            try body()
        } catch {
            throw .stream(error)
        }
    }

    // MARK: paths

    /// The order of a walk: a directory before what is in it, and that before what follows it.
    private static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        for (x, y) in zip(a, b) where x != y {
            if x == UInt8(ascii: "/") { return true }
            if y == UInt8(ascii: "/") { return false }
            return x < y
        }
        return a.count < b.count
    }

    /// Whether a path lies below another one.
    private static func isBelow(_ path: [UInt8], _ top: [UInt8]) -> Bool {
        if top.isEmpty { return !path.isEmpty }
        return path.count > top.count && path.starts(with: top)
            && path[top.count] == UInt8(ascii: "/")
    }
}
