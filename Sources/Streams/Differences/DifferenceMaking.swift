import Checking
import DiskFormat
import Hashing
import Pipeline
import Platform
import Trees

/// One side of a comparison: a tree with its keys, and where content is to be had.
public struct ComparedSide {
    public enum Content {
        /// In the store that has the tree.
        case stored
        /// In the directory that was scanned.
        case directory(OpenDirectory)
        /// Nowhere: keys alone.
        case none
    }

    public var volume: VolumeState
    public var content: Content

    public init(_ volume: VolumeState, content: Content) {
        self.volume = volume
        self.content = content
    }
}

/// Makes the two trees of a difference in a store: of each side what the other does not have so, with
/// the directories that lead there. The difference between them is that between the sides.
///
/// Of a file that both have, chunks of data are kept that only one of them has: who applies a
/// difference has the file of the other. Of a file that one has, all are. Where a file has more names
/// than differ, the others are in both trees as well, so that whoever applies it can link to them.
///
/// Memory: of both trees, and the names of the chunks of one file that both have. One thread.
public struct DifferenceMaking {
    private final class Side {
        let side: ComparedSide
        let carrier: ChunkCarrier
        let cutter: FileCutter?
        let sink: ChunkSink
        /// Chunks of the other side's file, which need not be kept.
        var others: Set<ChunkName> = []
        var keepsData: Bool

        init(
            _ side: ComparedSide, _ store: ChunkStore, keepsData: Bool,
            isCancelled: @escaping @Sendable () -> Bool
        ) throws(StreamError) {
            self.side = side
            self.keepsData = keepsData
            let box = FilterBox()
            do throws(HashingError) {
                sink = try ChunkSink(
                    store, hash: store.parameters.hash, keepsData: { box.wants($0) })
            } catch {
                throw .store(.hashing(error))
            }
            // What is in a directory is not in the store of its keys.
            if case .directory = side.content {
                carrier = try ChunkCarrier(from: side.volume, to: store, withData: false)
                cutter = FileCutter(
                    store.parameters.chunker, sink, isCancelled: isCancelled, onRead: { _ in })
            } else {
                carrier = try ChunkCarrier(
                    from: side.volume, to: store, keepsData: { box.wants($0) })
                cutter = nil
            }
            carrier.isCancelled = isCancelled
            box.side = self
        }
    }

    /// What is kept is decided file by file.
    private final class FilterBox {
        weak var side: Side?

        func wants(_ name: ChunkName) -> Bool {
            guard let side, side.keepsData else { return false }
            return !side.others.contains(name)
        }
    }

    private let store: ChunkStore
    private let isCancelled: @Sendable () -> Bool
    private let old: Side
    private let new: Side
    private var oldTree: PartialTree
    private var newTree: PartialTree
    private let keepClock: KeepClock

    /// - Parameters:
    ///   - isOneWay: leaves out content that only the old side has.
    ///   - nextInode: of the store's volume.
    ///   - keep: makes durable what was put; called now and then.
    public init(
        from old: ComparedSide, to new: ComparedSide, isOneWay: Bool, in store: ChunkStore,
        nextInode: UInt64, isCancelled: @escaping @Sendable () -> Bool,
        keep: @escaping () throws(StreamError) -> Void = {}
    ) throws(StreamError) {
        self.store = store
        let keepClock = KeepClock(store, keep: keep)
        self.keepClock = keepClock
        self.isCancelled = isCancelled
        let oldSide = try Side(old, store, keepsData: !isOneWay, isCancelled: isCancelled)
        let newSide = try Side(new, store, keepsData: true, isCancelled: isCancelled)
        self.old = oldSide
        self.new = newSide
        for side in [oldSide, newSide] {
            side.sink.onData = { _ in keepClock.note() }
            side.carrier.onData = { _ in keepClock.note() }
        }
        oldTree = try PartialTree(of: old.volume, in: store, nextInode: nextInode) {
            (path, image) throws(StreamError) in
            try DifferenceMaking.carry(path, image, oldSide)
        }
        newTree = try PartialTree(of: new.volume, in: store, nextInode: nextInode) {
            (path, image) throws(StreamError) in
            try DifferenceMaking.carry(path, image, newSide)
        }
    }

    /// Takes a difference, behind all before it in the order of paths.
    public mutating func add(
        _ path: [UInt8], old oldImage: InodeImage?, new newImage: InodeImage?
    ) throws(StreamError) {
        old.others = []
        new.others = []
        if let oldImage, let newImage, oldImage.mode >> 12 == 8, newImage.mode >> 12 == 8 {
            do throws(TreeError) {
                old.others = try names(newImage, in: new.side.volume)
                new.others = try names(oldImage, in: old.side.volume)
            } catch {
                throw isCancelled() ? .cancelled : .tree(error)
            }
        }
        // What leads there is in both trees, or it would differ too.
        if let oldImage { try oldTree.add(path, oldImage) } else { _ = try oldTree.lead(to: path) }
        if let newImage { try newTree.add(path, newImage) } else { _ = try newTree.lead(to: path) }
        try keepClock.tick()
    }

    /// The roots of both trees.
    public mutating func finish(
        volumeID: UniqueID, volumeName: String
    ) throws(StreamError) -> (old: RootImage, new: RootImage) {
        old.others = []
        new.others = []
        let oldRoot = try oldTree.finish(volumeID: volumeID, volumeName: volumeName)
        var newRoot = try newTree.finish(volumeID: volumeID, volumeName: volumeName)
        newRoot.nextInode = max(newRoot.nextInode, oldRoot.nextInode)
        return (oldRoot, newRoot)
    }

    /// Takes a file that is as it was, for its other names: whoever applies the difference has its
    /// content. In the order of paths, with those that differ.
    public mutating func addUntouched(
        _ path: [UInt8], old oldImage: InodeImage, new newImage: InodeImage
    ) throws(StreamError) {
        let kept = (old.keepsData, new.keepsData)
        (old.keepsData, new.keepsData) = (false, false)
        defer { (old.keepsData, new.keepsData) = kept }
        try oldTree.add(path, oldImage)
        try newTree.add(path, newImage)
        try keepClock.tick()
    }

    private func names(
        _ image: InodeImage, in volume: VolumeState
    ) throws(TreeError) -> Set<ChunkName> {
        var names: Set<ChunkName> = []
        try volume.forEachExtent(of: image) { extent throws(TreeError) in
            if case .data(let name, _, _) = extent.source { names.insert(name) }
            if isCancelled() { throw .storage(node: nil) }
            return true
        }
        return names
    }

    private static func carry(
        _ path: [UInt8], _ image: InodeImage, _ side: Side
    ) throws(StreamError) -> InodeImage {
        if case .directory(let directory) = side.side.content, image.mode >> 12 == 8,
            side.keepsData, image.size > 0
        {
            try cut(path, image, directory, side)
        }
        do throws(TreeError) {
            return try side.carrier.carry(image)
        } catch {
            if side.carrier.isCancelled() { throw .cancelled }
            throw side.carrier.failure.map { .store($0) } ?? .tree(error)
        }
    }

    /// Puts the content of a file that was scanned, which must be what it was then.
    private static func cut(
        _ path: [UInt8], _ image: InodeImage, _ source: OpenDirectory, _ side: Side
    ) throws(StreamError) {
        guard let cutter = side.cutter else { return }
        var parts = path.split(separator: UInt8(ascii: "/")).map(Array.init)
        let last = parts.removeLast()
        let file: Descriptor
        let facts: FileFacts
        do throws(Errno) {
            var directory = source
            for part in parts { directory = try directory.directory(part) }
            file = try directory.file(last)
            facts = try OpenDirectory.facts(of: file)
        } catch {
            throw .source(ScanProblem(path: path, kind: .failed("open", error)))
        }
        defer { _ = try? LinuxSystemCalls().close(file) }
        guard facts.isRegular, facts.sizeBytes == image.size else {
            throw .source(ScanProblem(path: path, kind: .changed))
        }
        do throws(FileCutter.Failure) {
            let cut = try cutter.cut(
                file, size: image.size, mayHaveHoles: facts.allocatedBytes < facts.sizeBytes)
            if cut.key == image.content { return }
        } catch {
            throw StreamError(error, path, cutter.sink)
        }
        throw .source(ScanProblem(path: path, kind: .changed))
    }
}

extension StreamError {
    /// Why a file that is to be read was not.
    init(_ error: FileCutter.Failure, _ path: [UInt8], _ sink: ChunkSink) {
        switch error {
        case .cancelled: self = .cancelled
        case .shrunk: self = .source(ScanProblem(path: path, kind: .changed))
        case .reading(let reason):
            self = .source(ScanProblem(path: path, kind: .failed("read", reason)))
        case .tree(let reason): self = sink.failure.map { .store($0) } ?? .tree(reason)
        }
    }
}
