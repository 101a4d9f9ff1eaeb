// What all commands are given that scan a directory.
import ArgumentParser
import Console
import FoundationEssentials
import Platform
import Streams

/// What is left out, of whatever is looked at.
struct ExcludeArguments: ParsableArguments {
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Leave out what matches, as in gitignore(5); may be repeated.", valueName: "pattern"))
    var exclude: [String] = []

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("Read such patterns from a file.", valueName: "file"))
    var excludeFrom: [String] = []

    var isGiven: Bool { !exclude.isEmpty || !excludeFrom.isEmpty }

    /// The rules, in order: those of files come first.
    func lines() throws(CommandFailure) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for path in excludeFrom {
            guard let data = FileManager.default.contents(atPath: path) else {
                throw CommandFailure(
                    .notFound, "cannot read the patterns in \(DisplayText.escaped(path.utf8))")
            }
            lines += data.split(separator: 0x0a).map { Array($0) }
        }
        return lines + exclude.map { Array($0.utf8) }
    }

    func rules() throws(CommandFailure) -> ExcludeRules {
        var rules = ExcludeRules()
        for line in try lines() { rules.add(line) }
        return rules
    }
}

/// How a directory is scanned.
struct ScanArguments: ParsableArguments {
    @OptionGroup var excludes: ExcludeArguments

    @Flag(help: "Stay on the directory's own filesystem.")
    var oneFileSystem = false

    @Option(
        help: ArgumentHelp("Open directories less than so many levels down.", valueName: "levels"))
    var maxDepth: Int?

    @Option(
        help: ArgumentHelp(
            "Of a file that cannot be read: skip it, or stop.", valueName: "skip|stop"))
    var onError = "skip"

    @Flag(help: "Read every file, changed or not.")
    var verify = false

    @Flag(help: "Show no progress, and count nothing beforehand.")
    var noProgress = false

    mutating func validate() throws {
        if let maxDepth, maxDepth < 1 { throw ValidationError("--max-depth is at least 1.") }
        if ScanOptions.ErrorPolicy(rawValue: onError) == nil {
            throw ValidationError("--on-error is skip or stop.")
        }
    }

    /// Whether anything is not as it is by default.
    var isGiven: Bool {
        excludes.isGiven || oneFileSystem || maxDepth != nil || verify || noProgress
            || onError != "skip"
    }

    /// As it goes to whoever scans: the patterns of files are read already.
    struct Sent: Codable, Sendable {
        /// Lines, in order.
        var rules: [[UInt8]]
        var oneFileSystem: Bool
        var maxDepth: Int?
        var onError: String
        var verify: Bool

        func options() throws(CommandFailure) -> ScanOptions {
            var rules = ExcludeRules()
            for rule in self.rules { rules.add(rule) }
            var options = ScanOptions()
            options.verifiesAll = verify
            options.staysOnFilesystem = oneFileSystem
            options.depthMax = maxDepth
            options.errorPolicy = ScanOptions.ErrorPolicy(rawValue: onError) ?? .skip
            options.workerCount = max(1, ProcessInfo.processInfo.activeProcessorCount)
            let final = rules
            if !rules.isEmpty {
                options.isExcluded = { path, isDirectory in
                    final.excludes(path, isDirectory: isDirectory)
                }
            }
            return options
        }
    }

    func sent() throws(CommandFailure) -> Sent {
        Sent(
            rules: try excludes.lines(), oneFileSystem: oneFileSystem, maxDepth: maxDepth,
            onError: onError, verify: verify)
    }

    /// - Parameters: directories and files that are left out, whatever the rules say; they need not
    ///   exist.
    func options(
        omitting omitted: [String], files: [String] = []
    ) throws(CommandFailure) -> ScanOptions {
        var options = try sent().options()
        for path in omitted {
            guard let facts = try? OpenDirectory(path: path).facts() else { continue }
            options.omitted.insert(FileIdentity(facts))
        }
        for path in files {
            guard
                let file = try? LinuxSystemCalls().open(
                    at: .currentDirectory, path, [.noFollow], mode: 0)
            else { continue }
            if let facts = try? OpenDirectory.facts(of: file) {
                options.omitted.insert(FileIdentity(facts))
            }
            _ = try? LinuxSystemCalls().close(file)
        }
        return options
    }
}
