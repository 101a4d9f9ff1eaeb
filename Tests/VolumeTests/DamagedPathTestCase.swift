// What tests of damage share: stores whose files are known, what the checker names, what can be read.
import Backends
import Checking
import DiskFormat
import FileModel
import Packs
import Pipeline
import Platform
import Repair
import XCTest

@testable import Volume

class DamagedPathTestCase: XCTestCase {
    typealias State = [String: [UInt8]]

    struct Scene {
        var backend: MemoryBackend
        var kept: MemoryIndexProvider
        var state: State

        var index: MemoryIndexProvider { kept.crash(keepingBatches: .max) }
    }

    struct Place {
        var pack: PackID
        var offset: Int
        var header: RecordHeader
        var byteCount: Int { RecordHeader.byteCount + Int(header.storedBytes) }
    }

    // MARK: stores

    /// Files in directories, some of equal content, one with two names; cleanly closed, twice.
    func makeScene(_ random: inout SeededGenerator) throws -> Scene {
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

    func add(
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

    func find(_ path: String, _ open: OpenStore) throws(FileError) -> FileAttributes? {
        var found: FileAttributes?
        for part in path.split(separator: "/") {
            found = try open.volume.find(Array(part.utf8), in: found?.inode ?? 1)
            if found == nil { return nil }
        }
        return found
    }

    func places(_ backend: MemoryBackend) throws -> [Place] {
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

    func change(
        _ backend: MemoryBackend, _ pack: PackID, _ body: (inout [UInt8]) -> Void
    ) throws -> MemoryBackend {
        var bytes = try backend.readWhole(pack.fileName, limitBytes: 1 << 24)
        body(&bytes)
        let copy = backend.copy()
        try copy.writeWhole(pack.fileName, bytes)
        return copy
    }

    /// One bit flipped in each of some records; records of metadata have copies: only some of these hit both.
    func damage(
        _ backend: MemoryBackend, _ records: [Place], _ random: inout SeededGenerator
    ) throws -> MemoryBackend {
        var damaged = backend
        for _ in 0..<1 + random.below(4) {
            let record = records[random.below(records.count)]
            let at = record.offset + random.below(record.byteCount)
            let bit = UInt8(1 << random.below(8))
            damaged = try change(damaged, record.pack) { $0[at] ^= bit }
        }
        return damaged
    }

    // MARK: what is named, and what is read

    /// Files that cannot be read, or of which an attribute cannot; what is read is what was written.
    func unreadable(_ open: OpenStore, _ state: State, _ context: String) -> Set<String> {
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

    func unreadable(
        _ backend: MemoryBackend, _ index: MemoryIndexProvider, _ state: State, _ context: String
    ) -> Set<String> {
        // Only to be read: closing a volume that cannot have a checkpoint any more waits for it.
        var options = smallOptions()
        options.isReadOnly = true
        guard let open = try? OpenStore(backend.copy(), index, options: options) else {
            return Set(state.keys)
        }
        defer { try? open.live.close() }
        return unreadable(open, state, context)
    }

    /// Files that the checker calls lost, by their own names or by those of directories above.
    func named(
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
        // The table of linked inodes has no path: names of its inodes are told beside it.
        var known = Set(state.keys).union(["<linked inodes>"])
        for file in state.keys {
            let parts = file.split(separator: "/").dropLast()
            for count in 0...parts.count {
                known.insert("/" + parts.prefix(count).joined(separator: "/"))
            }
        }
        XCTAssertTrue(paths.isSubset(of: known), "\(paths) names what never was")
        return files
    }

    /// Whether the log of a volume that is read without its index ends before damage, though commits
    /// behind it prove that what is damaged was durable: such a mount is read-only until fsck has
    /// looked, and only a repair reads on.
    func stopsBefore(_ damaged: MemoryBackend) throws -> Bool {
        var options = smallOptions()
        options.isReadOnly = true
        // Where nothing can be opened, nothing is said to be readable.
        guard let open = try? OpenStore(damaged.copy(), MemoryIndexProvider(), options: options)
        else { return false }
        defer { try? open.live.close() }
        let state = try Checking.State.open(damaged.copy(isReadOnly: true))
        return open.sequence < state.log.newest?.sequence ?? 0
    }

    /// A repair loses what was told, without the index, and no more with it, and leaves no complaint.
    func checkRepair(
        _ damaged: MemoryBackend, _ scene: Scene, losing told: Set<String>, _ context: String
    ) throws {
        for (isRebuilt, index) in [(false, scene.index), (true, MemoryIndexProvider())] {
            let target = StoreToRepair(backend: damaged.copy(), index: index)
            guard let backend = target.backend as? MemoryBackend else { return }
            do {
                _ = try StoreRepair.repair(target)
            } catch {
                return XCTFail("\(error): \(context)")
            }
            XCTAssertEqual(try complaints(backend, index), [], context)
            let left = unreadable(backend, index, scene.state, context)
            XCTAssertTrue(left.isSubset(of: told), "\(left) \(told): \(context)")
            if isRebuilt { XCTAssertEqual(left, told, context) }
        }
    }
}
