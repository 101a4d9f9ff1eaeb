// A file of a snapshot or a difference taken apart, changed, and put together again.
import DiskFormat
import Hashing

/// The head, the packs and the end of a stream file. Written from the layout in
/// `DiskFormat/StreamFile`, whose own functions only seal what they have encoded.
struct StreamForgery {
    private static let trailerBytes = StreamTable.trailerBytes

    private var head: [UInt8]
    var packs: Forgery
    /// The table and the trailer, as they were.
    private let end: [UInt8]
    /// What becomes of them when the file is put together.
    private var endEdits: [Edit] = []

    init(head: StreamHead, packs: Forgery, _ hasher: ChunkHasher) {
        self.head = head.encoded()
        self.packs = packs
        var offset = UInt64(StreamHead.byteCount)
        let sections = packs.packs.map { pack in
            offset = DiskFormat.aligned(offset)
            defer { offset += UInt64(pack.bytes.count) }
            return StreamTable.Section(
                pack: pack.id, offset: offset, byteCount: UInt64(pack.bytes.count),
                digest: StreamForgery.digest(pack.bytes, hasher))
        }
        end = StreamTable(sections: sections).encoded(head: self.head)
    }

    private static func digest(_ bytes: [UInt8], _ hasher: ChunkHasher) -> ChunkName {
        bytes.withUnsafeBytes { hasher.name(of: $0, domain: .data) }
    }

    /// Changes the head, the table or the trailer.
    mutating func apply(_ edit: Edit) {
        if edit.record & 1 == 0 {
            change(&head, edit)
        } else {
            endEdits.append(edit)
        }
    }

    private func change(_ bytes: inout [UInt8], _ edit: Edit) {
        guard !bytes.isEmpty else { return }
        let place = edit.place % bytes.count
        let new = Edit.bytes(edit.value).prefix(1 << (edit.record >> 1 & 3))
        for (position, byte) in new.enumerated() where place + position < bytes.count {
            bytes[place + position] = byte
        }
    }

    /// The file.
    ///
    /// - Parameter isSealed: its table is made for its packs, its own checksums are right: of the
    ///   packs' own ones see `Forgery.seal`.
    func file(isSealed: Bool, _ hasher: ChunkHasher) -> [UInt8] {
        var bytes = head
        if isSealed {
            let checksum = Sealing.checksum(of: bytes.dropLast(4))
            Sealing.store(checksum, at: bytes.count - 4, in: &bytes)
        }
        let head = bytes
        var sections: [StreamTable.Section] = []
        for pack in packs.packs where !pack.isRemoved {
            pad(&bytes)
            sections.append(
                StreamTable.Section(
                    pack: pack.id, offset: UInt64(bytes.count),
                    byteCount: UInt64(pack.bytes.count),
                    digest: StreamForgery.digest(pack.bytes, hasher)))
            bytes += pack.bytes
        }
        pad(&bytes)
        var end = end
        if isSealed {
            end = StreamTable(sections: sections).encoded(head: head)
            for edit in endEdits { change(&end, edit) }
            seal(&end, head)
        } else {
            for edit in endEdits { change(&end, edit) }
        }
        return bytes + end
    }

    private func pad(_ bytes: inout [UInt8]) {
        let aligned = Int(DiskFormat.aligned(UInt64(bytes.count)))
        bytes += [UInt8](repeating: 0, count: aligned - bytes.count)
    }

    /// The checksum of the head and the table, and the trailer's own.
    private func seal(_ end: inout [UInt8], _ head: [UInt8]) {
        let start = end.count - Self.trailerBytes
        let covered = (head + end[..<start]).withUnsafeBytes { BodyChecksum(of: $0) }
        Sealing.store(covered.low, at: start + 28, in: &end)
        Sealing.store(covered.high, at: start + 36, in: &end)
        let checksum = Sealing.checksum(of: end[start...].dropLast(4))
        Sealing.store(checksum, at: end.count - 4, in: &end)
    }
}
