/// # Module: ashlar — the program
///
/// Purpose: one executable for making, mounting, unmounting and looking at stores. It is called
/// `ashlar SUBCOMMAND`, or by the names that mount(8), umount(8), mkfs(8) and fstab(5) look for.
///
/// Words: a *store* is a directory with packs; a *volume* is a filesystem in it; an *engine* is what
/// stands behind a command: it is handed in as closures, so that everything here is tested without.
///
/// Invariants:
/// 1. Only this module and `fsck` know exit codes; every layer below throws typed errors.
/// 2. A command that changes a store holds its lock. What only reads packs takes none: packs grow,
///    and what was written does not change.
/// 3. A command is registered when what stands behind it is here.
///
/// Threads: the main thread, except while a volume is mounted.
import ArgumentParser
import Console
import Glibc

/// The root of all subcommands.
struct Ashlar: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ashlar",
        abstract: "A deduplicating filesystem: equal pieces of files are stored once.",
        version: ashlarVersion,
        subcommands: [
            MakeCommand.self, MountCommand.self, UnmountCommand.self, CheckCommand.self,
            ListCommand.self, PrintCommand.self, StatisticsCommand.self, UsageCommand.self,
            DumpCommand.self, VolumeCommand.self, SnapshotCommand.self, StreamCommand.self,
            DifferenceCommand.self, DifferenceInfoCommand.self, ApplyCommand.self,
            RestoreCommand.self,
            RetentionCommand.self, ReclaimCommand.self, OptimizeCommand.self,
            QueryCommand.self,
            FindDuplicatesCommand.self, FindLargestCommand.self, FindNewestCommand.self,
            FindOldestCommand.self, FindChangesCommand.self, HistoryCommand.self,
            MountHelperCommand.self,
        ])
}

/// The program's version; that of the disk format is apart (`DiskFormat.version`).
let ashlarVersion = "0.1.0"

/// The process's entry.
@main
enum Program {
    static func main() {
        let invocation = Invocation(CommandLine.arguments)
        exit(
            CommandRunner.run(
                Ashlar.self, arguments: invocation.arguments, program: invocation.program,
                family: invocation.family,
                describe: { CommandFailure(anyError: $0) }))
    }
}
