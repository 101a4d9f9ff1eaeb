// What an index says of volumes that are not loaded whole.
import DiskFormat
import Metadata
import NamespaceIndex

extension IndexCheck {
    /// Every list that is not loaded belongs to a volume that says how many there are, and is the table
    /// of linked inodes or a directory with a tree whose inode is in the index.
    func checkLoading() {
        var left: [UInt32: UInt64] = [:]
        scan(NamespaceKey.Family.origin.rawValue) { key, value in
            guard key.count == 5, let number = NamespaceKey.volumeNumber(key),
                let origin = try? OriginRecord(value)
            else {
                self.damaged("record of a volume's origin")
                return false
            }
            left[number] = origin.unloaded
            return true
        }
        scan(NamespaceKey.Family.unloaded.rawValue) { key, value in
            guard let number = NamespaceKey.volumeNumber(key),
                let inode = NamespaceKey.inodeNumber(key), (try? UnloadedRecord(value)) != nil,
                let count = left[number], count > 0, self.hasTree(inode, of: number)
            else {
                self.damaged("record of names that are not loaded")
                return false
            }
            left[number] = count - 1
            return true
        }
        guard !isDamaged, let (number, count) = left.first(where: { $0.value > 0 }) else { return }
        damaged("volume \(number): \(count) more lists are said not to be loaded than there are")
    }

    private func hasTree(_ inode: UInt64, of volume: UInt32) -> Bool {
        if inode == UnloadedRecord.linkedInodes { return true }
        guard let bytes = value(of: NamespaceKey.inode(volume, inode)),
            let record = bytes.withUnsafeBytes({ try? InodeRecord($0, of: inode) }),
            case .directory = record.image.content
        else { return false }
        return true
    }
}
