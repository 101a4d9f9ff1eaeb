// Small stores with a little of everything: what the fuzzer's edits start from.
import Backends
import DiskFormat
import FileModel
import Metadata
import Pipeline
import Volume

/// A store in memory and what its volume holds.
struct SmallScene {
    let backend: MemoryBackend
    let index: MemoryMetadataStore
    /// Regular files by path.
    let files: [String: [UInt8]]

    static let options: VolumeOptions = {
        var options = VolumeOptions()
        options.behaviour.accessTimes = .never
        options.dirtyBytesMax = 1 << 20
        options.nodesMax = 2000
        return options
    }()

    static let timing: LiveStore.Timing = {
        var timing = LiveStore.Timing()
        timing.commitSeconds = 86_400
        timing.reclaimSeconds = nil
        return timing
    }()

    static func storeOptions(isReadOnly: Bool = false) -> StoreOptions {
        var options = StoreOptions()
        options.isReadOnly = isReadOnly
        options.memoryBytes = 16 << 20
        options.workerCount = 1
        return options
    }

    static func open(
        _ backend: any Backend, _ index: any IndexProvider, isReadOnly: Bool = false
    ) throws -> LiveStore {
        let store = try ChunkStore.open(
            backend, index: index, options: storeOptions(isReadOnly: isReadOnly))
        do {
            return try LiveStore(store, options: options, timing: timing)
        } catch {
            try? store.close()
            throw error
        }
    }

    /// - Parameter isSealed: closed in order; otherwise killed behind a commit.
    init(isSealed: Bool) throws {
        let backend = MemoryBackend()
        let provider = MemoryIndexProvider()
        // Nothing is compressed, so that an edit of bytes is an edit of what they mean.
        let parameters = StoreParameters(
            storeID: UniqueID(random: (1, 2)), secret: DecoderTarget.secret,
            chunker: .gear(meanBytes: 4096), superChunkBytes: 64 << 10, packBytes: 1 << 20,
            metadataCopies: 2, codec: 0)
        let root = InodeImage(inode: 1, generation: 1, mode: 0o040755, linkCount: 2)
        try ChunkStore.create(
            in: backend, index: provider, parameters: parameters,
            volumes: [NewVolume(name: "main", volumeID: UniqueID(random: (7, 8)), root: root)])
        let first = try Self.open(backend, provider)
        try Self.fill(first)
        try first.close()
        let second = try Self.open(backend, provider)
        try Self.change(second)
        if isSealed { try second.close() } else { try second.commit() }
        self.backend = backend.copy()
        index = (provider.current ?? MemoryMetadataStore()).crash(keepingBatches: .max)
        if !isSealed { try? second.close() }
        let reading = try Self.open(
            self.backend.copy(),
            MemoryIndexProvider(index.crash(keepingBatches: .max)))
        files = StoreReading(reading).files.compactMapValues { $0 }
        try reading.close()
    }

    private static func volume(_ live: LiveStore) throws -> Volume {
        guard let volume = live.volume(named: "main") else { throw StoreError.noCommit }
        return volume
    }

    private static func noise(_ count: Int, _ seed: UInt64) -> [UInt8] {
        var word = seed
        return (0..<count).map { _ in
            word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: word >> 56)
        }
    }

    /// - Parameter sparse: where the sparse file's data lies.
    static func fill(_ live: LiveStore, sparse offset: UInt64 = 600_000) throws {
        let volume = try volume(live)
        let folder = try volume.add("folder", in: 1, mode: 0o040755)
        for number in 0..<4 {
            let file = try volume.add("file-\(number)", in: number < 2 ? 1 : folder)
            try volume.put(noise(number * 4500 + 1, UInt64(number)), into: file)
            if number == 3 { try volume.addLink(file, as: "link", in: 1) }
        }
        let sparse = try volume.add("sparse", in: folder)
        try volume.put(noise(3000, 77), into: sparse, at: offset)
        try volume.setAttribute("user.short", of: sparse, noise(40, 5))
        try volume.setAttribute("user.long", of: sparse, noise(900, 6))
        try volume.addSymbolicLink("symlink", in: folder, to: "../file-1")
        _ = try live.createSnapshot(SnapshotDraft(name: "one"), of: "main")
        while try live.store.settleSnapshots() != nil {}
    }

    static func change(_ live: LiveStore, sparse offset: UInt64 = 600_000) throws {
        let volume = try volume(live)
        let file = try volume.add("late", in: 1)
        try volume.put(noise(2000, 99), into: file)
        try live.commit()
        try volume.put(noise(100, 98), into: file, at: 500)
        // Long enough for its change to be committed as a piece.
        try volume.put(noise(50, 97), into: volume.find("sparse", in: "folder"), at: offset + 500)
        try volume.drop("file-0", in: 1)
    }
}

/// `FilesystemOperations` with names as text.
extension Volume {
    private static var nobody: Caller { Caller(user: 1000, group: 100) }

    func add(_ name: String, in parent: UInt64, mode: UInt32 = 0o100644) throws -> UInt64 {
        try Array(name.utf8).withUnsafeBytes { name in
            if mode & 0o170000 == 0o040000 {
                return try makeDirectory(
                    name, in: parent, mode: mode & 0o7777, caller: Self.nobody
                ).inode
            }
            return try makeNode(
                name, in: parent, mode: mode, deviceMajor: 0, deviceMinor: 0,
                caller: Self.nobody
            ).inode
        }
    }

    func find(_ name: String, in folder: String) throws -> UInt64 {
        var inode: UInt64 = 1
        for part in [folder, name] {
            let found = try Array(part.utf8).withUnsafeBytes { try lookup($0, in: inode) }
            guard let found else { throw FileError.noEntry }
            inode = found.inode
        }
        return inode
    }

    func addLink(_ inode: UInt64, as name: String, in parent: UInt64) throws {
        _ = try Array(name.utf8).withUnsafeBytes { try link(inode, to: $0, in: parent) }
    }

    func addSymbolicLink(_ name: String, in parent: UInt64, to target: String) throws {
        _ = try Array(name.utf8).withUnsafeBytes { name in
            try Array(target.utf8).withUnsafeBytes {
                try makeSymbolicLink(name, in: parent, target: $0, caller: Self.nobody)
            }
        }
    }

    func drop(_ name: String, in parent: UInt64) throws {
        try Array(name.utf8).withUnsafeBytes { try unlink($0, in: parent) }
    }

    func put(_ bytes: [UInt8], into inode: UInt64, at offset: UInt64 = 0) throws {
        try bytes.withUnsafeBytes {
            try write(inode, at: offset, $0, dropsPrivilegeBits: false)
        }
    }

    func setAttribute(_ name: String, of inode: UInt64, _ value: [UInt8]) throws {
        try Array(name.utf8).withUnsafeBytes { name in
            try value.withUnsafeBytes {
                try setExtendedAttribute(
                    name, of: inode, to: $0, .createOrReplace, clearsSetGroup: false)
            }
        }
    }
}
