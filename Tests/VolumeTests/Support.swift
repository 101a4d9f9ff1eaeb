// What the tests of the volume share: small stores in memory, and names as bytes.
import Backends
import DiskFormat
import FileModel
import Foundation
import Metadata
import Platform
import XCTest

@testable import Checking
@testable import Pipeline
@testable import Volume

let secret = StoreSecret(high: 3, low: 4)

/// The seed of a randomised test: ASHLAR_SEED, or a random one; printed.
func printedSeed(_ test: String = #function) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap(UInt64.init)
    let seed = given ?? UInt64.random(in: 0 ... .max)
    print("\(test): ASHLAR_SEED=\(seed)")
    return seed
}

/// Whether the long versions of the tests are wanted.
var isLong: Bool { ProcessInfo.processInfo.environment["ASHLAR_LONG"] == "1" }

/// A store of the smallest sizes that the format allows, so that little data makes many chunks,
/// super-chunks and packs.
func smallParameters(copies: UInt8 = 2) -> StoreParameters {
    StoreParameters(
        storeID: UniqueID(random: (1, 2)), secret: secret, chunker: .gear(meanBytes: 4096),
        superChunkBytes: 64 << 10, packBytes: 1 << 20, metadataCopies: copies)
}

func smallOptions() -> VolumeOptions {
    var options = VolumeOptions()
    options.behaviour.accessTimes = .never
    options.dirtyBytesMax = 256 << 10
    options.piecedFileBytesMin = 24 << 10
    options.largeFileBytesMin = 48 << 10
    options.piecesKept = 14
    options.piecesFoldedAtOnce = 4
    options.piecesMax = 40
    options.piecesQuietNanoseconds = 0
    options.nodesMax = 40
    return options
}

/// No commits but those that are asked for.
func quietTiming() -> LiveStore.Timing {
    var timing = LiveStore.Timing()
    timing.commitSeconds = 86_400
    return timing
}

func makeStore(
    _ backend: any Backend, _ index: any IndexProvider,
    parameters: StoreParameters = smallParameters()
) throws {
    let root = InodeImage(inode: 1, generation: 1, mode: 0o040755, linkCount: 2)
    try ChunkStore.create(
        in: backend, index: index, parameters: parameters,
        volumes: [NewVolume(name: "main", volumeID: UniqueID(random: (7, 8)), root: root)])
}

/// A store in use, with its only volume.
struct OpenStore {
    let live: LiveStore
    let volume: Volume
    var store: ChunkStore { live.store }

    init(
        _ backend: any Backend, _ index: any IndexProvider,
        options: VolumeOptions = smallOptions(), timing: LiveStore.Timing = quietTiming(),
        onEvent: @escaping @Sendable (StoreEvent) -> Void = { _ in }
    ) throws {
        var storeOptions = StoreOptions()
        storeOptions.memoryBytes = 16 << 20
        storeOptions.workerCount = 2
        storeOptions.onEvent = onEvent
        let store = try ChunkStore.open(backend, index: index, options: storeOptions)
        live = try LiveStore(store, options: options, timing: timing)
        volume = try XCTUnwrap(live.volume(named: "main"))
    }

    /// The same store, after a volume became another object.
    init(_ live: LiveStore, volume name: String = "main") throws {
        self.live = live
        volume = try XCTUnwrap(live.volume(named: name))
    }

    /// The sequence of the newest commit.
    var sequence: UInt64 { store.published.withLock { $0.state.sequence } }
}

/// What the independent checker complains of, beyond what is normal after crashes.
func complaints(
    _ backend: MemoryBackend, _ index: MemoryIndexProvider, depth: CheckDepth = .deep
) throws -> [String] {
    var compared: IndexToCheck?
    if let store = index.crash(keepingBatches: .max).current { compared = IndexToCheck(store) }
    let report = try StoreCheck.run(
        backend.copy(isReadOnly: true), options: CheckOptions(depth: depth), index: compared)
    return report.problems.filter { $0.severity > .information }.map {
        "\($0.kind) \($0.place) \($0.detail) \($0.paths.map(\.text))"
    }
}

let someone = Caller(user: 1000, group: 100, process: 1, umask: 0o022)

/// `FilesystemOperations` with names and bytes as arrays.
extension Volume {
    func find(_ name: [UInt8], in parent: UInt64) throws(FileError) -> FileAttributes? {
        try raw(name) { (name) throws(FileError) in try lookup(name, in: parent) }
    }

    func makeFile(
        _ name: [UInt8], in parent: UInt64, mode: UInt32 = 0o100644, caller: Caller = someone
    ) throws(FileError) -> FileAttributes {
        try raw(name) { (name) throws(FileError) in
            try makeNode(
                name, in: parent, mode: mode, deviceMajor: 0, deviceMinor: 0, caller: caller)
        }
    }

    func makeFolder(
        _ name: [UInt8], in parent: UInt64, mode: UInt32 = 0o755, caller: Caller = someone
    ) throws(FileError) -> FileAttributes {
        try raw(name) { (name) throws(FileError) in
            try makeDirectory(name, in: parent, mode: mode, caller: caller)
        }
    }

    func makeSymlink(
        _ name: [UInt8], in parent: UInt64, to target: [UInt8]
    ) throws(FileError) -> FileAttributes {
        try raw(name) { (name) throws(FileError) in
            try raw(target) { (target) throws(FileError) in
                try makeSymbolicLink(name, in: parent, target: target, caller: someone)
            }
        }
    }

    func addLink(
        _ inode: UInt64, as name: [UInt8], in parent: UInt64
    ) throws(FileError) -> FileAttributes {
        try raw(name) { (name) throws(FileError) in try link(inode, to: name, in: parent) }
    }

    func removeFile(_ name: [UInt8], in parent: UInt64) throws(FileError) {
        try raw(name) { (name) throws(FileError) in try unlink(name, in: parent) }
    }

    func removeFolder(_ name: [UInt8], in parent: UInt64) throws(FileError) {
        try raw(name) { (name) throws(FileError) in try removeDirectory(name, in: parent) }
    }

    func move(
        _ name: [UInt8], in parent: UInt64, to newName: [UInt8], in newParent: UInt64,
        flags: RenameFlags = []
    ) throws(FileError) {
        try raw(name) { (name) throws(FileError) in
            try raw(newName) { (newName) throws(FileError) in
                try rename(
                    name, in: parent, to: newName, in: newParent, flags: flags, caller: someone)
            }
        }
    }

    func put(_ bytes: [UInt8], into inode: UInt64, at offset: UInt64 = 0) throws(FileError) {
        try raw(bytes) { (bytes) throws(FileError) in
            try write(inode, at: offset, bytes, dropsPrivilegeBits: false)
        }
    }

    func get(_ inode: UInt64, at offset: UInt64 = 0, count: Int) throws(FileError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0xa5, count: count)
        let result = buffer.withUnsafeMutableBytes { bytes -> Result<Int, FileError> in
            Result { () throws(FileError) in try read(inode, at: offset, into: bytes) }
        }
        return Array(buffer.prefix(try result.get()))
    }

    func attribute(_ name: String, of inode: UInt64) throws(FileError) -> [UInt8] {
        try raw(Array(name.utf8)) { (name) throws(FileError) in
            try extendedAttribute(name, of: inode)
        }
    }

    func setAttribute(
        _ name: String, of inode: UInt64, to value: [UInt8],
        _ mode: AttributeWrite = .createOrReplace
    ) throws(FileError) {
        try raw(Array(name.utf8)) { (name) throws(FileError) in
            try raw(value) { (value) throws(FileError) in
                try setExtendedAttribute(name, of: inode, to: value, mode, clearsSetGroup: false)
            }
        }
    }

    func removeAttribute(_ name: String, of inode: UInt64) throws(FileError) {
        try raw(Array(name.utf8)) { (name) throws(FileError) in
            try removeExtendedAttribute(name, of: inode)
        }
    }

    /// Lets go of every node that the kernel does not know and that is clean.
    func evict() {
        namespace.withLock { $0.forgetIdle(downTo: 0) }
    }
}

private func raw<Output>(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(FileError) -> Output
) throws(FileError) -> Output {
    try bytes.withUnsafeBufferPointer { (buffer) throws(FileError) in
        try body(UnsafeRawBufferPointer(buffer))
    }
}

extension SeededGenerator {
    mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self) }

    mutating func chance(_ one: Int, in all: Int) -> Bool { below(all) < one }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var words: [UInt64] = []
        words.reserveCapacity(count / 8 + 1)
        for _ in 0..<(count + 7) / 8 { words.append(next()) }
        return words.withUnsafeBytes { [UInt8]($0.prefix(count)) }
    }
}
