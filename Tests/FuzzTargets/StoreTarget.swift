// A whole store, changed as an input says, then checked, opened, read, written to, repaired.
import Backends
import Checking
import DiskFormat
import Hashing
import Metadata
import Pipeline
import Repair
import Volume

/// The fuzzer's way into everything that reads a store.
///
///     input:  0 what is done (u8) · edits × 8 bytes
///     edit:   0 operation u8 · 1 record u8 · 2 place u16 · 4 value u32
///
///     what is done:  1 of a store that was killed, not closed · 2 and 4 depth of right checksums ·
///                    8 the old index is there · 16 repair · 32 purge · 64 rebuild
public final class StoreTarget {
    static let editBytes = 8
    static let editsMax = 16

    private struct Base {
        let scene: SmallScene
        let forgery: Forgery
        let keys: [(key: [UInt8], value: [UInt8])]
    }

    private let bases: [Base]
    private let hasher: ChunkHasher

    public init() throws {
        hasher = try ChunkHasher(.sha256)
        bases = try [true, false].map { isSealed in
            let scene = try SmallScene(isSealed: isSealed)
            var keys: [(key: [UInt8], value: [UInt8])] = []
            try scene.index.scan(prefix: [], from: []) { key, value in
                keys.append((Array(key), Array(value)))
                return true
            }
            return Base(scene: scene, forgery: try Forgery(scene.backend), keys: keys)
        }
    }

    /// Does what an input says.
    ///
    /// - Returns: what is wrong with the program, not with the store; nil where nothing is.
    public func run(_ input: UnsafeRawBufferPointer) -> String? {
        guard let plan = input.first else { return nil }
        do {
            return try made(input).exercise(plan)
        } catch {
            return "the store could not be made: \(error)"
        }
    }

    /// The store that an input describes.
    func made(_ input: UnsafeRawBufferPointer) throws -> StoreUnderTest {
        let plan = input.first ?? 0
        let base = bases[Int(plan & 1)]
        let depth: Forgery.Depth =
            switch plan >> 1 & 3 {
            case 0: .none
            case 1: .records
            default: .chain
            }
        var forgery = base.forgery
        let index = MemoryIndexProvider(
            plan & 8 == 0 ? nil : base.scene.index.crash(keepingBatches: .max))
        var isIndexEdited = false
        for number in 0..<min(Self.editsMax, max(0, input.count - 1) / Self.editBytes) {
            let start = 1 + number * Self.editBytes
            let edit = Edit(
                UnsafeRawBufferPointer(rebasing: input[start..<start + Self.editBytes]))
            isIndexEdited = apply(edit, to: &forgery, index, base) || isIndexEdited
        }
        forgery.seal(depth, hasher)
        return StoreUnderTest(
            backend: try forgery.backend(), index: index,
            expected: depth == .none && !isIndexEdited ? base.scene.files : nil)
    }

    // MARK: edits

    private struct Edit {
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
    }

    private static let interesting: [UInt64] = [
        0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 1 << 47,
        (1 << 48) - 1, 1 << 48, 1 << 62, .max >> 1, 1 << 63, .max - 1, .max,
    ]

    /// Returns whether it was one of the index.
    private func apply(
        _ edit: Edit, to forgery: inout Forgery, _ index: MemoryIndexProvider, _ base: Base
    ) -> Bool {
        let record = forgery.records[edit.record % forgery.records.count]
        let header = RecordHeader.byteCount
        let place = header + edit.place % max(1, record.byteCount - header)
        let low = UInt8(truncatingIfNeeded: edit.value)
        switch edit.operation % 12 {
        case 0: forgery.change(record, at: place, count: 1) { $0[$0.startIndex] ^= low }
        case 1: forgery.change(record, at: place, count: 1) { $0[$0.startIndex] = low }
        case 2: forgery.change(record, at: place, count: 2) { $0.set(Self.bytes(edit.value)) }
        case 3: forgery.change(record, at: place, count: 4) { $0.set(Self.bytes(edit.value)) }
        case 4:
            let word = Self.interesting[Int(edit.value % UInt32(Self.interesting.count))]
            forgery.change(record, at: place, count: 8) { $0.set(Self.bytes(word)) }
        case 5:
            let count = 1 + Int(edit.value >> 16) % 512
            forgery.change(record, at: place, count: count) { slice in
                for position in slice.indices { slice[position] = low }
            }
        case 6:
            forgery.change(record, at: edit.place % header, count: 4) {
                $0.set(Array(Self.bytes(edit.value).prefix(1 + Int(low & 3))))
            }
        case 7: forgery.cut(record, by: edit.place)
        case 8: forgery.remove(pack: edit.record)
        case 9:
            forgery.copy(
                forgery.records[Int(edit.value) % forgery.records.count], over: record)
        case 10:
            forgery.change(
                packAt: edit.record % forgery.packs.count,
                from: edit.place % PackHeader.byteCount, count: 1
            ) { $0.set([low]) }
        default: return change(edit, index, base)
        }
        return false
    }

    private static func bytes(_ word: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: word.littleEndian) { Array($0) }
    }

    /// An index that lies: never a trap. (What it says wrongly is found by a rebuild alone.)
    private func change(_ edit: Edit, _ index: MemoryIndexProvider, _ base: Base) -> Bool {
        guard let store = index.current, !base.keys.isEmpty else { return false }
        let (key, known) = base.keys[(edit.record << 8 | edit.place >> 8) % base.keys.count]
        var batch = MetadataBatch()
        var value = known
        let place = edit.place & 0xff
        switch edit.value >> 30 {
        case 0: batch.delete(key)
        case 1:
            value.removeLast(min(value.count, 1 + place % 8))
            batch.put(key, value)
        default:
            if value.isEmpty { value = [0] }
            value[place % value.count] = UInt8(truncatingIfNeeded: edit.value)
            batch.put(key, value)
        }
        do throws(MetadataError) {
            try store.write(batch)
        } catch {
            return false
        }
        return true
    }
}

extension ArraySlice<UInt8> {
    /// Replaces its first bytes, as many as there are of both.
    fileprivate mutating func set(_ bytes: [UInt8]) {
        for (position, byte) in zip(indices, bytes) { self[position] = byte }
    }
}
