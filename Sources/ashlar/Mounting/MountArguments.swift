// Two command lines that mean a mount: our own, and mount(8)'s.
import ArgumentParser
import CLinux
import Console
import Glibc
import Platform

/// `ashlar mount STORE MOUNTPOINT`.
struct MountArguments: ParsableArguments {
    @Argument(help: "The store, or STORE@SNAPSHOT.")
    var store: String

    @Argument(help: "The directory to mount on.")
    var mountpoint: String

    @Option(
        name: .customShort("o"), parsing: .singleValue,
        help: ArgumentHelp("Mount options, comma-separated; may be repeated.", valueName: "options")
    )
    var options: [String] = []

    @Flag(name: [.customShort("f"), .long], help: "Stay in the foreground; log to standard error.")
    var foreground = false

    @Flag(name: .shortAndLong, help: "Say more.")
    var verbose = false

    /// What is asked for.
    func request() throws(CommandFailure) -> MountRequest {
        MountRequest(
            address: try StoreAddress(store), mountpoint: mountpoint,
            settings: try MountSettings(parsing: options), options: options,
            isForeground: foreground, isVerbose: verbose)
    }
}

/// `mount.ashlar STORE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE.SUBTYPE]`: what
/// mount(8) calls, also as mount.fuse.ashlar.
struct MountHelperArguments: ParsableArguments {
    @Argument(help: "The store, or STORE@SNAPSHOT.")
    var store: String

    @Argument(help: "The directory to mount on.")
    var mountpoint: String

    @Flag(name: .customShort("s"), help: "Pass over mount options that are not known.")
    var sloppy = false

    @Flag(name: .customShort("f"), help: "Check everything, but do not mount.")
    var fake = false

    @Flag(name: .customShort("n"), help: "Nothing: there is no mtab to write.")
    var noMtab = false

    @Flag(name: .customShort("v"), help: "Say more.")
    var verbose = false

    @Option(
        name: .customShort("N"),
        help: ArgumentHelp(
            "Mount in the mount namespace of a process, or of a file.", valueName: "namespace"))
    var namespace: String?

    @Option(
        name: .customShort("o"), parsing: .singleValue,
        help: ArgumentHelp("Mount options, comma-separated; may be repeated.", valueName: "options")
    )
    var options: [String] = []

    @Option(
        name: .customShort("t"),
        help: ArgumentHelp(
            "The type that mount(8) was given: ashlar or fuse.ashlar.", valueName: "type"))
    var type: String?

    /// What is asked for. Enters the namespace where one is named: from then on paths are those there.
    func request() throws(CommandFailure) -> MountRequest {
        if let type, type != "ashlar", type != "fuse.ashlar", type != "fuse" {
            throw CommandFailure(
                .usage, "-t \(DisplayText.escaped(type.utf8)): not a type of this program")
        }
        let settings = try MountSettings(parsing: options, isSloppy: sloppy)
        if let namespace { try MountNamespace.enter(namespace) }
        return MountRequest(
            address: try StoreAddress(store), mountpoint: mountpoint, settings: settings,
            options: options, isFake: fake, isVerbose: verbose)
    }
}

/// `-N` of mount(8) and umount(8).
enum MountNamespace {
    /// What names this process's: equal in processes that share it. nil where the system does not say.
    static var own: String? {
        var text = [CChar](repeating: 0, count: 64)
        let count = readlink("/proc/self/ns/mnt", &text, text.count)
        guard count > 0, count < text.count else { return nil }
        return String(
            decoding: text.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// - Parameter name: a process's number, or the path of a namespace's file.
    static func enter(_ name: String) throws(CommandFailure) {
        let isNumber = !name.isEmpty && name.utf8.allSatisfy { (0x30...0x39).contains($0) }
        let path = isNumber ? "/proc/\(name)/ns/mnt" : name
        if ashlar_enter_mount_namespace(path) != 0 {
            throw CommandFailure(
                Errno(rawValue: errno),
                "cannot enter the namespace \(DisplayText.escaped(path.utf8))")
        }
    }
}
