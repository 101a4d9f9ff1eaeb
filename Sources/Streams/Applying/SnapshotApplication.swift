import Checking
import DiskFormat
import Pipeline
import Trees

/// Makes of a snapshot that has one side of a difference the tree that has the other side, in the
/// same store. One thread.
///
/// First they are compared (`SnapshotComparison`). Then both come in the order of paths and are merged:
/// what the difference touches is as its first side has it, everything else is taken over. Nothing is
/// anybody's before the root is, so whatever goes wrong leaves nothing.
///
/// Memory: what a `TreeAssembler` takes, and the files of the base that have several names.
public struct SnapshotApplication {
    /// A directory of the tree that is being made.
    private struct Folder {
        var path: [UInt8]
        /// Whether the base has no directory there, so that no event ends it.
        var isAdded: Bool
    }

    private let comparison: SnapshotComparison
    private let base: StoredTree
    private let old: VolumeState
    private let new: VolumeState
    private let carrier: ChunkCarrier
    private let keepClock: KeepClock
    private let isCancelled: () -> Bool
    private var assembler: TreeAssembler
    private let nodes: NotingNodes
    private var open: [Folder] = []
    /// The base's directories that end, from the outermost on: nothing of them is in the tree.
    private var ending = 0
    private var walked = WalkedPath()
    private var path: [UInt8] { walked.bytes }
    private var links: Set<FileIdentity> = []
    private var untouched = UntouchedLinks()
    /// What the base has of the files that untouched names are of, by their numbers in the difference.
    private var known: [UInt64: InodeImage] = [:]
    /// Those numbers, by the base's.
    private var numbers: [UInt64: UInt64] = [:]
    private var next: AppliedDifference?
    public private(set) var count: UInt64 = 0

    /// - Parameters:
    ///   - base: the snapshot, in the store that is written.
    ///   - old: the side of the difference that it has.
    ///   - new: the side that the tree gets.
    ///   - nextInode: above every inode number of the volume.
    ///   - moreInodes: as `TreeAssembler` has it.
    ///   - keep: makes durable what was put; called now and then.
    public init(
        of base: StoredTree, from old: VolumeState, to new: VolumeState, in store: ChunkStore,
        nextInode: UInt64, moreInodes: ((_ count: UInt64) -> Range<UInt64>)? = nil,
        isCancelled: @escaping () -> Bool = { false },
        keep: @escaping () throws(StreamError) -> Void
    ) throws(StreamError) {
        self.base = base
        self.old = old
        self.new = new
        self.isCancelled = isCancelled
        comparison = try SnapshotComparison(
            of: base, in: store.parameters, from: old, to: new, isCancelled: isCancelled)
        carrier = try ChunkCarrier(from: new, to: store, withData: true)
        carrier.acceptsKnown = true
        carrier.isCancelled = isCancelled
        let keepClock = KeepClock(store, keep: keep)
        self.keepClock = keepClock
        carrier.onData = { _ in keepClock.note() }
        assembler = TreeAssembler(
            store: store, nextInode: max(nextInode, base.root.nextInode),
            moreInodes: moreInodes)
        nodes = assembler.nodes
    }

    /// Applies. Once.
    ///
    /// - Parameters:
    ///   - source: gives the differences, from the first on each time.
    ///   - onProgress: the number of differences that were dealt with, of how many.
    /// - Returns: the root, of the base's volume: its tree is in the store.
    public mutating func run(
        _ source: () throws(ApplyError) -> DifferenceApplication.Source, volumeName: String,
        onProgress: (_ done: UInt64, _ total: UInt64) -> Void = { _, _ in }
    ) throws(ApplyError) -> RootImage {
        let total: UInt64
        (total, untouched) = try comparison.compare(try source())
        try findLinks()
        let source = try source()
        try advance(source)
        var walk = StoredWalk(base)
        while let event = try Self.storing(nodes, { () throws(TreeError) in try walk.next() }) {
            if isCancelled() { throw .cancelled }
            switch event {
            case .begin(let name, let image): try begin(name, image, source)
            case .file(let name, let image): try file(name, image, source)
            case .end: try end(source)
            }
            onProgress(count, total)
            try keeping { () throws(StreamError) in try keepClock.tick() }
        }
        guard next == nil else { throw .isOther(path: next?.path ?? [], what: "there is nothing") }
        return try Self.storing(nodes) { () throws(TreeError) in
            try assembler.finish(
                volumeID: base.root.volumeID, volumeName: volumeName, time: new.root.time)
        }
    }

    /// What new names are made links to.
    private mutating func findLinks() throws(ApplyError) {
        for path in untouched.paths {
            guard let number = untouched.inodes[path], let image = try comparison.image(at: path)
            else { continue }
            if known[number] == nil { known[number] = image }
            if image.isLinked, numbers[image.inode] == nil { numbers[image.inode] = number }
        }
    }

    private mutating func advance(_ source: DifferenceApplication.Source) throws(ApplyError) {
        next = try Self.storing(nodes, source)
        if next != nil { count += 1 }
    }

    // MARK: what the base has

    private mutating func begin(
        _ name: [UInt8], _ image: InodeImage, _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        walked.enter(name)
        walked.open()
        if ending > 0 {
            ending += 1
            return try takeEnding(image, source)
        }
        try addBefore(path, source)
        guard let found = next, found.path == path else {
            return try begin(name, try leading(image), previous: image, isAdded: false)
        }
        try comparison.check(image, found)
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
        walked.enter(name)
        if ending > 0 { return try takeEnding(image, source) }
        try addBefore(path, source)
        guard let found = next, found.path == path else {
            return try takeOver(name, image)
        }
        try comparison.check(image, found)
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
        var content = comparison.held(image)
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
        walked.close()
        if ending > 0 {
            ending -= 1
            return
        }
        while let found = next, WalkedPath.isBelow(found.path, path) { try add(found, source) }
        try close(upTo: path)
        open.removeLast()
        try Self.storing(nodes) { () throws(TreeError) in try assembler.end() }
    }

    /// What ends with its directory must be known to the difference.
    private mutating func takeEnding(
        _ image: InodeImage, _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        guard let found = next, found.path == path, found.new == nil else {
            throw .isOther(path: path, what: "its directory ends, and it is not known")
        }
        try comparison.check(image, found)
        try advance(source)
    }

    // MARK: what the difference adds

    /// Adds what comes before a path of the base.
    private mutating func addBefore(
        _ path: [UInt8], _ source: DifferenceApplication.Source
    ) throws(ApplyError) {
        while let found = next, WalkedPath.precedes(found.path, path) { try add(found, source) }
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
        while let last = open.last, last.isAdded, !WalkedPath.isBelow(path, last.path) {
            open.removeLast()
            try Self.storing(nodes) { () throws(TreeError) in try assembler.end() }
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
        guard let found = next, WalkedPath.isBelow(found.path, path) else { return image }
        let path = path
        let target = try Self.storing(nodes) { () throws(TreeError) in try new.resolve(bytes: path)
        }
        guard let target, target.mode >> 12 == 4 else { return image }
        var image = image
        image.modificationTime = target.modificationTime
        image.changeTime = target.changeTime
        return image
    }

    private mutating func add(
        _ name: [UInt8], _ image: InodeImage, previous: InodeImage?
    ) throws(ApplyError) {
        guard image.isLinked else {
            return try append(name, try carry(image), link: nil, previous: previous)
        }
        let link = Self.added(image.inode)
        if let known = known[image.inode] {
            return try append(name, known, link: link, previous: known)
        }
        if try again(name, link) { return }
        try append(name, try carry(image), link: link, previous: previous)
    }

    /// What the difference does not touch.
    private mutating func takeOver(_ name: [UInt8], _ image: InodeImage) throws(ApplyError) {
        var number = untouched.inodes[path]
        if number == nil, image.isLinked { number = numbers[image.inode] }
        if let number {
            return try append(name, image, link: Self.added(number), previous: image)
        }
        let link = image.isLinked ? FileIdentity(device: 0, inode: image.inode) : nil
        try append(name, image, link: link, previous: image)
    }

    /// A file by its number in the difference, which is another than the base's.
    private static func added(_ number: UInt64) -> FileIdentity {
        FileIdentity(device: 1, inode: number)
    }

    /// Adds another name of a file. Returns false for its first.
    private mutating func again(_ name: [UInt8], _ link: FileIdentity) throws(ApplyError) -> Bool {
        guard links.contains(link) else { return false }
        return try Self.storing(nodes) { () throws(TreeError) in try assembler.add(name, link: link)
        }
    }

    /// - Parameter link: of a file that may have other names.
    private mutating func append(
        _ name: [UInt8], _ image: InodeImage, link: FileIdentity?, previous: InodeImage?
    ) throws(ApplyError) {
        if let link, try again(name, link) { return }
        try Self.storing(nodes) { () throws(TreeError) in
            guard let link else {
                return try assembler.add(name, image, previous: previous)
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
            guard case .missing = error else {
                throw carrier.failure.map { .stream(.store($0)) } ?? .tree(error)
            }
            throw .lacksContent(path: path)
        }
    }

    /// A directory's image without what is in it.
    private static func bare(_ image: InodeImage) -> InodeImage {
        var image = image
        image.content = .none
        return image
    }

    /// Takes no part of `self`: the assembler changes meanwhile, and would be copied.
    private static func storing<Result>(
        _ nodes: NotingNodes, _ body: () throws(TreeError) -> Result
    ) throws(ApplyError) -> Result {
        do throws(StreamError) {
            return try nodes.noting(body)
        } catch {
            if case .tree(let reason) = error { throw .tree(reason) }
            throw .stream(error)
        }
    }

    private func keeping(_ body: () throws(StreamError) -> Void) throws(ApplyError) {
        do throws(StreamError) {
            try body()
        } catch {
            throw .stream(error)
        }
    }
}
