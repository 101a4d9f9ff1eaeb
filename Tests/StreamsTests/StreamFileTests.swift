// Snapshots as files: written, read, imported; and files that somebody has damaged or made up.
import Backends
import Checking
import Foundation
import Pipeline
import Platform
import Queries
import Trees
import Volume
import XCTest

@testable import DiskFormat
@testable import Streams

final class StreamFileTests: StreamsTestCase {
    /// Everything in a volume as text, content too.
    private func dump(_ volume: VolumeState) throws -> [String] {
        var lines: [String] = []
        var walk = StoredWalk(volume)
        while let event = try walk.next() {
            var shown: (name: [UInt8], image: InodeImage)
            switch event {
            case .begin(let name, let image): shown = (name, image)
            case .file(let name, let image): shown = (name, image)
            case .end:
                lines.append("end")
                continue
            }
            let content = try volume.read(shown.image, at: 0, count: Int(shown.image.size))
            let attributes = try volume.attributes(of: shown.image).encoded()
            shown.image.inode = 0
            shown.image.parent = nil
            if shown.image.mode >> 12 == 4 { shown.image.content = .none }
            lines.append("\(shown.name) \(shown.image) \(content.hashValue) \(attributes)")
        }
        return lines
    }

    private func makeFile(_ random: inout SeededGenerator, small: Bool = false) throws -> String {
        let source = try makeSource("source")
        if small {
            try source.makeFolder("d")
            try source.write("d/f", random.bytes(9000))
            try source.write("e", random.bytes(50))
        } else {
            try source.fillWithEveryKind(&random)
        }
        let store = try MemoryStore()
        try store.scan(source, as: StreamFile.snapshotName)
        try store.write(to: path("a.snap"))
        try store.live.close()
        return path("a.snap")
    }

    func testWrittenReadAndImported() throws {
        var random = SeededGenerator()
        let file = try makeFile(&random)
        let stream = try StreamFile(path: file, kind: .snapshot)
        try stream.backend.verify()
        XCTAssertEqual(stream.head.flags, .content)
        let volume = try stream.volume(StreamFile.snapshotName)
        let expected = try dump(volume)
        XCTAssertThrowsError(try StreamFile(path: file, kind: .difference))
        let store = try MemoryStore()
        for name in ["one", "two"] {
            try store.live.checkpoint()
            var base: ScanBase?
            if let known = try store.live.snapshots(of: "main").last {
                let bytes = try store.live.store.bytes(of: known.root, domain: .tree)
                base = ScanBase(
                    try bytes.withUnsafeBytes { try RootImage($0) }, in: store.live.store)
            }
            var work = try SnapshotImport(
                volume, into: store.live.store, nextInode: try store.live.nextInode(of: "main"),
                base: base)
            let root = try work.run(volumeID: MemoryStore.volumeID, volumeName: "main")
            _ = try store.live.addSnapshot(SnapshotDraft(name: name), of: "main", root: root)
            XCTAssertEqual(try store.complaints(), [])
        }
        let state = try store.state()
        let one = try store.snapshot("one", in: state)
        XCTAssertEqual(try dump(one), expected)
        XCTAssertEqual(
            one.directory.content, try store.snapshot("two", in: state).directory.content)
        try store.live.close()
    }

    /// A store that cuts in another way has the same files.
    func testImportedWithOtherChunks() throws {
        var random = SeededGenerator()
        let stream = try StreamFile(path: try makeFile(&random), kind: .snapshot)
        let volume = try stream.volume(StreamFile.snapshotName)
        let store = try MemoryStore(chunkBytes: 8192)
        var work = try SnapshotImport(
            volume, into: store.live.store, nextInode: try store.live.nextInode(of: "main"))
        let root = try work.run(volumeID: MemoryStore.volumeID, volumeName: "main")
        _ = try store.live.addSnapshot(SnapshotDraft(name: "one"), of: "main", root: root)
        XCTAssertEqual(try store.complaints(), [])
        let imported = try store.snapshot("one")
        for name in ["folder/medium", "sparse", "small", "empty"] {
            let a = try XCTUnwrap(try volume.resolve(name))
            let b = try XCTUnwrap(try imported.resolve(name))
            XCTAssertEqual(
                try volume.read(a, at: 0, count: Int(a.size)),
                try imported.read(b, at: 0, count: Int(a.size)), name)
            XCTAssertEqual(a.allocatedBytes, b.allocatedBytes, name)
        }
        try store.live.close()
    }

    // MARK: hostile files

    func testCutAtEveryLength() throws {
        var random = SeededGenerator()
        let file = try makeFile(&random, small: true)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        try (bytes + Data([0])).write(to: URL(fileURLWithPath: file))
        XCTAssertThrowsError(try StreamFileBackend(path: file))
        try bytes.write(to: URL(fileURLWithPath: file))
        XCTAssertNoThrow(try StreamFileBackend(path: file))
        for length in (0..<bytes.count).reversed() {
            XCTAssertEqual(truncate(file, off_t(length)), 0)
            XCTAssertThrowsError(try StreamFileBackend(path: file), "\(length)")
        }
    }

    /// Verifying finds every flipped bit; who does not verify gets what was written, or an error.
    func testEveryByteFlipped() throws {
        var random = SeededGenerator()
        let file = try makeFile(&random, small: true)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        let expected = try dump(
            try StreamFile(path: file, kind: nil).volume(StreamFile.snapshotName))
        let stride = 37
        let phase = random.below(stride)
        let descriptor = open(file, O_RDWR)
        defer { close(descriptor) }
        for offset in 0..<bytes.count {
            var flipped = bytes[offset] ^ UInt8(1 << random.below(8))
            XCTAssertEqual(pwrite(descriptor, &flipped, 1, off_t(offset)), 1)
            XCTAssertThrowsError(
                try StreamFileBackend(path: file).verify(), "verified with \(offset) flipped")
            if offset % stride == phase {
                let found = try? dump(
                    try StreamFile(path: file, kind: nil).volume(StreamFile.snapshotName))
                if let found { XCTAssertEqual(found, expected, "\(offset)") }
            }
            flipped = bytes[offset]
            XCTAssertEqual(pwrite(descriptor, &flipped, 1, off_t(offset)), 1)
        }
        XCTAssertNoThrow(try StreamFileBackend(path: file).verify())
    }

    func testTablesThatLie() throws {
        var random = SeededGenerator()
        let file = try makeFile(&random, small: true)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        let honest = try StreamFileBackend(path: file).table
        let head = Array(bytes.prefix(StreamHead.byteCount))
        let lies: [(inout [StreamTable.Section]) -> Void] = [
            { $0[0].offset = 0 }, { $0[0].offset += 8 }, { $0[0].byteCount = .max },
            { $0[0].byteCount += 64 }, { $0[0].byteCount = 0 }, { $0[1].offset = $0[0].offset },
            { $0[1].offset = .max - 7 }, { $0[1].byteCount = .max - $0[1].offset },
            { $0[1].pack = $0[0].pack }, { $0.swapAt(0, 1) }, { $0.removeLast() },
            { $0.append($0[0]) },
        ]
        for (number, lie) in lies.enumerated() {
            var sections = honest.sections
            lie(&sections)
            // The trailer is right but for what the lie makes of it.
            var table = StreamTable(sections: honest.sections)
            let offset = Int(table.offset)
            table.sections = sections
            let tail = table.encoded(head: head, claiming: UInt64(offset))
            let forged = path("forged.snap")
            try Data(bytes.prefix(offset) + tail).write(to: URL(fileURLWithPath: forged))
            XCTAssertThrowsError(try StreamFileBackend(path: forged), "lie \(number)") { error in
                guard case .format? = error as? StreamFileError else {
                    return XCTFail("\(number): \(error)")
                }
            }
        }
    }

    /// A tree of a few nodes that lists one of them again and again would never end.
    func testATreeThatRepeatsItself() throws {
        let store = try MemoryStore()
        var content = ContentKey.none
        for level in 0..<50 {
            var list = ListBuilder<DirectorySchema, ChunkStore>(store: store.live.store)
            for name in ["a", "b"] {
                let image = InodeImage(
                    inode: UInt64(level + 2), generation: 1, mode: 0o040755, linkCount: 4,
                    content: content)
                try list.append(DirectoryEntry(name: Array(name.utf8), target: .only(image)))
            }
            content = .directory(try XCTUnwrap(try list.finish()))
        }
        var statistics = RootImage.Statistics()
        statistics.directories = 100
        try importMadeUp(store, content, statistics) { error in
            guard case .tree(.format)? = error as? StreamError else { return XCTFail("\(error)") }
        }
    }

    /// A recipe of few nodes that are there many times: as many places as nobody can walk, in a file of
    /// 40 PB. Where both stores cut alike each node is taken once; where they do not it takes as long as it
    /// says, and can be ended at any moment.
    func testARecipeThatRepeatsItself() throws {
        let store = try MemoryStore()
        let chunk = try store.put([UInt8](repeating: 7, count: 4096), domain: .data)
        let leaf = RecipeNode.leaf([Extent](repeating: .data(chunk, length: 4096), count: 1000))
        var root = NodeReference(name: try store.put(leaf.encoded(), domain: .recipe), level: 0)
        var size: UInt64 = 4_096_000
        for level in UInt8(1)...5 {
            let entry = InnerEntry(child: root.name, measure: size, firstKey: [])
            let node = RecipeNode.inner(
                level: level, [InnerEntry](repeating: entry, count: 100))
            root = NodeReference(
                name: try store.put(node.encoded(), domain: .recipe), level: level)
            size *= 100
        }
        var file = InodeImage(inode: 2, generation: 1, mode: 0o100644)
        file.content = .recipe(root)
        file.size = size
        file.allocatedBytes = size
        let directory = DirectoryNode.leaf([
            DirectoryEntry(name: Array("endless".utf8), target: .only(file))
        ])
        let node = NodeReference(
            name: try store.put(directory.encoded(), domain: .tree), level: 0)
        var statistics = RootImage.Statistics()
        statistics.directories = 1
        statistics.files = 1
        statistics.logicalBytes = size
        let volume = try madeUp(store, .directory(node), statistics)
        let alike = try MemoryStore()
        var work = try SnapshotImport(volume, into: alike.live.store, nextInode: 2)
        let made = try work.run(volumeID: MemoryStore.volumeID, volumeName: "main")
        _ = try alike.live.addSnapshot(SnapshotDraft(name: "made"), of: "main", root: made)
        XCTAssertEqual(try alike.complaints(), [])
        try alike.live.close()
        let other = try MemoryStore(chunkBytes: 8192)
        var slow = try SnapshotImport(volume, into: other.live.store, nextInode: 2)
        let end = Date(timeIntervalSinceNow: 0.2)
        XCTAssertThrowsError(
            try slow.run(
                volumeID: MemoryStore.volumeID, volumeName: "main",
                isCancelled: { Date() > end })
        ) { error in
            guard case .cancelled? = error as? StreamError else { return XCTFail("\(error)") }
        }
        try other.live.close()
        try store.live.close()
    }

    /// Names that lead elsewhere are no names.
    func testNamesThatLeadElsewhere() throws {
        for name in ["..", ".", "a/b", "", "x\0y"] {
            let store = try MemoryStore()
            let file = InodeImage(inode: 2, generation: 1, mode: 0o100644)
            let node = DirectoryNode.leaf([
                DirectoryEntry(name: Array(name.utf8), target: .only(file))
            ])
            let put = try node.encoded().withUnsafeBytes {
                try store.live.store.put($0, domain: .tree)
            }
            var statistics = RootImage.Statistics()
            statistics.directories = 1
            statistics.files = 1
            try importMadeUp(store, .directory(NodeReference(name: put, level: 0)), statistics) {
                error in
                guard case .tree(.format)? = error as? StreamError else {
                    return XCTFail("\(name): \(error)")
                }
            }
        }
    }

    private func importMadeUp(
        _ store: MemoryStore, _ content: ContentKey, _ statistics: RootImage.Statistics,
        _ check: (any Error) -> Void
    ) throws {
        let volume = try madeUp(store, content, statistics)
        let target = try MemoryStore()
        var work = try SnapshotImport(volume, into: target.live.store, nextInode: 2)
        XCTAssertThrowsError(
            try work.run(volumeID: MemoryStore.volumeID, volumeName: "main"), "", check)
        try target.live.close()
        try store.live.close()
    }

    /// A snapshot of a file, of what was put into a store.
    private func madeUp(
        _ store: MemoryStore, _ content: ContentKey, _ statistics: RootImage.Statistics
    ) throws -> VolumeState {
        let root = RootImage(
            volumeID: MemoryStore.volumeID, volumeName: "main", time: .zero, nextInode: 1000,
            directory: InodeImage(
                inode: 1, generation: 1, mode: 0o040755, linkCount: 2, content: content),
            statistics: statistics)
        _ = try store.live.addSnapshot(
            SnapshotDraft(name: StreamFile.snapshotName), of: "main", root: root)
        try store.write(to: path("made-up.snap"))
        return try StreamFile(path: path("made-up.snap"), kind: .snapshot)
            .volume(StreamFile.snapshotName)
    }
}
