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
        for edit in Edit.list(input) {
            if !edit.apply(to: &forgery) {
                isIndexEdited = change(edit, index, base) || isIndexEdited
            }
        }
        forgery.seal(depth, hasher)
        return StoreUnderTest(
            backend: try forgery.backend(), index: index,
            expected: depth == .none && !isIndexEdited ? base.scene.files : nil)
    }

    // MARK: edits of the index

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
