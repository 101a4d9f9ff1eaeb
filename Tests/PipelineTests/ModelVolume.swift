import DiskFormat
import Metadata
import NamespaceIndex
import Platform
import Trees

@testable import Pipeline

/// What a volume should be: a value, so that a copy remembers a commit. Drafts are made by changing it.
struct ModelVolume {
    struct Node: Equatable {
        var image: InodeImage
        var cookie: UInt64 = 0
        var pieces: [ExtentChange.Piece] = []
    }

    struct Tree: Equatable {
        var root: NodeReference?
        var nodes: Set<ChunkName> = []
    }

    struct Place: Hashable {
        var parent: UInt64
        var name: String
    }

    var inodes: [UInt64: Node] = [1: Node(image: directory(1))]
    var names: [Place: UInt64] = [:]
    var nextInode: UInt64 = 2
    /// As of the newest checkpoint.
    var trees: [UInt64: Tree] = [:]
    var linked = Tree()
    var root: ChunkName?
    /// Of recipe nodes: what they own.
    var owned: [ChunkName: [ChunkName]] = [:]
    /// The bytes of every chunk of data ever put.
    var bytes: [ChunkName: [UInt8]] = [:]

    // Changes since the last draft.
    var changedInodes: Set<UInt64> = []
    var changedNames: [NameChange] = []
    var changedExtents: [ExtentChange] = []

    var files: [UInt64] {
        inodes.filter { $0.value.image.mode >> 12 == 8 && $0.value.image.linkCount > 0 }.keys
            .sorted()
    }

    var directories: [UInt64] {
        inodes.filter { $0.value.image.mode >> 12 == 4 }.keys.sorted()
    }

    // MARK: steps

    mutating func chunk(_ store: ChunkStore, _ random: inout SeededGenerator) throws -> ChunkName {
        // Some bytes come again, so that there are hits; also on what is dead.
        let count = Int.random(in: 100...9000, using: &random)
        let content =
            Bool.random(using: &random) && !bytes.isEmpty
            ? bytes.sorted { $0.key < $1.key }[Int.random(in: 0..<bytes.count, using: &random)]
                .value
            : random.bytes(count)
        let name = try store.put(content)
        bytes[name] = content
        return name
    }

    private func piece(
        _ name: ChunkName, at offset: UInt64
    ) -> ExtentChange.Piece {
        let count = UInt32(bytes[name]?.count ?? 1)
        return ExtentChange.Piece(
            offset: offset, length: UInt64(count),
            source: .data(name, chunkBytes: count, offset: 0))
    }

    mutating func setContent(
        of inode: UInt64, _ store: ChunkStore, _ random: inout SeededGenerator
    ) throws {
        let count = Int.random(in: 0...4, using: &random)
        let chunks = try (0..<count).map { _ in try chunk(store, &random) }
        let extents = chunks.map { Extent.data($0, length: UInt32(bytes[$0]?.count ?? 1)) }
        let key: ContentKey
        switch extents.count {
        case 0: key = .none
        case 1: key = .chunk(chunks[0])
        default:
            guard let node = try RecipeEdit.build(extents, in: store) else { return }
            owned[node.name] = chunks
            key = .recipe(node)
        }
        inodes[inode]?.image.content = key
        inodes[inode]?.image.size = extents.reduce(0) { $0 + $1.length }
        if inodes[inode]?.pieces.isEmpty == false {
            inodes[inode]?.pieces = []
            changedExtents.append(
                ExtentChange(inode: inode, range: 0..<ExtentChange.endOfFile, pieces: []))
        }
        changedInodes.insert(inode)
    }

    mutating func writePiece(
        of inode: UInt64, _ store: ChunkStore, _ random: inout SeededGenerator
    ) throws {
        let new = piece(
            try chunk(store, &random), at: UInt64.random(in: 0...40_000, using: &random))
        let change = ExtentChange(
            inode: inode, range: new.offset..<(new.offset + new.length), pieces: [new])
        changedExtents.append(change)
        let old = inodes[inode]?.pieces ?? []
        inodes[inode]?.pieces = ModelVolume.replace(old, new)
        let size = max(inodes[inode]?.image.size ?? 0, new.offset + new.length)
        inodes[inode]?.image.size = size
        changedInodes.insert(inode)
    }

    /// Byte by byte in thought: every old piece keeps what the new one does not cover.
    static func replace(
        _ old: [ExtentChange.Piece], _ new: ExtentChange.Piece
    ) -> [ExtentChange.Piece] {
        var result = [new]
        for piece in old {
            let end = piece.offset + piece.length
            let newEnd = new.offset + new.length
            for part in [
                piece.offset..<max(piece.offset, min(end, new.offset)),
                min(end, max(piece.offset, newEnd))..<end,
            ] where !part.isEmpty {
                var kept = piece
                kept.offset = part.lowerBound
                kept.length = UInt64(part.count)
                if case .data(let name, let count, let within) = piece.source {
                    kept.source = .data(
                        name, chunkBytes: count,
                        offset: within + UInt32(part.lowerBound - piece.offset))
                }
                result.append(kept)
            }
        }
        return result.sorted { $0.offset < $1.offset }
    }

    mutating func add(_ name: String, in parent: UInt64, isDirectory: Bool) -> UInt64 {
        let inode = nextInode
        nextInode += 1
        let image = isDirectory ? directory(inode, parent: parent) : file(inode, parent: parent)
        inodes[inode] = Node(image: image, cookie: cookie(name))
        setName(name, in: parent, inode)
        changedInodes.insert(inode)
        return inode
    }

    private mutating func setName(_ name: String, in parent: UInt64, _ inode: UInt64?) {
        names[Place(parent: parent, name: name)] = inode
        let kind = inode.flatMap { inodes[$0]?.image.mode }.map { UInt8($0 >> 12) } ?? 8
        changedNames.append(
            NameChange(
                parent: parent, name: Array(name.utf8), collision: 0,
                target: inode.map { .init(inode: $0, kind: kind) }))
    }

    mutating func link(_ inode: UInt64, as name: String, in parent: UInt64) {
        guard names[Place(parent: parent, name: name)] == nil else { return }
        inodes[inode]?.image.linkCount += 1
        inodes[inode]?.image.isLinked = true
        inodes[inode]?.image.parent = nil
        inodes[inode]?.cookie = 0
        setName(name, in: parent, inode)
        changedInodes.insert(inode)
    }

    mutating func rename(_ place: Place, to target: Place) {
        guard names[target] == nil, let inode = names[place] else { return }
        setName(place.name, in: place.parent, nil)
        setName(target.name, in: target.parent, inode)
        if inodes[inode]?.image.isLinked == false {
            inodes[inode]?.image.parent = target.parent
            inodes[inode]?.cookie = cookie(target.name)
        }
        changedInodes.insert(inode)
    }

    /// Takes a file's name away; the last one's inode stays as an orphan, or goes.
    mutating func unlink(_ place: Place, keepingOrphan: Bool) {
        guard let inode = names[place] else { return }
        setName(place.name, in: place.parent, nil)
        inodes[inode]?.image.linkCount -= 1
        changedInodes.insert(inode)
        guard inodes[inode]?.image.linkCount == 0 else { return }
        inodes[inode]?.image.parent = nil
        inodes[inode]?.cookie = 0
        if !keepingOrphan { forget(inode) }
    }

    mutating func forget(_ inode: UInt64) {
        inodes[inode] = nil
        changedInodes.insert(inode)
        changedExtents.removeAll { $0.inode == inode }
    }

    /// Some random changes.
    mutating func step(_ store: ChunkStore, _ random: inout SeededGenerator) throws {
        let name = "n\(Int.random(in: 0..<40, using: &random))"
        let parent = directories[Int.random(in: 0..<directories.count, using: &random)]
        let place = Place(parent: parent, name: name)
        let some = files.isEmpty ? nil : files[Int.random(in: 0..<files.count, using: &random)]
        let taken = names.filter { (inodes[$0.value]?.image.mode ?? 0) >> 12 == 8 }.keys
            .sorted { ($0.parent, $0.name) < ($1.parent, $1.name) }
        let victim =
            taken.isEmpty ? nil : taken[Int.random(in: 0..<taken.count, using: &random)]
        switch Int.random(in: 0..<10, using: &random) {
        case 0 where names[place] == nil && directories.count < 6:
            _ = add(name, in: parent, isDirectory: true)
        case 0...3 where names[place] == nil:
            let inode = add(name, in: parent, isDirectory: false)
            try setContent(of: inode, store, &random)
        case 4: if let some { try setContent(of: some, store, &random) }
        case 5: if let some { try writePiece(of: some, store, &random) }
        case 6: if let some { link(some, as: name, in: parent) }
        case 7: if let victim { rename(victim, to: place) }
        default:
            if let victim { unlink(victim, keepingOrphan: Bool.random(using: &random)) }
            let orphans = inodes.filter { $0.value.image.linkCount == 0 }.keys.sorted()
            if let orphan = orphans.first, Bool.random(using: &random) { forget(orphan) }
        }
    }
}
