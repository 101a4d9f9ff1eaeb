import CGnu
import Foundation

/// Programs that are run and waited for. Each gets a process group of its own, so that a Ctrl-C on
/// the terminal does not reach it: `Interruption` decides. One thread at a time.
struct Command {
    var arguments: [String]
    var environment: [String: String] = [:]
    var directory: String?
    /// Where standard output goes; by default it is kept, to be shown on failure.
    var outputPath: String?
    /// Whether SIGINT ends it. Not so for what cleans up.
    var isInterruptible = true

    init(_ arguments: String...) {
        self.arguments = arguments
    }

    init(_ arguments: [String]) {
        self.arguments = arguments
    }

    /// What a program left behind.
    struct Outcome {
        var output: String
        var seconds: Double
        /// User and system time of it and of the children it has waited for.
        var processorSeconds: Double
    }

    /// A command for the shell.
    static func shell(_ script: String, _ arguments: String...) -> Command {
        Command(["/bin/bash", "-euo", "pipefail", "-c", script, "bash"] + arguments)
    }

    func with(environment: [String: String]) -> Command {
        var copy = self
        copy.environment.merge(environment) { $1 }
        return copy
    }

    func at(_ directory: String) -> Command {
        var copy = self
        copy.directory = directory
        return copy
    }

    var cleaning: Command {
        var copy = self
        copy.isInterruptible = false
        return copy
    }

    /// Runs it, and throws if it fails.
    @discardableResult
    func run() throws(BenchmarkError) -> Outcome {
        if isInterruptible { try Interruption.check() }
        let log = outputPath ?? "/tmp/ashlar-bench.\(getpid()).out"
        let errors = "/tmp/ashlar-bench.\(getpid()).err"
        defer {
            if outputPath == nil { unlink(log) }
            unlink(errors)
        }
        let began = Clock.seconds
        let process = try start(output: log, errors: errors)
        if isInterruptible { Interruption.setGroup(process) }
        defer { if isInterruptible { Interruption.setGroup(0) } }
        var status: Int32 = 0
        var usage = rusage()
        while wait4(process, &status, 0, &usage) < 0 {
            guard errno == EINTR else {
                throw .system(call: "wait4", path: shown, errno: errno)
            }
        }
        let seconds = Clock.seconds - began
        let text = outputPath == nil ? Self.text(log) : ""
        if isInterruptible { try Interruption.check() }
        let signal = status & 0x7f
        let code = signal == 0 ? (status >> 8) & 0xff : -signal
        guard code == 0 else {
            let words = (Self.text(errors) + text).suffix(600)
            throw .failed(command: shown, code: code, output: String(words))
        }
        return Outcome(
            output: text, seconds: seconds,
            processorSeconds: Clock.seconds(usage.ru_utime) + Clock.seconds(usage.ru_stime))
    }

    private var shown: String {
        let words = arguments.prefix(6).map { $0.count > 90 ? $0.prefix(90) + "…" : $0 }
        return words.joined(separator: " ")
    }

    private func start(output: String, errors: String) throws(BenchmarkError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        if let directory { gnu_spawn_chdir(&actions, directory) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGDEF))
        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let words = arguments.map { strdup($0) }
        let variables = merged.map { strdup("\($0)=\($1)") }
        defer { for word in words + variables { free(word) } }
        var process: pid_t = 0
        let code = posix_spawnp(
            &process, arguments[0], &actions, &attributes, words + [nil], variables + [nil])
        guard code == 0 else { throw .notStarted(command: shown, errno: code) }
        return process
    }

    private static func text(_ path: String) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: data, as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Where a program is, on the search path or in the system's folders, or nil.
    static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let folders = path.split(separator: ":").map(String.init)
        return (folders + ["/usr/sbin", "/sbin", "/usr/local/bin"]).map { "\($0)/\(name)" }
            .first { access($0, X_OK) == 0 }
    }
}
