import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex
import Platform
import Trees
import XCTest

@testable import Pipeline

extension ModelVolume {
    /// The changes since the last draft; as a checkpoint, with new trees.
    mutating func draft(_ store: ChunkStore, checkpoint: Bool) throws -> CommitDraft {
        var draft = CommitDraft(
            isCheckpoint: checkpoint, time: DiskTime(seconds: 9, nanoseconds: 0))
        if checkpoint { draft.nodeCounts = try writeTrees(store) }
        var changes = VolumeChanges(
            volumeID: volumeID, volumeName: "main", epoch: 0, sequence: 0, nextInode: nextInode)
        changes.inodes = changedInodes.sorted().map { inode in
            inodes[inode].map { .put($0.image) } ?? .gone(inode)
        }
        changes.names = changedNames
        changes.extents = changedExtents
        if checkpoint { changes.root = root }
        draft.volumes = [changes]
        changedInodes = []
        changedNames = []
        changedExtents = []
        return draft
    }

    /// Folds all pieces away and writes every directory anew; says which nodes came and went.
    private mutating func writeTrees(_ store: ChunkStore) throws -> [CountChange] {
        var change: [ChunkName: Int64] = [:]
        for (inode, node) in inodes where !node.pieces.isEmpty {
            // A checkpoint has no pieces: here the file becomes one of holes and its last piece.
            inodes[inode]?.pieces = []
            inodes[inode]?.image.content = .none
            inodes[inode]?.image.size = 0
            changedExtents.removeAll { $0.inode == inode }
            changedExtents.append(
                ExtentChange(inode: inode, range: 0..<ExtentChange.endOfFile, pieces: []))
            changedInodes.insert(inode)
        }
        let old = trees
        let oldLinked = linked
        trees = [:]
        _ = try writeTree(of: 1, store)
        linked = try writeLinked(store)
        for tree in Array(old.values) + [oldLinked] {
            for n in tree.nodes { change[n, default: 0] -= 1 }
        }
        for tree in Array(trees.values) + [linked] {
            for n in tree.nodes { change[n, default: 0] += 1 }
        }
        if let root { change[root, default: 0] -= 1 }
        let name = try store.put(rootImage().encoded(), .tree)
        change[name, default: 0] += 1
        root = name
        return change.filter { $0.value != 0 }.map { CountChange(name: $0.key, change: $0.value) }
            .sorted { $0.name < $1.name }
    }

    private mutating func writeTree(of inode: UInt64, _ store: ChunkStore) throws -> InodeImage? {
        guard inodes[inode] != nil else { return nil }
        var builder = ListBuilder<DirectorySchema, ChunkStore>(store: store)
        let entries = names.filter { $0.key.parent == inode }.sorted {
            Array($0.key.name.utf8).lexicographicallyPrecedes(Array($1.key.name.utf8))
        }
        for (place, child) in entries {
            guard var image = inodes[child]?.image else { continue }
            if image.mode >> 12 == 4, let written = try writeTree(of: child, store) {
                image = written
            }
            let target: DirectoryEntry.Target =
                image.isLinked
                ? .linked(inode: child, kind: UInt8(image.mode >> 12)) : .only(image)
            try builder.append(DirectoryEntry(name: Array(place.name.utf8), target: target))
        }
        let root = try builder.finish()
        trees[inode] = Tree(root: root, nodes: Set(builder.written))
        let content = root.map { ContentKey.directory($0) } ?? .none
        if inodes[inode]?.image.content != content {
            inodes[inode]?.image.content = content
            changedInodes.insert(inode)
        }
        return inodes[inode]?.image
    }

    private func writeLinked(_ store: ChunkStore) throws -> Tree {
        var builder = ListBuilder<LinkedInodesSchema, ChunkStore>(store: store)
        for (_, node) in inodes.sorted(by: { $0.key < $1.key })
        where node.image.isLinked && node.image.linkCount > 0 {
            try builder.append(node.image)
        }
        let root = try builder.finish()
        return Tree(root: root, nodes: Set(builder.written))
    }

    private func rootImage() -> RootImage {
        RootImage(
            volumeID: volumeID, volumeName: "main", time: .zero, nextInode: nextInode,
            directory: inodes[1]?.image ?? directory(1), linkedInodes: linked.root,
            orphans: inodes.sorted { $0.key < $1.key }.map(\.value.image).filter {
                $0.linkCount == 0
            })
    }

    // MARK: what the index should say

    var inodeFamily: [[UInt8]: [UInt8]] {
        var result: [[UInt8]: [UInt8]] = [:]
        for (inode, node) in inodes {
            result[NamespaceKey.inode(1, inode)] =
                InodeRecord(
                    cookie: node.cookie, pieceCount: UInt64(node.pieces.count), image: node.image
                ).encoded()
        }
        return result
    }

    var nameFamily: [[UInt8]: [UInt8]] {
        var result: [[UInt8]: [UInt8]] = [:]
        for (place, inode) in names {
            let kind = UInt8((inodes[inode]?.image.mode ?? 0) >> 12)
            result[NamespaceKey.name(1, parent: place.parent, cookie: cookie(place.name))] =
                NameRecord.entry(name: Array(place.name.utf8), inode: inode, kind: kind).encoded()
        }
        return result
    }

    var pieceFamily: [[UInt8]: [UInt8]] {
        var result: [[UInt8]: [UInt8]] = [:]
        for (inode, node) in inodes {
            for piece in node.pieces {
                result[NamespaceKey.piece(1, inode: inode, offset: piece.offset)] =
                    PieceRecord(piece).encoded()
            }
        }
        return result
    }

    var orphanFamily: Set<[UInt8]> {
        Set(
            inodes.filter { $0.value.image.linkCount == 0 }.keys.map {
                NamespaceKey.orphan(1, $0)
            })
    }

    /// Counts by the owners that live: what any index must give, whatever dead recipes add to it.
    var livingCounts: [ChunkName: UInt32] {
        var counts: [ChunkName: UInt32] = [:]
        for tree in Array(trees.values) + [linked] {
            for node in tree.nodes { counts[node, default: 0] += 1 }
        }
        if let root { counts[root, default: 0] += 1 }
        var recipes: Set<ChunkName> = []
        for node in inodes.values {
            for chunk in OwnedChunk.of(node.image) {
                counts[chunk.name, default: 0] += 1
                if chunk.domain == .recipe { recipes.insert(chunk.name) }
            }
            for piece in node.pieces {
                if let name = piece.chunk { counts[name, default: 0] += 1 }
            }
        }
        for recipe in recipes {
            for child in Set(owned[recipe] ?? []) { counts[child, default: 0] += 1 }
        }
        return counts
    }

    var statistics: RootImage.Statistics {
        var result = RootImage.Statistics()
        for node in inodes.values { result.add(node.image) }
        return result
    }
}

/// Asserts that the store holds exactly the model, and that its counts add up.
func assertHolds(
    _ store: ChunkStore, _ model: ModelVolume, _ context: String = "",
    file: StaticString = #filePath, line: UInt = #line
) throws {
    let index = store.index
    XCTAssertEqual(
        try index.family("I"), model.inodeFamily, "inodes \(context)", file: file, line: line)
    XCTAssertEqual(
        try index.family("D"), model.nameFamily, "names \(context)", file: file, line: line)
    XCTAssertEqual(
        try index.family("E"), model.pieceFamily, "pieces \(context)", file: file, line: line)
    XCTAssertEqual(
        Set(try index.family("O").keys), model.orphanFamily, "orphans \(context)", file: file,
        line: line)
    let record = try XCTUnwrap(try store.volumes().first?.record, file: file, line: line)
    XCTAssertEqual(record.statistics, model.statistics, context, file: file, line: line)
    XCTAssertEqual(record.nextInode, model.nextInode, context, file: file, line: line)
    try assertCounts(store, model, context, file: file, line: line)
}

private func assertCounts(
    _ store: ChunkStore, _ model: ModelVolume, _ context: String, file: StaticString, line: UInt
) throws {
    let owned = model.livingCounts
    var expected = owned
    var records: [ChunkName: ChunkRecord] = [:]
    for (key, value) in try store.index.family("C") {
        let name = try XCTUnwrap(key.withUnsafeBytes { IndexKey.chunkName($0) })
        records[name] = try value.withUnsafeBytes { try ChunkRecord($0) }
    }
    // Recipes that nobody names, and that are not given up yet, own their children all the same.
    for (name, record) in records where record.domain == .recipe && record.count == 0 {
        for child in Set(model.owned[name] ?? []) { expected[child, default: 0] += 1 }
    }
    var totals = StoreTotals()
    var dead: [[UInt8]: [UInt8]] = [:]
    var living: [UInt32: UInt64] = [:]
    for (name, record) in records {
        XCTAssertEqual(
            record.count, expected[name] ?? 0, "count of \(name) \(context)", file: file, line: line
        )
        // A recipe that nobody named may be committed before what it lists.
        if owned[name] != nil {
            XCTAssertFalse(record.places.isEmpty, "\(name) \(context)", file: file, line: line)
        }
        XCTAssertEqual(record.deadSince == nil, record.count > 0, context, file: file, line: line)
        if let since = record.deadSince { dead[IndexKey.dead(since: since, name)] = [] }
        totals.add(record)
        for place in record.places { living[place.pack, default: 0] += UInt64(record.rawBytes) }
    }
    for name in expected.keys where records[name] == nil {
        XCTFail("\(name) is owned and not indexed \(context)", file: file, line: line)
    }
    XCTAssertEqual(try store.index.family("Z"), dead, context, file: file, line: line)
    for (number, pack) in try store.index.packs() {
        XCTAssertEqual(pack.livingBytes, living[number] ?? 0, context, file: file, line: line)
        totals.storedBytes += pack.storedBytes
        totals.superChunks += pack.superChunks
    }
    let state = try XCTUnwrap(try store.index.state(), file: file, line: line)
    XCTAssertEqual(state.totals, totals, context, file: file, line: line)
}

/// Asserts that all content that the model names can be read.
func assertReadable(
    _ store: ChunkStore, _ model: ModelVolume, file: StaticString = #filePath, line: UInt = #line
) throws {
    for name in model.livingCounts.keys {
        guard let bytes = model.bytes[name] else { continue }
        XCTAssertEqual(
            try store.bytes(of: name, domain: .data), bytes, "\(name)", file: file, line: line)
    }
}
