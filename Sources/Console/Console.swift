/// # Module: Console — what the programs say, and what they are told in words
///
/// Purpose: one way for `ashlar` and `fsck.ashlar` to print results, messages and progress, to read
/// sizes, to show names that a terminal must not take literally, and to end with the exit code that
/// the manual promises.
///
/// Words: a *report* is a result as a value, shown as text for people or as one JSON object; a
/// *failure* is why a command ends without its result; its *kind* alone decides the exit code, by
/// the *family* of the program (fsck(8), mount(8), or ashlar's own).
///
/// Invariants:
/// 1. Results go to standard output, everything else to standard error. Nothing but the one JSON
///    object is on standard output with `--json`.
/// 2. Progress is drawn on a terminal only, and is erased before any other line.
/// 3. Text from a store reaches a terminal escaped: no name can move the cursor or forge a line.
/// 4. A result that could not be written whole is a failure, not a success.
///
/// Threads: `Output` may be used from any thread; `Progress` by one at a time. The rest are values.
import CLinux
import Glibc

/// What the terminal behind a descriptor can do.
public enum Terminal {
    /// Columns taken where a terminal does not tell.
    public static let standardColumns = 80

    /// Whether `descriptor` is a terminal.
    public static func isTerminal(_ descriptor: Int32) -> Bool {
        isatty(descriptor) == 1
    }

    /// Its width in columns, at least 20.
    public static func columns(of descriptor: Int32) -> Int {
        let columns = Int(ashlar_terminal_columns(descriptor))
        return columns == 0 ? standardColumns : max(20, columns)
    }
}

/// SIGINT, SIGTERM and SIGHUP as a wish that long work looks at between two steps.
public enum Interruption {
    /// From now on a first signal is only remembered; a second one ends the process at once.
    public static func catchSignals() {
        // Fails only for signals that do not exist; without it a signal kills, which is clean too.
        _ = ashlar_catch_interruptions()
    }

    /// The signal that came since, or nil.
    public static var signal: Int32? {
        let number = ashlar_interruption()
        return number == 0 ? nil : number
    }

    /// Throws where a signal has come.
    public static func check() throws(CommandFailure) {
        if let signal { throw CommandFailure(.interrupted, "ended by signal \(signal)") }
    }
}
