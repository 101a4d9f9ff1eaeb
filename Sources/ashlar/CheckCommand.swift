// `ashlar fsck`: the checker is a program of its own.
import ArgumentParser
import CLinux
import Console
import Glibc
import Platform

/// Becomes `fsck.ashlar`, with the same arguments and its exit code. The checker shares no code with
/// what writes stores, and so is not part of this executable.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fsck",
        abstract: "Check a store: the same as fsck.ashlar.",
        discussion: "All options are those of fsck.ashlar(8).")

    @Argument(
        parsing: .captureForPassthrough, help: "Options and store, as for fsck.ashlar.")
    var arguments: [String] = []

    func run() throws {
        var tried: [String] = []
        for path in Self.candidates() {
            tried.append(path)
            Self.become(path, ["fsck.ashlar"] + arguments)
        }
        throw CommandFailure(
            .system, "fsck.ashlar was not found",
            advice: "looked for " + tried.joined(separator: ", "))
    }

    /// Beside this executable, and where it is installed.
    static func candidates() -> [String] {
        var paths: [String] = []
        if let real = realpath("/proc/self/exe", nil) {
            defer { free(real) }
            let own = String(cString: real)
            let folder = own.split(separator: "/").dropLast().map { "/\($0)" }.joined()
            paths = ["\(folder)/fsck.ashlar", "\(folder)/../sbin/fsck.ashlar"]
        }
        return paths + [
            "/usr/local/sbin/fsck.ashlar", "/usr/sbin/fsck.ashlar", "/sbin/fsck.ashlar",
        ]
    }

    /// Returns only where the program cannot be run.
    private static func become(_ path: String, _ arguments: [String]) {
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        execv(path, pointers)
    }
}
