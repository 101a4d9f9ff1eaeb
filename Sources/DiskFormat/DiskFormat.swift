/// # DiskFormat: every byte of a store, and nothing else
///
/// Purpose: the codecs of everything that lies in a pack, with their specification beside them.
/// Nothing here does I/O, allocates by an attacker's number, or compresses; callers hand in bytes.
///
/// Words (DESIGN §2): a *pack* is an append-only file of *records*; a record is a *super-chunk*
/// (chunks compressed together, with a table of their names), a *commit*, or the *pack table* that
/// a sealed pack ends with. *Recipe* and *tree* nodes are chunks of their own domains.
///
/// Where to read what:
///
///     PackHeader        the first 4096 bytes of a pack: who, with which parameters and features
///     RecordHeader      48 bytes before every body: kind, lengths, checksums
///     SuperChunkPrefix  the frame directory and chunk table at the head of a super-chunk's body
///     PackTable         the list of records at a sealed pack's end, and the trailer that finds it
///     Commit            the durable step from one state of the store to the next
///     InodeImage        a file's attributes and the key of its content
///     RecipeNode        which chunks make a file       ┐ Merkle lists: cut by content,
///     DirectoryNode     which entries make a directory ┘ see NodeBoundary
///     RootImage         a whole volume at one instant
///     SnapshotImage     a root that has a name and is kept
///     StreamHead        a snapshot or a difference as one file: packs, one behind the other
///
/// Invariants:
/// 1. Little-endian. Records begin at multiples of 8 bytes; padding is zero.
/// 2. A decoder accepts only what an encoder can have written: every length is checked against the
///    bytes that are there before it is used; anything else is a `FormatError`, never a trap.
/// 3. `decode(encode(x)) == x` for every value, and `encode(decode(b)) == b` for every accepted b.
/// 4. Header checksums are keyed with the store's secret and cover pack and offset, so a stale tail
///    or a user's file that contains a pack never looks like a record.
///
/// Threads: all types are values; any thread.
public enum DiskFormat {
    /// Raised when bytes change their meaning; feature flags cover everything smaller.
    public static let version: UInt32 = 1
    /// Records, and so everything found by scanning, begin at multiples of this.
    public static let recordAlignmentBytes = 8
    /// Longest name of a directory entry (POSIX NAME_MAX).
    public static let nameBytesMax = 255
    /// Longest symlink target (PATH_MAX − 1).
    public static let symbolicLinkBytesMax = 4095
    /// Attributes up to this size lie in the inode image, bigger sets in a chunk of their own.
    public static let inlineAttributeBytesMax = 256
    /// Most bytes of all extended attributes of a file together.
    public static let attributeBytesMax = 1 << 20
    /// Inode numbers are below this, so that faces may use the upper bits.
    public static let inodeLimit: UInt64 = 1 << 48
    /// Largest record body; a reader refuses longer ones before it allocates.
    public static let bodyBytesMax = 256 << 20
    /// Largest raw size of a super-chunk.
    public static let superChunkRawBytesMax = 64 << 20

    @inlinable
    public static func aligned(_ bytes: UInt64) -> UInt64 {
        (bytes + 7) & ~7
    }
}

/// Why bytes are not what they should be. `what` names the field for people.
public enum FormatError: Error, Equatable, Sendable {
    /// The bytes end before the value does.
    case truncated(String)
    /// The value does not begin with its magic: this is something else.
    case notMagic(String)
    /// A checksum does not match.
    case checksum(String)
    /// A field has a value that no writer makes.
    case badValue(String)
    /// Made by a newer version: its number.
    case newerVersion(UInt32)
    /// Uses features that this program does not know: the bits.
    case unknownFeatures(UInt64)
    /// A record of this kind that is intact, and that this program may not pass over: its kind or
    /// the form of its body is of a newer program.
    case newerRecord(UInt8)

    /// Whether the bytes are as a newer program meant them, rather than damaged.
    public var isNewer: Bool {
        switch self {
        case .newerVersion, .unknownFeatures, .newerRecord: true
        case .truncated, .notMagic, .checksum, .badValue: false
        }
    }
}

/// Features of a store, in three sets (as in ext4): what an unknown bit forbids depends on the set.
public struct FeatureSets: Equatable, Sendable {
    /// Unknown bits here harm nobody.
    public var compatible: UInt64 = 0
    /// Unknown bits here: the store may be read, not written.
    public var readOnlyCompatible: UInt64 = 0
    /// Unknown bits here: hands off.
    public var incompatible: UInt64 = 0

    public static let knownReadOnlyCompatible: UInt64 = 0
    public static let knownIncompatible: UInt64 = 0

    public init() {}

    /// Throws when this program must not even read; returns whether it may write.
    public func check() throws(FormatError) -> Bool {
        let unknown = incompatible & ~FeatureSets.knownIncompatible
        if unknown != 0 { throw .unknownFeatures(unknown) }
        return readOnlyCompatible & ~FeatureSets.knownReadOnlyCompatible == 0
    }
}
