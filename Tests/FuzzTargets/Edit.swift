// What an input changes in the packs that it begins with.
import DiskFormat

/// One change:
///
///     0 operation u8 · 1 record u8 · 2 place u16 · 4 value u32
struct Edit {
    static let byteCount = 8
    static let countMax = 16

    let operation: UInt8
    let record: Int
    let place: Int
    let value: UInt32

    init(_ bytes: UnsafeRawBufferPointer) {
        operation = bytes[0]
        record = Int(bytes[1])
        place = Int(bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        value = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    }

    /// Those behind the first byte of an input.
    static func list(_ input: UnsafeRawBufferPointer) -> [Edit] {
        let count = min(countMax, max(0, input.count - 1) / byteCount)
        return (0..<count).map { number in
            let start = 1 + number * byteCount
            return Edit(UnsafeRawBufferPointer(rebasing: input[start..<start + byteCount]))
        }
    }

    private static let interesting: [UInt64] = [
        0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 1 << 47,
        (1 << 48) - 1, 1 << 48, 1 << 62, .max >> 1, 1 << 63, .max - 1, .max,
    ]

    /// Returns false where it is of something else than packs, and nothing was done.
    func apply(to forgery: inout Forgery) -> Bool {
        let record = forgery.records[self.record % forgery.records.count]
        let header = RecordHeader.byteCount
        let place = header + self.place % max(1, record.byteCount - header)
        let low = UInt8(truncatingIfNeeded: value)
        switch operation % 12 {
        case 0: forgery.change(record, at: place, count: 1) { $0[$0.startIndex] ^= low }
        case 1: forgery.change(record, at: place, count: 1) { $0[$0.startIndex] = low }
        case 2: forgery.change(record, at: place, count: 2) { $0.set(Self.bytes(value)) }
        case 3: forgery.change(record, at: place, count: 4) { $0.set(Self.bytes(value)) }
        case 4:
            let word = Self.interesting[Int(value % UInt32(Self.interesting.count))]
            forgery.change(record, at: place, count: 8) { $0.set(Self.bytes(word)) }
        case 5:
            let count = 1 + Int(value >> 16) % 512
            forgery.change(record, at: place, count: count) { slice in
                for position in slice.indices { slice[position] = low }
            }
        case 6:
            forgery.change(record, at: self.place % header, count: 4) {
                $0.set(Array(Self.bytes(value).prefix(1 + Int(low & 3))))
            }
        case 7: forgery.cut(record, by: self.place)
        case 8: forgery.remove(pack: self.record)
        case 9:
            forgery.copy(forgery.records[Int(value) % forgery.records.count], over: record)
        case 10:
            forgery.change(
                packAt: self.record % forgery.packs.count,
                from: self.place % PackHeader.byteCount, count: 1
            ) { $0.set([low]) }
        default: return false
        }
        return true
    }

    static func bytes(_ word: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: word.littleEndian) { Array($0) }
    }
}

extension ArraySlice<UInt8> {
    /// Replaces its first bytes, as many as there are of both.
    fileprivate mutating func set(_ bytes: [UInt8]) {
        for (position, byte) in zip(indices, bytes) { self[position] = byte }
    }
}
