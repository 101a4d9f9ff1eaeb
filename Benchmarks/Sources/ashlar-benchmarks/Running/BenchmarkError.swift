/// Why something could not be measured.
enum BenchmarkError: Error, CustomStringConvertible {
    /// A program ended with an exit code other than 0, or by a signal (then negative).
    case failed(command: String, code: Int32, output: String)
    /// A program could not be started.
    case notStarted(command: String, errno: Int32)
    /// SIGINT or SIGTERM came.
    case interrupted
    /// A system call failed.
    case system(call: String, path: String, errno: Int32)
    /// What is needed is not there.
    case missing(String)

    var description: String {
        switch self {
        case .failed(let command, let code, let output):
            let words = code < 0 ? "was ended by signal \(-code)" : "exit code \(code)"
            return "\(command): \(words)" + (output.isEmpty ? "" : ": \(output)")
        case .notStarted(let command, let number):
            return "\(command): cannot be started: error \(number)"
        case .interrupted: return "interrupted"
        case .system(let call, let path, let number):
            return "\(call) \(path): error \(number)"
        case .missing(let what): return what
        }
    }
}
