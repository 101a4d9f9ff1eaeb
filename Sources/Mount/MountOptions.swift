import CFuseShim

/// How a volume is mounted. Parsing of `-o` lists lives with the program.
public struct MountOptions: Sendable {
    /// Flags of mount(2), by what they ask for. Absent: the kernel's defaults (relatime, and for root
    /// suid and dev).
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let readOnly = Flags(ASHLAR_FUSE_MOUNT_READ_ONLY)
        public static let noSetuid = Flags(ASHLAR_FUSE_MOUNT_NO_SETUID)
        public static let noDevices = Flags(ASHLAR_FUSE_MOUNT_NO_DEVICES)
        public static let noExecution = Flags(ASHLAR_FUSE_MOUNT_NO_EXECUTION)
        /// `sync`: each write and each change of names is durable before it returns.
        public static let synchronous = Flags(ASHLAR_FUSE_MOUNT_SYNCHRONOUS)
        /// `dirsync`: each change of names is durable before it returns.
        public static let directorySynchronous = Flags(ASHLAR_FUSE_MOUNT_DIRECTORY_SYNCHRONOUS)
        /// Access times are kept by the volume, which has to be told of these four as well.
        public static let noAccessTime = Flags(ASHLAR_FUSE_MOUNT_NO_ACCESS_TIME)
        public static let noDirectoryAccessTime = Flags(ASHLAR_FUSE_MOUNT_NO_DIRECTORY_ACCESS_TIME)
        public static let relativeAccessTime = Flags(ASHLAR_FUSE_MOUNT_RELATIVE_ACCESS_TIME)
        public static let strictAccessTime = Flags(ASHLAR_FUSE_MOUNT_STRICT_ACCESS_TIME)
        public static let lazyTime = Flags(ASHLAR_FUSE_MOUNT_LAZY_TIME)

        private init(_ flag: some BinaryInteger) { self.init(rawValue: UInt32(flag)) }
    }

    /// The first column of /proc/mounts: the store's path.
    public var source: String
    /// An existing directory, as an absolute path.
    public var mountpoint: String
    public var flags: Flags = []
    /// Users other than the one who mounts may use it; permission bits are checked in any case.
    public var allowOther = false
    /// Requests served at a time: 1 ... 1024.
    public var maxThreads: UInt32 = 16
    /// Threads kept while there is nothing to do; each holds up to 2 MiB of buffers.
    public var maxIdleThreads: UInt32 = 10
    /// A descriptor of the connection for each thread. Measured: no gain on two processors.
    public var cloneFileDescriptor = false
    /// The kernel collects writes, and owns sizes and modification times of what it holds. Off: its
    /// writes could then meet a full store only after they were acknowledged.
    public var writebackCache = false
    public var rings = KernelRings.Use.whereOffered
    /// POSIX access control lists (`acl`). They cost a request for each file that somebody who is not
    /// its owner walks over, and the root directory's is asked for at each walk from there: that inode
    /// exists before INIT is answered, and the kernel (seen on 6.18.44) never keeps its list. Without
    /// (`noacl`): EOPNOTSUPP, and no such requests.
    public var accessControlLists = true
    /// How long the kernel may believe names (absent ones, too) and attributes. Long is safe: there is
    /// one writer, all of whose changes go through the kernel, and a notifier for the others.
    public var entryTimeoutSeconds: Double = 86_400
    public var attributeTimeoutSeconds: Double = 86_400
    /// SIGTERM, SIGINT and SIGHUP end the mount, and all others of the process that ask for that: up
    /// to 256.
    public var handlesSignals = false
    /// Each request is logged. Slow.
    public var debug = false

    public init(source: String, mountpoint: String) {
        self.source = source
        self.mountpoint = mountpoint
    }
}

extension MountOptions {
    /// Largest timeout taken (ten years), in seconds.
    static let timeoutSecondsMax: Double = 315_360_000

    static func nanoseconds(_ seconds: Double) -> UInt64 {
        guard seconds > 0 else { return 0 }
        return UInt64(min(seconds, timeoutSecondsMax) * 1e9)
    }

    /// Calls `body` with the shim's form of these options, valid for that call.
    func withShimOptions<Result>(_ body: (inout AshlarFuseOptions) -> Result) -> Result {
        source.withCString { source in
            mountpoint.withCString { mountpoint in
                var shim = AshlarFuseOptions(
                    source: source, mountpoint: mountpoint, mount_flags: flags.rawValue,
                    allow_other: allowOther, clone_fd: cloneFileDescriptor,
                    writeback_cache: writebackCache, access_lists: accessControlLists, debug: debug,
                    use_rings: rings != .never, handle_signals: handlesSignals,
                    threads_max: min(max(maxThreads, 1), 1024),
                    idle_threads_max: min(max(maxIdleThreads, 1), 1024),
                    entry_timeout_nanoseconds: Self.nanoseconds(entryTimeoutSeconds),
                    attribute_timeout_nanoseconds: Self.nanoseconds(attributeTimeoutSeconds))
                return body(&shim)
            }
        }
    }
}
