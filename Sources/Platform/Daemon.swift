/// Becoming a daemon whose parent waits until it is ready.
import CLinux
import Glibc

/// The two processes after `Daemon.fork`.
public enum DaemonSide: ~Copyable {
    /// The process that was started by the user, after the daemon has reported or died.
    case parent(DaemonOutcome)
    /// The daemon, which owes its parent a report.
    case daemon(DaemonReport)
}

/// What the parent learned of its daemon.
public struct DaemonOutcome: Equatable, Sendable {
    public var processID: Int32
    /// 0 when the daemon is ready; else the exit code for the parent. For a daemon that died without
    /// a report, its own exit status, or 128 + the signal that killed it; never 0.
    public var status: Int32
    /// Whether the daemon reported at all.
    public var reported: Bool
    /// The daemon's words, at most `DaemonReport.messageBytesMax` bytes.
    public var message: String
}

/// The daemon's end of the line to its waiting parent. Used once: `send` consumes it. Let go
/// unsent, the parent waits for the daemon's end and takes it for a failure.
public struct DaemonReport: ~Copyable, Sendable {
    public static let messageBytesMax = Int(ASHLAR_DAEMON_MESSAGE_BYTES_MAX)

    private let descriptor: Int32

    fileprivate init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Tells the parent. Status 0 means ready: the daemon then also leaves the terminal (standard
    /// streams to /dev/null, working directory "/"), whatever is thrown.
    ///
    /// - Parameter message: cut at `messageBytesMax` bytes and at a NUL.
    /// - Throws: what kept the terminal from being left, or EPIPE when the parent is gone.
    public consuming func send(status: Int32, message: String = "") throws(Errno) {
        let descriptor = self.descriptor
        discard self
        if ashlar_daemon_report(descriptor, status, message) != 0 {
            throw Errno(rawValue: errno)
        }
    }
}

/// Daemonising.
public enum Daemon {
    /// Forks: the child leads a new session. Only before any thread exists: threads are not copied,
    /// and locks that they held would stay locked for ever.
    ///
    /// In the parent this returns when the daemon has reported or died. Locks of open file
    /// descriptions (`StoreLock`) pass to the daemon with the descriptors.
    public static func fork() throws(Errno) -> DaemonSide {
        var descriptor: Int32 = -1
        var outcome = ashlar_daemon_outcome()
        let side = ashlar_daemon_fork(&descriptor, &outcome)
        if side < 0 { throw Errno(rawValue: errno) }
        if side == 0 { return .daemon(DaemonReport(descriptor: descriptor)) }
        let message = withUnsafeBytes(of: &outcome.message) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return .parent(
            DaemonOutcome(
                processID: outcome.pid, status: outcome.status, reported: outcome.reported,
                message: message))
    }
}
