// Up to where the index is current: the one value that ties an index to its packs.
//
//     key: 'S'
//     offset  size
//          0     4  format of this index = 1
//          4     4  flags: 1 clean (closed behind its last commit), 2 building (of no use yet),
//                   4 incomplete (made from trees of which a part could not be read)
//          8     8  epoch of the commit chain
//         16     8  sequence of the last commit that the index holds
//         24    32  that commit's hash
//         56    16  pack of its record: writer, sequence
//         72    16  its record's first byte, and the first byte behind it
//         88    64  the last two checkpoints, newest first; each: sequence, pack (16), offset.
//                   Sequence 0: none
//        152     8  writer id for new packs
//        160     8  next pack sequence of that writer
//        168     4  next pack number of this index
//        172     4  zero
//        176     8  bytes appended since the newest checkpoint
//        184    48  totals: chunks, their raw bytes, dead chunks, their raw bytes, stored bytes of
//                   super-chunks, super-chunks
//
// Little-endian. Written in the batch of each commit, so it tells exactly what the index holds.
import DiskFormat

/// Where a commit's record lies.
struct LogPosition: Equatable, Sendable {
    var pack: PackID
    /// The record's first byte within the pack.
    var offset: UInt64
    /// The first byte behind it.
    var end: UInt64
}

/// A commit that recovery may begin with.
struct CheckpointPlace: Equatable, Sendable {
    var sequence: UInt64
    var pack: PackID
    var offset: UInt64
}

/// Sums over the chunks that the index knows.
struct StoreTotals: Equatable, Sendable {
    var chunks: UInt64 = 0
    var uniqueBytes: UInt64 = 0
    var deadChunks: UInt64 = 0
    var deadBytes: UInt64 = 0
    var storedBytes: UInt64 = 0
    var superChunks: UInt64 = 0
}

/// What the index holds. See the head of the file for its bytes.
struct StateRecord: Equatable, Sendable {
    static let key: [UInt8] = [UInt8(ascii: "S")]
    static let format: UInt32 = 1

    var isClean = false
    /// Being rebuilt: of no use to anybody who opens it so.
    var isBuilding = false
    /// Made from trees that could not be read whole: not to be written on.
    var isIncomplete = false
    var epoch: UInt64
    var sequence: UInt64
    var hash: ChunkName
    var position: LogPosition
    /// The newest checkpoint and the one before it; only what died before the latter is condemned.
    var newest: CheckpointPlace?
    var second: CheckpointPlace?
    var writer: UInt64
    var nextPackSequence: UInt64
    var nextPackNumber: UInt32
    var bytesSinceCheckpoint: UInt64 = 0
    var totals = StoreTotals()

    /// Of a store that has no commit yet.
    init(writer: UInt64) {
        epoch = 1
        sequence = 0
        hash = .zero
        position = LogPosition(pack: PackID(writer: writer, sequence: 0), offset: 0, end: 0)
        self.writer = writer
        nextPackSequence = 1
        nextPackNumber = 1
    }

    /// The sequence of the newest checkpoint: what dies now is dead since then.
    var newestSequence: UInt64 { newest?.sequence ?? 0 }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(reservingBytes: 232)
        writer.u32(StateRecord.format)
        writer.u32((isClean ? 1 : 0) | (isBuilding ? 2 : 0) | (isIncomplete ? 4 : 0))
        writer.u64(epoch)
        writer.u64(sequence)
        writer.name(hash)
        StateRecord.write(position.pack, to: &writer)
        writer.u64(position.offset)
        writer.u64(position.end)
        for checkpoint in [newest, second] {
            writer.u64(checkpoint?.sequence ?? 0)
            StateRecord.write(
                checkpoint?.pack ?? PackID(writer: 0, sequence: 0), to: &writer)
            writer.u64(checkpoint?.offset ?? 0)
        }
        writer.u64(self.writer)
        writer.u64(nextPackSequence)
        writer.u32(nextPackNumber)
        writer.u32(0)
        writer.u64(bytesSinceCheckpoint)
        for total in [
            totals.chunks, totals.uniqueBytes, totals.deadChunks, totals.deadBytes,
            totals.storedBytes, totals.superChunks,
        ] {
            writer.u64(total)
        }
        return writer.bytes
    }

    init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "index state")
        let format = try reader.u32("format")
        guard format == StateRecord.format else { throw .newerVersion(format) }
        let flags = try reader.u32("flags")
        guard flags & ~7 == 0 else { throw reader.bad("flags") }
        isClean = flags & 1 != 0
        isBuilding = flags & 2 != 0
        isIncomplete = flags & 4 != 0
        epoch = try reader.u64("epoch")
        sequence = try reader.u64("sequence")
        hash = try reader.name("commit")
        let pack = try StateRecord.readPack(&reader)
        let offset = try reader.u64("position")
        position = LogPosition(pack: pack, offset: offset, end: try reader.u64("position"))
        newest = try StateRecord.readCheckpoint(&reader)
        second = try StateRecord.readCheckpoint(&reader)
        writer = try reader.u64("writer")
        nextPackSequence = try reader.u64("next pack")
        nextPackNumber = try reader.u32("next number")
        try reader.expectZeros(4, "reserved")
        bytesSinceCheckpoint = try reader.u64("bytes")
        totals.chunks = try reader.u64("totals")
        totals.uniqueBytes = try reader.u64("totals")
        totals.deadChunks = try reader.u64("totals")
        totals.deadBytes = try reader.u64("totals")
        totals.storedBytes = try reader.u64("totals")
        totals.superChunks = try reader.u64("totals")
        try reader.expectEnd()
    }

    private static func write(_ pack: PackID, to writer: inout ByteWriter) {
        writer.u64(pack.writer)
        writer.u64(pack.sequence)
    }

    private static func readPack(_ reader: inout ByteReader) throws(FormatError) -> PackID {
        let writer = try reader.u64("pack")
        return PackID(writer: writer, sequence: try reader.u64("pack"))
    }

    private static func readCheckpoint(
        _ reader: inout ByteReader
    ) throws(FormatError) -> CheckpointPlace? {
        let sequence = try reader.u64("checkpoint")
        let pack = try readPack(&reader)
        let offset = try reader.u64("checkpoint")
        return sequence == 0
            ? nil : CheckpointPlace(sequence: sequence, pack: pack, offset: offset)
    }
}
