/// # ChunkIndex: where each chunk lies and how often it is owned
///
/// Purpose: the keys and values by which a store's index says what it knows of chunks. The index is
/// derived: everything here can be made anew from the packs, and is thrown away rather than mended.
///
/// Words: a *place* is one stored copy of a chunk: pack, record, frame, offset within the raw frame.
/// A chunk is *dead since checkpoint n* when its count fell to 0 while n was the newest; it stays
/// hittable until it is condemned.
///
/// The whole keyspace; numbers big-endian, so that keys order as numbers do:
///
///     'C' name (32)                      ChunkRecord
///     'Z' checkpoint u64, name (32)      (empty) a chunk that was dead since then, when last seen
///     'P' pack number u32                PackRecord
///     'L' name (32)                      (empty) a chunk in use that fsck has accepted as lost
///
///     'K' name (32)                      KeptRecord: a tree node that snapshots own
///     'Q' name (32)                      (empty) one whose children are to be taken up or let go
///
/// Volumes add their own keys behind other first bytes ('D', 'E', 'I', 'S'): docs/ARCHITECTURE.md.
///
/// Threads: all types are values; any thread.
import DiskFormat

/// The keys of the index, made and taken apart. See the head of the file for the keyspace.
public enum IndexKey {
    public static let chunkPrefix = UInt8(ascii: "C")
    public static let deadPrefix = UInt8(ascii: "Z")
    public static let packPrefix = UInt8(ascii: "P")
    public static let lostPrefix = UInt8(ascii: "L")
    public static let keptPrefix = UInt8(ascii: "K")
    public static let unsettledPrefix = UInt8(ascii: "Q")

    /// Key of a chunk's record.
    public static func chunk(_ name: ChunkName) -> [UInt8] {
        [chunkPrefix] + name.bytes
    }

    /// Key of a note that the chunk is known to be lost.
    public static func lost(_ name: ChunkName) -> [UInt8] {
        [lostPrefix] + name.bytes
    }

    /// Key of what is known of a tree node that snapshots own.
    public static func kept(_ name: ChunkName) -> [UInt8] {
        [keptPrefix] + name.bytes
    }

    /// Key of a note that such a node's children are not counted as they should be yet.
    public static func unsettled(_ name: ChunkName) -> [UInt8] {
        [unsettledPrefix] + name.bytes
    }

    /// The name in the key of a lost chunk; nil for other keys.
    public static func lostChunk(_ key: UnsafeRawBufferPointer) -> ChunkName? {
        name(in: key, behind: lostPrefix)
    }

    /// The name in a chunk's key; nil for other keys.
    public static func chunkName(_ key: UnsafeRawBufferPointer) -> ChunkName? {
        name(in: key, behind: chunkPrefix)
    }

    /// The name in a kept node's key; nil for other keys.
    public static func keptNode(_ key: UnsafeRawBufferPointer) -> ChunkName? {
        name(in: key, behind: keptPrefix)
    }

    /// The name in the key of a node that is not settled; nil for other keys.
    public static func unsettledNode(_ key: UnsafeRawBufferPointer) -> ChunkName? {
        name(in: key, behind: unsettledPrefix)
    }

    private static func name(
        in key: UnsafeRawBufferPointer, behind prefix: UInt8
    ) -> ChunkName? {
        guard key.count == 1 + ChunkName.byteCount, key[0] == prefix else { return nil }
        return ChunkName(UnsafeRawBufferPointer(rebasing: key[1...]))
    }

    /// Key of a note that the chunk was dead since `checkpoint`: in order of checkpoints.
    public static func dead(since checkpoint: UInt64, _ name: ChunkName) -> [UInt8] {
        var key: [UInt8] = [deadPrefix]
        withUnsafeBytes(of: checkpoint.bigEndian) { key.append(contentsOf: $0) }
        return key + name.bytes
    }

    /// The parts of such a key; nil for other keys.
    public static func deadChunk(
        _ key: UnsafeRawBufferPointer
    ) -> (checkpoint: UInt64, name: ChunkName)? {
        guard key.count == 9 + ChunkName.byteCount, key[0] == deadPrefix else { return nil }
        let checkpoint = UInt64(bigEndian: key.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
        return (checkpoint, ChunkName(UnsafeRawBufferPointer(rebasing: key[9...])))
    }

    /// Key of a pack's entry. Packs are numbered in each index anew: 4 bytes instead of 16 a place.
    public static func pack(_ number: UInt32) -> [UInt8] {
        var key: [UInt8] = [packPrefix]
        withUnsafeBytes(of: number.bigEndian) { key.append(contentsOf: $0) }
        return key
    }
}
