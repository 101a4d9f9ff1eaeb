/// # NamespaceIndex: the live names and inodes, as the index keeps them
///
/// Purpose: keys and values of everything a mounted volume looks up: which names a directory has,
/// what an inode is, what lies on top of its content. Derived from the newest checkpoint and the
/// commits since; may be thrown away.
///
/// The whole keyspace; numbers big-endian, so that keys order as numbers do. `volume` is the number
/// that this index gives a volume:
///
///     'V' volume u32                                 VolumeRecord
///     'I' volume u32, inode u64                      InodeRecord
///     'D' volume u32, parent u64, cookie u64         NameRecord
///     'E' volume u32, inode u64, offset u64          PieceRecord: what lies on top of the content
///     'O' volume u32, inode u64                      (empty) an orphan: no name, but in use when
///                                                    last committed
///     'R' volume u32, inode u64                      level u8, node (32): the tree, at the newest
///                                                    checkpoint, of a directory that ended since
///
///     'B' volume u32                                 OriginRecord: the volume began as a snapshot,
///                                                    and parts of it are not loaded yet
///     'U' volume u32, inode u64                      UnloadedRecord: of a directory whose names are
///                                                    not in the index, or not all of them; inode 0:
///                                                    of the table of linked inodes
///
///     'N' snapshot id (16)                           SnapshotImage
///
/// Invariants:
/// 1. A cookie names at most one entry of a directory. The entries whose names hash alike have
///    collisions 0, 1, 2 … without gaps: a removed one that others follow stays as a tombstone.
/// 2. Pieces of an inode do not overlap.
/// 3. A directory that is not loaded has the tree that the volume began with, and so has everything
///    below it; the inode of a directory is in the index before its names are.
///
/// Threads: all types are values; any thread.
import DiskFormat

/// The keys, made and taken apart. See the head of the file for the keyspace.
public enum NamespaceKey {
    public enum Family: UInt8, Sendable {
        case volume = 0x56
        case inode = 0x49
        case name = 0x44
        case piece = 0x45
        case orphan = 0x4f
        case released = 0x52
        case snapshot = 0x4e
        case origin = 0x42
        case unloaded = 0x55
    }

    public static func snapshot(_ id: UniqueID) -> [UInt8] {
        append(id.low, to: append(id.high, to: [Family.snapshot.rawValue]))
    }

    public static func volume(_ volume: UInt32) -> [UInt8] {
        prefix(.volume, volume)
    }

    public static func inode(_ volume: UInt32, _ inode: UInt64) -> [UInt8] {
        append(inode, to: prefix(.inode, volume))
    }

    public static func released(_ volume: UInt32, _ inode: UInt64) -> [UInt8] {
        append(inode, to: prefix(.released, volume))
    }

    public static func origin(_ volume: UInt32) -> [UInt8] {
        prefix(.origin, volume)
    }

    public static func unloaded(_ volume: UInt32, _ inode: UInt64) -> [UInt8] {
        append(inode, to: prefix(.unloaded, volume))
    }

    public static func orphan(_ volume: UInt32, _ inode: UInt64) -> [UInt8] {
        append(inode, to: prefix(.orphan, volume))
    }

    public static func name(_ volume: UInt32, parent: UInt64, cookie: UInt64) -> [UInt8] {
        append(cookie, to: append(parent, to: prefix(.name, volume)))
    }

    /// Of all names in a directory.
    public static func names(_ volume: UInt32, parent: UInt64) -> [UInt8] {
        append(parent, to: prefix(.name, volume))
    }

    public static func piece(_ volume: UInt32, inode: UInt64, offset: UInt64) -> [UInt8] {
        append(offset, to: append(inode, to: prefix(.piece, volume)))
    }

    /// Of all pieces of an inode.
    public static func pieces(_ volume: UInt32, inode: UInt64) -> [UInt8] {
        append(inode, to: prefix(.piece, volume))
    }

    /// Of everything of a family, or of one volume's.
    public static func prefix(_ family: Family, _ volume: UInt32? = nil) -> [UInt8] {
        var key: [UInt8] = [family.rawValue]
        key.reserveCapacity(24)
        if let volume {
            withUnsafeBytes(of: volume.bigEndian) { key.append(contentsOf: $0) }
        }
        return key
    }

    private static func append(_ number: UInt64, to key: [UInt8]) -> [UInt8] {
        var key = key
        withUnsafeBytes(of: number.bigEndian) { key.append(contentsOf: $0) }
        return key
    }

    /// The number of words of 8 bytes behind the volume, or nil for a key of another length.
    private static func words(_ key: UnsafeRawBufferPointer, _ count: Int) -> [UInt64]? {
        guard key.count == 5 + 8 * count else { return nil }
        return (0..<count).map {
            UInt64(bigEndian: key.loadUnaligned(fromByteOffset: 5 + 8 * $0, as: UInt64.self))
        }
    }

    /// The volume's number in any key; nil for keys that are too short.
    public static func volumeNumber(_ key: UnsafeRawBufferPointer) -> UInt32? {
        guard key.count >= 5 else { return nil }
        return UInt32(bigEndian: key.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
    }

    /// The inode of the key of an inode, an orphan, or a directory that is not loaded.
    public static func inodeNumber(_ key: UnsafeRawBufferPointer) -> UInt64? {
        words(key, 1)?[0]
    }

    /// Parent and cookie of a name's key, or inode and offset of a piece's.
    public static func pair(_ key: UnsafeRawBufferPointer) -> (UInt64, UInt64)? {
        words(key, 2).map { ($0[0], $0[1]) }
    }
}
