// `ashlar umount`, umount.ashlar: away with a mount, and with it the daemon.
import ArgumentParser
import Console
import Control
import Glibc
import Platform

/// Unmounts volumes and returns when everything is durable and their daemons have ended, which
/// umount(8) by itself does not wait for. Also called by umount(8) as umount.fuse.ashlar.
struct UnmountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount",
        abstract: "Unmount a volume, and wait until its store is at rest.")

    @Argument(help: "Mountpoints, or stores with one mount each.")
    var mountpoints: [String]

    @Flag(name: .shortAndLong, help: "Abort the connection of a daemon that does not answer.")
    var force = false

    @Flag(
        name: .shortAndLong,
        help: "Detach now, and let those who use it finish. Does not wait for them.")
    var lazy = false

    @Flag(name: .customShort("n"), help: "Nothing: there is no mtab to write.")
    var noMtab = false

    @Flag(
        name: [.customShort("r"), .long], help: "Remount read-only where it cannot be unmounted.")
    var readOnly = false

    @Flag(name: .shortAndLong, help: "Say more.")
    var verbose = false

    @Flag(name: .shortAndLong, help: "Say nothing but errors.")
    var quiet = false

    @Option(help: ArgumentHelp("Wait for the daemon at most so long.", valueName: "seconds"))
    var timeout: UInt32?

    @Option(
        name: .customShort("N"),
        help: ArgumentHelp(
            "Unmount in the mount namespace of a process, or of a file.", valueName: "namespace"))
    var namespace: String?

    @Option(
        name: .customShort("t"),
        help: ArgumentHelp(
            "The type that umount(8) was given: ashlar or fuse.ashlar.", valueName: "type"))
    var type: String?

    func validate() throws {
        if mountpoints.isEmpty { throw ValidationError("Name a mountpoint.") }
    }

    func run() throws {
        let output = Output(
            program: CommandRunner.programName,
            verbosity: verbose ? .verbose : quiet ? .quiet : .normal)
        if let namespace { try MountNamespace.enter(namespace) }
        var worst: CommandFailure?
        for mountpoint in mountpoints {
            do {
                try Unmounting(
                    output: output, isForced: force, isLazy: lazy, fallsBackToReadOnly: readOnly,
                    timeoutSeconds: timeout
                ).unmount(mountpoint)
            } catch {
                let failure = CommandFailure(anyError: error)
                output.report(failure)
                if worst == nil { worst = failure }
            }
        }
        try output.flush()
        if let worst { throw ExitCode(ProgramFamily.mount.exitCode(for: worst.kind)) }
    }
}
