// Where the newest root is lost in all copies, an older one and the commits since make the same state:
// the checker names what that cannot give, and nothing else; a repair makes a root.
import Backends
import Checking
import DiskFormat
import FileModel
import Foundation
import Packs
import Pipeline
import Platform
import Repair
import XCTest

@testable import Volume

final class NewestRootTests: DamagedPathTestCase {
    /// Directories as they are known by: paths, by inode.
    private typealias Folders = [UInt64: String]

    /// Sessions that make, move and remove files and directories; the last one is killed.
    ///
    /// - Returns: also the super-chunks that were there when the last but one was closed: of those behind
    ///   nothing proves that they were durable, so damage there is an unclean end.
    private func makeHistory(
        _ random: inout SeededGenerator
    ) throws -> (scene: Scene, proven: [Place]) {
        var scene = Scene(backend: MemoryBackend(), kept: MemoryIndexProvider(), state: [:])
        try makeStore(scene.backend, scene.kept)
        var folders: Folders = [1: ""]
        for _ in 0..<2 + random.below(4) {
            let open = try OpenStore(scene.backend, scene.kept)
            try change(open, &scene, &folders, steps: 4 + random.below(12), &random)
            if random.chance(1, in: 2) {
                try open.live.checkpoint()
                try change(open, &scene, &folders, steps: random.below(6), &random)
            }
            try open.live.close()
        }
        let proven = try places(scene.backend).filter { $0.header.kind == .superChunk }
        let open = try OpenStore(scene.backend, scene.kept)
        try change(open, &scene, &folders, steps: random.below(8), &random)
        try open.live.commit()
        let killed = Scene(
            backend: scene.backend.copy(), kept: scene.index, state: scene.state)
        try open.live.close()
        return (killed, proven)
    }

    private func change(
        _ open: OpenStore, _ scene: inout Scene, _ folders: inout Folders, steps: Int,
        _ random: inout SeededGenerator
    ) throws {
        // What nobody has looked up is not known to a volume that was opened anew.
        for path in folders.values.sorted() { _ = try find(path, open) }
        for _ in 0..<steps {
            let parent = folders.keys.sorted()[random.below(folders.count)]
            let name = "\(random.below(1000))"
            let path = (folders[parent] ?? "") + "/" + name
            guard scene.state[path] == nil, !folders.values.contains(path) else { continue }
            switch random.below(8) {
            case 0, 1:
                folders[try open.volume.makeFolder(Array(name.utf8), in: parent).inode] = path
            case 2:
                try move(open, &scene, &folders, to: (parent, name, path), &random)
            case 3:
                guard let old = scene.state.keys.sorted().randomElement(using: &random),
                    let from = folders.first(where: { $0.value == self.parent(of: old) })
                else { continue }
                try open.volume.removeFile(last(of: old), in: from.key)
                scene.state[old] = nil
            case 4:
                guard let old = scene.state.keys.sorted().randomElement(using: &random),
                    let inode = try find(old, open)?.inode
                else { continue }
                _ = try open.volume.addLink(inode, as: Array(name.utf8), in: parent)
                scene.state[path] = scene.state[old]
            default:
                let bytes = random.bytes(1 + random.below(9_000))
                try add(bytes, path, in: parent, open, &scene.state)
            }
            if random.chance(1, in: 3) { try open.live.commit() }
        }
    }

    /// Moves a directory and what is in it.
    private func move(
        _ open: OpenStore, _ scene: inout Scene, _ folders: inout Folders,
        to target: (parent: UInt64, name: String, path: String),
        _ random: inout SeededGenerator
    ) throws {
        let movable = folders.filter {
            $0.key != 1 && !(target.path + "/").hasPrefix($0.value + "/")
        }.sorted { $0.key < $1.key }
        guard let (_, old) = movable.randomElement(using: &random),
            let from = folders.first(where: { $0.value == parent(of: old) })
        else { return }
        try open.volume.move(
            last(of: old), in: from.key, to: Array(target.name.utf8), in: target.parent)
        for (inode, path) in folders where (path + "/").hasPrefix(old + "/") {
            folders[inode] = target.path + path.dropFirst(old.count)
        }
        for (path, bytes) in scene.state where path.hasPrefix(old + "/") {
            scene.state[path] = nil
            scene.state[target.path + path.dropFirst(old.count)] = bytes
        }
    }

    private func parent(of path: String) -> String {
        path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
    }

    private func last(of path: String) -> [UInt8] {
        Array((path.split(separator: "/").last ?? "").utf8)
    }

    // MARK: damage

    /// Flips a byte behind the table of each super-chunk that has a copy of the newest root.
    private func loseNewestRoot(
        _ backend: MemoryBackend, _ random: inout SeededGenerator
    ) throws -> MemoryBackend {
        let root = try XCTUnwrap(
            try Checking.State.open(backend.copy(isReadOnly: true)).volumes.first
        ).rootName
        var damaged = backend
        for place in try places(backend) where place.header.kind == .superChunk {
            let reader = try PackReader(place.pack, in: backend, expecting: nil)
            let prefix = try reader.readPrefix(at: UInt64(place.offset)).prefix
            guard prefix.chunks.contains(where: { $0.name == root }) else { continue }
            let table = RecordHeader.byteCount + prefix.encoded().count
            let at = place.offset + table + random.below(place.byteCount - table)
            damaged = try change(damaged, place.pack) { $0[at] ^= 0x10 }
        }
        return damaged
    }

    func testWhatAnOlderRootGivesIsNotNamed() throws {
        let seed = printedSeed()
        var passedOver = 0
        for round in 0..<UInt64(isLong ? 2000 : 8) {
            var random = SeededGenerator(seed: seed &+ round)
            let context = "ASHLAR_SEED=\(seed &+ round)"
            let (scene, records) = try makeHistory(&random)
            var damaged = try loseNewestRoot(scene.backend, &random)
            // An older root's trees may be damaged, too.
            for _ in 0..<random.below(3) {
                let record = records[random.below(records.count)]
                let at = record.offset + random.below(record.byteCount)
                damaged = try change(damaged, record.pack) { $0[at] ^= 1 }
            }
            XCTAssertEqual(
                unreadable(scene.backend, scene.index, scene.state, context), [], context)
            let told = try named(damaged, scene.state)
            let unread = unreadable(damaged, scene.index, scene.state, context)
            XCTAssertTrue(unread.isSubset(of: told), "\(unread) \(told): \(context)")
            let rebuilt = unreadable(damaged, MemoryIndexProvider(), scene.state, context)
            // Where commits behind it prove that the checkpoint was durable, a mount stops before it,
            // and is read-only until fsck has looked: only a repair reads on.
            if try !stopsBefore(damaged) { XCTAssertEqual(rebuilt, told, context) }
            let report = try StoreCheck.run(damaged.copy(isReadOnly: true))
            if report.problems.contains(where: { $0.kind == .rootPassedOver }) { passedOver += 1 }
            try checkRepair(damaged, scene, losing: told, context)
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        print("\(passedOver) newest roots passed over")
        XCTAssertGreaterThan(passedOver, 0)
    }
}
