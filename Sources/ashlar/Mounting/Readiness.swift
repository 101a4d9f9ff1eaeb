// Telling the waiting parent, once, that the mount answers, or why there is none.
import Console
import Glibc
import Platform

/// The daemon's report on its way through two threads: whoever is first sends it.
final class Readiness: Sendable {
    /// Holds the line to the parent; nil in the foreground, and when it was used.
    private struct Line: ~Copyable {
        var report: DaemonReport?
    }

    private let line: ConditionMutex<Line>

    init(_ report: consuming DaemonReport?) {
        line = ConditionMutex(Line(report: report))
    }

    private func take() -> DaemonReport? {
        line.withLock { $0.report.take() }
    }

    /// Sends a failure. False where nobody waits for it.
    func refuse(status: Int32, message: String) -> Bool {
        guard let report = take() else { return false }
        // A parent that was killed meanwhile has nobody to tell.
        try? report.send(status: status, message: message)
        return true
    }

    /// Starts a thread that asks the mount, which is about to be served, for its size, and reports
    /// that it is ready when it has answered, with `notice`; `fail` gets the reason when it does not.
    func confirm(
        _ mountpoint: String, notice: String?, fail: @escaping @Sendable (String) -> Void
    ) throws(Errno) -> PlatformThread? {
        try PlatformThread(name: "mount-ready") { [self] in
            var status = statvfs()
            if statvfs(mountpoint, &status) != 0 {
                let reason = CommandFailure.words(Errno(rawValue: errno))
                let code = MountExitCode.failure.rawValue
                _ = refuse(status: code, message: "the mount does not answer: \(reason)")
                return fail(reason)
            }
            guard let report = take() else { return }
            // Ready is ready, also when the terminal could not be left or the parent is gone.
            try? report.send(status: 0, message: notice ?? "")
        }
    }
}
