import Checking
import DiskFormat
import Pipeline
import Platform
import Trees

/// Makes a tree in a store of what a snapshot elsewhere has. One thread.
public struct SnapshotImport {
    private let source: VolumeState
    private let carrier: ChunkCarrier
    private let base: ScanBase?
    private var assembler: TreeAssembler
    private let nodes: NotingNodes
    private let store: ChunkStore
    public private(set) var counts = ScanCounts()

    /// - Parameters:
    ///   - base: a snapshot in the store, whose files keep their inode numbers.
    ///   - nextInode: above every inode number of the volume.
    ///   - moreInodes: as `TreeAssembler` has it.
    public init(
        _ source: VolumeState, into store: ChunkStore, withData: Bool = true, nextInode: UInt64,
        moreInodes: ((_ count: UInt64) -> Range<UInt64>)? = nil,
        base: ScanBase? = nil
    ) throws(StreamError) {
        self.source = source
        self.base = base
        carrier = try ChunkCarrier(from: source, to: store, withData: withData)
        assembler = TreeAssembler(
            store: store, nextInode: max(nextInode, base?.root.nextInode ?? 0),
            moreInodes: moreInodes)
        nodes = assembler.nodes
        self.store = store
    }

    /// Imports. Once.
    ///
    /// - Parameters:
    ///   - keep: makes durable what was put; called now and then.
    ///   - onProgress: bytes of files that were brought.
    /// - Returns: the root of what was imported, of the volume: its tree is in the store.
    public mutating func run(
        volumeID: UniqueID, volumeName: String, isCancelled: @escaping () -> Bool = { false },
        keep: @escaping () throws(StreamError) -> Void = {},
        onProgress: (ScanCounts) -> Void = { _ in }
    ) throws(StreamError) -> RootImage {
        carrier.isCancelled = isCancelled
        var walk = StoredWalk(source)
        var cursors: [ScanBase.Cursor?] = []
        var seen: Set<FileIdentity> = []
        let keepClock = KeepClock(store, keep: keep)
        carrier.onData = { _ in keepClock.note() }
        defer { carrier.onData = nil }
        while true {
            if isCancelled() { throw .cancelled }
            guard let event = try nodes.noting({ () throws(TreeError) in try walk.next() }) else {
                break
            }
            switch event {
            case .begin(let name, let image):
                let previous =
                    cursors.isEmpty
                    ? base?.root.directory : cursors[cursors.count - 1]?.image(of: name)
                cursors.append(base?.cursor(previous))
                counts.entries += 1
                counts.directories += 1
                let carried = try carry(image)
                assembler.begin(name, carried, previous: previous)
            case .end:
                cursors.removeLast()
                try nodes.noting { () throws(TreeError) in try assembler.end() }
            case .file(let name, let image):
                let previous = cursors[cursors.count - 1]?.image(of: name)
                try add(name, image, previous, &seen)
            }
            onProgress(counts)
            try keepClock.tick()
        }
        let root = try nodes.noting { () throws(TreeError) in
            try assembler.finish(
                volumeID: volumeID, volumeName: volumeName, time: source.root.time)
        }
        guard root.statistics == source.root.statistics else {
            throw .tree(
                .format(.badValue("statistics of what was found"), node: source.rootName))
        }
        return root
    }

    private mutating func add(
        _ name: [UInt8], _ image: InodeImage, _ previous: InodeImage?,
        _ seen: inout Set<FileIdentity>
    ) throws(StreamError) {
        counts.entries += 1
        let link = FileIdentity(device: 0, inode: image.inode)
        if image.isLinked, seen.contains(link) {
            let isAdded = try nodes.noting { () throws(TreeError) in
                try assembler.add(name, link: link)
            }
            // All the names that it is said to have were met.
            guard isAdded else {
                throw .tree(.format(.badValue("link count"), node: source.rootName))
            }
            return
        }
        let carried = try carry(image)
        if image.mode >> 12 == 8 {
            counts.files += 1
            counts.logicalBytes &+= image.size
        } else {
            counts.others += 1
        }
        try nodes.noting { () throws(TreeError) in
            guard image.isLinked else {
                return try assembler.add(name, carried, previous: previous)
            }
            seen.insert(link)
            try assembler.add(
                name, carried, previous: previous, link: link, namesTotal: image.linkCount)
        }
    }

    /// What a directory or file is in the store; numbers and links are the assembler's.
    private func carry(_ image: InodeImage) throws(StreamError) -> InodeImage {
        var carried: InodeImage
        do throws(TreeError) {
            carried = try carrier.carry(image)
        } catch {
            if carrier.isCancelled() { throw .cancelled }
            throw carrier.failure.map { .store($0) } ?? .tree(error)
        }
        carried.isLinked = false
        if image.mode >> 12 == 4 { carried.content = .none }
        return carried
    }
}
