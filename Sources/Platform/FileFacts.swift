import CLinux

/// Everything that the kernel tells of a file but its content, its extended attributes, and where a
/// symbolic link leads.
public struct FileFacts: Equatable, Sendable {
    /// Seconds since 1970, and nanoseconds.
    public typealias Time = (seconds: Int64, nanoseconds: UInt32)

    /// The filesystem, and the file's number there.
    public var device: UInt64
    public var inode: UInt64
    public var links: UInt64
    public var sizeBytes: UInt64
    /// Of blocks: less than the size where there are holes, or where blocks are compressed.
    public var allocatedBytes: UInt64
    /// Kind and permissions as in st_mode.
    public var mode: UInt32
    public var owner: UInt32
    public var group: UInt32
    /// Of a device file itself.
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    public var modified: Time
    public var changed: Time
    /// 0 where the filesystem keeps none.
    public var born: Time

    /// Four bits: 4 a directory, 8 a regular file, 10 a symbolic link …
    public var kind: UInt32 { mode >> 12 & 15 }
    public var isDirectory: Bool { kind == 4 }
    public var isRegular: Bool { kind == 8 }

    init(_ facts: ashlar_file_facts) {
        device = facts.device
        inode = facts.inode
        links = facts.links
        sizeBytes = facts.size
        allocatedBytes = facts.allocated
        mode = facts.mode
        owner = facts.owner
        group = facts.group
        deviceMajor = facts.device_major
        deviceMinor = facts.device_minor
        modified = (facts.modified.seconds, facts.modified.nanoseconds)
        changed = (facts.changed.seconds, facts.changed.nanoseconds)
        born = (facts.born.seconds, facts.born.nanoseconds)
    }

    public static func == (a: FileFacts, b: FileFacts) -> Bool {
        (a.device, a.inode, a.links, a.sizeBytes, a.mode) == (
            b.device, b.inode, b.links, b.sizeBytes, b.mode
        )
            && (a.owner, a.group, a.deviceMajor, a.deviceMinor) == (
                b.owner, b.group, b.deviceMajor, b.deviceMinor
            )
            && a.modified == b.modified && a.changed == b.changed && a.born == b.born
    }
}
