// The index against the packs: places, lengths, counts.
import ChunkIndex
import DiskFormat
import Metadata
import Trees

/// Compares the chunk records of an index (family 'C') with what the packs hold and what the walk of
/// the volumes has counted. An index of another commit is not compared: it is to be brought up to
/// date first.
final class IndexCheck {
    let check: Checker
    private let index: IndexToCheck
    let snapshots: [SnapshotImage]
    /// Of the newest state, by volume: those that say anything.
    let rules: [UniqueID: VolumeRules]
    /// As `SnapshotCheck.owners`.
    let keptOwners: [Int: UInt32]
    private var packs: [UInt32: PackID] = [:]
    private(set) var isDamaged = false
    private var done: UInt64 = 0

    init(
        _ check: Checker, _ index: IndexToCheck, _ state: State, keptOwners: [Int: UInt32]
    ) {
        self.check = check
        self.index = index
        snapshots = state.snapshots
        rules = state.rules
        self.keptOwners = keptOwners
    }

    func run() throws(CheckingError) {
        if let last = index.lastCommit, last != check.log.newest?.hash {
            check.book.add(
                .indexOther, .index, "holds commit \(last), which is not the newest")
            return
        }
        readPacks()
        try countDeadRecipes()
        checkRules()
        checkLoading()
        try checkKept()
        try compare()
        if !isDamaged { findMissing() }
    }

    /// Visits keys of a family; an index that cannot be read is told of once.
    func scan(
        _ prefix: UInt8,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) {
        guard !isDamaged else { return }
        do throws(MetadataError) {
            try index.store.scan(prefix: [prefix], body)
        } catch {
            damaged("\(error)")
        }
    }

    /// The value of a key; nil where there is none, or it cannot be read, which is told.
    func value(of key: [UInt8]) -> [UInt8]? {
        do throws(MetadataError) {
            return try index.store.get(key)
        } catch {
            damaged("\(error)")
            return nil
        }
    }

    func damaged(_ why: String) {
        isDamaged = true
        check.book.add(.indexDamaged, .index, why)
    }

    private func readPacks() {
        scan(IndexKey.packPrefix) { key, value in
            guard key.count == 5, value.count >= 16 else {
                self.damaged("entry of a pack")
                return false
            }
            let number = UInt32(
                bigEndian: key.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
            let writer = value.loadUnaligned(as: UInt64.self).littleEndian
            let sequence = value.loadUnaligned(fromByteOffset: 8, as: UInt64.self).littleEndian
            self.packs[number] = PackID(writer: writer, sequence: sequence)
            return true
        }
    }

    /// Recipe nodes that nothing owns own their children as long as they are indexed.
    private func countDeadRecipes() throws(CheckingError) {
        var dead: [Int] = []
        scan(IndexKey.chunkPrefix) { key, value in
            guard let name = IndexKey.chunkName(key) else {
                self.damaged("key of a chunk")
                return false
            }
            do throws(FormatError) {
                let record = try ChunkRecord(value)
                if record.domain == .recipe,
                    let number = self.check.inventory.table.number(of: name),
                    self.check.recipes[number] == nil
                {
                    dead.append(number)
                }
                return true
            } catch {
                self.damaged("record of chunk \(name): \(error)")
                return false
            }
        }
        for number in dead {
            let name = check.inventory.table.copies[number].name
            guard let bytes = try? check.chunks.chunk(name, domain: .recipe),
                let node = bytes.withUnsafeBytes({ try? RecipeNode($0) })
            else { continue }
            countChildren(of: node)
        }
    }

    private func countChildren(of node: RecipeNode) {
        var names: Set<ChunkName> = []
        switch node {
        case .leaf(let extents):
            for case .data(let name, _) in extents { names.insert(name) }
        case .inner(_, let children):
            for child in children { names.insert(child.child) }
        }
        for name in names {
            guard let number = check.inventory.table.number(of: name) else { continue }
            check.inventory.table.addOwner(number)
        }
    }

    private func compare() throws(CheckingError) {
        var failure: CheckingError?
        scan(IndexKey.chunkPrefix) { key, value in
            guard let name = IndexKey.chunkName(key), let record = try? ChunkRecord(value) else {
                return true
            }
            self.done += 1
            if self.done % 4096 == 1 {
                do throws(CheckingError) {
                    try self.check.monitor.step(
                        .index, self.done, UInt64(self.check.inventory.table.copies.count))
                } catch {
                    failure = error
                    return false
                }
            }
            self.compare(name, record)
            return true
        }
        if let failure { throw failure }
    }

    private func compare(_ name: ChunkName, _ record: ChunkRecord) {
        let inventory = check.inventory
        guard let number = inventory.table.number(of: name) else {
            // Where content is hidden by damage, the index may well be right.
            // What is in use and lost is told already, and stays indexed with its count.
            if check.book.hiding.isEmpty, check.lost[name] == nil {
                check.book.add(.indexExtra, .chunk(name), "indexed, but not stored")
            }
            return
        }
        inventory.table.marks[number].insert(.told)
        let copy = inventory.table.copies[number]
        if record.rawBytes != copy.rawBytes || record.domain != copy.domain {
            check.book.add(
                .indexPlace, .chunk(name),
                "indexed as \(record.rawBytes) bytes of \(record.domain), stored as "
                    + "\(copy.rawBytes) of \(copy.domain)")
            return
        }
        if let wrong = record.places.first(where: { !isStored($0, number) }) {
            check.book.add(
                .indexPlace, .chunk(name),
                "not stored at offset \(wrong.recordOffset) of pack "
                    + (packs[wrong.pack].map { "\($0)" } ?? "number \(wrong.pack)"))
            return
        }
        let expected = inventory.table.counts[number]
        if record.count != expected {
            check.book.add(
                .indexCount, .chunk(name), "count \(record.count), \(expected) owners")
        }
    }

    /// Whether a copy lies at the place that the index names.
    private func isStored(_ place: ChunkPlace, _ number: Int) -> Bool {
        let inventory = check.inventory
        guard let id = packs[place.pack] else { return false }
        return inventory.table.range(of: number).contains { position in
            let copy = inventory.table.copies[position]
            let record = inventory.records[Int(copy.record)]
            let bytes = UInt64(RecordHeader.byteCount) + UInt64(record.storedBytes)
            return record.offset == place.recordOffset && copy.frame == place.frame
                && copy.frameOffset == place.frameOffset
                && (bytes == UInt64(place.recordBytes)
                    || DiskFormat.aligned(bytes) == UInt64(place.recordBytes))
                && inventory.packID(of: Int(copy.record)) == id
        }
    }

    /// Chunks in use that the index does not know.
    private func findMissing() {
        let table = check.inventory.table
        var number = 0
        while number < table.copies.count {
            let marks = table.marks[number]
            if marks.contains(.live), !marks.contains(.told) {
                check.book.add(
                    .indexMissing, .chunk(table.copies[number].name), "in use, not indexed")
            }
            number = table.range(of: number).upperBound
        }
    }
}
