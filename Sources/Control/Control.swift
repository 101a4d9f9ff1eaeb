/// # Module: Control — talking to the daemon that holds a store
///
/// Purpose: a Unix stream socket, `STORE/control`, through which commands reach the daemon of a
/// mounted store, and the way from a store's path or a mountpoint to that daemon.
///
/// The protocol is one request a connection, in lines of JSON ended by a line feed:
///
///     client → daemon   {"command": "status", "arguments": {…}}          at most 64 KiB
///     daemon → client   {"progress": …}                                  any number of lines
///                       {"result": …}                                    once, then it closes
///                    or {"error": {"code": "busy", "message": "…"}}      at most 16 MiB a line
///
/// Unknown keys of a request are passed over; an unknown command is the error `unknown-command`.
///
/// Invariants:
/// 1. The socket is its owner's (mode 0600), and a peer must be root or the daemon's user.
/// 2. Only who holds the store's lock removes a stale socket; who stops removes its own only.
/// 3. No peer can make the daemon wait longer than a timeout, take more memory than the limits here
///    say, or end it: garbage, endless lines and hang-ups are answered or forgotten.
/// 4. A handler runs on a thread of the server, never on one that serves the mount.
///
/// Threads: `ControlServer` and `ControlClient` may be used from any; handlers run on several at
/// once.
import Platform

/// The words and limits of the protocol.
public enum Control {
    /// The socket's name in a store.
    public static let socketName = "control"
    /// Longest request.
    public static let requestBytesMax = 64 << 10
    /// Longest line of an answer.
    public static let answerBytesMax = 16 << 20
    /// How long a peer may take to send its request, or to take a line of the answer.
    public static let peerTimeoutNanoseconds: UInt64 = 10_000_000_000
    /// Requests handled at a time.
    public static let handlerThreads = 4
    /// Connections that wait for a handler; more are turned away as busy.
    public static let waitingMax = 64
}

/// Why a request was not answered with a result.
public enum ControlError: Error, Equatable, Sendable {
    /// No daemon listens in the store.
    case noDaemon(store: String)
    /// Nothing of ours is mounted there.
    case notMounted(mountpoint: String)
    /// The daemon answered with an error: a word for programs, a line for people.
    case refused(code: String, message: String)
    /// What came is not the protocol.
    case badMessage(String)
    /// A line is longer than its limit, in bytes.
    case tooLong(limitBytes: Int)
    /// The other side hung up before it was done.
    case hungUp
    /// The other side took too long.
    case timedOut
    /// Something that is no socket stands in the socket's place.
    case notASocket(path: String)
    /// The system refused.
    case system(call: StaticString, code: Int32)

    public static func == (a: ControlError, b: ControlError) -> Bool {
        "\(a)" == "\(b)"
    }
}

extension ControlError {
    /// In a line for people.
    public var words: String {
        switch self {
        case .noDaemon(let store): "\(store) is not mounted: no daemon answers"
        case .notMounted(let mountpoint): "\(mountpoint) is no mounted volume of Ashlar"
        case .refused(_, let message): message
        case .badMessage(let what): "the daemon's answer makes no sense: \(what)"
        case .tooLong(let limit): "the message is longer than \(limit) bytes"
        case .hungUp: "the daemon has hung up"
        case .timedOut: "the daemon does not answer"
        case .notASocket(let path): "\(path) is no socket"
        case .system(let call, let code): "\(call): \(Errno(rawValue: code))"
        }
    }
}
