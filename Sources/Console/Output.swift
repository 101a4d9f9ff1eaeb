// The two streams of a program.
import Glibc
import Platform

/// Where a program's words go. Any thread. What was given to `text` and `bytes` is on standard
/// output after `flush`, which `finish` and the programs' main call.
public final class Output: Sendable {
    /// How much is said on standard error.
    public enum Verbosity: Int, Comparable, Sendable {
        case quiet, normal, verbose

        public static func < (a: Verbosity, b: Verbosity) -> Bool { a.rawValue < b.rawValue }
    }

    private struct State {
        var pending: [UInt8] = []
        var failure: Errno?
        /// The progress line that stands on the terminal.
        var progressColumns = 0
    }

    /// Bytes gathered before they are written.
    static let bufferBytesMax = 64 << 10

    /// Begins each message: `ashlar`, `mount.ashlar`.
    public let program: String
    /// How much is said beside the result.
    public let verbosity: Verbosity
    /// Whether results go to a terminal: then names are escaped.
    public let isTerminal: Bool
    /// Whether messages go to a terminal: then progress is drawn.
    public let showsProgress: Bool
    let standardOutput: Int32
    let standardError: Int32
    private let state = ConditionMutex(State())

    /// - Parameters:
    ///   - standardOutput, standardError: descriptors, which stay open.
    public init(
        program: String, verbosity: Verbosity = .normal, standardOutput: Int32 = STDOUT_FILENO,
        standardError: Int32 = STDERR_FILENO
    ) {
        self.program = program
        self.verbosity = verbosity
        self.standardOutput = standardOutput
        self.standardError = standardError
        isTerminal = Terminal.isTerminal(standardOutput)
        showsProgress = verbosity > .quiet && Terminal.isTerminal(standardError)
    }

    // MARK: results

    /// Adds a line to the result.
    public func line(_ text: String = "") {
        bytes(Array(text.utf8) + [0x0a])
    }

    /// Adds bytes as they are to the result.
    public func bytes(_ bytes: some Collection<UInt8>) {
        state.withLock { state in
            state.pending.append(contentsOf: bytes)
            if state.pending.count >= Self.bufferBytesMax { drain(&state) }
        }
    }

    /// A name that somebody else chose, followed by `terminator`: escaped on a terminal, else as it
    /// is, as ls(1) does.
    public func name(_ name: some Collection<UInt8>, terminator: UInt8 = 0x0a) {
        let isRaw = !isTerminal || terminator == 0
        bytes((isRaw ? Array(name) : Array(DisplayText.escaped(name).utf8)) + [terminator])
    }

    /// Writes what was gathered.
    ///
    /// - Throws: `system` where not everything given so far could be written: a full disk, say.
    public func flush() throws(CommandFailure) {
        let failure = state.withLock { state in
            drain(&state)
            return state.failure
        }
        if let failure {
            throw CommandFailure(.system, "cannot write to standard output: \(failure)")
        }
    }

    private func drain(_ state: inout State) {
        erase(&state)
        if state.failure == nil { state.failure = Self.write(state.pending, to: standardOutput) }
        state.pending.removeAll(keepingCapacity: true)
    }

    // MARK: messages

    /// An error or a warning: `program: text`. Shown whatever the verbosity.
    public func message(_ text: String) {
        say("\(program): \(text)\n")
    }

    /// What happened, for whoever did not ask for quiet.
    public func note(_ text: String) {
        if verbosity >= .normal { say("\(program): \(text)\n") }
    }

    /// What only `-v` shows.
    public func detail(_ text: String) {
        if verbosity >= .verbose { say("\(program): \(text)\n") }
    }

    /// A failure with its advice.
    public func report(_ failure: CommandFailure) {
        message(failure.message)
        if let advice = failure.advice { say("\(advice)\n") }
    }

    /// Text for standard error as it is; lines end in themselves.
    public func say(_ text: String) {
        state.withLock { state in
            drain(&state)
            // A closed standard error leaves nobody to tell.
            _ = Self.write(Array(text.utf8), to: standardError)
        }
    }

    // MARK: progress

    /// Puts `text` on the terminal in place of the line before. One line, no line feed.
    func showProgress(_ text: String) {
        guard showsProgress else { return }
        let columns = Terminal.columns(of: standardError) - 1
        let shown = String(text.prefix(columns))
        state.withLock { state in
            let padding = String(
                repeating: " ", count: max(0, state.progressColumns - shown.count))
            _ = Self.write(Array("\r\(shown)\(padding)".utf8), to: standardError)
            state.progressColumns = shown.count
        }
    }

    /// Takes the progress line away.
    func eraseProgress() {
        state.withLock { erase(&$0) }
    }

    private func erase(_ state: inout State) {
        guard state.progressColumns > 0 else { return }
        let blank = String(repeating: " ", count: state.progressColumns)
        _ = Self.write(Array("\r\(blank)\r".utf8), to: standardError)
        state.progressColumns = 0
    }

    /// All of `bytes`; the reason where that fails.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Errno? {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            if count < 0 {
                let reason = errno
                if reason == EINTR { continue }
                return Errno(rawValue: reason)
            }
            written += count
        }
        return nil
    }
}
