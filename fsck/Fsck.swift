/// # Module: fsck — the program fsck.ashlar
///
/// Purpose: checks a store with the independent reader (`Checking`), tells what is wrong with the
/// paths that it touches, and ends with the exit codes of fsck(8). A store that a daemon holds is
/// checked by that daemon, when only a look is asked for.
///
/// Words: *depth* is how much is read (quick, full, deep); a *note* tells a later deep check where
/// an interrupted one was.
///
/// Invariants:
/// 1. Nothing in the packs or the index is changed; with `-n` nothing in the store but its lock.
/// 2. The exit code is 0 only where nothing is wrong: also a check that could not be finished says so.
/// 3. Standard output has the result; progress and messages are elsewhere.
///
/// Threads: the main thread only.
import ArgumentParser
import Console
import Glibc

/// The process's entry.
@main
enum FsckProgram {
    static func main() {
        // fsck(8) calls it -V; --version needs no store.
        let arguments = CommandLine.arguments.dropFirst().map { $0 == "-V" ? "--version" : $0 }
        exit(
            CommandRunner.run(
                FsckCommand.self, arguments: arguments,
                program: CommandRunner.programName, family: .check))
    }
}
