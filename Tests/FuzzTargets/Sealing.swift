// Checksums of the disk format, made right for bytes that somebody has changed: written from the
// layouts in `Sources/DiskFormat`, whose own functions only seal what they have encoded.
import CKernels
import DiskFormat

enum Sealing {
    private static func key(_ secret: StoreSecret, _ pack: PackID) -> UInt32 {
        let words = [secret.high, secret.low, pack.writer, pack.sequence].map(\.littleEndian)
        return words.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
    }

    /// The last 4 bytes of a pack's first 4096.
    static func packHeader(_ bytes: inout [UInt8]) {
        let count = PackHeader.byteCount - 4
        let checksum = bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, count) }
        store(checksum, at: count, in: &bytes)
    }

    /// CRC32C without a key.
    static func checksum(of bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
    }

    /// The last 4 of the 48 bytes at `start`, of a record that lies at `offset` of its pack.
    static func recordHeader(
        _ bytes: inout [UInt8], at start: Int, offset: UInt64, secret: StoreSecret, pack: PackID
    ) {
        var place = offset.littleEndian
        let seeded = ashlar_crc32c(key(secret, pack), &place, 8)
        let checksum = bytes.withUnsafeBytes {
            ashlar_crc32c(seeded, $0.baseAddress.map { $0 + start }, 44)
        }
        store(checksum, at: start + 44, in: &bytes)
    }

    /// The last 4 of the 32 bytes at `start`.
    static func trailer(
        _ bytes: inout [UInt8], at start: Int, secret: StoreSecret, pack: PackID
    ) {
        let seeded = key(secret, pack)
        let checksum = bytes.withUnsafeBytes {
            ashlar_crc32c(seeded, $0.baseAddress.map { $0 + start }, 28)
        }
        store(checksum, at: start + 28, in: &bytes)
    }

    /// The 16 bytes of the checksum of a range.
    static func checksum(
        of range: Range<Int>, at target: Int, in bytes: inout [UInt8]
    ) {
        let checksum = bytes.withUnsafeBytes {
            BodyChecksum(of: UnsafeRawBufferPointer(rebasing: $0[range]))
        }
        store(checksum.low, at: target, in: &bytes)
        store(checksum.high, at: target + 8, in: &bytes)
    }

    static func load<Word: FixedWidthInteger>(
        _ type: Word.Type, at offset: Int, of bytes: [UInt8]
    ) -> Word {
        bytes.withUnsafeBytes {
            Word(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Word.self))
        }
    }

    static func store<Word: FixedWidthInteger>(
        _ word: Word, at offset: Int, in bytes: inout [UInt8]
    ) {
        withUnsafeBytes(of: word.littleEndian) {
            bytes.replaceSubrange(offset..<offset + $0.count, with: $0)
        }
    }
}
