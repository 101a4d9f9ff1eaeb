import Backends
import Compression
import DiskFormat
import Foundation
import Hashing
import Packs
import Platform
import SuperChunks

/// zstd for super-chunks, as the pipeline adapts it.
struct ZstdFrameCodec: FrameCodec {
    let pool = CompressionPool(idleMax: 1)

    func compress(
        _ raw: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        pool.compress(raw, into: destination, method: .standard)
    }

    func decompress(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(FrameCodecError) {
        do throws(CompressionError) {
            try pool.decompress(stored, codec: .zstd, into: raw)
        } catch {
            throw .damaged
        }
    }
}

/// A sound store in a directory, laid by hand: chunks of all domains, two commits, two packs.
///
///     pack 1: super-chunk (data), super-chunk (recipe and tree nodes), commit 7, commit 8
///     pack 2: role copies: the nodes again
struct TestStore {
    let path: String
    let parameters = StoreParameters(
        storeID: UniqueID(random: (1, 2)), secret: StoreSecret(high: 3, low: 4),
        packBytes: StoreParameters.packBytesRange.lowerBound)
    let main = PackID(writer: 0xabcd, sequence: 1)
    let copies = PackID(writer: 0xabcd, sequence: 2)
    /// The bytes of the data chunks, and their names.
    let chunks: [[UInt8]]
    let names: [ChunkName]
    let recipe: RecipeNode
    let recipeName: ChunkName
    let directory: DirectoryNode
    let directoryName: ChunkName
    let rootName: ChunkName
    private(set) var dataOffset: UInt64 = 0
    private(set) var commitOffset: UInt64 = 0
    private(set) var lastCommitOffset: UInt64 = 0

    static let oddName: [UInt8] = [0x6f, 0x64, 0x64, 0xff, 0x0a]

    init(path: String) throws {
        self.path = path
        let hasher = try ChunkHasher(.sha256)
        func name(_ bytes: [UInt8], _ domain: ChunkDomain) -> ChunkName {
            bytes.withUnsafeBytes { hasher.name(of: $0, domain: domain) }
        }
        let chunks = (0..<3).map { index in
            (0..<(20_000 + index)).map { UInt8(truncatingIfNeeded: $0 / 7 + index) }
        }
        self.chunks = chunks
        names = chunks.map { name($0, .data) }
        recipe = .leaf([
            .data(names[0], length: UInt32(chunks[0].count)), .hole(length: 1 << 20),
            .data(names[1], length: UInt32(chunks[1].count)),
        ])
        recipeName = name(recipe.encoded(), .recipe)
        let file = InodeImage(
            inode: 2, generation: 1, mode: 0o100644, parent: 1, size: recipe.length,
            allocatedBytes: 40_001, content: .recipe(NodeReference(name: recipeName, level: 0)))
        directory = .leaf([
            DirectoryEntry(name: Array("file".utf8), target: .only(file)),
            DirectoryEntry(name: Self.oddName, target: .linked(inode: 3, kind: 8)),
        ])
        directoryName = name(directory.encoded(), .tree)
        let linked = LinkedInodesNode.leaf([
            InodeImage(inode: 3, generation: 1, mode: 0o100600, isLinked: true)
        ])
        let linkedName = name(linked.encoded(), .tree)
        var statistics = RootImage.Statistics()
        statistics.files = 2
        statistics.directories = 1
        statistics.logicalBytes = recipe.length
        let root = RootImage(
            volumeID: UniqueID(random: (8, 9)), volumeName: "main", time: .zero, nextInode: 4,
            directory: InodeImage(
                inode: 1, generation: 1, mode: 0o40755,
                content: .directory(NodeReference(name: directoryName, level: 0))),
            linkedInodes: NodeReference(name: linkedName, level: 0), statistics: statistics)
        rootName = name(root.encoded(), .tree)
        let nodes = [
            (recipeName, ChunkDomain.recipe, recipe.encoded()),
            (directoryName, .tree, directory.encoded()),
            (linkedName, .tree, linked.encoded()), (rootName, .tree, root.encoded()),
        ]
        try write(nodes)
    }

    private mutating func write(_ nodes: [(ChunkName, ChunkDomain, [UInt8])]) throws {
        let backend = try DirectoryBackend(path: path, create: true)
        let writer = try PackWriter.create(
            in: backend, parameters: parameters, id: main, role: .main, now: (1_700_000_000, 5))
        let data = zip(names, chunks).map { ($0, ChunkDomain.data, $1) }
        dataOffset = try append(data, to: writer)
        _ = try append(nodes, to: writer)
        let first = commit(sequence: 7, after: .zero).encoded()
        commitOffset = try append(commit: first, to: writer, compressed: false)
        let hasher = try ChunkHasher(.sha256)
        let previous = first.withUnsafeBytes { hasher.name(of: $0, domain: .tree) }
        let second = commit(sequence: 8, after: previous).encoded()
        lastCommitOffset = try append(commit: second, to: writer, compressed: true)
        try writer.synchronize()
        let copyWriter = try PackWriter.create(
            in: backend, parameters: parameters, id: copies, role: .copies,
            now: (1_700_000_000, 5))
        _ = try append(nodes, to: copyWriter, flags: .copy)
        try copyWriter.synchronize()
    }

    private func append(
        _ chunks: [(ChunkName, ChunkDomain, [UInt8])], to writer: PackWriter,
        flags: RecordHeader.Flags = []
    ) throws -> UInt64 {
        let builder = SuperChunkBuilder(
            domainIsMetadata: chunks[0].1.isMetadata, rawBytesMax: 1 << 20,
            frameBytesMax: 32 << 10, pool: BufferPool(capacityBytes: 1 << 20, keptBytesMax: 0))
        for (name, domain, bytes) in chunks {
            guard bytes.withUnsafeBytes({ builder.append(name, domain: domain, $0) }) else {
                throw SuperChunkError.empty
            }
        }
        let sealed = try builder.close(using: ZstdFrameCodec())
        return try sealed.withPieces { pieces in
            try writer.append(
                PendingRecord(
                    kind: .superChunk, flags: sealed.header.flags.union(flags), parts: pieces,
                    rawBytes: sealed.header.rawBytes, frameCount: sealed.header.frameCount,
                    itemCount: sealed.header.itemCount, checksum: sealed.header.bodyChecksum))
        }
    }

    private func commit(sequence: UInt64, after previous: ChunkName) -> Commit {
        var commit = Commit(
            epoch: 1, sequence: sequence, previous: previous,
            time: DiskTime(seconds: 1_700_000_000, nanoseconds: 0))
        var volume = VolumeChanges(
            volumeID: UniqueID(random: (8, 9)), volumeName: "main", epoch: 1, sequence: sequence,
            nextInode: 4)
        volume.root = rootName
        volume.names = [
            NameChange(
                parent: 1, name: Self.oddName, collision: 0,
                target: NameChange.Target(inode: 3, kind: 8))
        ]
        volume.inodes = [.gone(9)]
        volume.extents = [
            ExtentChange(
                inode: 2, range: 0..<4096,
                pieces: [
                    ExtentChange.Piece(
                        offset: 0, length: 100,
                        source: .data(names[2], chunkBytes: 20_002, offset: 5))
                ])
        ]
        commit.volumes = [volume]
        commit.packs = [PackState(pack: main, byteCount: 4096)]
        return commit
    }

    private func append(
        commit raw: [UInt8], to writer: PackWriter, compressed: Bool
    ) throws -> UInt64 {
        var body = raw
        if compressed {
            var target = [UInt8](repeating: 0, count: raw.count + 1024)
            let count = raw.withUnsafeBytes { source in
                target.withUnsafeMutableBytes {
                    CompressionPool(idleMax: 0).compress(source, into: $0, method: .standard)
                }
            }
            body = Array(target.prefix(count ?? 0))
        }
        return try body.withUnsafeBytes { bytes in
            try writer.append(
                PendingRecord(
                    kind: .commit, codec: compressed ? 1 : 0, parts: [bytes],
                    rawBytes: UInt32(raw.count), checksum: BodyChecksum(of: bytes)))
        }
    }

    /// Overwrites a byte of a pack.
    func flip(_ pack: PackID, at offset: UInt64) throws {
        let url = URL(fileURLWithPath: path + "/" + pack.fileName)
        var bytes = try Data(contentsOf: url)
        bytes[Int(offset)] ^= 0xff
        try bytes.write(to: url)
    }
}
