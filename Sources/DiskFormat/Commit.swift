/// The durable step from one state of the store to the next: the body of a commit record (which may
/// be compressed as a whole; these are the raw bytes).
///
/// Commits of one writer form a chain: each names the hash of the one before it (H over the tree tag
/// and that commit's raw bytes) and vouches, by spans, for every record written since. A commit whose
/// spans do not verify is not a commit. It holds whole images, never deltas, so applying one twice
/// does no harm.
///
///     head       chain epoch u64 · sequence u64 · previous commit's hash (32) · time
///                (seconds variable, nanoseconds u32)
///     sections   tag u16 · flags u16 (1 optional) · length u32 · bytes       … to the end
///
/// Sections stand in ascending order of tags; unknown ones are skipped when optional, refused
/// otherwise. Absent means empty.
///
///     1 spans            count · PackSpan each
///     2 packs            count · PackState each: all living packs (checkpoints only)
///     3 volume           one section for each volume that changes: VolumeChanges
///     4 condemned        count · name each: no longer hit, released their children
///     5 condemned packs  count · PackID each: about to be deleted
///     6 punched          count · PunchedRecord each: their bodies' extents may be gone
///     7 node counts      count · CountChange each: tree nodes that a checkpoint took up or let go
///     8 lost chunks      count · name each: in use, found unreadable in every copy, and accepted as
///                        lost by fsck; a checkpoint lists all that still are, other commits add
///     9 snapshots        count · SnapshotChange each; a checkpoint lists all that there are then, so
///                        that nothing before it is needed; others what they change. Not optional:
///                        a program that passed over it would give up what snapshots own
///    10 rules            count · VolumeRules each; a checkpoint lists all that say anything, others
///                        what they change. Not optional: passed over they would be forgotten with the
///                        next checkpoint
public struct Commit: Equatable, Sendable {
    public var epoch: UInt64
    public var sequence: UInt64
    public var previous: ChunkName
    public var time: DiskTime
    public var spans: [PackSpan] = []
    public var packs: [PackState] = []
    public var volumes: [VolumeChanges] = []
    public var condemnedChunks: [ChunkName] = []
    public var condemnedPacks: [PackID] = []
    public var punchedRecords: [PunchedRecord] = []
    public var nodeCounts: [CountChange] = []
    public var lostChunks: [ChunkName] = []
    public var snapshots: [SnapshotChange] = []
    public var rules: [VolumeRules] = []

    public init(epoch: UInt64, sequence: UInt64, previous: ChunkName, time: DiskTime) {
        self.epoch = epoch
        self.sequence = sequence
        self.previous = previous
        self.time = time
    }

    /// Whether recovery may start here: every volume's section names a root.
    public var isCheckpoint: Bool { !packs.isEmpty }

    enum Tag: UInt16 {
        case spans = 1
        case packs = 2
        case volume = 3
        case condemnedChunks = 4
        case condemnedPacks = 5
        case punched = 6
        case nodeCounts = 7
        case lostChunks = 8
        case snapshots = 9
        case rules = 10
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 4096)
        writer.u64(epoch)
        writer.u64(sequence)
        writer.name(previous)
        time.write(to: &writer)
        Commit.list(.spans, spans, to: &writer) { $0.write(to: &$1) }
        Commit.list(.packs, packs, to: &writer) { $0.write(to: &$1) }
        for volume in volumes {
            Commit.section(.volume, to: &writer) { volume.write(to: &$0) }
        }
        Commit.list(.condemnedChunks, condemnedChunks, to: &writer) { $1.name($0) }
        Commit.list(.condemnedPacks, condemnedPacks, to: &writer) { $0.write(to: &$1) }
        Commit.list(.punched, punchedRecords, to: &writer) { $0.write(to: &$1) }
        Commit.list(.nodeCounts, nodeCounts, to: &writer) { $0.write(to: &$1) }
        Commit.list(.lostChunks, lostChunks, to: &writer) { $1.name($0) }
        Commit.list(.snapshots, snapshots, to: &writer) { $0.write(to: &$1) }
        Commit.list(.rules, rules, to: &writer) { $0.write(to: &$1) }
        return writer.bytes
    }

    private static func section(
        _ tag: Tag, to writer: inout ByteWriter, _ body: (inout ByteWriter) -> Void
    ) {
        writer.u16(tag.rawValue)
        writer.u16(0)
        let lengthOffset = writer.count
        writer.u32(0)
        body(&writer)
        writer.patchU32(UInt32(writer.count - lengthOffset - 4), at: lengthOffset)
    }

    private static func list<Item>(
        _ tag: Tag, _ items: [Item], to writer: inout ByteWriter,
        _ write: (Item, inout ByteWriter) -> Void
    ) {
        guard !items.isEmpty else { return }
        section(tag, to: &writer) { inner in
            inner.variable(UInt64(items.count))
            for item in items { write(item, &inner) }
        }
    }

    public init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "commit")
        epoch = try reader.u64("epoch")
        sequence = try reader.u64("sequence")
        previous = try reader.name("previous")
        time = try DiskTime(from: &reader, "time")
        var lastTag: UInt16 = 0
        while !reader.isAtEnd {
            let tag = try reader.u16("section tag")
            let flags = try reader.u16("section flags")
            let length = try reader.u32("section length")
            var inner = ByteReader(try reader.raw(Int(length), "section"), "commit section")
            guard tag > lastTag || (tag == lastTag && tag == Tag.volume.rawValue),
                flags & ~1 == 0
            else { throw reader.bad("order of sections") }
            lastTag = tag
            guard let known = Tag(rawValue: tag) else {
                if flags & 1 == 0 { throw .newerRecord(RecordHeader.Kind.commit.rawValue) }
                continue
            }
            // No writer marks a section of this version optional: one form for equal commits.
            guard flags == 0 else { throw reader.bad("flags of a known section") }
            try read(known, &inner)
            try inner.expectEnd()
        }
    }

    private mutating func read(_ tag: Tag, _ reader: inout ByteReader) throws(FormatError) {
        if tag == .volume {
            volumes.append(try VolumeChanges(from: &reader))
            return
        }
        let count = try reader.itemCount(itemBytes: 16, "items")
        guard count > 0 else { throw reader.bad("empty section") }
        for _ in 0..<count {
            switch tag {
            case .spans: spans.append(try PackSpan(from: &reader))
            case .packs: packs.append(try PackState(from: &reader))
            case .condemnedChunks: condemnedChunks.append(try reader.name("condemned chunk"))
            case .condemnedPacks:
                condemnedPacks.append(try PackID(from: &reader, "condemned pack"))
            case .punched: punchedRecords.append(try PunchedRecord(from: &reader))
            case .nodeCounts: nodeCounts.append(try CountChange(from: &reader))
            case .lostChunks: lostChunks.append(try reader.name("lost chunk"))
            case .snapshots: snapshots.append(try SnapshotChange(from: &reader))
            case .rules: rules.append(try VolumeRules(from: &reader))
            case .volume: break
            }
        }
    }
}

/// Records that a commit vouches for: those that begin in `from ..< to` of a pack.
///
///     pack (16) · from (variable) · to (variable) · records (variable) · XXH3-128 of their 48-byte
///     headers one behind the other (16)
///
/// All records, of whatever kind: the headers of those that a program passes over are digested as
/// they lie there.
public struct PackSpan: Equatable, Sendable {
    public var pack: PackID
    public var range: Range<UInt64>
    public var recordCount: UInt64
    public var digest: BodyChecksum

    public init(pack: PackID, range: Range<UInt64>, recordCount: UInt64, digest: BodyChecksum) {
        self.pack = pack
        self.range = range
        self.recordCount = recordCount
        self.digest = digest
    }

    func write(to writer: inout ByteWriter) {
        pack.write(to: &writer)
        writer.variable(range.lowerBound)
        writer.variable(range.upperBound)
        writer.variable(recordCount)
        digest.write(to: &writer)
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        pack = try PackID(from: &reader, "span")
        let from = try reader.variable("span start")
        let to = try reader.variable("span end")
        guard from < to, to <= UInt64(Int64.max) else { throw reader.bad("span") }
        range = from..<to
        recordCount = try reader.variable("span records")
        digest = try BodyChecksum(from: &reader, "span digest")
    }
}

/// A pack that is alive at a checkpoint, and how long it is at least: a pack that is missing or ends
/// before this was lost or restored from an old backup. pack (16) · bytes (variable)
public struct PackState: Equatable, Sendable {
    public var pack: PackID
    public var byteCount: UInt64

    public init(pack: PackID, byteCount: UInt64) {
        self.pack = pack
        self.byteCount = byteCount
    }

    func write(to writer: inout ByteWriter) {
        pack.write(to: &writer)
        writer.variable(byteCount)
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        pack = try PackID(from: &reader, "pack")
        byteCount = try reader.variable("pack bytes")
    }
}

/// A record whose body may have been punched out: a rebuild passes over it. pack (16) · offset
public struct PunchedRecord: Equatable, Sendable {
    public var pack: PackID
    public var offset: UInt64

    public init(pack: PackID, offset: UInt64) {
        self.pack = pack
        self.offset = offset
    }

    func write(to writer: inout ByteWriter) {
        pack.write(to: &writer)
        writer.variable(offset)
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        pack = try PackID(from: &reader, "punched record")
        offset = try reader.variable("punched offset")
    }
}

/// A change of a tree node's count. name (32) · change (signed variable)
public struct CountChange: Equatable, Sendable {
    public var name: ChunkName
    public var change: Int64

    public init(name: ChunkName, change: Int64) {
        self.name = name
        self.change = change
    }

    func write(to writer: inout ByteWriter) {
        writer.name(name)
        writer.signedVariable(change)
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        name = try reader.name("node")
        change = try reader.signedVariable("count change")
        guard change != 0 else { throw reader.bad("count change") }
    }
}
