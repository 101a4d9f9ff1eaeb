import Checking
import DiskFormat
import Pipeline
import Trees

/// The tree of some files of a volume, with the directories that lead to them. One thread.
///
/// Memory: what a `TreeAssembler` takes, and the images of the directories that are open.
struct PartialTree {
    private var assembler: TreeAssembler
    private let nodes: NotingNodes
    private let volume: VolumeState
    /// Brings a file's content and attributes into the store.
    private let carry: (_ path: [UInt8], InodeImage) throws(StreamError) -> InodeImage
    /// Directories that are open: their names, and what the volume has there; the root first.
    private var open: [(name: [UInt8], image: InodeImage)] = []
    private var links: Set<UInt64> = []

    init(
        of volume: VolumeState, in store: ChunkStore, nextInode: UInt64,
        carry: @escaping (_ path: [UInt8], InodeImage) throws(StreamError) -> InodeImage
    ) throws(StreamError) {
        assembler = TreeAssembler(store: store, nextInode: nextInode)
        nodes = assembler.nodes
        self.volume = volume
        self.carry = carry
        try begin([], volume.directory, path: [])
    }

    /// Adds what the volume has at a path, behind all that was added before in the order of paths.
    mutating func add(_ path: [UInt8], _ image: InodeImage) throws(StreamError) {
        // The root is there.
        guard !path.isEmpty else { return }
        guard try lead(to: path) else {
            throw .tree(.format(.badValue("a path without its folder"), node: volume.rootName))
        }
        let start = path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        let last = Array(path[start...])
        if image.mode >> 12 == 4 { return try begin(last, image, path: path) }
        try addFile(last, image, path)
    }

    /// Adds the directories that lead to a path, as far as the volume has them. Returns whether it has
    /// all.
    mutating func lead(to path: [UInt8]) throws(StreamError) -> Bool {
        let parts = path.split(separator: UInt8(ascii: "/")).map(Array.init).dropLast()
        var common = 0
        while common < parts.count, common + 1 < open.count, open[common + 1].name == parts[common]
        {
            common += 1
        }
        while open.count > common + 1 { try end() }
        for index in common..<parts.count {
            let parent = open[open.count - 1].image
            let found = try nodes.noting { () throws(TreeError) -> InodeImage? in
                guard let entry = try volume.lookUp(parts[index], in: parent) else { return nil }
                return try volume.image(of: entry)
            }
            guard let found, found.mode >> 12 == 4 else { return false }
            try begin(parts[index], found, path: Array(parts[...index].joined(separator: [0x2f])))
        }
        return true
    }

    private mutating func addFile(
        _ name: [UInt8], _ image: InodeImage, _ path: [UInt8]
    ) throws(StreamError) {
        let link = FileIdentity(device: 0, inode: image.inode)
        if image.isLinked, links.contains(image.inode) {
            let isAdded = try nodes.noting { () throws(TreeError) in
                try assembler.add(name, link: link)
            }
            if isAdded { return }
        }
        var carried = try carry(path, image)
        carried.isLinked = false
        try nodes.noting { () throws(TreeError) in
            guard image.isLinked else {
                return try assembler.add(name, carried, previous: nil)
            }
            links.insert(image.inode)
            try assembler.add(
                name, carried, previous: nil, link: link, namesTotal: image.linkCount)
        }
    }

    private mutating func begin(
        _ name: [UInt8], _ image: InodeImage, path: [UInt8]
    ) throws(StreamError) {
        var carried = try carry(path, image)
        carried.content = .none
        assembler.begin(name, carried, previous: nil)
        open.append((name, image))
    }

    private mutating func end() throws(StreamError) {
        open.removeLast()
        try nodes.noting { () throws(TreeError) in try assembler.end() }
    }

    /// The root, of the volume of the store that was written.
    mutating func finish(
        volumeID: UniqueID, volumeName: String
    ) throws(StreamError) -> RootImage {
        while !open.isEmpty { try end() }
        return try nodes.noting { () throws(TreeError) in
            try assembler.finish(
                volumeID: volumeID, volumeName: volumeName, time: volume.root.time)
        }
    }

    /// Above every number that was used.
    var nextInode: UInt64 { assembler.nextInode }
}
