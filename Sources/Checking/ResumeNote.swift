// How far a deep check came, as opaque bytes that its caller keeps.
//
//     0 magic "ASHLARNT" · 8 store id (16) · 24 hash of the newest commit (32) · 56 pack (16)
//     72 offset u64 · bad frames: count (variable), then pack (16) · offset u64 · frame u16 each
//     · XXH3-128 of all before (16)
//
// All numbers little-endian. A note that does not fit the store is as good as none: the check then
// begins at the beginning.
import DiskFormat

/// A position in a deep check: everything before it, in the order of packs and offsets, was
/// verified, and the bad frames among it are listed.
struct ResumeNote: Equatable {
    struct BadFrame: Equatable {
        var pack: PackID
        var offset: UInt64
        var frame: UInt16
    }

    private static let magic: UInt64 = 0x544e_5241_4c48_5341

    let storeID: UniqueID
    let newestCommit: ChunkName
    private(set) var pack = PackID(writer: 0, sequence: 0)
    private(set) var offset: UInt64 = 0
    var badFrames: [BadFrame] = []

    /// The beginning.
    init(storeID: UniqueID, newestCommit: ChunkName) {
        self.storeID = storeID
        self.newestCommit = newestCommit
    }

    /// Whether a record was verified already.
    func covers(_ id: PackID, _ offset: UInt64) -> Bool {
        id < pack || id == pack && offset < self.offset
    }

    mutating func advance(to pack: PackID, _ offset: UInt64) {
        self.pack = pack
        self.offset = offset
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.u64(ResumeNote.magic)
        writer.u64(storeID.high)
        writer.u64(storeID.low)
        writer.name(newestCommit)
        writer.u64(pack.writer)
        writer.u64(pack.sequence)
        writer.u64(offset)
        writer.variable(UInt64(badFrames.count))
        for bad in badFrames {
            writer.u64(bad.pack.writer)
            writer.u64(bad.pack.sequence)
            writer.u64(bad.offset)
            writer.u16(bad.frame)
        }
        let sum = writer.bytes.withUnsafeBytes { BodyChecksum(of: $0) }
        writer.u64(sum.low)
        writer.u64(sum.high)
        return writer.bytes
    }

    /// From a note, where it is one of this store in this state; otherwise the beginning.
    init(_ note: [UInt8]?, storeID: UniqueID, newestCommit: ChunkName) {
        self.init(storeID: storeID, newestCommit: newestCommit)
        guard let note, note.count > 16 else { return }
        let body = Array(note.dropLast(16))
        do throws(FormatError) {
            let sum = body.withUnsafeBytes { BodyChecksum(of: $0) }
            let read = try note.borrowing { (raw) throws(FormatError) -> ResumeNote? in
                var reader = ByteReader(raw, "note")
                return try ResumeNote.read(&reader, sum: sum, like: self)
            }
            if let read { self = read }
        } catch {
            // Another program's bytes: the check begins at the beginning.
            return
        }
    }

    private static func read(
        _ reader: inout ByteReader, sum: BodyChecksum, like blank: ResumeNote
    ) throws(FormatError) -> ResumeNote? {
        var result = blank
        guard try reader.u64("magic") == magic,
            try reader.u64("store") == blank.storeID.high,
            try reader.u64("store") == blank.storeID.low,
            try reader.name("commit") == blank.newestCommit
        else { return nil }
        result.pack = PackID(writer: try reader.u64("pack"), sequence: try reader.u64("pack"))
        result.offset = try reader.u64("offset")
        for _ in 0..<(try reader.itemCount(itemBytes: 26, "bad frames")) {
            let pack = PackID(writer: try reader.u64("pack"), sequence: try reader.u64("pack"))
            result.badFrames.append(
                BadFrame(
                    pack: pack, offset: try reader.u64("offset"), frame: try reader.u16("frame")))
        }
        guard try reader.u64("sum") == sum.low, try reader.u64("sum") == sum.high else {
            return nil
        }
        try reader.expectEnd()
        return result
    }
}
