// What the index keeps of each volume's rules, retention and schedule.
import DiskFormat
import NamespaceIndex

extension IndexCheck {
    /// Compares the rules of the volumes with those that the packs have (commit, section 10): wrong
    /// ones would delete snapshots that are to be kept.
    func checkRules() {
        var indexed: [UniqueID: VolumeRules] = [:]
        scan(NamespaceKey.Family.volume.rawValue) { _, value in
            guard let record = try? VolumeRecord(value) else {
                self.damaged("record of a volume")
                return false
            }
            if !record.rules.isEmpty { indexed[record.volumeID] = record.rules }
            return true
        }
        for (id, wanted) in rules.sorted(by: { $0.key.description < $1.key.description }) {
            guard indexed.removeValue(forKey: id) != wanted else { continue }
            check.book.add(
                .indexMissing, .index, "rules of volume \(id) are not as the packs have them")
        }
        for id in indexed.keys.map(\.description).sorted() {
            check.book.add(.indexExtra, .index, "rules of volume \(id) are not in the packs")
        }
    }
}
