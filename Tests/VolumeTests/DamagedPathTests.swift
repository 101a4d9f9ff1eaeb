// The paths that the checker names are those that cannot be read, no more and no fewer: for random
// damage, and for records in each other's place, also of a store that began as a copy of this one.
// Writing the content of one damaged file again heals all that share its chunks.
import Backends
import Checking
import DiskFormat
import FileModel
import Foundation
import Packs
import Pipeline
import Platform
import XCTest

@testable import Volume

final class DamagedPathTests: XCTestCase {
    private typealias State = [String: [UInt8]]

    private struct Scene {
        var backend: MemoryBackend
        var kept: MemoryIndexProvider
        var state: State

        var index: MemoryIndexProvider { kept.crash(keepingBatches: .max) }
    }

    private struct Place {
        var pack: PackID
        var offset: Int
        var header: RecordHeader
        var byteCount: Int { RecordHeader.byteCount + Int(header.storedBytes) }
    }

    // MARK: stores

    /// Files in directories, some of equal content, one with two names; cleanly closed, twice.
    private func makeScene(_ random: inout SeededGenerator) throws -> Scene {
        var scene = Scene(backend: MemoryBackend(), kept: MemoryIndexProvider(), state: [:])
        try makeStore(scene.backend, scene.kept)
        var open = try OpenStore(scene.backend, scene.kept)
        for folder in ["a", "b"] {
            let parent = try open.volume.makeFolder(Array(folder.utf8), in: 1).inode
            for number in 0..<5 {
                let bytes = random.bytes(1 + random.below(30_000))
                try add(bytes, "/\(folder)/\(number)", in: parent, open, &scene.state)
            }
        }
        try open.live.close()
        open = try OpenStore(scene.backend, scene.kept)
        let shared = try XCTUnwrap(scene.state["/a/3"]) + random.bytes(5_000)
        try add(shared, "/longer", in: 1, open, &scene.state)
        try add(try XCTUnwrap(scene.state["/b/1"]), "/equal", in: 1, open, &scene.state)
        let linked = try XCTUnwrap(try find("/a/3", open)).inode
        _ = try open.volume.addLink(linked, as: Array("link".utf8), in: 1)
        scene.state["/link"] = scene.state["/a/3"]
        try open.live.close()
        return scene
    }

    private func add(
        _ bytes: [UInt8], _ path: String, in parent: UInt64, _ open: OpenStore,
        _ state: inout State
    ) throws {
        let name = Array(try XCTUnwrap(path.split(separator: "/").last).utf8)
        let inode = try open.volume.makeFile(name, in: parent).inode
        try open.volume.put(bytes, into: inode)
        if bytes.count % 2 == 0 {
            // Long enough for a chunk of its own.
            try open.volume.setAttribute("user.long", of: inode, to: Array(bytes.prefix(700)))
        }
        state[path] = bytes
    }

    private func find(_ path: String, _ open: OpenStore) throws(FileError) -> FileAttributes? {
        var found: FileAttributes?
        for part in path.split(separator: "/") {
            found = try open.volume.find(Array(part.utf8), in: found?.inode ?? 1)
            if found == nil { return nil }
        }
        return found
    }

    private func places(_ backend: MemoryBackend) throws -> [Place] {
        var places: [Place] = []
        for (name, _) in try backend.list(prefix: "packs/") {
            let id = try XCTUnwrap(PackID(fileName: name))
            let reader = try PackReader(id, in: backend, expecting: nil)
            for entry in try reader.records().entries {
                places.append(
                    Place(
                        pack: id, offset: Int(entry.offset),
                        header: try reader.header(at: entry.offset)))
            }
        }
        return places
    }

    private func change(
        _ backend: MemoryBackend, _ pack: PackID, _ body: (inout [UInt8]) -> Void
    ) throws -> MemoryBackend {
        var bytes = try backend.readWhole(pack.fileName, limitBytes: 1 << 24)
        body(&bytes)
        let copy = backend.copy()
        try copy.writeWhole(pack.fileName, bytes)
        return copy
    }

    // MARK: what is named, and what is read

    /// Files that cannot be read, or of which an attribute cannot; what is read is what was written.
    private func unreadable(_ open: OpenStore, _ state: State, _ context: String) -> Set<String> {
        var unread: Set<String> = []
        for (path, bytes) in state {
            do throws(FileError) {
                guard let found = try find(path, open) else {
                    unread.insert(path)
                    continue
                }
                if bytes.count % 2 == 0, bytes.count > 0 {
                    let value = try open.volume.attribute("user.long", of: found.inode)
                    XCTAssertTrue(value == Array(bytes.prefix(700)), "\(path): \(context)")
                }
                let read = try open.volume.get(found.inode, count: bytes.count + 1)
                XCTAssertTrue(read == bytes, "\(path) is another: \(context)")
            } catch {
                unread.insert(path)
            }
        }
        return unread
    }

    private func unreadable(
        _ backend: MemoryBackend, _ index: MemoryIndexProvider, _ state: State, _ context: String
    ) -> Set<String> {
        guard let open = try? OpenStore(backend.copy(), index) else { return Set(state.keys) }
        defer { try? open.live.close() }
        return unreadable(open, state, context)
    }

    /// Files that the checker calls lost, by their own names or by those of directories above.
    private func named(
        _ backend: MemoryBackend, _ state: State, _ depth: CheckDepth = .deep
    ) throws -> Set<String> {
        let report = try StoreCheck.run(
            backend.copy(isReadOnly: true), options: CheckOptions(depth: depth))
        let paths = Set(
            report.problems.filter { $0.severity == .loss }.flatMap(\.paths).map(\.text))
        var files: Set<String> = []
        for file in state.keys {
            var path = file
            while true {
                if paths.contains(path.isEmpty ? "/" : path) {
                    files.insert(file)
                    break
                }
                guard let slash = path.lastIndex(of: "/") else { break }
                path = String(path[..<slash])
            }
        }
        let known = Set(state.keys).union(["/", "/a", "/b"])
        XCTAssertTrue(paths.isSubset(of: known), "\(paths) names what never was")
        return files
    }

    /// Where the newest root cannot be read, an older one and the commits since make the same state, and
    /// the index is whole; the checker names directories of the newest, whose trees are to be written
    /// anew.
    private func isOfOlderRoot(_ backend: MemoryBackend) throws -> Bool {
        try StoreCheck.run(backend.copy(isReadOnly: true)).problems.contains {
            $0.kind == .logWaits
        }
    }

    // MARK: tests

    func testWhatIsNamedIsWhatCannotBeRead() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let scene = try makeScene(&random)
        let records = try places(scene.backend).filter { $0.header.kind == .superChunk }
        var hit = 0
        for round in 0..<(isLong ? 2000 : 60) {
            var damaged = scene.backend
            // Records of metadata have copies: only some of these rounds hit both.
            for _ in 0..<1 + random.below(4) {
                let record = records[random.below(records.count)]
                let at = record.offset + random.below(record.byteCount)
                let bit = UInt8(1 << random.below(8))
                damaged = try change(damaged, record.pack) { $0[at] ^= bit }
            }
            let context = "round \(round), ASHLAR_SEED=\(seed)"
            let told = try named(damaged, scene.state)
            // With its index a volume finds names that the packs have lost.
            let unread = unreadable(damaged, scene.index, scene.state, context)
            XCTAssertTrue(unread.isSubset(of: told), "\(unread) \(told): \(context)")
            let rebuilt = unreadable(damaged, MemoryIndexProvider(), scene.state, context)
            XCTAssertTrue(rebuilt.isSubset(of: told), "\(rebuilt) \(told): \(context)")
            if try !isOfOlderRoot(damaged) { XCTAssertEqual(rebuilt, told, context) }
            if !told.isEmpty { hit += 1 }
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        XCTAssertGreaterThan(hit, 0)
    }

    /// Each record in the place of each other one of the store into which it fits.
    func testRecordsInEachOthersPlace() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let scene = try makeScene(&random)
        let records = try places(scene.backend)
        var packs: [PackID: [UInt8]] = [:]
        for record in records where packs[record.pack] == nil {
            packs[record.pack] = try scene.backend.readWhole(
                record.pack.fileName, limitBytes: 1 << 24)
        }
        var pairs = 0
        for (number, target) in records.enumerated() {
            for (other, source) in records.enumerated() where other != number {
                guard source.byteCount <= target.byteCount, isLong || random.chance(1, in: 6),
                    let bytes = packs[source.pack]?[
                        source.offset..<source.offset + source.byteCount]
                else { continue }
                let damaged = try change(scene.backend, target.pack) {
                    $0.replaceSubrange(
                        target.offset..<target.offset + source.byteCount, with: bytes)
                }
                try check(damaged, scene, target, "\(source) in \(target), ASHLAR_SEED=\(seed)")
                pairs += 1
                if (testRun?.totalFailureCount ?? 0) > 0 { return }
            }
        }
        print("\(pairs) pairs")
        XCTAssertGreaterThan(pairs, 5)
    }

    /// Records of a store that was a copy of this one, and was written to differently since: headers,
    /// checksums and places are all as they should be, only it is another's content.
    func testRecordsOfADivergedCopy() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        var scene = try makeScene(&random)
        var other = Scene(
            backend: scene.backend.copy(), kept: scene.index, state: scene.state)
        for number in 0..<6 {
            let count = 3_000 + 2 * random.below(8_000)
            for isOther in [false, true] {
                let bytes = random.bytes(count)
                let open = try OpenStore(
                    isOther ? other.backend : scene.backend, isOther ? other.kept : scene.kept)
                var state = isOther ? other.state : scene.state
                try add(bytes, "/late-\(number)", in: 1, open, &state)
                if isOther { other.state = state } else { scene.state = state }
                try open.live.close()
            }
        }
        let theirs = try places(other.backend)
        var swapped = 0
        for target in try places(scene.backend) {
            let source = theirs.first {
                $0.pack == target.pack && $0.offset == target.offset
                    && $0.byteCount == target.byteCount && $0.header != target.header
            }
            guard let source else { continue }
            let bytes = try other.backend.readWhole(source.pack.fileName, limitBytes: 1 << 24)
            let damaged = try change(scene.backend, target.pack) {
                $0.replaceSubrange(
                    target.offset..<target.offset + target.byteCount,
                    with: bytes[source.offset..<source.offset + source.byteCount])
            }
            try check(damaged, scene, target, "\(target) of the other, ASHLAR_SEED=\(seed)")
            swapped += 1
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        print("\(swapped) records swapped")
        XCTAssertGreaterThan(swapped, 4)
    }

    private func check(
        _ damaged: MemoryBackend, _ scene: Scene, _ target: Place, _ context: String
    ) throws {
        let told = try named(damaged, scene.state)
        let unread = unreadable(damaged, scene.index, scene.state, context)
        let rebuilt = unreadable(damaged, MemoryIndexProvider(), scene.state, context)
        guard target.header.kind == .superChunk else {
            // What a bad commit takes away is no path's loss: the store is refused for writing, or an
            // older state is there, and the checker has told.
            if !unread.isEmpty || !rebuilt.isEmpty {
                let report = try StoreCheck.run(damaged.copy(isReadOnly: true))
                XCTAssertTrue(report.problems.contains { $0.severity > .information }, context)
            }
            return
        }
        XCTAssertTrue(unread.union(rebuilt).isSubset(of: told), "\(unread) \(told): \(context)")
        if try !isOfOlderRoot(damaged) { XCTAssertEqual(rebuilt, told, context) }
    }

    func testRewritingOneFileHealsAllThatShareItsChunks() throws {
        let seed = printedSeed()
        var random = SeededGenerator(seed: seed)
        let scene = try makeScene(&random)
        let records = try places(scene.backend).filter {
            $0.header.kind == .superChunk && !$0.header.flags.contains(.metadata)
        }
        var healed = 0
        for round in 0..<(isLong ? 200 : 12) {
            let record = records[random.below(records.count)]
            let at = record.offset + record.byteCount - 1 - random.below(200)
            let damaged = try change(scene.backend, record.pack) { $0[at] ^= 4 }
            let context = "round \(round), ASHLAR_SEED=\(seed)"
            let told = try named(damaged, scene.state)
            let index = scene.index
            let open = try OpenStore(damaged, index)
            let lost = unreadable(open, scene.state, context)
            XCTAssertEqual(lost, told, context)
            for path in lost.sorted() {
                // What an earlier one has healed need not be written.
                guard unreadable(open, scene.state, context).contains(path) else {
                    healed += 1
                    continue
                }
                let bytes = try XCTUnwrap(scene.state[path])
                let inode = try XCTUnwrap(try find(path, open)).inode
                if bytes.count % 2 == 0 {
                    // Attributes that cannot be read cannot be changed: another file's heal them.
                    let helper = try open.volume.makeFile(Array("helper".utf8), in: 1).inode
                    try open.volume.setAttribute(
                        "user.long", of: helper, to: Array(bytes.prefix(700)))
                    try open.live.commit()
                    try open.volume.removeFile(Array("helper".utf8), in: 1)
                }
                try open.volume.put(bytes, into: inode)
                try open.live.commit()
            }
            XCTAssertEqual(unreadable(open, scene.state, context), [], context)
            try open.live.close()
            XCTAssertEqual(try named(damaged, scene.state), [], context)
            XCTAssertEqual(
                unreadable(damaged, MemoryIndexProvider(), scene.state, context), [], context)
            if (testRun?.totalFailureCount ?? 0) > 0 { return }
        }
        print("\(healed) files healed by others")
        XCTAssertGreaterThan(healed, 0)
    }
}
