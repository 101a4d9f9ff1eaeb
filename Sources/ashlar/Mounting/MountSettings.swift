// `-o`: what fstab(5) and mount(8) have to say about a mount.
import Console
import DiskFormat
import Mount
import Platform

/// The options of a mount, understood. Of contradicting ones the last counts.
struct MountSettings: Equatable {
    /// Bounds of `memory=`: below it nothing can be read, above it something else is meant.
    static let memoryBytesRange: ClosedRange<UInt64> = (64 << 20)...(1 << 40)
    static let commitSecondsRange: ClosedRange<UInt32> = 1...3600
    static let threadsRange: ClosedRange<UInt32> = 1...1024
    /// 0: never by itself.
    static let reclaimSecondsRange: ClosedRange<UInt32> = 0...86_400
    /// 0: never by itself.
    static let optimizeSecondsRange: ClosedRange<UInt32> = 0...86_400

    var volume = "main"
    /// A snapshot of the volume, in place of the volume itself.
    var snapshot: String?
    var flags: MountOptions.Flags = []
    /// nil: others may use what root mounts, and nobody else what a user mounts.
    var allowsOthers: Bool?
    var hasAccessLists = true
    var rings = KernelRings.Use.whereOffered
    /// nil: the engine's own default.
    var memoryBytes: UInt64?
    var commitSeconds: UInt32?
    var reclaimSeconds: UInt32?
    var optimizeSeconds: UInt32?
    var threads: UInt32?
    /// Changes the flags of what is mounted already.
    var isRemount = false
    /// Unknown options that were passed over, because the caller asked for it (`-s`).
    var unknown: [String] = []

    var isReadOnly: Bool { flags.contains(.readOnly) }

    init() {}

    /// - Parameters:
    ///   - lists: the values of all `-o`, in their order.
    ///   - isSloppy: unknown options are collected in `unknown`.
    /// - Throws: `usage`, naming the option.
    init(parsing lists: [String], isSloppy: Bool = false) throws(CommandFailure) {
        for option in lists.flatMap(Self.split) {
            if Self.isForOthers(option) { continue }
            if let flag = Self.flags[option] {
                flags.subtract(flag.clears)
                flags.formUnion(flag.sets)
                continue
            }
            if try !take(option) {
                guard isSloppy else {
                    throw CommandFailure(
                        .usage, "unknown mount option: \(DisplayText.escaped(option.utf8))")
                }
                unknown.append(option)
            }
        }
    }

    /// The options for the mount itself.
    func mountOptions(source: String, mountpoint: String, isRoot: Bool) -> MountOptions {
        var options = MountOptions(source: source, mountpoint: mountpoint)
        options.flags = flags
        options.allowOther = allowsOthers ?? isRoot
        options.accessControlLists = hasAccessLists
        options.rings = rings
        // By rings they are parted among the processors, and some may wait for a commit.
        options.maxThreads = max(
            options.maxThreads, UInt32(clamping: 4 * Machine.processorCount))
        // More idle threads make no call faster: the kernel wakes the one that has slept longest, of
        // which nothing is left in a cache. (On two processors 10 took half as much system time again as
        // 1, for copies of 23,000 files.)
        options.maxIdleThreads = UInt32(clamping: Machine.processorCount + 1)
        if let threads {
            options.maxThreads = threads
            options.maxIdleThreads = min(options.maxIdleThreads, threads)
        }
        return options
    }

    // MARK: parsing

    /// At commas, but not within double quotes, as libmount does; empty ones are left out.
    static func split(_ list: String) -> [String] {
        var options: [String] = []
        var option = ""
        var isQuoted = false
        for character in list {
            if character == "\"" { isQuoted.toggle() }
            if character == ",", !isQuoted {
                options.append(option)
                option = ""
            } else {
                option.append(character)
            }
        }
        return (options + [option]).filter { !$0.isEmpty }
    }

    private static let flags: [String: (sets: MountOptions.Flags, clears: MountOptions.Flags)] = {
        let times: MountOptions.Flags = [
            .noAccessTime, .relativeAccessTime, .strictAccessTime,
        ]
        return [
            "ro": (.readOnly, []), "rw": ([], .readOnly),
            "suid": ([], .noSetuid), "nosuid": (.noSetuid, []),
            "dev": ([], .noDevices), "nodev": (.noDevices, []),
            "exec": ([], .noExecution), "noexec": (.noExecution, []),
            "sync": (.synchronous, []), "async": ([], .synchronous),
            "dirsync": (.directorySynchronous, []),
            "atime": ([], .noAccessTime), "noatime": (.noAccessTime, times),
            "relatime": (.relativeAccessTime, times), "norelatime": ([], .relativeAccessTime),
            "strictatime": (.strictAccessTime, times), "nostrictatime": ([], .strictAccessTime),
            "diratime": ([], .noDirectoryAccessTime),
            "nodiratime": (.noDirectoryAccessTime, []),
            "lazytime": (.lazyTime, []), "nolazytime": ([], .lazyTime),
            "defaults": (
                [],
                [
                    .readOnly, .noSetuid, .noDevices, .noExecution, .synchronous,
                ]
            ),
        ]
    }()

    /// What is for mount(8), systemd or people.
    private static func isForOthers(_ option: String) -> Bool {
        let exact: Set<String> = [
            "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "noowner", "group",
            "nogroup", "nofail", "_netdev", "silent", "loud", "nomand",
        ]
        let beginnings = ["x-", "X-", "comment=", "user=", "uhelper=", "helper="]
        return exact.contains(option) || beginnings.contains { option.hasPrefix($0) }
    }

    /// An option of our own; false where it is none.
    private mutating func take(_ option: String) throws(CommandFailure) -> Bool {
        switch option {
        case "remount": isRemount = true
        case "allow_other": allowsOthers = true
        case "noallow_other": allowsOthers = false
        // As FUSE filesystems are mounted by habit: the kernel checks permissions here in any case.
        case "default_permissions": break
        case "acl": hasAccessLists = true
        case "noacl": hasAccessLists = false
        case "io_uring": rings = .askedFor
        case "noio_uring": rings = .never
        default:
            guard let equals = option.firstIndex(of: "=") else { return false }
            return try take(
                key: String(option[..<equals]),
                value: String(option[option.index(after: equals)...]))
        }
        return true
    }

    private mutating func take(key: String, value: String) throws(CommandFailure) -> Bool {
        switch key {
        case "volume":
            guard ObjectName.isAcceptable(value) else {
                throw Self.bad(key, value, "is no name of a volume")
            }
            volume = value
        case "snapshot":
            guard ObjectName.isAcceptable(value) else {
                throw Self.bad(key, value, "is no name of a snapshot")
            }
            snapshot = value
        case "memory":
            guard let bytes = ByteSize.parse(value), Self.memoryBytesRange.contains(bytes) else {
                throw Self.bad(
                    key, value,
                    "is not a size between "
                        + "\(ByteSize.exact(Self.memoryBytesRange.lowerBound)) and "
                        + ByteSize.exact(Self.memoryBytesRange.upperBound))
            }
            memoryBytes = bytes
        case "commit": commitSeconds = try Self.number(key, value, Self.commitSecondsRange)
        case "reclaim":
            reclaimSeconds = try Self.number(key, value, Self.reclaimSecondsRange)
        case "optimize":
            optimizeSeconds = try Self.number(key, value, Self.optimizeSecondsRange)
        case "threads": threads = try Self.number(key, value, Self.threadsRange)
        default: return false
        }
        return true
    }

    private static func number(
        _ key: String, _ value: String, _ range: ClosedRange<UInt32>
    ) throws(CommandFailure) -> UInt32 {
        guard let number = UInt32(value), range.contains(number) else {
            throw bad(
                key, value, "is not a number between \(range.lowerBound) and \(range.upperBound)")
        }
        return number
    }

    private static func bad(_ key: String, _ value: String, _ why: String) -> CommandFailure {
        CommandFailure(.usage, "mount option \(key)=\(DisplayText.escaped(value.utf8)): \(why)")
    }
}
