// The command line.
import ArgumentParser
import Checking
import Console
import Glibc

/// `fsck.ashlar STORE`.
struct FsckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fsck.ashlar",
        abstract: "Check a store of Ashlar, and repair it.",
        discussion: """
            Without -p, -y, --rebuild, --purge or --heal nothing is changed. Exit code: 0 nothing is \
            wrong, 1 errors were corrected, 4 errors are left, 8 the check failed, 16 wrong usage, \
            32 ended by a signal.
            """,
        version: "0.1.0")

    @Argument(help: "The store.")
    var store: String

    @Flag(
        name: .customShort("n"),
        help: "Change nothing, and ask the daemon where the store is mounted.")
    var readOnly = false

    @Flag(
        name: [.customShort("p"), .customShort("a")],
        help: "Repair without asking: what can be put right, and what is lost is marked so.")
    var preen = false

    @Flag(name: .customShort("y"), help: "The same.")
    var yes = false

    @Flag(help: "Throw the index away and make it anew from the packs.")
    var rebuild = false

    @Flag(help: "Remove chunks that nothing owns, and give their space back.")
    var purge = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Look for chunks that are damaged or missing in files and directories, and restore them.",
            valueName: "from"))
    var heal: [String] = []

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
        let tasks = [preen || yes, rebuild, purge, !heal.isEmpty].count { $0 }
        if tasks > 1 || (tasks > 0 && readOnly) {
            throw ValidationError("-n, -p or -y, --rebuild, --purge and --heal exclude each other.")
        }
        if restart && !deep { throw ValidationError("--restart goes with --deep.") }
        if let progressDescriptor, !(0...1023).contains(progressDescriptor) {
            throw ValidationError("-C takes the number of an open descriptor.")
        }
    }

    /// How much is read.
    var depth: CheckDepth { quick ? .quick : deep ? .deep : .full }

    /// What is to be changed; nil: nothing.
    var task: RepairTask? {
        if preen || yes { return .repair }
        if rebuild { return .rebuild }
        if purge { return .purge }
        return heal.isEmpty ? nil : .heal(heal)
    }

    func run() throws {
        let output = Output(
            program: CommandRunner.programName,
            verbosity: verbose ? .verbose : quiet ? .quiet : .normal)
        Interruption.catchSignals()
        let answer: CheckAnswer
        if let task {
            answer = try StoreRepairing(command: self, task: task, output: output).answer()
        } else {
            answer = try StoreChecking(command: self, output: output).answer()
        }
        if json {
            output.bytes(Array(answer.json.utf8))
        } else if !quiet || answer.exitCode != 0 {
            for line in answer.lines { output.line(line) }
        }
        try output.flush()
        if answer.exitCode != 0 { throw ExitCode(answer.exitCode) }
    }
}
