// Checkpoints of many directories at once: their trees are written by several workers.
import Backends
import DiskFormat
import FileModel
import Platform
import XCTest

@testable import Pipeline
@testable import Volume

final class CheckpointTests: XCTestCase {
    /// Directories in three levels, with files of one chunk each; returns the inodes of the directories.
    private func makeFolders(
        _ open: OpenStore, _ random: inout SeededGenerator
    ) throws -> [UInt64] {
        var folders: [UInt64] = [RootImage.rootInode]
        for number in 1..<120 {
            let parent = folders[number < 12 ? 0 : 1 + random.below(number < 60 ? 11 : 59)]
            let name = Array("folder \(number)".utf8)
            let folder = try open.volume.makeFolder(name, in: parent).inode
            folders.append(folder)
            for file in 0..<6 {
                let made = try open.volume.makeFile(Array("\(file)".utf8), in: folder).inode
                try open.volume.put(random.bytes(200), into: made)
            }
        }
        return folders
    }

    /// What the trees say is what the index says, and what an index made of the trees alone says.
    func testTreesOfManyDirectories() throws {
        var random = SeededGenerator(seed: printedSeed())
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        var open = try OpenStore(backend, index)
        let folders = try makeFolders(open, &random)
        try open.live.checkpoint()
        var expected: [UInt64: [UInt8]] = [:]
        for folder in folders.dropFirst() where random.chance(3, in: 4) {
            let file = try XCTUnwrap(open.volume.find(Array("2".utf8), in: folder)).inode
            expected[folder] = random.bytes(300)
            try open.volume.put(try XCTUnwrap(expected[folder]), into: file)
            if random.chance(1, in: 3) {
                try open.volume.removeFile(Array("4".utf8), in: folder)
            }
        }
        try open.live.checkpoint()
        let copy = backend.copy()
        try open.live.close()
        XCTAssertEqual(try complaints(backend, index), [])
        XCTAssertEqual(try complaints(copy, MemoryIndexProvider()), [])
        open = try OpenStore(copy, MemoryIndexProvider())
        for (folder, bytes) in expected {
            let file = try open.volume.storedName(Array("2".utf8), in: folder).inode
            XCTAssertEqual(try open.volume.get(file, count: 400), bytes)
        }
        try open.live.close()
    }

    /// One of many directories' trees cannot be read: there is no checkpoint, and nothing else is lost.
    func testDamageInOneOfManyDirectories() throws {
        var random = SeededGenerator(seed: printedSeed())
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index, parameters: smallParameters(copies: 1))
        var open = try OpenStore(backend, index)
        let folders = try makeFolders(open, &random)
        try open.live.checkpoint()
        let folder = folders[60 + random.below(60)]
        guard case .directory(let node)? = try open.volume.storedInode(folder)?.image.content else {
            return XCTFail("no tree")
        }
        let place = try XCTUnwrap(open.store.chunkRecord(node.name)?.places.first)
        let pack = try XCTUnwrap(open.store.shelf.id(of: place.pack))
        try open.live.close()
        var bytes = try backend.readWhole(pack.fileName, limitBytes: 1 << 24)
        // In the frame, behind header and prefix.
        bytes[Int(place.recordOffset) + Int(place.recordBytes) - 20] ^= 1
        try backend.writeWhole(pack.fileName, bytes)
        open = try OpenStore(backend, index)
        for folder in folders.dropFirst() {
            _ = try open.volume.makeFile(Array("new".utf8), in: folder)
        }
        XCTAssertThrowsError(try open.live.checkpoint())
        XCTAssertNoThrow(try open.live.commit())
        for folder in folders.dropFirst() {
            XCTAssertNotNil(try open.volume.find(Array("new".utf8), in: folder))
        }
        try? open.live.close()
    }
}
