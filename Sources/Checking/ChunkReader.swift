// From a chunk's name to its verified bytes, by way of any intact copy.
import DiskFormat
import SuperChunks
import Trees

/// Reads chunks of an inventory, keeping some frames. What turns out to be bad is noted in the
/// inventory. A node store that cannot be written.
///
/// Threads: those of the inventory.
public final class ChunkReader: NodeStore {
    let inventory: Inventory
    private let cache: FrameCache<CheckingError>

    /// - Parameter cacheBytes: bound of the frames that are kept.
    public init(_ inventory: Inventory, cacheBytes: Int = 64 << 20) {
        self.inventory = inventory
        cache = FrameCache(limitBytes: max(0, cacheBytes))
    }

    /// The verified bytes of a chunk: of a kept frame or of the first copy that is intact.
    ///
    /// - Throws: `missing` where no copy is stored, `format` where all are bad, `storage` where the
    ///   backend refuses.
    public func chunk(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        let found: Int?
        do throws(CheckingError) {
            found = try inventory.number(of: name)
        } catch {
            throw .storage(node: name)
        }
        guard let number = found else { throw .missing(name) }
        var why = FormatError.checksum("chunk: no intact copy")
        for position in inventory.table.range(of: number) {
            let copy = inventory.table.copies[position]
            guard inventory.isIntact(copy) else { continue }
            guard copy.domain == domain else {
                why = .badValue("chunk: domain")
                continue
            }
            do throws(CheckingError) {
                if let bytes = try read(copy, name) { return bytes }
            } catch {
                throw .storage(node: name)
            }
        }
        throw .format(why, node: name)
    }

    /// As `chunk(_:domain:)`.
    public func readNode(_ name: ChunkName, domain: ChunkDomain) throws(TreeError) -> [UInt8] {
        try chunk(name, domain: domain)
    }

    /// Always throws `storage`: nothing is written here.
    public func writeNode(_ bytes: [UInt8], domain: ChunkDomain) throws(TreeError) -> ChunkName {
        throw .storage(node: nil)
    }

    /// nil where the copy is bad, which is noted.
    private func read(
        _ copy: ChunkTable.Copy, _ name: ChunkName
    ) throws(CheckingError) -> [UInt8]? {
        let record = Int(copy.record)
        let key = FrameKey(
            pack: inventory.records[record].pack, offset: inventory.records[record].offset,
            frame: copy.frame)
        var damage: FrameDamage?
        let frame: DecodedFrame
        do throws(CheckingError) {
            frame = try cache.frame(for: key) { () throws(CheckingError) in
                switch try inventory.loadFrame(record, copy.frame) {
                case .success(let decoded): return decoded
                case .failure(let why):
                    damage = why
                    throw .noState
                }
            }
        } catch {
            guard let damage else { throw error }
            inventory.noteDamage(record, copy.frame, damage.description)
            return nil
        }
        let wanted = frame.entries.first { $0.name == name && $0.offset == Int(copy.frameOffset) }
        guard let entry = wanted else { return nil }
        let bytes = frame.withBytes(of: entry) { Array($0) }
        let found = bytes.withUnsafeBytes { inventory.hasher.name(of: $0, domain: entry.domain) }
        if found == name { return bytes }
        inventory.noteMismatch(record, copy.frame, entry, found: found)
        return nil
    }
}
