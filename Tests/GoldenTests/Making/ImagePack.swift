// One pack of an image, as bytes: header, records one behind the other, table and trailer.
import CKernels

@testable import DiskFormat

/// Lays down a pack by the specification alone, without the stages that write real ones.
final class ImagePack {
    let id: PackID
    let role: PackHeader.Role
    private(set) var bytes: [UInt8]
    private var entries: [PackTable.Entry] = []
    private let secret: StoreSecret
    private let key: RecordHeader.Key

    /// - Parameter patch: changes the header's bytes; the checksum is made right behind it.
    init(
        _ id: PackID, _ role: PackHeader.Role, _ parameters: StoreParameters, seconds: Int64,
        patch: (inout [UInt8]) -> Void
    ) {
        self.id = id
        self.role = role
        secret = parameters.secret
        key = RecordHeader.Key(secret: parameters.secret, pack: id)
        bytes = PackHeader(
            parameters: parameters, id: id, role: role, createdSeconds: seconds,
            createdNanoseconds: 0
        ).encoded()
        patch(&bytes)
        let checksum = bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, 4092) }
        replace(4092, checksum)
    }

    var end: UInt64 { UInt64(bytes.count) }

    /// Appends a record; returns its offset and its header's bytes.
    ///
    /// - Parameter patch: changes the header's bytes; the checksum is made right behind it.
    @discardableResult
    func append(
        _ header: RecordHeader, _ body: [UInt8], patch: (inout [UInt8]) -> Void = { _ in }
    ) -> (offset: UInt64, header: [UInt8]) {
        let offset = end
        var encoded = header.encoded(key: key, offset: offset)
        patch(&encoded)
        let checksum = encoded.withUnsafeBytes { key.checksum(offset: offset, $0) }
        encoded.replaceSubrange(44..<48, with: ImagePack.littleEndian(checksum))
        bytes += encoded + body
        bytes += [UInt8](repeating: 0, count: -bytes.count & 7)
        entries.append(PackTable.Entry(offset: offset, header: header))
        return (offset, encoded)
    }

    /// Writes the table and the trailer.
    func seal() {
        let table = PackTable(entries: entries).encoded()
        let header = RecordHeader(
            kind: .packTable, storedBytes: UInt32(table.count), rawBytes: UInt32(table.count),
            itemCount: UInt32(entries.count),
            bodyChecksum: table.withUnsafeBytes { BodyChecksum(of: $0) })
        let offset = append(header, table).offset
        bytes += PackTable.encodedTrailer(tableOffset: offset, secret: secret, pack: id)
    }

    /// What an unclean end leaves of the last write.
    func cut(to count: UInt64) {
        bytes.removeSubrange(Int(count)...)
    }

    /// What punching a record's body out leaves of it.
    func punch(_ offset: UInt64, storedBytes: UInt32) {
        let begin = Int(offset) + RecordHeader.byteCount
        let range = begin..<begin + Int(storedBytes)
        bytes.replaceSubrange(range, with: repeatElement(0, count: range.count))
    }

    private func replace(_ offset: Int, _ value: UInt32) {
        bytes.replaceSubrange(offset..<offset + 4, with: ImagePack.littleEndian(value))
    }

    static func littleEndian(_ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
