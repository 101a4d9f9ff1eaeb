//  0        4      5
//  +--------+------+------------+------------------+----------------------+
//  | magic  | desc | window 0/1 | dictionary 0/1/2/4 | content size 0/1/2/4/8 |
//  +--------+------+------------+------------------+----------------------+
//  desc: bits 7-6 size of the content size, 5 single segment (no window: the content's size is
//  the window), 4 unused, 3 reserved (0), 2 checksum, 1-0 size of the dictionary id.

/// The header of a zstd frame (RFC 8878, 3.1.1.1), read before libzstd sees the frame.
///
/// libzstd's own reading of it is not in its stable interface, and its decoder also takes what has
/// no place in a store: skippable frames and the formats before 0.8, whose decoders allocate.
struct FrameHeader: Equatable {
    /// How far back a match may reach.
    var windowBytes: UInt64
    /// 0 where none is named.
    var dictionaryID: UInt32
    /// nil where the frame does not say.
    var contentBytes: UInt64?

    static let magic: UInt32 = 0xFD2F_B528

    /// Throws `notAFrame`, `corrupt` (reserved bit), or `wrongFrameLength` where the header is not
    /// whole.
    init(_ source: UnsafeRawBufferPointer) throws(CompressionError) {
        guard source.count >= 5,
            source.loadUnaligned(as: UInt32.self).littleEndian == FrameHeader.magic
        else { throw .notAFrame }
        let descriptor = source[4]
        guard descriptor & 0x08 == 0 else { throw .corrupt }
        let isSingleSegment = descriptor & 0x20 != 0
        let contentField =
            switch descriptor >> 6 {
            case 0: isSingleSegment ? 1 : 0
            case 1: 2
            case 2: 4
            default: 8
            }
        let dictionaryField = [0, 1, 2, 4][Int(descriptor & 3)]
        let windowField = isSingleSegment ? 0 : 1
        guard source.count >= 5 + windowField + dictionaryField + contentField else {
            throw .wrongFrameLength(sourceBytes: source.count, frameBytes: nil)
        }
        let window = FrameHeader.number(source, at: 5, byteCount: windowField)
        dictionaryID = UInt32(
            truncatingIfNeeded: FrameHeader.number(
                source, at: 5 + windowField, byteCount: dictionaryField))
        let content = FrameHeader.number(
            source, at: 5 + windowField + dictionaryField, byteCount: contentField)
        // The two-byte form begins where the one-byte form ends.
        let known = contentField == 2 ? content + 256 : content
        contentBytes = contentField == 0 ? nil : known
        let base: UInt64 = 1 << (10 + (window >> 3))
        windowBytes = isSingleSegment ? known : base + base / 8 * (window & 7)
    }

    /// Little-endian; 0 for no bytes.
    private static func number(
        _ source: UnsafeRawBufferPointer, at offset: Int, byteCount: Int
    ) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<byteCount {
            value |= UInt64(source[offset + index]) << UInt64(8 * index)
        }
        return value
    }
}
