import DiskFormat
import Platform

/// What is scanned, and how.
public struct ScanOptions: Sendable {
    /// What is done about a file that cannot be read.
    public enum ErrorPolicy: String, Sendable, CaseIterable {
        /// It is told of and left out.
        case skip
        /// The scan ends.
        case stop
    }

    /// Reads every file, unchanged or not.
    public var verifiesAll = false
    public var staysOnFilesystem = false
    /// Directories so many levels below the source are not opened; nil: all are.
    public var depthMax: Int?
    public var errorPolicy = ErrorPolicy.skip
    /// Files that are left out, whatever they are called: the store that is written, say.
    public var omitted: Set<FileIdentity> = []
    /// Whether a path below the source is left out, with everything in it. On the scan's thread.
    public var isExcluded: @Sendable (_ path: [UInt8], _ isDirectory: Bool) -> Bool = {
        _, _ in false
    }
    /// Threads that read and cut; at least 1.
    public var workerCount = 2
    /// Seconds after which what was stored is made durable at the latest, though nobody owns it yet.
    public var keepSeconds = 5.0

    public init() {}
}

/// A file, whatever its name.
public struct FileIdentity: Hashable, Sendable {
    public var device: UInt64
    public var inode: UInt64

    public init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    public init(_ facts: FileFacts) {
        self.init(device: facts.device, inode: facts.inode)
    }
}

/// A file that could not be read, or not wholly as it was.
public struct ScanProblem: Error, Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// The system call that failed, in words, and why.
        case failed(String, Errno)
        /// It changed while it was read: what is kept may be of both.
        case changed
        /// Attributes that no store can hold: too many bytes.
        case attributes
    }

    /// Below the source; empty for the source itself.
    public var path: [UInt8]
    public var kind: Kind

    public init(path: [UInt8], kind: Kind) {
        self.path = path
        self.kind = kind
    }
}

/// How far a scan has come, and what it has found.
public struct ScanCounts: Equatable, Sendable, Codable {
    /// Everything that has a name, the source itself too.
    public var entries: UInt64 = 0
    public var files: UInt64 = 0
    public var directories: UInt64 = 0
    /// Links, devices, FIFOs and sockets.
    public var others: UInt64 = 0
    /// Sum of the sizes of regular files, each once.
    public var logicalBytes: UInt64 = 0
    /// Files whose content was taken over from the base.
    public var unchangedFiles: UInt64 = 0
    public var unchangedBytes: UInt64 = 0
    /// Bytes that were read.
    public var readBytes: UInt64 = 0
    /// Left out by a rule, or for being of another filesystem or too deep.
    public var excluded: UInt64 = 0
    /// Left out since they could not be read.
    public var skipped: UInt64 = 0
    /// Kept though they changed while they were read.
    public var changedFiles: UInt64 = 0

    public init() {}
}
