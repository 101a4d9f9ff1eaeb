// Reclaiming by itself: from time to time, and when space runs short.
import FileModel
import Platform

/// A thread that looks whether a live store has something to give back. Belongs to its store, which
/// stops it before it ends.
final class Reclaimer: Sendable {
    private struct State {
        var isStopping = false
        /// Somebody was refused space.
        var isShort = false
    }

    /// Raw bytes looked at in a second, so that others hardly notice.
    static let bytesPerSecond: UInt64 = 32 << 20
    /// After a reclaiming for want of space the next one waits so long, in seconds: where nothing is
    /// to be had, asking again and again would only wear the medium.
    static let shortageSeconds: Double = 2

    private let state = ConditionMutex(State())
    private let thread: ConditionMutex<PlatformThread?> = ConditionMutex(nil)

    /// - Parameters:
    ///   - seconds: between two looks.
    ///   - work: gives back what there is; `isUrgent` says that space is short. Runs on the thread.
    func start(
        every seconds: Double,
        work: @escaping @Sendable (_ isUrgent: Bool, _ isCancelled: () -> Bool) -> Void
    ) throws(Errno) {
        let state = state
        let started = try PlatformThread(name: "reclaim") {
            var pause = seconds
            while true {
                let due = monotonicNanoseconds() + UInt64(max(0.05, pause) * 1e9)
                let (isStopping, isShort) = state.wait(
                    deadlineNanoseconds: due, until: { $0.isStopping || $0.isShort }
                ) { state, _ in
                    defer { state.isShort = false }
                    return (state.isStopping, state.isShort)
                }
                if isStopping { return }
                work(isShort) { state.withLock { $0.isStopping } }
                pause = seconds
                if isShort {
                    let until = monotonicNanoseconds() + UInt64(Self.shortageSeconds * 1e9)
                    if state.wait(deadlineNanoseconds: until, until: { $0.isStopping }) { return }
                }
            }
        }
        thread.withLock { $0 = started }
    }

    /// Space is short: looks at once.
    func hurry() {
        state.withLock { $0.isShort = true }
        state.signal()
    }

    func stop() {
        state.withLock { $0.isStopping = true }
        state.broadcast()
        let running = thread.withLock { $0.take() }
        running?.join()
    }
}
