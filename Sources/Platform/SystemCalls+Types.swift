/// The values that go through `SystemCalls`, in our words rather than the headers'.

/// A file descriptor. It does not close itself: that is its owner's duty.
public struct Descriptor: Hashable, Sendable {
    public var number: Int32

    public init(number: Int32) {
        self.number = number
    }

    /// The working directory (AT_FDCWD).
    public static let currentDirectory = Descriptor(number: -100)
}

/// How a file is opened.
public struct OpenFlags: OptionSet, Hashable, Sendable {
    public var rawValue: UInt32

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Read only where this is absent.
    public static let readWrite = OpenFlags(rawValue: 1)
    public static let create = OpenFlags(rawValue: 2)
    /// With `create`: fail with EEXIST where there is something of that name.
    public static let exclusive = OpenFlags(rawValue: 4)
    public static let truncate = OpenFlags(rawValue: 8)
    /// Only a directory will do.
    public static let directory = OpenFlags(rawValue: 16)
    /// Fail with ELOOP on a symbolic link at the end of the path, and never wait for a FIFO's peer.
    public static let noFollow = OpenFlags(rawValue: 32)
    /// The descriptor stays open in programs that this process starts.
    public static let inheritable = OpenFlags(rawValue: 64)
}

/// What `allocate` does to a range; the size of the file stays.
public enum Allocation: Sendable {
    /// Blocks are reserved; what was a hole still reads as zeros.
    case reserve
    /// Blocks are given back; the range reads as zeros.
    case punchHole
}

/// Kinds of lock of an open file description.
public enum LockKind: Sendable {
    case none, shared, exclusive
}

/// What kind of thing a name stands for.
public enum FileKind: Sendable {
    case regular, directory, symbolicLink, other
}

/// The attributes of a file that a backend cares about.
public struct FileStatus: Equatable, Sendable {
    public var kind: FileKind
    public var sizeBytes: UInt64
    /// Bytes of allocated blocks, holes excluded.
    public var allocatedBytes: UInt64
    public var device: UInt64
    public var inode: UInt64

    public init(
        kind: FileKind, sizeBytes: UInt64, allocatedBytes: UInt64, device: UInt64, inode: UInt64
    ) {
        self.kind = kind
        self.sizeBytes = sizeBytes
        self.allocatedBytes = allocatedBytes
        self.device = device
        self.inode = inode
    }
}

/// The sizes of a filesystem.
public struct FilesystemStatus: Equatable, Sendable {
    public var totalBytes: UInt64
    /// Free to ordinary users.
    public var availableBytes: UInt64
    public var totalFiles: UInt64
    public var availableFiles: UInt64
    public var isReadOnly: Bool

    public init(
        totalBytes: UInt64, availableBytes: UInt64, totalFiles: UInt64, availableFiles: UInt64,
        isReadOnly: Bool
    ) {
        self.totalBytes = totalBytes
        self.availableBytes = availableBytes
        self.totalFiles = totalFiles
        self.availableFiles = availableFiles
        self.isReadOnly = isReadOnly
    }
}

/// Limits of the kernel's interface.
public enum SystemLimits {
    /// Vectors in one pwritev (IOV_MAX).
    public static let vectorsMax = 1024
    /// The highest file offset (off_t is signed).
    public static let offsetMax = UInt64(Int64.max)
}
