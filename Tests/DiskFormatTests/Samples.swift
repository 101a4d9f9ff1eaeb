// Purpose: one fixed value of each type. The golden bytes are theirs: never change one, add others.

@testable import DiskFormat

enum Samples {
    static func name(_ word: UInt64) -> ChunkName {
        ChunkName(w0: word, w1: word &* 3, w2: ~word, w3: 0x0123_4567_89ab_cdef)
    }

    static let time = DiskTime(seconds: 1_700_000_000, nanoseconds: 123_456_789)
    static let volumeID = UniqueID(high: 0x0011_2233_4455_4677, low: 0x8899_aabb_ccdd_eeff)
    static let pack = PackID(writer: 0xdead_beef_0102_0304, sequence: 5)

    static let packHeader: PackHeader = {
        var features = FeatureSets()
        features.compatible = 0x0102
        var parameters = StoreParameters(
            storeID: volumeID, secret: StoreSecret(high: 0xa1a2, low: 0xb1b2), features: features,
            hash: .sha512_256, chunker: .gear(meanBytes: 65536), superChunkBytes: 2 << 20,
            packBytes: 128 << 20, metadataCopies: 1, codec: 1, level: -3)
        parameters.chunker.seed = 0x5eed
        return PackHeader(
            parameters: parameters, id: pack, role: .copies, createdSeconds: -7,
            createdNanoseconds: 999_999_999)
    }()

    static let recordHeader = RecordHeader(
        kind: .superChunk, flags: [.metadata, .copy], codec: 0, storedBytes: 0x0001_0203,
        rawBytes: 0x0004_0506, frameCount: 0x0708, itemCount: 0x090a_0b0c,
        bodyChecksum: BodyChecksum(low: 0x1122_3344, high: 0x5566_7788))

    static let prefix = SuperChunkPrefix(
        frames: [
            SuperChunkPrefix.Frame(
                storedBytes: 100, rawBytes: 4096, codec: 1,
                checksum: BodyChecksum(low: 1, high: 2)),
            SuperChunkPrefix.Frame(
                storedBytes: 50, rawBytes: 50, codec: 0, checksum: BodyChecksum(low: 3, high: 4)),
        ],
        chunks: [
            SuperChunkPrefix.Chunk(name: name(1), rawBytes: 4096, domain: .data),
            SuperChunkPrefix.Chunk(name: name(2), rawBytes: 20, domain: .recipe),
            SuperChunkPrefix.Chunk(name: name(3), rawBytes: 30, domain: .tree),
        ])

    static let file = InodeImage(
        inode: 300, generation: 2, mode: 0o100644, owner: 1000, group: 1001, parent: 1,
        size: 1_000_000, allocatedBytes: 900_000, modificationTime: time,
        changeTime: DiskTime(seconds: -1, nanoseconds: 1), accessTime: .zero, birthTime: time,
        content: .recipe(NodeReference(name: name(4), level: 1)),
        attributes: .inline([1, 0x61, 1, 0x62]))

    static let device: InodeImage = {
        var image = InodeImage(inode: 301, generation: 1, mode: 0o060600, isLinked: true)
        image.device = (259, 65_537)
        image.attributes = .chunk(name(5), byteCount: 1000)
        return image
    }()

    static let symbolicLink = InodeImage(
        inode: 302, generation: 0, mode: 0o120777, size: 6, content: .target(Array("../etc".utf8)))

    static let recipe = RecipeNode.leaf([
        .data(name(6), length: 70_000), .hole(length: 1 << 40), .zeros(length: 4096),
        .data(name(7), length: 1),
    ])

    static let innerRecipe = RecipeNode.inner(
        level: 2,
        [
            InnerEntry(child: name(8), measure: 1 << 30, firstKey: []),
            InnerEntry(child: name(9), measure: 1, firstKey: []),
        ])

    static let directory = DirectoryNode.leaf([
        DirectoryEntry(name: Array("a".utf8), target: .only(symbolicLink)),
        DirectoryEntry(
            name: [0x62, 0xff], collision: 3, target: .linked(inode: 300, kind: 8)),
    ])

    static let commit: Commit = {
        var changes = VolumeChanges(
            volumeID: volumeID, volumeName: "main", epoch: 3, sequence: 4, nextInode: 400)
        changes.root = name(10)
        changes.inodes = [.put(symbolicLink), .gone(299)]
        changes.names = [
            NameChange(
                parent: 1, name: Array("n".utf8), collision: 0, target: .init(inode: 302, kind: 10)),
            NameChange(parent: 1, name: Array("old".utf8), collision: 1, target: nil),
        ]
        changes.extents = [
            ExtentChange(
                inode: 300, range: 4096..<ExtentChange.endOfFile,
                pieces: [
                    .init(
                        offset: 4096, length: 10,
                        source: .data(name(11), chunkBytes: 100, offset: 90)),
                    .init(offset: 5000, length: 200, source: .hole),
                    .init(offset: 5200, length: 1, source: .zeros),
                ])
        ]
        var commit = Commit(epoch: 1, sequence: 2, previous: name(12), time: time)
        commit.spans = [
            PackSpan(
                pack: pack, range: 4096..<70_000, recordCount: 3,
                digest: BodyChecksum(low: 5, high: 6))
        ]
        commit.packs = [PackState(pack: pack, byteCount: 70_000)]
        commit.volumes = [changes]
        commit.condemnedChunks = [name(13)]
        commit.condemnedPacks = [PackID(writer: 1, sequence: 2)]
        commit.punchedRecords = [PunchedRecord(pack: pack, offset: 8192)]
        commit.nodeCounts = [CountChange(name: name(14), change: -2)]
        return commit
    }()
}
