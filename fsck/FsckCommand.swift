// The command line.
import ArgumentParser
import Checking
import Console
import Glibc

/// `fsck.ashlar STORE`.
struct FsckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fsck.ashlar",
        abstract: "Check a store of Ashlar.",
        discussion: """
            Exit code: 0 nothing is wrong, 4 errors are left, 8 the check failed, 16 wrong usage, \
            32 ended by a signal.
            """,
        version: "0.1.0")

    @Argument(help: "The store.")
    var store: String

    @Flag(
        name: .customShort("n"),
        help: "Change nothing, and ask the daemon where the store is mounted.")
    var readOnly = false

    @Flag(help: "Read headers, tables and the trees of files only.")
    var quick = false

    @Flag(help: "Also decompress every chunk and compare it with its name.")
    var deep = false

    @Flag(help: "With --deep: begin anew, though an interrupted check could go on.")
    var restart = false

    @Flag(name: .customShort("f"), help: "Check also what seems clean. Always so.")
    var force = false

    @Option(
        name: .customShort("C", allowingJoined: true),
        help: ArgumentHelp(
            "Write progress for programs to a descriptor; 0 for the bar that a terminal gets "
                + "anyway.", valueName: "fd"))
    var progressDescriptor: Int32?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(name: .shortAndLong, help: "Say more: what is normal, and all listed paths.")
    var verbose = false

    @Flag(name: .shortAndLong, help: "Say nothing but problems.")
    var quiet = false

    @Flag(name: .customShort("V"), help: "Show the version, as --version does.")
    var showsVersion = false

    func validate() throws {
        if quick && deep { throw ValidationError("--quick and --deep exclude each other.") }
        if restart && !deep { throw ValidationError("--restart goes with --deep.") }
        if let progressDescriptor, !(0...1023).contains(progressDescriptor) {
            throw ValidationError("-C takes the number of an open descriptor.")
        }
    }

    /// How much is read.
    var depth: CheckDepth { quick ? .quick : deep ? .deep : .full }

    func run() throws {
        let output = Output(
            program: CommandRunner.programName,
            verbosity: verbose ? .verbose : quiet ? .quiet : .normal)
        Interruption.catchSignals()
        let answer = try StoreChecking(command: self, output: output).answer()
        if json {
            output.bytes(Array(answer.json.utf8))
        } else if !quiet || answer.exitCode != 0 {
            for line in answer.lines { output.line(line) }
        }
        try output.flush()
        if answer.exitCode != 0 { throw ExitCode(answer.exitCode) }
    }
}
