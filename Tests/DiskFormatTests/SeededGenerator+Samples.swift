// Purpose: random values of every type of the format, each one that a writer may make.

@testable import DiskFormat

/// Small things: names, times, identifiers.
extension SeededGenerator {
    mutating func chunkName() -> ChunkName {
        ChunkName(w0: next(), w1: next(), w2: next(), w3: next())
    }

    mutating func time() -> DiskTime {
        let seconds = Int64(bitPattern: word())
        return DiskTime(
            seconds: coin() ? seconds : -(seconds >> 1), nanoseconds: half() % 1_000_000_000)
    }

    mutating func packID() -> PackID { PackID(writer: next(), sequence: word()) }
    mutating func uniqueID() -> UniqueID { UniqueID(random: (next(), next())) }
    mutating func checksum() -> BodyChecksum { BodyChecksum(low: next(), high: next()) }
    mutating func inodeNumber() -> UInt64 { max(1, word(bitsMax: 48)) }

    mutating func nodeReference() -> NodeReference {
        NodeReference(
            name: chunkName(), level: UInt8(below(Int(NodeReference.levelMax) + 1)))
    }

    mutating func entryName() -> [UInt8] {
        let count = 1 + below(coin() ? 12 : DiskFormat.nameBytesMax)
        while true {
            let name = bytes(count).map { $0 == 0 || $0 == 0x2f ? 0x61 : $0 }
            if DirectoryEntry.isAcceptable(name) { return name }
        }
    }

    /// Distinct and ascending as unsigned bytes.
    mutating func sortedNames(_ counts: ClosedRange<Int>) -> [[UInt8]] {
        Set(list(counts) { $0.entryName() }).sorted { $0.lexicographicallyPrecedes($1) }
    }

    mutating func objectName() -> String {
        let letters = Array("abcXYZ019_+".unicodeScalars)
        let rest = Array("abcXYZ019_+.-".unicodeScalars)
        var text = String(pick(letters))
        for _ in 0..<below(ObjectName.bytesMax) { text.unicodeScalars.append(pick(rest)) }
        return text
    }
}

/// Packs and records.
extension SeededGenerator {
    mutating func packHeader() -> PackHeader {
        var features = FeatureSets()
        features.compatible = next()
        features.readOnlyCompatible = coin() ? 0 : next()
        var chunker: ChunkerParameters =
            coin()
            ? .gear(meanBytes: 4096 << UInt32(below(11)))
            : .fixed(bytes: 4096 * UInt32(1 + below(1024)))
        chunker.seed = next()
        chunker.zeroRunMinimumBytes = 64 + half() % 65536
        let parameters = StoreParameters(
            storeID: uniqueID(), secret: StoreSecret(high: next(), low: next()),
            features: features, hash: pick(HashAlgorithm.allCases), chunker: chunker,
            superChunkBytes: (64 << 10) + half() % (16 << 20),
            packBytes: (1 << 20) + word(bitsMax: 33), metadataCopies: coin() ? 1 : 2,
            codec: coin() ? 0 : 1, level: Int8(bitPattern: byte()))
        return PackHeader(
            parameters: parameters, id: packID(), role: coin() ? .main : .copies,
            createdSeconds: Int64(bitPattern: next()), createdNanoseconds: half() % 1_000_000_000)
    }

    mutating func recordHeader() -> RecordHeader {
        RecordHeader(
            kind: pick([.superChunk, .commit, .packTable, .filler]),
            flags: RecordHeader.Flags(rawValue: byte() & 7), codec: coin() ? 0 : 1,
            storedBytes: half() % UInt32(DiskFormat.bodyBytesMax), rawBytes: half(),
            frameCount: UInt16(truncatingIfNeeded: next()), itemCount: half(),
            bodyChecksum: checksum())
    }

    mutating func packTable() -> PackTable {
        var offset = UInt64(PackHeader.byteCount)
        let entries = list(1...6) { generator in
            let header = generator.recordHeader()
            // Damage may lie between two records.
            offset += generator.coin() ? 0 : 8 * generator.word(bitsMax: 40)
            defer { offset += header.recordBytes }
            return PackTable.Entry(offset: offset, header: header)
        }
        return PackTable(entries: entries)
    }

    /// Up to four frames of up to five chunks.
    mutating func superChunkPrefix() -> SuperChunkPrefix {
        var prefix = SuperChunkPrefix(frames: [], chunks: [])
        for _ in 0..<1 + below(4) {
            let chunks = list(1...5) {
                SuperChunkPrefix.Chunk(
                    name: $0.chunkName(), rawBytes: 1 + $0.half() % 65536,
                    domain: $0.pick(ChunkDomain.allCases))
            }
            let raw = chunks.reduce(0) { $0 + $1.rawBytes }
            let isStored = coin()
            prefix.frames.append(
                SuperChunkPrefix.Frame(
                    storedBytes: isStored ? raw : 1 + half() % raw, rawBytes: raw,
                    codec: isStored ? 0 : 1, checksum: checksum()))
            prefix.chunks += chunks
        }
        return prefix
    }
}

/// Files and trees.
extension SeededGenerator {
    mutating func attributeSet() -> AttributeSet {
        var set = AttributeSet()
        // No set of so few is too long.
        for _ in 0..<1 + below(5) { try? set.set(entryName(), to: bytes(below(200))) }
        return set
    }

    mutating func attributeStorage() -> AttributeStorage {
        switch below(3) {
        case 0: return .none
        case 1: return .inline(bytes(1 + below(DiskFormat.inlineAttributeBytesMax)))
        default:
            let bytes = 257 + below(DiskFormat.attributeBytesMax - 256)
            return .chunk(chunkName(), byteCount: UInt32(bytes))
        }
    }

    /// Of every kind of file, with every content that suits it.
    mutating func inodeImage(inode: UInt64? = nil, kind: UInt32? = nil) -> InodeImage {
        let kind = kind ?? pick([1, 2, 4, 6, 8, 10, 12])
        var image = InodeImage(
            inode: inode ?? inodeNumber(), generation: word(), mode: kind << 12 | half() & 0xfff,
            linkCount: word(), owner: half(), group: half(), isLinked: coin(),
            parent: coin() ? nil : inodeNumber(), size: word(bitsMax: 63),
            allocatedBytes: word(bitsMax: 63), modificationTime: time(), changeTime: time(),
            accessTime: time(), birthTime: time(), attributes: attributeStorage())
        switch kind {
        case 2, 6: image.device = (half(), half())
        case 4: image.content = coin() ? .none : .directory(nodeReference())
        case 8:
            image.content = pick([.none, .chunk(chunkName()), .recipe(nodeReference())])
        case 10:
            let target = bytes(1 + below(coin() ? 20 : 300))
            image.content = .target(target)
            image.size = UInt64(target.count)
        default: break
        }
        return image
    }

    mutating func extents() -> [Extent] {
        var result: [Extent] = []
        for _ in 0..<1 + below(8) {
            switch (below(3), result.last) {
            case (1, .hole), (2, .zeros), (0, _):
                let length = 1 + half() % ChunkerParameters.maximumBytesLimit
                result.append(.data(chunkName(), length: length))
            case (1, _): result.append(.hole(length: max(1, word(bitsMax: 50))))
            default: result.append(.zeros(length: max(1, word(bitsMax: 50))))
            }
        }
        return result
    }

    mutating func innerEntries(withKeys: Bool) -> [InnerEntry] {
        let keys = withKeys ? sortedNames(1...6) : Array(repeating: [], count: 1 + below(6))
        return keys.map { key in
            InnerEntry(child: chunkName(), measure: max(1, word(bitsMax: 50)), firstKey: key)
        }
    }

    private mutating func innerLevel() -> UInt8 { UInt8(1 + below(Int(NodeReference.levelMax))) }

    mutating func recipeNode() -> RecipeNode {
        coin()
            ? .leaf(extents()) : .inner(level: innerLevel(), innerEntries(withKeys: false))
    }

    mutating func directoryNode() -> DirectoryNode {
        guard coin() else { return .inner(level: innerLevel(), innerEntries(withKeys: true)) }
        var entries: [DirectoryEntry] = []
        for name in sortedNames(1...6) {
            var image = inodeImage()
            image.isLinked = false
            let target: DirectoryEntry.Target =
                coin()
                ? .only(image)
                : .linked(inode: inodeNumber(), kind: pick([1, 2, 6, 8, 10, 12]))
            entries.append(DirectoryEntry(name: name, collision: byte(), target: target))
        }
        return .leaf(entries)
    }

    mutating func linkedInodesNode() -> LinkedInodesNode {
        guard coin() else { return .inner(level: innerLevel(), innerEntries(withKeys: true)) }
        var images: [InodeImage] = []
        for inode in Set(list(1...5) { $0.inodeNumber() }).sorted() {
            var image = inodeImage(inode: inode)
            image.isLinked = true
            images.append(image)
        }
        return .leaf(images)
    }

    mutating func rootImage() -> RootImage {
        var root = RootImage(
            volumeID: uniqueID(), volumeName: objectName(), time: time(),
            nextInode: 2 + word(bitsMax: 47), directory: inodeImage(inode: 1, kind: 4),
            linkedInodes: coin() ? nil : nodeReference(),
            orphans: Set(list(0...3) { $0.inodeNumber() }).sorted().map { inodeImage(inode: $0) })
        root.statistics.files = word()
        root.statistics.directories = word()
        root.statistics.others = word()
        root.statistics.logicalBytes = word()
        return root
    }
}

/// Commits.
extension SeededGenerator {
    mutating func nameChange() -> NameChange {
        let target = NameChange.Target(
            inode: inodeNumber(), kind: pick([1, 2, 4, 6, 8, 10, 12]))
        return NameChange(
            parent: inodeNumber(), name: entryName(), collision: byte(),
            target: coin() ? nil : target)
    }

    mutating func extentChange() -> ExtentChange {
        let from = word(bitsMax: 40)
        var end = from
        var pieces: [ExtentChange.Piece] = []
        for _ in 0..<below(4) {
            let offset = end + (coin() ? 0 : word(bitsMax: 20))
            let length = 1 + UInt64(half() % 65536)
            let within = half() % 65536
            let source: ExtentChange.Piece.Source = pick([
                .hole, .zeros,
                .data(
                    chunkName(), chunkBytes: within + UInt32(length) + half() % 65536,
                    offset: within),
            ])
            pieces.append(ExtentChange.Piece(offset: offset, length: length, source: source))
            end = offset + length
        }
        let to = coin() ? ExtentChange.endOfFile : end + 1 + word(bitsMax: 20)
        return ExtentChange(inode: inodeNumber(), range: from..<to, pieces: pieces)
    }

    mutating func volumeChanges() -> VolumeChanges {
        var changes = VolumeChanges(
            volumeID: uniqueID(), volumeName: objectName(), epoch: next(), sequence: next(),
            nextInode: word(bitsMax: 48))
        changes.isRemoved = below(8) == 0
        if changes.isRemoved { return changes }
        changes.root = coin() ? nil : chunkName()
        if changes.root != nil, coin() {
            var statistics = RootImage.Statistics()
            statistics.files = word()
            statistics.directories = word()
            statistics.others = word()
            statistics.logicalBytes = word()
            changes.beginning = .init(snapshot: uniqueID(), statistics: statistics)
        }
        changes.inodes = list(0...3) {
            $0.coin() ? .put($0.inodeImage()) : .gone($0.inodeNumber())
        }
        changes.names = list(0...3) { $0.nameChange() }
        changes.extents = list(0...3) { $0.extentChange() }
        return changes
    }

    mutating func snapshotChange() -> SnapshotChange {
        let id = UniqueID(high: next(), low: next())
        guard coin() else { return .gone(id) }
        var image = SnapshotImage(
            id: id, volumeID: UniqueID(high: next(), low: next()),
            name: pick(["a", "daily-1", "x_+.9"]), root: chunkName(), time: time())
        image.number = 1 + UInt16(truncatingIfNeeded: next()) % (SnapshotImage.numberLimit - 1)
        image.epoch = next()
        image.sequence = next()
        image.isPinned = coin()
        image.description = pick(["", "as it worked", "ünïcode"])
        image.tags = pick([[], ["daily"], ["a", "b.c", "d"]])
        image.statistics.files = word()
        image.statistics.logicalBytes = word()
        return .put(image)
    }

    mutating func commit() -> Commit {
        var commit = Commit(
            epoch: next(), sequence: next(), previous: chunkName(), time: time())
        commit.spans = list(0...3) {
            let from = $0.word(bitsMax: 62)
            return PackSpan(
                pack: $0.packID(), range: from..<from + 1 + $0.word(bitsMax: 60),
                recordCount: $0.word(), digest: $0.checksum())
        }
        commit.packs = list(0...3) { PackState(pack: $0.packID(), byteCount: $0.word()) }
        commit.volumes = list(0...2) { $0.volumeChanges() }
        commit.condemnedChunks = list(0...3) { $0.chunkName() }
        commit.condemnedPacks = list(0...3) { $0.packID() }
        commit.punchedRecords = list(0...3) {
            PunchedRecord(pack: $0.packID(), offset: $0.word())
        }
        commit.nodeCounts = list(0...3) {
            let change = Int64($0.word(bitsMax: 62)) + 1
            return CountChange(name: $0.chunkName(), change: $0.coin() ? change : -change)
        }
        commit.lostChunks = list(0...3) { $0.chunkName() }
        commit.snapshots = list(0...3) { $0.snapshotChange() }
        commit.rules = list(0...2) {
            VolumeRules(
                volumeID: UniqueID(high: $0.next(), low: $0.next()),
                retention: $0.pick(["", "keep-last=3", "keep-daily=7 keep-tag=a"]),
                schedule: $0.pick(["", "every=1h prefix=auto", "ünïcode"]))
        }
        return commit
    }
}
