/// # FuzzTargets: what the fuzzers call, and what replays the inputs that they found worth keeping
///
/// Purpose: two functions from bytes to an answer, for libFuzzer (`Tests/Fuzzers`, `make fuzz`) and for
/// `Tests/FuzzTests`, which runs the kept inputs in every build.
///
/// Words: an *input* is what the fuzzer makes up; an *answer* is a value, a refusal, or a complaint.
///
/// Invariants: whatever the input is, it is answered: no trap, no read beyond the bytes, no endless
/// work. Checksums are made right where that lets an input reach what lies behind them: whoever writes
/// to a store's medium can do so, too.
///
/// Threads: one call at a time.
import CKernels
import Control
import DiskFormat
import Foundation
import Retention

/// Every decoder of the disk format, and of texts and messages that others write. The first byte of an
/// input chooses one.
public enum DecoderTarget {
    public static let secret = StoreSecret(high: 3, low: 4)
    public static let pack = PackID(writer: 5, sequence: 6)

    /// Whether the input was understood.
    public static func run(_ input: UnsafeRawBufferPointer) -> Bool {
        guard let kind = input.first else { return false }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        do {
            switch kind {
            case 0..<96: try decode(kind, bytes)
            case 96..<128: try decodeOther(kind, bytes)
            default: try decodeSealed(kind, bytes)
            }
            return true
        } catch {
            // A refusal is an answer.
            return false
        }
    }

    private static func decode(
        _ kind: UInt8, _ bytes: UnsafeRawBufferPointer
    ) throws {
        switch kind % 8 {
        case 0: _ = try AttributeSet(bytes)
        case 1: _ = try Commit(bytes)
        case 2: _ = try PackHeader(bytes)
        case 3: _ = try RecipeNode(bytes)
        case 4: _ = try RootImage(bytes)
        case 5: _ = try SnapshotImage(bytes)
        case 6: _ = try TreeNode(bytes)
        default: _ = try DirectoryNode(bytes)
        }
    }

    // MARK: files of snapshots, rules of snapshots, messages

    private static func decodeOther(
        _ kind: UInt8, _ bytes: UnsafeRawBufferPointer
    ) throws {
        switch kind % 5 {
        case 0: try decodeStreamHead(bytes)
        case 1: try decodeStreamTable(bytes)
        case 2:
            let policy = try RetentionPolicy(text: String(decoding: bytes, as: UTF8.self))
            let text = policy.text
            let again = try RetentionPolicy(text: text)
            precondition(again.text == text, "one text for equal rules")
        case 3:
            let schedule = try SnapshotSchedule(text: String(decoding: bytes, as: UTF8.self))
            let text = schedule.text
            let again = try SnapshotSchedule(text: text)
            precondition(again.text == text, "one text for equal schedules")
            let end = DiskTime(seconds: .max, nanoseconds: 0)
            _ = schedule.isDue(
                at: end, last: DiskTime(seconds: .min, nanoseconds: 0), secondsWaited: 0)
            _ = schedule.secondsToNext(after: end)
            _ = schedule.name(at: end, isTaken: { _ in false })
        default:
            let message = try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
            _ = try message.decoded(as: [String: JSONValue].self)
        }
    }

    private static func decodeStreamHead(_ bytes: UnsafeRawBufferPointer) throws {
        var head = padded(bytes, to: StreamHead.byteCount)
        let checksum = Sealing.checksum(of: head.dropLast(4))
        Sealing.store(checksum, at: head.count - 4, in: &head)
        let decoded = try head.withUnsafeBytes { try StreamHead($0) }
        precondition(decoded.encoded() == head, "one form for equal heads")
    }

    /// The length of what lies before, then the table.
    private static func decodeStreamTable(_ bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count >= 8 else { throw FormatError.truncated("input") }
        let sections = (bytes.count - 8) / StreamTable.sectionBytes
        let table = Array(bytes.dropFirst(8).prefix(sections * StreamTable.sectionBytes))
        let head = [UInt8](repeating: 0, count: StreamHead.byteCount)
        var trailer = StreamTable(sections: []).encoded(head: head)
        let before = bytes.loadUnaligned(as: UInt64.self) % (1 << 62)
        Sealing.store(before, at: 8, in: &trailer)
        Sealing.store(UInt32(sections), at: 16, in: &trailer)
        let covered = (head + table).withUnsafeBytes { BodyChecksum(of: $0) }
        Sealing.store(covered.low, at: 28, in: &trailer)
        Sealing.store(covered.high, at: 36, in: &trailer)
        let checksum = Sealing.checksum(of: trailer.dropLast(4))
        Sealing.store(checksum, at: trailer.count - 4, in: &trailer)
        let decoded = try trailer.withUnsafeBytes {
            try StreamTable.Trailer(
                $0, fileBytes: before + UInt64(table.count + StreamTable.trailerBytes))
        }
        let read = try StreamTable(table, head: head, trailer: decoded)
        precondition(
            read.encoded(head: head).elementsEqual(table + trailer), "one form for equal tables")
    }

    // MARK: what needs a checksum, or a header beside the bytes

    private static func decodeSealed(
        _ kind: UInt8, _ bytes: UnsafeRawBufferPointer
    ) throws {
        switch kind % 5 {
        case 0: try decodePackHeader(bytes)
        case 1: try decodeRecordHeader(bytes)
        case 2: try decodeTable(bytes)
        case 3: try decodePrefix(bytes)
        default: decodeTrailer(bytes)
        }
    }

    /// As many zeros behind the input as a header has room for, and the checksum.
    private static func decodePackHeader(
        _ bytes: UnsafeRawBufferPointer
    ) throws {
        var header = padded(bytes, to: PackHeader.byteCount)
        Sealing.packHeader(&header)
        let decoded = try header.withUnsafeBytes { try PackHeader($0) }
        precondition(decoded.encoded() == header, "one form for equal headers")
    }

    private static func decodeRecordHeader(
        _ bytes: UnsafeRawBufferPointer
    ) throws {
        let key = RecordHeader.Key(secret: secret, pack: pack)
        var header = padded(bytes, to: RecordHeader.byteCount)
        Sealing.recordHeader(&header, at: 0, offset: 4096, secret: secret, pack: pack)
        _ = try header.withUnsafeBytes {
            try RecordHeader($0, key: key, offset: 4096).recordBytes
        }
    }

    /// The number of entries, then the body.
    private static func decodeTable(_ bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count >= 4 else { throw FormatError.truncated("input") }
        let body = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(4))
        let header = RecordHeader(
            kind: .packTable, storedBytes: UInt32(body.count), rawBytes: 0,
            itemCount: bytes.loadUnaligned(as: UInt32.self),
            bodyChecksum: BodyChecksum(of: body))
        let table = try PackTable(body, header: header)
        precondition(table.encoded().elementsEqual(body), "one form for equal tables")
    }

    /// Numbers of frames and chunks, stored and raw bytes, then the body.
    private static func decodePrefix(_ bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count >= 16 else { throw FormatError.truncated("input") }
        let body = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(16))
        let frames = bytes.loadUnaligned(fromByteOffset: 0, as: UInt16.self)
        let chunks = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        let count = SuperChunkPrefix.byteCount(frames: Int(frames), chunks: Int(chunks))
        let sealed = UnsafeRawBufferPointer(rebasing: body.prefix(count))
        let header = RecordHeader(
            kind: .superChunk,
            storedBytes: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self),
            rawBytes: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self),
            frameCount: frames, itemCount: chunks, bodyChecksum: BodyChecksum(of: sealed))
        let prefix = try SuperChunkPrefix(body, header: header)
        precondition(prefix.placements().count == prefix.chunks.count, "each chunk has a place")
        precondition(prefix.encoded().elementsEqual(sealed), "one form for equal prefixes")
    }

    private static func decodeTrailer(_ bytes: UnsafeRawBufferPointer) {
        var trailer = padded(bytes, to: PackTable.trailerBytes)
        Sealing.trailer(&trailer, at: 0, secret: secret, pack: pack)
        _ = trailer.withUnsafeBytes {
            PackTable.tableOffset(trailer: $0, secret: secret, pack: pack)
        }
    }

    private static func padded(_ bytes: UnsafeRawBufferPointer, to count: Int) -> [UInt8] {
        let known = bytes.prefix(count)
        return Array(known) + [UInt8](repeating: 0, count: count - known.count)
    }
}
