// Damage to a store with a clone that is loaded in part: what is named is what cannot be read, and a
// repair loses that and no more, whether names are in the index or only in the trees.
import Backends
import Checking
import DiskFormat
import FileModel
import Foundation
import Platform
import Repair
import XCTest

@testable import Pipeline
@testable import Volume

final class CloneDamageTests: DamagedPathTestCase {
    /// The scene as a clone, of which some directories were looked at and some files are new; the volume
    /// and the snapshot that it was made of are gone.
    private func makeClone(_ random: inout SeededGenerator) throws -> Scene {
        var scene = try makeScene(&random)
        let open = try OpenStore(scene.backend, scene.kept)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        _ = try open.live.clone("s", of: "main", to: "clone")
        _ = try open.live.deleteSnapshot(named: "s", of: "main")
        open.volume.forgetKernel()
        try open.live.removeVolume(named: "main")
        try open.live.renameVolume(named: "clone", to: "main")
        if random.chance(1, in: 2) { while try open.store.settleSnapshots() != nil {} }
        let clone = try OpenStore(open.live)
        for folder in ["a", "b"] where random.chance(1, in: 2) {
            let parent = try XCTUnwrap(find("/\(folder)", clone)).inode
            try add(random.bytes(4_000), "/\(folder)/new", in: parent, clone, &scene.state)
        }
        if random.chance(1, in: 2) { try open.live.commit() }
        if random.chance(1, in: 2) {
            try add(random.bytes(3_000), "/late", in: 1, clone, &scene.state)
            try open.live.checkpoint()
        }
        try open.live.close()
        XCTAssertEqual(try complaints(scene.backend, scene.kept), [])
        return scene
    }

    func testWhatIsNamedIsWhatCannotBeRead() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        var hit = 0
        for number in 0..<(isLong ? 100 : 4) {
            let scene = try makeClone(&random)
            let records = try places(scene.backend).filter { $0.header.kind == .superChunk }
            for round in 0..<12 {
                let damaged = try damage(scene.backend, records, &random)
                let context = "store \(number), round \(round), ASHLAR_SEED=\(seed)"
                let told = try named(damaged, scene.state)
                let unread = unreadable(damaged, scene.index, scene.state, context)
                XCTAssertTrue(unread.isSubset(of: told), "\(unread) \(told): \(context)")
                if told.isEmpty, random.chance(1, in: 2) { continue }
                try checkRepair(damaged, scene, losing: told, context)
                if !told.isEmpty { hit += 1 }
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
        }
        XCTAssertGreaterThan(hit, 0)
    }

    /// The newest checkpoints cannot be begun with: a repair replays the one with which a clone began.
    func testARepairBeginsBeforeTheClone() throws {
        var random = SeededGenerator(seed: printedSeed())
        var scene = Scene(backend: MemoryBackend(), kept: MemoryIndexProvider(), state: [:])
        try makeStore(scene.backend, scene.kept, parameters: smallParameters(copies: 1))
        var open = try OpenStore(scene.backend, scene.kept)
        let folder = try open.volume.makeFolder(Array("a".utf8), in: 1).inode
        for number in 0..<30 {
            try add(random.bytes(3_000), "/a/\(number)", in: folder, open, &scene.state)
        }
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        try add(random.bytes(3_000), "/a/later", in: folder, open, &scene.state)
        try open.live.checkpoint()
        let root = try XCTUnwrap(try open.volume.storedRecord().root)
        let place = try XCTUnwrap(open.store.chunkRecord(root)?.places.first)
        _ = try open.live.clone("s", of: "main", to: "clone")
        let clone = try OpenStore(open.live, volume: "clone")
        let inner = try XCTUnwrap(clone.volume.find(Array("a".utf8), in: 1)).inode
        try clone.volume.removeFile(Array("7".utf8), in: inner)
        try open.live.commit()
        let pack = try XCTUnwrap(open.store.shelf.id(of: place.pack))
        let damaged = try change(scene.backend, pack) {
            // In the frame, behind header and prefix.
            $0[Int(place.recordOffset) + Int(place.recordBytes) - 20] ^= 1
        }
        try open.live.close()
        let index = MemoryIndexProvider()
        _ = try StoreRepair.repair(StoreToRepair(backend: damaged, index: index))
        open = try OpenStore(damaged, index)
        let found = try OpenStore(open.live, volume: "clone")
        let again = try XCTUnwrap(found.volume.find(Array("a".utf8), in: 1)).inode
        XCTAssertNil(try found.volume.find(Array("7".utf8), in: again))
        for number in 0..<30 where number != 7 {
            let file = try XCTUnwrap(found.volume.find(Array("\(number)".utf8), in: again))
            XCTAssertEqual(
                try found.volume.get(file.inode, count: 4_000), scene.state["/a/\(number)"])
        }
        try open.live.close()
        XCTAssertEqual(try complaints(damaged, index), [])
    }
}
