/// # FileModel: what a POSIX filesystem is asked, and what it answers
///
/// The words that the faces (Mount, later a server) and the volumes behind them share. A face knows
/// no packs; a volume knows no FUSE and no errno. Nothing here does I/O. All types are values.

/// A file's number within its volume: 1 is the root directory; never reused; below 2^48.
public typealias InodeNumber = UInt64

/// Seconds and nanoseconds since 1970-01-01 UTC; seconds may be negative, nanoseconds never are.
public struct Timestamp: Equatable, Comparable, Hashable, Sendable {
    public var seconds: Int64
    /// 0 ... 999_999_999
    public var nanoseconds: UInt32

    @inlinable
    public init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static let zero = Timestamp(seconds: 0, nanoseconds: 0)

    @inlinable
    public static func < (a: Timestamp, b: Timestamp) -> Bool {
        (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
    }
}

/// The kinds of file, with the value of their `S_IFMT` bits shifted right by 12 (as in `d_type`).
public enum FileKind: UInt8, Sendable, CaseIterable {
    case fifo = 1
    case characterDevice = 2
    case directory = 4
    case blockDevice = 6
    case regular = 8
    case symbolicLink = 10
    case socket = 12

    /// From the upper bits of a `st_mode`; nil where those name no kind.
    @inlinable
    public init?(modeBits: UInt32) {
        self.init(rawValue: UInt8((modeBits & 0o170000) >> 12))
    }

    /// The `S_IFMT` bits.
    @inlinable public var modeBits: UInt32 { UInt32(rawValue) << 12 }
}

/// What stat(2) answers.
public struct FileAttributes: Equatable, Sendable {
    public var inode: InodeNumber
    public var generation: UInt64
    public var kind: FileKind
    /// Permission bits with setuid, setgid and sticky: 0 ... 0o7777.
    public var permissions: UInt32
    public var linkCount: UInt32
    public var owner: UInt32
    public var group: UInt32
    /// Of devices.
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    /// Length in bytes.
    public var size: UInt64
    /// Logical bytes that are not holes (st_blocks × 512).
    public var allocatedBytes: UInt64
    public var accessTime: Timestamp
    public var modificationTime: Timestamp
    public var changeTime: Timestamp
    public var birthTime: Timestamp

    public init(
        inode: InodeNumber, generation: UInt64, kind: FileKind, permissions: UInt32,
        linkCount: UInt32 = 1, owner: UInt32 = 0, group: UInt32 = 0, deviceMajor: UInt32 = 0,
        deviceMinor: UInt32 = 0, size: UInt64 = 0, allocatedBytes: UInt64 = 0,
        accessTime: Timestamp = .zero, modificationTime: Timestamp = .zero,
        changeTime: Timestamp = .zero, birthTime: Timestamp = .zero
    ) {
        self.inode = inode
        self.generation = generation
        self.kind = kind
        self.permissions = permissions
        self.linkCount = linkCount
        self.owner = owner
        self.group = group
        self.deviceMajor = deviceMajor
        self.deviceMinor = deviceMinor
        self.size = size
        self.allocatedBytes = allocatedBytes
        self.accessTime = accessTime
        self.modificationTime = modificationTime
        self.changeTime = changeTime
        self.birthTime = birthTime
    }

    /// `st_mode`.
    @inlinable public var mode: UInt32 { kind.modeBits | permissions }
}

/// Who asks. Files made belong to the caller.
public struct Caller: Equatable, Sendable {
    public var user: UInt32
    public var group: UInt32
    public var process: Int32
    public var umask: UInt32

    public init(user: UInt32, group: UInt32, process: Int32 = 0, umask: UInt32 = 0) {
        self.user = user
        self.group = group
        self.process = process
        self.umask = umask
    }
}

/// Which attributes a setattr changes; nil leaves one as it is.
public struct AttributeChange: Sendable {
    public enum TimeChange: Equatable, Sendable {
        case now
        case set(Timestamp)
    }
    public var permissions: UInt32?
    public var owner: UInt32?
    public var group: UInt32?
    public var size: UInt64?
    public var accessTime: TimeChange?
    public var modificationTime: TimeChange?
    /// Given by the kernel with write-back caching only.
    public var changeTime: Timestamp?
    /// Drop setuid and setgid (FUSE_HANDLE_KILLPRIV_V2 asks for it with a size change or chown).
    public var dropsPrivilegeBits = false

    public init() {}
}

/// What statfs(2) answers, in bytes and files.
public struct FilesystemUsage: Equatable, Sendable {
    public var blockBytes: UInt32
    public var totalBytes: UInt64
    public var freeBytes: UInt64
    public var availableBytes: UInt64
    public var totalFiles: UInt64
    public var freeFiles: UInt64
    public var nameBytesMax: UInt32
    public var identifier: UInt64

    public init(
        blockBytes: UInt32, totalBytes: UInt64, freeBytes: UInt64, availableBytes: UInt64,
        totalFiles: UInt64, freeFiles: UInt64, nameBytesMax: UInt32, identifier: UInt64
    ) {
        self.blockBytes = blockBytes
        self.totalBytes = totalBytes
        self.freeBytes = freeBytes
        self.availableBytes = availableBytes
        self.totalFiles = totalFiles
        self.freeFiles = freeFiles
        self.nameBytesMax = nameBytesMax
        self.identifier = identifier
    }
}

/// Why an operation was refused; POSIX's own reasons. Only a face turns these into errno values.
public enum FileError: Error, Equatable, Sendable {
    case noEntry  // ENOENT
    case exists  // EEXIST
    case notDirectory  // ENOTDIR
    case isDirectory  // EISDIR
    case notEmpty  // ENOTEMPTY
    case invalid  // EINVAL
    case nameTooLong  // ENAMETOOLONG
    case noSpace  // ENOSPC
    case quota  // EDQUOT
    case readOnly  // EROFS
    case tooManyLinks  // EMLINK
    case fileTooBig  // EFBIG
    case noSuchPosition  // ENXIO, from SEEK_DATA and SEEK_HOLE
    case noAttribute  // ENODATA
    case rangeTooSmall  // ERANGE: the caller's buffer
    case tooBig  // E2BIG: an attribute's value
    case notPermitted  // EPERM
    case accessDenied  // EACCES
    case notSupported  // EOPNOTSUPP
    case noSuchOperation  // ENOTTY: an unknown ioctl
    case crossVolume  // EXDEV
    case busy  // EBUSY
    case stale  // ESTALE
    case interrupted  // EINTR
    case outOfMemory  // ENOMEM
    /// Stored bytes could not be verified, or the medium failed: EIO. The volume has logged which.
    case damaged
    case io  // EIO
}

/// `renameat2` flags.
public struct RenameFlags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let noReplace = RenameFlags(rawValue: 1)
    public static let exchange = RenameFlags(rawValue: 2)
    public static let whiteout = RenameFlags(rawValue: 4)
}

/// `fallocate` modes (values of linux/falloc.h).
public struct AllocateMode: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let keepSize = AllocateMode(rawValue: 1)
    public static let punchHole = AllocateMode(rawValue: 2)
    public static let collapseRange = AllocateMode(rawValue: 8)
    public static let zeroRange = AllocateMode(rawValue: 16)
    public static let insertRange = AllocateMode(rawValue: 32)
    public static let unshareRange = AllocateMode(rawValue: 64)
}

/// What lseek looks for.
public enum SeekTarget: Sendable {
    case data
    case hole
}

/// `setxattr` flags.
public enum AttributeWrite: Sendable {
    case createOrReplace
    case createOnly
    case replaceOnly
}
