// What is to be mounted where, before and after its places were looked at.
import Console
import Control
import Glibc
import Platform

/// A mount as it was asked for.
struct MountRequest: Equatable {
    var address: StoreAddress
    var mountpoint: String
    var settings: MountSettings
    /// The values of all `-o`, of which `settings` was made.
    var options: [String] = []
    var isForeground = false
    /// Everything is checked and nothing mounted.
    var isFake = false
    var isVerbose = false

    /// A snapshot, named in the address or by an option, is mounted read-only.
    init(
        address: StoreAddress, mountpoint: String, settings: MountSettings,
        options: [String] = [], isForeground: Bool = false, isFake: Bool = false,
        isVerbose: Bool = false
    ) {
        self.address = address
        self.address.snapshot = settings.snapshot ?? address.snapshot
        self.mountpoint = mountpoint
        self.settings = settings
        if self.address.snapshot != nil { self.settings.flags.insert(.readOnly) }
        self.options = options
        self.isForeground = isForeground
        self.isFake = isFake
        self.isVerbose = isVerbose
    }

    /// Looks at both places.
    func place() throws(CommandFailure) -> MountPlace {
        try MountPlace(store: address.path, mountpoint: mountpoint)
    }
}

/// Where a store is and where its volume will be: real, absolute paths of two directories, neither of
/// which lies within the other. A daemon that served the directory its own packs are in would wait
/// for itself, in the kernel, for ever.
struct MountPlace: Equatable {
    let store: String
    let mountpoint: String

    /// - Throws: `notFound`, `notAStore` and `mountRefused` with the reason.
    init(store: String, mountpoint: String) throws(CommandFailure) {
        let realStore = try Self.directory(store, role: "store", failure: .notAStore)
        let realMountpoint = try Self.directory(
            mountpoint, role: "mountpoint", failure: .mountRefused)
        let storeIdentities = try Self.identities(upFrom: realStore)
        let mountpointIdentities = try Self.identities(upFrom: realMountpoint)
        if storeIdentities.first == mountpointIdentities.first {
            throw CommandFailure(.mountRefused, "the mountpoint is the store itself: \(realStore)")
        }
        if let first = storeIdentities.first, mountpointIdentities.contains(first) {
            throw CommandFailure(
                .mountRefused, "the mountpoint \(realMountpoint) lies inside the store \(realStore)"
            )
        }
        if let first = mountpointIdentities.first, storeIdentities.contains(first) {
            throw CommandFailure(
                .mountRefused,
                "the store \(realStore) lies inside the mountpoint \(realMountpoint), and would be "
                    + "covered")
        }
        self.store = realStore
        self.mountpoint = realMountpoint
    }

    private static func directory(
        _ path: String, role: String, failure: FailureKind
    ) throws(CommandFailure) -> String {
        let shown = DisplayText.escaped(path.utf8)
        guard let real = realpath(path, nil) else {
            throw refusal(Errno(rawValue: errno), role, shown)
        }
        defer { free(real) }
        let resolved = String(cString: real)
        var status = stat()
        guard stat(resolved, &status) == 0 else {
            throw refusal(Errno(rawValue: errno), role, shown)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure(failure, "\(role) \(shown) is not a directory")
        }
        return resolved
    }

    /// A place that cannot be looked at. One whose daemon has died answers with ENOTCONN.
    static func refusal(_ reason: Errno, _ role: String, _ shown: String) -> CommandFailure {
        guard reason.rawValue == ENOTCONN else { return CommandFailure(reason, "\(role) \(shown)") }
        return CommandFailure(
            .mountRefused, "\(role) \(shown): its daemon has ended without unmounting",
            advice: "Unmount it first: umount \(shown)")
    }

    struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    /// Device and inode of a directory and of all above it: paths may differ by bind mounts.
    static func identities(upFrom path: String) throws(CommandFailure) -> [Identity] {
        var identities: [Identity] = []
        var parts = path.split(separator: "/")
        while true {
            let folder = "/" + parts.joined(separator: "/")
            var status = stat()
            guard stat(folder, &status) == 0 else {
                throw CommandFailure(Errno(rawValue: errno), DisplayText.escaped(folder.utf8))
            }
            identities.append(
                Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)))
            if parts.popLast() == nil { return identities }
        }
    }
}
