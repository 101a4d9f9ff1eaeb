// One program, many names.
import Console

/// What a command line asks for, by the name it was called with.
///
///     name                                   becomes
///     mkfs.ashlar …                          ashlar mkfs …
///     mount.ashlar …, mount.fuse.ashlar …    ashlar mount-helper …   (mount(8)'s conventions)
///     umount.ashlar …, umount.fuse.ashlar …  ashlar umount …
///     fsck.ashlar …                          ashlar fsck …
///     anything else …                        as it is
struct Invocation: Equatable {
    /// Begins the messages.
    var program: String
    /// For the root command.
    var arguments: [String]
    var family: ProgramFamily

    /// - Parameter commandLine: as the process got it, its own name first.
    init(_ commandLine: [String]) {
        let name = commandLine.first.flatMap { $0.split(separator: "/").last.map(String.init) }
        let rest = Array(commandLine.dropFirst())
        program = name ?? "ashlar"
        switch program {
        case "mkfs.ashlar": arguments = ["mkfs"] + rest
        case "mount.ashlar", "mount.fuse.ashlar": arguments = ["mount-helper"] + rest
        case "umount.ashlar", "umount.fuse.ashlar": arguments = ["umount"] + rest
        case "fsck.ashlar": arguments = ["fsck"] + rest
        default: arguments = rest
        }
        family = Self.family(ofSubcommand: arguments.first { !$0.hasPrefix("-") } ?? "")
    }

    private static func family(ofSubcommand name: String) -> ProgramFamily {
        switch name {
        case "mkfs": .make
        case "mount", "mount-helper", "umount": .mount
        case "fsck": .check
        default: .general
        }
    }
}
