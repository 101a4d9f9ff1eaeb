// Volumes that began as snapshots and are not loaded whole: what an index counts of them.
import DiskFormat
import Metadata
import NamespaceIndex

/// What of a volume is not in the index; see `OriginRecord`.
struct LoadingVolume {
    /// Its first root, which is kept as a snapshot's is.
    var root: ChunkName
    /// By inode of the directory (0: the table of linked inodes), how many of its entries are in the
    /// index.
    var positions: [UInt64: UInt64] = [:]

    /// Whether the entry at this place of a directory, or of the table, is not in the index.
    func isUnloaded(_ inode: UInt64, at place: UInt64) -> Bool {
        positions[inode].map { place >= $0 } ?? false
    }

    /// Whether the nodes of a directory, or of the table, are not counted.
    func isUncounted(_ inode: UInt64) -> Bool {
        positions[inode] == 0
    }
}

/// The volumes that an index has not loaded whole. Without an index, or with one of another commit, whose
/// counts are not compared: none.
struct LoadingVolumes {
    private var volumes: [UniqueID: LoadingVolume] = [:]

    init(_ index: IndexToCheck?, newest: ChunkName?) {
        guard let index, index.lastCommit == nil || index.lastCommit == newest else { return }
        // What cannot be read or understood is told when the index is compared.
        var numbers: [UInt32: UniqueID] = [:]
        try? index.store.scan(prefix: NamespaceKey.prefix(.volume)) { key, value in
            if let number = NamespaceKey.volumeNumber(key), let record = try? VolumeRecord(value) {
                numbers[number] = record.volumeID
            }
            return true
        }
        for (number, id) in numbers {
            let key = NamespaceKey.origin(number)
            guard let bytes = try? index.store.get(key),
                let record = bytes.withUnsafeBytes({ try? OriginRecord($0) })
            else { continue }
            var volume = LoadingVolume(root: record.root)
            try? index.store.scan(prefix: NamespaceKey.prefix(.unloaded, number)) { key, value in
                if let inode = NamespaceKey.inodeNumber(key) {
                    volume.positions[inode] = (try? UnloadedRecord(value))?.position ?? 0
                }
                return true
            }
            volumes[id] = volume
        }
    }

    subscript(id: UniqueID) -> LoadingVolume? { volumes[id] }

    /// First roots, in an order that is the same each time.
    var roots: [(volume: UniqueID, root: ChunkName)] {
        volumes.map { ($0.key, $0.value.root) }.sorted { $0.root < $1.root }
    }
}
