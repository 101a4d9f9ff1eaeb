// Damage to what a deleted snapshot owned, met before it was let go.
import Backends
import DiskFormat
import Platform
import Repair
import XCTest

@testable import Pipeline
@testable import Volume

final class SettlingDamageTests: DamagedPathTestCase {
    /// A store whose snapshot was just deleted, cut off before anything of it was let go; of the two
    /// directories that it alone had one cannot be read.
    private func makeDamage() throws -> Scene {
        var random = SeededGenerator(seed: printedSeed())
        var scene = Scene(backend: MemoryBackend(), kept: MemoryIndexProvider(), state: [:])
        try makeStore(scene.backend, scene.kept, parameters: smallParameters(copies: 1))
        let open = try OpenStore(scene.backend, scene.kept)
        let folder = try open.volume.makeFolder(Array("a".utf8), in: 1).inode
        let below = try open.volume.makeFolder(Array("b".utf8), in: folder).inode
        for number in 0..<30 {
            try add(random.bytes(3_000), "/a/\(number)", in: folder, open, &scene.state)
            try add(random.bytes(3_000), "/a/b/\(number)", in: below, open, &scene.state)
        }
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        guard case .directory(let node)? = try open.volume.storedInode(folder)?.image.content else {
            XCTFail("no tree")
            return scene
        }
        let place = try XCTUnwrap(open.store.chunkRecord(node.name)?.places.first)
        let pack = try XCTUnwrap(open.store.shelf.id(of: place.pack))
        for (number, parent) in [(3, folder), (7, below)] {
            try open.volume.removeFile(Array("\(number)".utf8), in: parent)
        }
        scene.state["/a/3"] = nil
        scene.state["/a/b/7"] = nil
        try open.live.checkpoint()
        while try open.store.settleSnapshots() != nil {}
        _ = try open.live.deleteSnapshot(named: "s", of: "main")
        let index = scene.index
        let backend = try change(scene.backend, pack) {
            // In the frame, behind header and prefix.
            $0[Int(place.recordOffset) + Int(place.recordBytes) - 20] ^= 1
        }
        try open.live.close()
        return Scene(backend: backend, kept: index, state: scene.state)
    }

    /// The check before knows nothing wrong of the index: it is the repair that meets the damage.
    func testARepairLeavesNothingCountedThatNobodyOwns() throws {
        let scene = try makeDamage()
        _ = try StoreRepair.repair(StoreToRepair(backend: scene.backend, index: scene.kept))
        XCTAssertEqual(try complaints(scene.backend, scene.kept), [])
        XCTAssertEqual(unreadable(scene.backend, scene.kept, scene.state, ""), [])
    }

    /// What is dead can be given back, though what it was listed by cannot be read.
    func testAPurgeLeavesNothingCountedThatNobodyOwns() throws {
        let scene = try makeDamage()
        _ = try StoreRepair.purge(StoreToRepair(backend: scene.backend, index: scene.kept))
        XCTAssertEqual(
            try complaints(scene.backend, scene.kept).filter { $0.contains("indexCount") }, [])
        XCTAssertEqual(unreadable(scene.backend, scene.kept, scene.state, ""), [])
    }
}
