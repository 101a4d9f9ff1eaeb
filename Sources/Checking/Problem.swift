// What is wrong with a store, as plain values: a program turns them into text or JSON.
import DiskFormat

/// One thing that is wrong, or worth knowing.
public struct Problem: Equatable, Sendable {
    /// How bad it is.
    public enum Severity: Int, Comparable, Sendable {
        /// Normal, but worth knowing.
        case information
        /// Something is bad that nothing needs, or that only speed depends on.
        case warning
        /// Something in use is bad; no content is lost by it.
        case damage
        /// Content cannot be read any more.
        case loss

        public static func < (a: Severity, b: Severity) -> Bool { a.rawValue < b.rawValue }
    }

    /// Where it is.
    public enum Place: Hashable, Sendable {
        case store
        /// A file in the store that is no pack.
        case file(name: String)
        case pack(PackID)
        /// Bytes of a pack.
        case range(PackID, Range<UInt64>)
        /// The record at this offset of a pack.
        case record(PackID, offset: UInt64)
        case frame(PackID, offset: UInt64, frame: UInt16)
        case commit(epoch: UInt64, sequence: UInt64)
        case chunk(ChunkName)
        case volume(UniqueID)
        case inode(volume: UniqueID, UInt64)
        case name(volume: UniqueID, directory: UInt64, [UInt8])
        case index
    }

    /// A name in a volume.
    public struct Path: Hashable, Sendable {
        public var volume: String
        /// From the volume's root, beginning with a slash; an inode without a name is `<inode N>`.
        public var bytes: [UInt8]

        public init(volume: String, bytes: [UInt8]) {
            self.volume = volume
            self.bytes = bytes
        }

        /// The path as text; what is not UTF-8 is replaced.
        public var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    /// What is wrong, how bad that is, and where.
    public var kind: Kind
    public var severity: Severity
    public var place: Place
    /// What was found, for people.
    public var detail: String
    /// The files and directories that it touches, all names of each: the first of them.
    public var paths: [Path] = []
    /// How many there are.
    public var pathCount: UInt64 = 0

    /// What to do next, for people.
    public var advice: String { kind.advice }
}

extension Problem {
    /// Everything that can be wrong; the words are stable, for programs.
    public enum Kind: String, CaseIterable, Sendable {
        // packs
        case strangerFile, packForeign, packMisnamed, packNewer, packHeaderDamaged
        case packUnreadable, packMissing, packShort, packParameters
        case packTable, packTrailer, tornTail, rangeDamaged, packCondemned
        // records
        case recordDamaged, frameDamaged, chunkMismatch
        // commits
        case commitDamaged, commitMalformed, commitOrder, commitFork, commitSpans
        case commitsBeyondDamage, logTorn, logWaits, noState
        // volumes
        case rootUnreadable, rootPassedOver, volumeMismatch, statisticsWrong
        case chunkMissing, chunkDomain, nodeMalformed, attributesMalformed
        case sizeWrong, allocatedWrong, inodeTwice, inodeLimit, parentWrong, linkCountWrong
        case linkedWrong, nameDangling, nameKind, cookieTwice, inodeUnreachable
        // snapshots
        case snapshotMalformed
        // counts and index
        case singleCopy, unownedChunks
        case indexDamaged, indexOther, indexMissing, indexExtra, indexPlace, indexCount

        /// Whether chunks may lie where nobody can tell which.
        var hidesContent: Bool {
            switch self {
            case .packForeign, .packMisnamed, .packNewer, .packUnreadable, .packMissing,
                .packShort, .rangeDamaged, .recordDamaged, .packHeaderDamaged:
                true
            default: false
            }
        }

        /// The severity before it is known what needs the place.
        var severity: Severity {
            switch self {
            case .tornTail, .packCondemned, .logTorn, .logWaits, .singleCopy, .unownedChunks,
                .strangerFile, .indexOther:
                .information
            case .packTable, .packTrailer, .packParameters, .statisticsWrong, .indexDamaged,
                .indexMissing, .indexExtra, .indexPlace, .indexCount, .frameDamaged,
                .recordDamaged, .rangeDamaged, .chunkMismatch, .commitDamaged, .commitMalformed,
                .allocatedWrong, .cookieTwice, .packForeign, .commitOrder, .commitFork:
                .warning
            case .packMisnamed, .packNewer, .packHeaderDamaged, .packUnreadable, .packMissing,
                .packShort, .commitSpans, .rootPassedOver, .volumeMismatch, .sizeWrong, .inodeTwice,
                .inodeLimit,
                .parentWrong, .linkCountWrong, .linkedWrong, .nameKind, .inodeUnreachable,
                .chunkDomain, .snapshotMalformed:
                .damage
            case .commitsBeyondDamage, .noState, .rootUnreadable, .chunkMissing, .nodeMalformed,
                .attributesMalformed, .nameDangling:
                .loss
            }
        }

        var advice: String {
            switch self {
            case .strangerFile: "Nothing: it is not of the store."
            case .packForeign: "Move the file away: it belongs to another store."
            case .packMisnamed: "Rename the file to the pack it says it is."
            case .packNewer: "Check with a program of the version that wrote it."
            case .packHeaderDamaged, .packTable, .packTrailer, .rangeDamaged, .recordDamaged,
                .frameDamaged, .chunkMismatch:
                "Repair: what is intact is copied to new packs; writing the listed files again "
                    + "heals them."
            case .packUnreadable: "Look at the medium and the permissions, then check again."
            case .packMissing, .packShort:
                "Bring the pack back from where it was moved or backed up; otherwise repair, "
                    + "and restore the listed files."
            case .packParameters, .volumeMismatch, .commitOrder, .commitFork, .commitSpans:
                "Do not write to the store before it is known which program did this."
            case .tornTail, .logTorn: "Nothing: the next mount seals the pack before it."
            case .packCondemned: "Nothing: the next mount deletes it."
            case .commitDamaged, .commitMalformed:
                "A new checkpoint makes it unnecessary, if nothing lies beyond it."
            case .commitsBeyondDamage:
                "Mount read-only, save what was changed last, then repair."
            case .logWaits: "Nothing: the log is applied when the store is next opened."
            case .noState, .rootUnreadable:
                "Bring lost packs back; otherwise mount an earlier snapshot."
            case .rootPassedOver:
                "Repair: the trees are written anew; until then no checkpoint can be."
            case .statisticsWrong, .allocatedWrong, .sizeWrong, .inodeTwice, .inodeLimit,
                .parentWrong, .linkCountWrong, .linkedWrong, .nameKind, .cookieTwice,
                .inodeUnreachable, .nameDangling, .chunkDomain, .nodeMalformed:
                "Repair the volume; read-only mounts stay possible."
            case .snapshotMalformed:
                "Copy what is needed from the snapshot, then delete it: nothing writes it again."
            case .chunkMissing: "Restore the listed files; writing them again heals them."
            case .attributesMalformed: "Set the attributes of the listed files anew."
            case .singleCopy: "The next checkpoint writes second copies."
            case .unownedChunks: "Reclaiming gives the space back."
            case .indexDamaged, .indexMissing, .indexExtra, .indexPlace, .indexCount:
                "Delete the index: the next mount rebuilds it from the packs."
            case .indexOther: "Nothing: the next mount brings the index up to date or rebuilds it."
            }
        }
    }
}
