import Backends
import Checking
import DiskFormat
import FileModel
import Foundation
import Metadata
import Pipeline
import Platform
import Repair
import Trees
import Volume
import XCTest

/// Repeats itself from ASHLAR_SEED, or from a random seed that it prints.
func seeded(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap(UInt64.init)
    let seed = given ?? UInt64.random(in: 0 ... .max)
    print("\(test): ASHLAR_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

/// A file as it was or is found: nil bytes where it cannot be read.
struct FoundFile: Equatable {
    var mode: UInt32
    var links: UInt32
    var bytes: [UInt8]?
}

/// A store whose volume `main` is used through `Volume`.
final class TestStore {
    let backend: any Backend
    let index: any IndexProvider

    /// The smallest sizes that the format allows, so that there are many packs and super-chunks.
    static func parameters(copies: UInt8) -> StoreParameters {
        StoreParameters(
            storeID: UniqueID(random: (1, 2)), secret: StoreSecret(high: 3, low: 4),
            superChunkBytes: 64 << 10, packBytes: 1 << 20, metadataCopies: copies)
    }

    init(
        _ backend: any Backend = MemoryBackend(),
        _ index: any IndexProvider = MemoryIndexProvider(), copies: UInt8 = 2
    ) throws {
        self.backend = backend
        self.index = index
        let root = InodeImage(
            inode: 1, generation: 1, mode: 0o040755, linkCount: 2, modificationTime: .zero,
            changeTime: .zero, accessTime: .zero, birthTime: .zero)
        try ChunkStore.create(
            in: backend, index: index, parameters: TestStore.parameters(copies: copies),
            volumes: [NewVolume(name: "main", volumeID: UniqueID(random: (7, 8)), root: root)])
    }

    init(opening backend: any Backend, _ index: any IndexProvider) {
        self.backend = backend
        self.index = index
    }

    /// Another store that is equal now.
    func copy() throws -> TestStore {
        let memory = try XCTUnwrap(backend as? MemoryBackend)
        let provider = try XCTUnwrap(index as? MemoryIndexProvider)
        return TestStore(opening: memory.copy(), provider.crash(keepingBatches: .max))
    }

    var target: StoreToRepair { StoreToRepair(backend: backend, index: index) }

    static var options: StoreOptions {
        var options = StoreOptions()
        options.memoryBytes = 32 << 20
        options.workerCount = 1
        return options
    }

    /// Opens the volume, and closes it when `body` is done.
    ///
    /// - Parameter isCut: the process is killed instead: what was committed is there, no
    ///   checkpoint.
    func use(isCut: Bool = false, _ body: (Volume) throws -> Void) throws {
        let store = try ChunkStore.open(backend, index: index, options: TestStore.options)
        XCTAssertNil(store.failure)
        var timing = LiveStore.Timing()
        timing.commitSeconds = 3600
        let live = try LiveStore(store, options: VolumeOptions(), timing: timing)
        do {
            try body(try XCTUnwrap(live.volume(named: "main")))
        } catch {
            try? live.close()
            throw error
        }
        if isCut {
            try live.commit()
            // The store is closed below the volumes: they cannot make their checkpoint any more.
            try store.close()
            try? live.close()
        } else {
            try live.close()
        }
    }

    /// Everything in the volume, through `Volume`: by path.
    func files() throws -> [String: FoundFile] {
        var options = TestStore.options
        options.isReadOnly = true
        let store = try ChunkStore.open(backend, index: index, options: options)
        let live = try LiveStore(store, options: VolumeOptions())
        defer { try? live.close() }
        return try XCTUnwrap(live.volume(named: "main")).allFiles()
    }

    /// Checks with the independent reader.
    func check(_ depth: CheckDepth = .deep) throws -> CheckReport {
        let glance = try index.glance(memoryBytes: 4 << 20)
        defer { try? glance?.store.close(flushing: false) }
        return try StoreCheck.run(
            backend, options: CheckOptions(depth: depth),
            index: glance.map { IndexToCheck($0.store, lastCommit: $0.lastCommit) })
    }

    var packBytes: UInt64 {
        ((try? backend.list(prefix: "packs/")) ?? []).reduce(0) { $0 + $1.size }
    }
}

extension Volume {
    static let root = Caller(user: 0, group: 0)

    private func raw<Result>(
        _ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try Array(name.utf8).withUnsafeBytes { try body($0) }
    }

    func inode(_ path: String) throws -> UInt64 {
        var inode: UInt64 = 1
        for part in path.split(separator: "/") {
            inode = try raw(String(part)) { name in
                try XCTUnwrap(try self.lookup(name, in: inode), path).inode
            }
        }
        return inode
    }

    private func split(_ path: String) throws -> (parent: UInt64, name: String) {
        let parts = path.split(separator: "/")
        return (
            try inode(parts.dropLast().joined(separator: "/")), String(parts[parts.count - 1])
        )
    }

    @discardableResult
    func mkdir(_ path: String) throws -> UInt64 {
        let (parent, name) = try split(path)
        return try raw(name) {
            try makeDirectory($0, in: parent, mode: 0o755, caller: Volume.root).inode
        }
    }

    @discardableResult
    func put(_ path: String, _ bytes: [UInt8]) throws -> UInt64 {
        let (parent, name) = try split(path)
        let inode = try raw(name) {
            try makeNode(
                $0, in: parent, mode: 0o100644, deviceMajor: 0, deviceMinor: 0,
                caller: Volume.root
            ).inode
        }
        try overwrite(inode, at: 0, bytes)
        return inode
    }

    func overwrite(_ inode: UInt64, at offset: UInt64, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes {
            try write(inode, at: offset, $0, dropsPrivilegeBits: false)
        }
    }

    func remove(_ path: String) throws {
        let (parent, name) = try split(path)
        let inode = try inode(path)
        try raw(name) { try unlink($0, in: parent) }
        forget(inode, count: 1000)
    }

    func hardLink(_ path: String, to other: String) throws {
        let (parent, name) = try split(other)
        let inode = try inode(path)
        _ = try raw(name) { try link(inode, to: $0, in: parent) }
    }

    func contents(_ inode: UInt64) throws -> [UInt8] {
        let size = Int(try attributes(of: inode).size)
        var bytes = [UInt8](repeating: 0, count: size)
        let count = try bytes.withUnsafeMutableBytes { try read(inode, at: 0, into: $0) }
        XCTAssertEqual(count, size)
        return bytes
    }

    func allFiles() throws -> [String: FoundFile] {
        var result: [String: FoundFile] = [:]
        var pending: [(inode: UInt64, path: String)] = [(1, "")]
        while let (inode, path) = pending.popLast() {
            var names: [(String, UInt64, FileModel.FileKind)] = []
            try readDirectory(inode, after: 0, withAttributes: false) { name, inode, kind, _, _ in
                let text = String(decoding: name, as: UTF8.self)
                if text != ".", text != ".." { names.append((text, inode, kind)) }
                return true
            }
            for (name, child, kind) in names {
                let at = path + "/" + name
                _ = try self.inode(at)
                let attributes = try attributes(of: child)
                var found = FoundFile(
                    mode: attributes.mode, links: attributes.linkCount, bytes: [])
                if kind == .regular { found.bytes = try? contents(child) }
                if kind == .directory {
                    found.links = 0
                    pending.append((child, at))
                }
                result[at] = found
            }
        }
        return result
    }
}

/// That everything that could be read before can be read now and is the same.
func assertNothingLost(
    _ before: [String: FoundFile], _ after: [String: FoundFile], except lost: Set<String> = [],
    file: StaticString = #filePath, line: UInt = #line
) {
    for (path, old) in before where !lost.contains(path) {
        guard let new = after[path] else {
            XCTFail("\(path) is gone", file: file, line: line)
            continue
        }
        if old.bytes != nil { XCTAssertTrue(old == new, path, file: file, line: line) }
    }
}

extension CheckReport {
    /// What is worth a complaint, as text.
    var complaints: String {
        problems.filter { $0.severity > .information }
            .map { "\($0.severity) \($0.kind) \($0.place): \($0.detail) \($0.paths.map(\.text))" }
            .joined(separator: "\n")
    }
}

func assertClean(
    _ report: CheckReport, file: StaticString = #filePath, line: UInt = #line
) {
    XCTAssertEqual(report.complaints, "", file: file, line: line)
}
