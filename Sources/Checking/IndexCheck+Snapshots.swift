// The index's snapshots, and what it counts as owned by them.
import ChunkIndex
import DiskFormat
import NamespaceIndex

extension IndexCheck {
    /// Counts what kept nodes own, as far as the index says that it is counted; and compares which
    /// nodes are kept with what the walk of the snapshots has found, unless the index says that it has
    /// not come so far.
    func checkKept() throws(CheckingError) {
        checkSnapshots()
        var unsettled: Set<ChunkName> = []
        scan(IndexKey.unsettledPrefix) { key, _ in
            if let name = IndexKey.unsettledNode(key) { unsettled.insert(name) }
            return true
        }
        var kept: [ChunkName: KeptRecord] = [:]
        scan(IndexKey.keptPrefix) { key, value in
            guard let name = IndexKey.keptNode(key), let record = try? KeptRecord(value) else {
                self.damaged("record of a kept node")
                return false
            }
            kept[name] = record
            return true
        }
        for (name, record) in kept { count(name, record) }
        // What cannot be read stays unsettled.
        let isSettled = unsettled.allSatisfy { check.lost[$0] != nil }
        guard isSettled, !isDamaged, check.lost.isEmpty else { return }
        for (number, owners) in keptOwners.sorted(by: { $0.key < $1.key }) {
            let name = check.inventory.table.copies[number].name
            let record = kept.removeValue(forKey: name)
            if record != KeptRecord(owners: owners, ownsChildren: true) {
                check.book.add(
                    .indexCount, .chunk(name),
                    "kept by \(record?.owners ?? 0), \(owners) owners among snapshots")
            }
        }
        for name in kept.keys.sorted() {
            check.book.add(.indexCount, .chunk(name), "kept, but no snapshot has it")
        }
    }

    private func checkSnapshots() {
        var indexed: [UniqueID: SnapshotImage] = [:]
        scan(NamespaceKey.Family.snapshot.rawValue) { _, value in
            guard let image = try? SnapshotImage(value) else {
                self.damaged("record of a snapshot")
                return false
            }
            indexed[image.id] = image
            return true
        }
        for snapshot in snapshots where indexed.removeValue(forKey: snapshot.id) != snapshot {
            check.book.add(
                .indexMissing, .index, "snapshot \(snapshot.name) is not as the packs have it")
        }
        for snapshot in indexed.values.sorted(by: { $0.number < $1.number }) {
            check.book.add(
                .indexExtra, .index, "snapshot \(snapshot.name) is not in the packs")
        }
    }

    /// Counts a kept node's owners, and it as the owner of its children.
    private func count(_ name: ChunkName, _ record: KeptRecord) {
        let inventory = check.inventory
        guard let number = inventory.table.number(of: name) else { return }
        inventory.table.addOwner(number, times: record.owners)
        guard record.ownsChildren, let bytes = try? check.chunks.chunk(name, domain: .tree),
            let node = bytes.withUnsafeBytes({ try? TreeNode($0) })
        else { return }
        var names: Set<ChunkName> = []
        for image in node.images {
            switch image.content {
            case .chunk(let name): names.insert(name)
            case .recipe(let reference): names.insert(reference.name)
            case .none, .directory, .target: break
            }
            if case .chunk(let name, _) = image.attributes { names.insert(name) }
        }
        // Its nodes have records of their own.
        for name in names {
            guard let child = inventory.table.number(of: name) else { continue }
            inventory.table.addOwner(child)
        }
    }
}
