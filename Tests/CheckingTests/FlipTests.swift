// Every byte of a small store is changed, one at a time: nothing crashes, and each change is told
// unless it is in padding or in what nothing needs.
import Backends
import DiskFormat
import Foundation
import Packs
import XCTest

@testable import Checking

final class FlipTests: XCTestCase {
    /// Bytes that no reader looks at: padding behind records.
    private func padding(_ inventory: Inventory) -> Set<String> {
        var result: Set<String> = []
        for record in inventory.records {
            let used = record.offset + 48 + UInt64(record.storedBytes)
            let id = inventory.packs[Int(record.pack)].id
            for offset in used..<record.end { result.insert("\(id):\(offset)") }
        }
        return result
    }

    func testEveryByteIsGuarded() throws {
        var options = SmallStore.Options()
        options.frameBytes = 2_000
        options.superChunkBytes = 4_000
        let store = try SmallStore(options)
        let volume = SmallVolume(store)
        var random = SeededGenerator()
        let directory = volume.makeDirectory("d")
        let file = try volume.makeFile("f", in: directory, random.bytes(1_000))
        try volume.link(file, "g")
        try volume.checkpoint()
        try volume.makeFile("h", random.bytes(200))
        try volume.commit()
        try store.roll()
        try volume.makeFile("i", random.bytes(100))
        try volume.commit()
        try volume.makeFile("j", random.bytes(10))
        try volume.commit()
        let backend = store.backend
        let inventory = try Inventory(backend)
        XCTAssertEqual(try checkStore(backend).complaints, [])
        let sound = try checkStore(backend).problems
        let unread = padding(inventory)
        var flips = 0
        for pack in inventory.packs {
            let bytes = try backend.bytes(pack.id)
            let copy = backend.copy()
            for offset in bytes.indices {
                // Most of a pack's header is zeros of one checksum.
                if offset > 200, offset < 4_080, offset % 97 != 0 { continue }
                var changed = bytes
                changed[offset] ^= UInt8(1 << Int.random(in: 0...7, using: &random))
                try copy.writeWhole(pack.id.fileName, changed)
                let report = try checkStore(copy)
                flips += 1
                if unread.contains("\(pack.id):\(offset)") {
                    XCTAssertEqual(report.problems, sound)
                } else {
                    XCTAssertNotEqual(
                        report.problems, sound, "flip at \(offset) of \(pack.id) was not told")
                }
                if report.problems.count > sound.count + 3 {
                    XCTFail("flip at \(offset) of \(pack.id): \(report.text)")
                }
            }
        }
        print("flipped \(flips) bytes")
    }

    /// Random spans of noise and cuts: reports or errors, never a trap; states stay readable.
    func testNoiseNeverTraps() throws {
        var random = SeededGenerator()
        let scene = try Scene()
        let packs = try Inventory(scene.store.backend).packs.map(\.id)
        for _ in 0..<150 {
            var backend = scene.store.backend
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let id = packs[Int.random(in: 0..<packs.count, using: &random)]
                backend = try backend.damaging(id) { bytes in
                    // Nothing is left where an earlier round has cut at the first byte.
                    guard !bytes.isEmpty else { return }
                    let at = Int.random(in: 0..<bytes.count, using: &random)
                    let count = min(
                        Int.random(in: 1...400, using: &random), bytes.count - at)
                    switch Int.random(in: 0...3, using: &random) {
                    case 0: bytes.removeSubrange(at...)
                    case 1: bytes.removeSubrange(at..<at + count)
                    default: bytes.replaceSubrange(at..<at + count, with: random.bytes(count))
                    }
                }
            }
            for depth in [CheckDepth.quick, .deep] {
                do {
                    let report = try checkStore(backend, depth)
                    XCTAssertNotNil(report.worst)
                } catch CheckingError.noStore {
                    continue
                }
            }
        }
    }

    /// Nodes and commits that lie, under right names and checksums: never a trap, never an endless
    /// walk.
    func testHostileWriterNeverTraps() throws {
        try checkHostileStores(SeededGenerator())
    }

    /// A wrong number of links beside a damaged directory once ended the check.
    func testAHostileWriterOfBefore() throws {
        try checkHostileStores(SeededGenerator(seed: 9_269_419_542_240_489_800))
    }

    private func checkHostileStores(_ generator: SeededGenerator) throws {
        var random = generator
        var told = 0
        for round in 0..<250 {
            let scene = try Scene(seed: UInt64(round), names: 10, commits: round % 2 == 0)
            scene.store.mutate = { bytes in
                guard Int.random(in: 0...3, using: &random) == 0 else { return }
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    let at = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0...2, using: &random) {
                    case 0: bytes[at] = 0xff
                    case 1: bytes[at] &+= 1
                    default: bytes[at] ^= UInt8(1 << Int.random(in: 0...7, using: &random))
                    }
                }
            }
            try scene.volume.makeFile("x", random.bytes(3_000))
            try scene.volume.commit()
            try scene.volume.makeFile("y", random.bytes(3_000))
            try scene.volume.checkpoint()
            try scene.volume.makeFile("z", random.bytes(100))
            try scene.volume.commit()
            if try !scene.check(.deep).complaints.isEmpty { told += 1 }
            guard let state = try? State.open(scene.store.backend) else { continue }
            for volume in state.volumes {
                for (path, inode) in scene.volume.paths() {
                    guard let image = try? volume.resolve(path) else { continue }
                    _ = try? volume.read(image, at: 0, count: 5_000)
                    _ = try? volume.attributes(of: image)
                    _ = try? volume.inode(inode)
                }
            }
        }
        print("\(told) of 250 hostile stores were told")
        XCTAssertGreaterThan(told, 50)
    }
}
