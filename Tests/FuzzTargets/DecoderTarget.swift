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
import DiskFormat

/// Every decoder of the disk format. The first byte of an input chooses one.
public enum DecoderTarget {
    public static let secret = StoreSecret(high: 3, low: 4)
    public static let pack = PackID(writer: 5, sequence: 6)

    /// Whether the input was understood.
    public static func run(_ input: UnsafeRawBufferPointer) -> Bool {
        guard let kind = input.first else { return false }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        do {
            if kind < 128 { try decode(kind, bytes) } else { try decodeSealed(kind, bytes) }
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
