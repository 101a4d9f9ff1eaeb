// Typed reading of the index: values that cannot be understood mean that it is to be rebuilt.
import ChunkIndex
import DiskFormat
import Metadata
import NamespaceIndex

extension MetadataStore {
    /// The value of `key`, decoded; nil where there is none.
    func value<Value>(
        of key: [UInt8], _ decode: (UnsafeRawBufferPointer) throws(FormatError) -> Value
    ) throws(StoreError) -> Value? {
        let bytes: [UInt8]?
        do throws(MetadataError) {
            bytes = try get(key)
        } catch {
            throw .index(error)
        }
        guard let bytes else { return nil }
        do throws(FormatError) {
            return try bytes.withUnsafeBufferPointer { (buffer) throws(FormatError) in
                try decode(UnsafeRawBufferPointer(buffer))
            }
        } catch {
            throw .indexDamaged(error)
        }
    }

    /// All pieces of a volume's files, each file's as a whole.
    func pieces(ofVolume number: UInt32) throws(StoreError) -> [ExtentChange] {
        var extents: [ExtentChange] = []
        try visit(NamespaceKey.prefix(.piece, number)) { (key, value) throws(FormatError) in
            guard let (inode, offset) = NamespaceKey.pair(key) else { return true }
            let piece = try PieceRecord(value).piece(at: offset)
            if extents.last?.inode == inode {
                extents[extents.count - 1].pieces.append(piece)
            } else {
                let all = 0..<ExtentChange.endOfFile
                extents.append(ExtentChange(inode: inode, range: all, pieces: [piece]))
            }
            return true
        }
        return extents
    }

    /// Visits everything under `prefix`, from `from` on, until `body` returns false.
    func visit(
        _ prefix: [UInt8], from: [UInt8]? = nil,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(FormatError) -> Bool
    ) throws(StoreError) {
        var failure: FormatError?
        do throws(MetadataError) {
            try scan(prefix: prefix, from: from ?? prefix) { key, value in
                do throws(FormatError) {
                    return try body(key, value)
                } catch {
                    failure = error
                    return false
                }
            }
        } catch {
            throw .index(error)
        }
        if let failure { throw .indexDamaged(failure) }
    }

    /// Writes a batch.
    func apply(_ batch: borrowing MetadataBatch) throws(StoreError) {
        do throws(MetadataError) {
            try write(batch)
        } catch {
            throw .index(error)
        }
    }

    func makeDurable() throws(StoreError) {
        do throws(MetadataError) {
            try flush()
        } catch {
            throw .index(error)
        }
    }

    func chunk(_ name: ChunkName) throws(StoreError) -> ChunkRecord? {
        try value(of: IndexKey.chunk(name)) { (bytes) throws(FormatError) in
            try ChunkRecord(bytes)
        }
    }

    func pack(_ number: UInt32) throws(StoreError) -> PackRecord? {
        try value(of: IndexKey.pack(number)) { (bytes) throws(FormatError) in
            try PackRecord(bytes)
        }
    }

    func inode(_ volume: UInt32, _ inode: UInt64) throws(StoreError) -> InodeRecord? {
        try value(of: NamespaceKey.inode(volume, inode)) { (bytes) throws(FormatError) in
            try InodeRecord(bytes, of: inode)
        }
    }

    /// What a volume began as; nil where all of it is in the index.
    func origin(of volume: UInt32) throws(StoreError) -> OriginRecord? {
        try value(of: NamespaceKey.origin(volume)) { (bytes) throws(FormatError) in
            try OriginRecord(bytes)
        }
    }

    /// How far a directory is loaded, or the table of linked inodes; nil: it is.
    func unloaded(_ volume: UInt32, _ inode: UInt64) throws(StoreError) -> UnloadedRecord? {
        try value(of: NamespaceKey.unloaded(volume, inode)) { (bytes) throws(FormatError) in
            try UnloadedRecord(bytes)
        }
    }

    /// The first list of a volume, from `from` on, that is not loaded.
    func firstUnloaded(_ volume: UInt32, from inode: UInt64 = 0) throws(StoreError) -> UInt64? {
        var found: UInt64?
        try visit(
            NamespaceKey.prefix(.unloaded, volume), from: NamespaceKey.unloaded(volume, inode)
        ) { (key, _) in
            found = NamespaceKey.inodeNumber(key)
            return false
        }
        return found
    }

    func state() throws(StoreError) -> StateRecord? {
        try value(of: StateRecord.key) { (bytes) throws(FormatError) in
            try StateRecord(bytes)
        }
    }

    /// All packs, by rising number.
    func packs() throws(StoreError) -> [(number: UInt32, record: PackRecord)] {
        var result: [(number: UInt32, record: PackRecord)] = []
        try visit([IndexKey.packPrefix]) { (key, value) throws(FormatError) in
            guard let number = IndexKey.packNumber(key) else { throw .badValue("pack key") }
            result.append((number, try PackRecord(value)))
            return true
        }
        return result
    }

    /// All volumes, by rising number.
    func volumes() throws(StoreError) -> [(number: UInt32, record: VolumeRecord)] {
        var result: [(number: UInt32, record: VolumeRecord)] = []
        try visit(NamespaceKey.prefix(.volume)) { (key, value) throws(FormatError) in
            guard let number = NamespaceKey.volumeNumber(key) else {
                throw .badValue("volume key")
            }
            result.append((number, try VolumeRecord(value)))
            return true
        }
        return result
    }
}
