// The newest state, read back and held against the model that wrote it.
import DiskFormat
import XCTest

@testable import Checking

final class StateTests: XCTestCase {
    private func assertEqual(
        _ state: VolumeState, _ model: SmallVolume, line: UInt = #line
    ) throws {
        var expected = model.paths()
        var pending: [(String, InodeImage)] = [("", state.directory)]
        while let (prefix, directory) = pending.popLast() {
            var entries: [VolumeState.Entry] = []
            try state.forEachEntry(of: directory) { entry in
                entries.append(entry)
                return true
            }
            for entry in entries {
                let path = prefix + "/" + String(decoding: entry.name, as: UTF8.self)
                XCTAssertEqual(expected.removeValue(forKey: path), entry.inode, path, line: line)
                guard let image = try state.image(of: entry) else {
                    XCTFail("\(path) has no image", line: line)
                    continue
                }
                var wanted = model.images[entry.inode]
                if image.mode >> 12 == 4 {
                    pending.append((path, image))
                    wanted?.content = image.content
                }
                XCTAssertEqual(image, wanted, path, line: line)
            }
            let names = entries.map(\.name)
            XCTAssertEqual(names, names.sorted { $0.lexicographicallyPrecedes($1) }, line: line)
        }
        XCTAssertEqual(expected, [:], "names that were not found", line: line)
        for (path, inode) in model.paths() {
            let image = try XCTUnwrap(state.resolve(path), path, line: line)
            XCTAssertEqual(image.inode, inode, line: line)
            guard let bytes = model.bytes[inode] else { continue }
            XCTAssertEqual(
                try state.read(image, at: 0, count: bytes.count + 10), bytes, path, line: line)
        }
    }

    func testStateIsWhatWasWritten() throws {
        let scene = try Scene()
        let state = try State.open(scene.store.backend)
        let volume = try XCTUnwrap(state.volume(named: "data"))
        try assertEqual(volume, scene.volume)
        XCTAssertEqual(volume.orphans.map(\.inode), [try scene.inode("empty")])
        var linked: [UInt64] = []
        try volume.forEachLinked {
            linked.append($0.inode); return true
        }
        XCTAssertEqual(
            linked, [try scene.inode("small"), try scene.inode("linked")].sorted())
        XCTAssertNil(try volume.resolve("/etc/nothing"))
        XCTAssertNil(try volume.resolve("/etc/small/below"))
        XCTAssertEqual(try volume.resolve("/")?.inode, 1)
    }

    func testCompressedCommitsAndCheckpointOnTop() throws {
        var options = SmallStore.Options()
        options.compressesCommits = true
        let scene = try Scene(options)
        scene.volume.folded = [
            ExtentChange(inode: try scene.inode("long"), range: 0..<1, pieces: [])
        ]
        try scene.volume.checkpoint()
        let state = try State.open(scene.store.backend)
        XCTAssertEqual(state.log.chain.map(\.sequence), [5])
        try assertEqual(try XCTUnwrap(state.volumes.first), scene.volume)
        try scene.volume.unlink("small", in: try scene.inode("etc"))
        try scene.volume.commit()
        try assertEqual(
            try XCTUnwrap(try State.open(scene.store.backend).volumes.first), scene.volume)
    }

    func testRangesAreReadAsTheWhole() throws {
        var random = SeededGenerator()
        let scene = try Scene()
        let volume = try XCTUnwrap(try State.open(scene.store.backend).volumes.first)
        for key in ["long", "sparse"] {
            let inode = try scene.inode(key)
            let all = try XCTUnwrap(scene.volume.bytes[inode])
            let path = try XCTUnwrap(scene.volume.paths().first { $0.value == inode }?.key)
            let image = try XCTUnwrap(try volume.resolve(path))
            for _ in 0..<200 {
                let from = Int.random(in: 0...all.count, using: &random)
                let count = Int.random(in: 0...3_000, using: &random)
                XCTAssertEqual(
                    try volume.read(image, at: UInt64(from), count: count),
                    Array(all[from..<min(all.count, from + count)]))
            }
            var end: UInt64 = 0
            try volume.forEachExtent(of: image) { extent in
                XCTAssertEqual(extent.range.lowerBound, end)
                end = extent.range.upperBound
                return true
            }
            XCTAssertEqual(end, image.size)
        }
    }

    func testAttributesAreRead() throws {
        let scene = try Scene(commits: false)
        let volume = try XCTUnwrap(try State.open(scene.store.backend).volumes.first)
        let long = try XCTUnwrap(try volume.resolve("/attributed"))
        XCTAssertEqual(
            try volume.attributes(of: long)[Array("user.long".utf8)]?.count, 600)
        let short = try XCTUnwrap(try volume.resolve("/inline"))
        XCTAssertEqual(
            try volume.attributes(of: short)[Array("user.short".utf8)], [1, 2, 3])
    }

    func testRenameWithoutANewImageIsFollowed() throws {
        let scene = try Scene(commits: false)
        let v = scene.volume
        let inode = try scene.inode("long")
        try v.rename("long", in: try scene.inode("deep"), to: "long-2", in: try scene.inode("deep"))
        v.changes.inodes.removeAll {
            if case .put(let image) = $0 { image.inode == inode } else { false }
        }
        try v.commit()
        let volume = try XCTUnwrap(try State.open(scene.store.backend).volumes.first)
        let image = try XCTUnwrap(try volume.resolve("/etc/deep/long-2"))
        XCTAssertEqual(try volume.read(image, at: 0, count: 100_000), v.bytes[inode])
    }

    func testPiecesReplaceAndCut() {
        func data(_ at: UInt64, _ length: UInt64, _ within: UInt32 = 0) -> ExtentChange.Piece {
            .init(
                offset: at, length: length,
                source: .data(.zero, chunkBytes: 100, offset: within))
        }
        var list = PieceList()
        list.replace(10..<60, with: [data(10, 50)])
        list.replace(20..<30, with: [.init(offset: 20, length: 10, source: .hole)])
        XCTAssertEqual(
            list.pieces,
            [data(10, 10), .init(offset: 20, length: 10, source: .hole), data(30, 30, 20)])
        list.replace(0..<25, with: [])
        XCTAssertEqual(
            list.pieces, [.init(offset: 25, length: 5, source: .hole), data(30, 30, 20)])
        list.replace(0..<ExtentChange.endOfFile, with: [])
        XCTAssertEqual(list.pieces, [])
    }
}
