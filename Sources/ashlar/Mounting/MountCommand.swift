// `ashlar mount`, mount.ashlar.
import ArgumentParser
import Console

/// Mounts a volume; returns when it answers.
struct MountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Mount a volume of a store on a directory.",
        discussion: """
            Returns when the mount answers; a daemon serves it until it is unmounted (ashlar umount, \
            umount(8)) or ended by a signal. Options for -o: ro, allow_other, noatime, relatime, \
            strictatime, nodiratime, nosuid, nodev, noexec, sync, dirsync, noacl, io_uring, remount, \
            volume=NAME, snapshot=NAME, memory=SIZE, commit=SECONDS, reclaim=SECONDS, \
            optimize=SECONDS, threads=NUMBER.
            """)

    @OptionGroup var arguments: MountArguments

    func run() throws {
        let code = try MountProgram(
            output: Output(
                program: CommandRunner.programName,
                verbosity: arguments.verbose ? .verbose : .normal),
            open: ServedStore.open
        ).run(arguments.request())
        if code != 0 { throw ExitCode(code) }
    }
}

/// As mount(8) calls it: `mount.ashlar STORE MOUNTPOINT [-sfnv] [-o OPTIONS]`.
struct MountHelperCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount-helper", abstract: "As mount(8) calls it.", shouldDisplay: false)

    @OptionGroup var arguments: MountHelperArguments

    func run() throws {
        let code = try MountProgram(
            output: Output(
                program: CommandRunner.programName,
                verbosity: arguments.verbose ? .verbose : .normal),
            open: ServedStore.open
        ).run(arguments.request())
        if code != 0 { throw ExitCode(code) }
    }
}
