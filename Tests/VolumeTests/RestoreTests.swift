// Restoring from stores in memory: whatever the destination has become, it is put right.
import Backends
import DiskFormat
import FileModel
import Foundation
import Platform
import Restoring
import XCTest

@testable import Checking
@testable import Pipeline
@testable import Volume

final class RestoreTests: XCTestCase {
    private var folder = ""

    override func setUpWithError() throws {
        folder = NSTemporaryDirectory() + "ashlar-restore-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false)
    }

    override func tearDownWithError() throws {
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// A tree of which each file's content is known.
    private func makeTree(
        _ open: OpenStore, _ random: inout SeededGenerator
    ) throws -> [String: [UInt8]] {
        var contents: [String: [UInt8]] = [:]
        var folders: [(path: String, inode: UInt64)] = [("", 1)]
        for number in 0..<12 {
            let parent = folders[random.below(folders.count)]
            let name = "d\(number)"
            let made = try open.volume.makeFolder(
                Array(name.utf8), in: parent.inode, mode: 0o700 | UInt32(random.below(64)))
            folders.append((parent.path + "/" + name, made.inode))
        }
        for number in 0..<60 {
            let parent = folders[random.below(folders.count)]
            let name = "f\(number)"
            let made = try open.volume.makeFile(
                Array(name.utf8), in: parent.inode, mode: 0o100600 | UInt32(random.below(64)))
            var bytes = random.bytes(random.below(30_000))
            if random.chance(1, in: 3) { bytes += [UInt8](repeating: 0, count: 50_000) }
            if !bytes.isEmpty { try open.volume.put(bytes, into: made.inode) }
            contents[parent.path + "/" + name] = bytes
            if random.chance(1, in: 5) {
                let other = folders[random.below(folders.count)]
                _ = try open.volume.addLink(
                    made.inode, as: Array("l\(number)".utf8), in: other.inode)
                contents[other.path + "/l\(number)"] = bytes
            }
            if random.chance(1, in: 5) {
                try open.volume.setAttribute(
                    "user.number", of: made.inode, to: Array("\(number)".utf8))
            }
        }
        return contents
    }

    private func restore(
        _ view: VolumeState, _ change: (inout RestoreOptions) -> Void = { _ in }
    ) throws -> RestoreSummary {
        var options = RestoreOptions()
        options.isPrivileged = geteuid() == 0
        change(&options)
        let restorer = try Restorer(view, into: folder, options: options)
        try restorer.restore(view.directory, as: nil)
        try restorer.finish()
        return restorer.summary
    }

    private func found() throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        let walk = try XCTUnwrap(FileManager.default.enumerator(atPath: folder))
        while let path = walk.nextObject() as? String {
            var status = stat()
            guard lstat(folder + "/" + path, &status) == 0, status.st_mode & S_IFMT == S_IFREG
            else { continue }
            result["/" + path] = Array(
                try Data(contentsOf: URL(fileURLWithPath: folder + "/" + path)))
        }
        return result
    }

    func testWhateverWasDoneToItIsUndone() throws {
        var random = SeededGenerator(seed: printedSeed())
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let contents = try makeTree(open, &random)
        _ = try open.live.createSnapshot(SnapshotDraft(name: "s"), of: "main")
        // What comes later is not in it.
        _ = try open.volume.makeFile(Array("later".utf8), in: 1)
        try open.live.close()
        let state = try State.open(backend.copy(isReadOnly: true))
        let main = try XCTUnwrap(state.volume(named: "main"))
        let view = try VolumeState(
            try XCTUnwrap(state.snapshot(named: "s", of: main.id)), in: state)
        var expected = try restore(view)
        XCTAssertEqual(expected.failureCount, 0)
        XCTAssertEqual(try found(), contents)
        let names = RestoreOutcome.allCases.reduce(0) { $0 + expected[$1] }
        for _ in 0..<6 {
            var touched = 0
            for path in contents.keys.sorted() where random.chance(1, in: 4) {
                let full = folder + path
                switch random.below(5) {
                case 0: unlink(full)
                case 1: chmod(full, 0o421)
                case 2: try Data(random.bytes(40)).write(to: URL(fileURLWithPath: full))
                case 3:
                    unlink(full)
                    symlink("/dev/null", full)
                default: try Data([1]).write(to: URL(fileURLWithPath: full + ".more"))
                }
                touched += 1
            }
            let before = try found()
            let dry = try restore(view) {
                $0.isDryRun = true
                $0.deletes = true
            }
            XCTAssertEqual(try found(), before, "a dry run does nothing")
            expected = try restore(view) {
                $0.deletes = true
                $0.verifies = random.chance(1, in: 2)
            }
            XCTAssertEqual(expected.failureCount, 0)
            XCTAssertEqual(try found(), contents)
            XCTAssertEqual(dry[.deleted], expected[.deleted])
            let after = try restore(view)
            XCTAssertEqual(after[.same], names, "\(touched) touched: \(after.outcomes)")
        }
    }

    /// Asked to end at a random step, it leaves whole files, and the next run does the rest.
    func testEndedAnywhere() throws {
        var random = SeededGenerator(seed: printedSeed())
        let backend = MemoryBackend()
        let index = MemoryIndexProvider()
        try makeStore(backend, index)
        let open = try OpenStore(backend, index)
        let contents = try makeTree(open, &random)
        try open.live.close()
        let state = try State.open(backend.copy(isReadOnly: true))
        let view = try XCTUnwrap(state.volume(named: "main"))
        for _ in 0..<10 {
            var left = random.below(120)
            var options = RestoreOptions()
            options.isPrivileged = geteuid() == 0
            let restorer = try Restorer(
                view, into: folder, options: options,
                isCancelled: {
                    left -= 1
                    return left < 0
                })
            do {
                try restorer.restore(view.directory, as: nil)
                try restorer.finish()
            } catch RestoreError.cancelled {}
            for (path, bytes) in try found() { XCTAssertEqual(bytes, contents[path], path) }
        }
        _ = try restore(view)
        XCTAssertEqual(try found(), contents)
    }
}
