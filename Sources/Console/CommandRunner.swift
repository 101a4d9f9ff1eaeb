// From arguments to an exit code: what every program's main does.
import ArgumentParser
import Glibc
import Platform

/// Runs commands made with swift-argument-parser under our exit codes.
public enum CommandRunner {
    /// The last part of the name that this process was called by: `ashlar`, `mount.ashlar`.
    public static var programName: String {
        let path = CommandLine.arguments.first ?? ""
        return path.split(separator: "/").last.map(String.init) ?? "ashlar"
    }

    /// Parses `arguments` and runs the command that they name.
    ///
    /// - Parameters:
    ///   - root: the program's command, with or without subcommands.
    ///   - arguments: without the program's own name.
    ///   - program: begins each message.
    ///   - describe: what an error that is neither a `CommandFailure` nor of the command line means.
    /// - Returns: the exit code, by `family`.
    public static func run(
        _ root: any ParsableCommand.Type, arguments: [String], program: String,
        family: ProgramFamily,
        describe: (any Error) -> CommandFailure = { CommandFailure(.internalError, "\($0)") }
    ) -> Int32 {
        let output = Output(program: program)
        do {
            var command = try root.parseAsRoot(arguments)
            try command.run()
            return 0
        } catch let failure as CommandFailure {
            output.report(failure)
            return family.exitCode(for: failure.kind)
        } catch let code as ExitCode {
            return code.rawValue
        } catch {
            // The parser's own errors are usage (64) or no failure at all.
            if root.exitCode(for: error) == .failure {
                let failure = describe(error)
                output.report(failure)
                return family.exitCode(for: failure.kind)
            }
            let text = root.fullMessage(for: error)
            guard root.exitCode(for: error) == .success else {
                output.say(text.isEmpty ? "" : "\(program): \(stripped(text))\n")
                return family.exitCode(for: .usage)
            }
            output.line(text)
            do throws(CommandFailure) {
                try output.flush()
            } catch {
                output.report(error)
                return family.exitCode(for: error.kind)
            }
            return 0
        }
    }

    /// "Error: …" becomes "…": our messages begin with the program's name.
    private static func stripped(_ text: String) -> String {
        text.hasPrefix("Error: ") ? String(text.dropFirst(7)) : text
    }
}
