// What the tests of streams share: directories with files of every kind, and small stores.
import Backends
import CLinux
import DiskFormat
import Foundation
import Platform
import XCTest

@testable import Checking
@testable import Pipeline
@testable import Streams
@testable import Volume

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), begun with ASHLAR_SEED or a random seed, which it
/// prints.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ test: String = #function) {
        let given = ProcessInfo.processInfo.environment["ASHLAR_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 0...UInt64.max)
        print("\(test): ASHLAR_SEED=\(state)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) }
        }
        return Array(bytes.prefix(count))
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

/// A test with a directory of its own, which is gone afterwards.
class StreamsTestCase: XCTestCase {
    private(set) var folder = ""

    override func setUpWithError() throws {
        folder = NSTemporaryDirectory() + "ashlar-streams-\(UUID().uuidString)"
        XCTAssertEqual(mkdir(folder, 0o755), 0)
    }

    override func tearDown() {
        // FileManager cannot remove names that are not UTF-8.
        let remover = Process()
        remover.executableURL = URL(fileURLWithPath: "/bin/rm")
        remover.arguments = ["-rf", folder]
        XCTAssertNoThrow(try remover.run())
        remover.waitUntilExit()
        XCTAssertNotEqual(access(folder, F_OK), 0)
    }

    func path(_ name: String) -> String { folder + "/" + name }

    func makeSource(_ name: String) throws -> SourceFolder {
        XCTAssertEqual(mkdir(path(name), 0o755), 0)
        return try SourceFolder(path(name))
    }
}

/// A directory to be scanned, changed under names of any bytes.
struct SourceFolder {
    let path: String
    let directory: OpenDirectory

    init(_ path: String) throws {
        self.path = path
        directory = try OpenDirectory(path: path)
    }

    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// The open directory of a path's last part, and that part.
    private func place(_ path: [UInt8]) throws -> (OpenDirectory, [UInt8]) {
        var parts = path.split(separator: UInt8(ascii: "/")).map(Array.init)
        let last = parts.removeLast()
        var next = directory
        for part in parts { next = try next.directory(part) }
        return (next, last)
    }

    func makeFolder(_ name: String) throws {
        let (directory, last) = try place(Self.bytes(name))
        try directory.makeDirectory(last, mode: 0o755)
    }

    func write(_ name: [UInt8], _ content: [UInt8], at offset: Int = 0) throws {
        let (directory, last) = try place(name)
        let file: Descriptor
        if (try? directory.facts(last)) == nil {
            file = try directory.createFile(last, mode: 0o644)
        } else {
            let path =
                "/proc/self/fd/\(directory.descriptor.number)/"
                + String(decoding: last, as: UTF8.self)
            file = Descriptor(number: open(path, O_RDWR | O_CLOEXEC))
        }
        defer { close(file.number) }
        var done = 0
        while done < content.count {
            let count = content[done...].withUnsafeBytes {
                pwrite(file.number, $0.baseAddress, $0.count, off_t(offset + done))
            }
            guard count > 0 else { throw Errno(rawValue: errno) }
            done += count
        }
    }

    func write(_ name: String, _ content: [UInt8], at offset: Int = 0) throws {
        try write(Self.bytes(name), content, at: offset)
    }

    func truncate(_ name: String, to size: Int) throws {
        if Glibc.truncate(path + "/" + name, off_t(size)) != 0 { throw Errno(rawValue: errno) }
    }

    func setModified(_ name: String, _ time: FileFacts.Time) throws {
        let (directory, last) = try place(Self.bytes(name))
        try directory.setModified(last, time)
    }

    func facts(_ name: String) throws -> FileFacts {
        let (directory, last) = try place(Self.bytes(name))
        return try directory.facts(last)
    }

    /// Files of every kind, names of any bytes.
    func fillWithEveryKind(_ random: inout SeededGenerator) throws {
        try makeFolder("folder")
        try makeFolder("folder/inner")
        try makeFolder("empty folder")
        try write("empty", [])
        try write("small", random.bytes(100))
        try write("folder/medium", random.bytes(70_000))
        try write("folder/inner/deep", random.bytes(5000))
        try write("with:colon", [1])
        try write("new\nline", [2])
        try write([0x62, 0xff, 0xfe, 0x80], [3])
        try directory.makeLink(Self.bytes("dangling"), to: Self.bytes("nowhere/at all"))
        try directory.makeLink(Self.bytes("to folder"), to: Self.bytes("folder"))
        try directory.makeNode(Self.bytes("fifo"), mode: 0o010640, device: (0, 0))
        try directory.makeNode(Self.bytes("socket"), mode: 0o140600, device: (0, 0))
        if geteuid() == 0 {
            try directory.makeNode(Self.bytes("device"), mode: 0o020600, device: (1, 3))
            try directory.setOwner(Self.bytes("small"), owner: 1234, group: 5678)
        }
        try directory.directory(Self.bytes("folder")).makeHardLink(
            Self.bytes("another"), to: Self.bytes("small"), in: directory)
        try write("closed", random.bytes(300))
        try write("sparse", random.bytes(9000), at: 1 << 20)
        try truncate("sparse", to: 3 << 20)
        try write("sparse", [UInt8](repeating: 0, count: 20_000), at: 2 << 20)
        try directory.setAttribute(Self.bytes("small"), Self.bytes("user.short"), [1, 2, 0, 3])
        try directory.setAttribute(Self.bytes("closed"), Self.bytes("user.long"), random.bytes(900))
        try directory.setAttribute(Self.bytes("folder"), Self.bytes("user.folder"), [9])
        try directory.setMode(Self.bytes("closed"), 0)
        try directory.setModified(Self.bytes("small"), (-77, 123_456_789))
        try directory.setModified(Self.bytes("dangling"), (1_000_000, 5))
        try directory.setModified(Self.bytes("empty folder"), (1_700_000_000, 999_999_999))
    }
}

/// A store in memory, to be scanned into.
final class MemoryStore {
    let backend = MemoryBackend()
    let index = MemoryIndexProvider()
    private(set) var live: LiveStore
    static let volumeID = UniqueID(random: (7, 8))

    static func parameters(chunkBytes: UInt32 = 4096) -> StoreParameters {
        StoreParameters(
            storeID: UniqueID(random: (1, 2)), secret: StoreSecret(high: 3, low: 4),
            chunker: .gear(meanBytes: chunkBytes), superChunkBytes: 64 << 10, packBytes: 1 << 20)
    }

    init(chunkBytes: UInt32 = 4096) throws {
        let root = InodeImage(inode: 1, generation: 1, mode: 0o040755, linkCount: 2)
        try ChunkStore.create(
            in: backend, index: index, parameters: MemoryStore.parameters(chunkBytes: chunkBytes),
            volumes: [NewVolume(name: "main", volumeID: MemoryStore.volumeID, root: root)])
        live = try MemoryStore.open(backend, index)
    }

    private static func open(
        _ backend: MemoryBackend, _ index: MemoryIndexProvider
    ) throws -> LiveStore {
        var options = StoreOptions()
        options.memoryBytes = 16 << 20
        options.workerCount = 2
        let store = try ChunkStore.open(backend, index: index, options: options)
        return try LiveStore(store, options: VolumeOptions(), timing: .untouched)
    }

    func reopen() throws {
        try live.close()
        live = try MemoryStore.open(backend, index)
    }

    /// The store as a file, with the snapshot under the name that it has there.
    func write(
        to path: String, kind: StreamHead.Kind = .snapshot, flags: StreamHead.Flags = .content
    ) throws {
        try live.close()
        let url = URL(fileURLWithPath: path)
        let directory = try OpenDirectory(path: url.deletingLastPathComponent().path)
        let head = StreamHead(kind: kind, flags: flags, time: DiskTime(seconds: 1, nanoseconds: 2))
        _ = try StreamFileWriter(in: directory, name: Array(url.lastPathComponent.utf8))
            .write(head, packsOf: backend)
        live = try MemoryStore.open(backend, index)
    }

    func put(_ bytes: [UInt8], domain: ChunkDomain) throws -> ChunkName {
        try bytes.withUnsafeBytes { try live.store.put($0, domain: domain) }
    }

    var packBytes: UInt64 {
        get throws { try backend.list(prefix: "packs/").reduce(0) { $0 + $1.size } }
    }

    /// Scans into a snapshot; the newest one before is the base.
    @discardableResult
    func scan(
        _ source: SourceFolder, as name: String, _ options: ScanOptions = ScanOptions(),
        events: DirectoryScan.Events = DirectoryScan.Events(),
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws -> ScanCounts {
        try live.checkpoint()
        var base: ScanBase?
        if let known = try live.snapshots(of: "main").last {
            let bytes = try live.store.bytes(of: known.root, domain: .tree)
            base = ScanBase(try bytes.withUnsafeBytes { try RootImage($0) }, in: live.store)
        }
        let scan = try DirectoryScan(
            into: live.store, nextInode: try live.nextInode(of: "main"), base: base,
            options: options, events: events, isCancelled: isCancelled)
        let root = try scan.run(
            source.directory, volumeID: MemoryStore.volumeID, volumeName: "main")
        _ = try live.addSnapshot(SnapshotDraft(name: name), of: "main", root: root)
        return scan.counts
    }

    func state() throws -> State { try State.open(backend.copy(isReadOnly: true)) }

    func snapshot(_ name: String, in state: State? = nil) throws -> VolumeState {
        let state = try state ?? self.state()
        let image = try XCTUnwrap(state.snapshot(named: name, of: MemoryStore.volumeID))
        return try VolumeState(image, in: state)
    }

    /// What the independent checker complains of.
    func complaints() throws -> [String] {
        var compared: IndexToCheck?
        if let store = index.crash(keepingBatches: .max).current { compared = IndexToCheck(store) }
        let report = try StoreCheck.run(
            backend.copy(isReadOnly: true), options: CheckOptions(depth: .deep), index: compared)
        return report.problems.filter { $0.severity > .information }.map {
            "\($0.kind) \($0.place) \($0.detail) \($0.paths.map(\.text))"
        }
    }
}
