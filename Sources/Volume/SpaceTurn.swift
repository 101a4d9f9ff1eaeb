// One reclaiming or optimizing of a live store at a time.
import FileModel
import Platform

/// Whose turn it is. What the store does by itself gives way to what somebody asks for. Any thread.
final class SpaceTurn: Sendable {
    private struct State {
        var isTaken = false
        /// Who has it ends soon when somebody asks for it.
        var givesWay = false
        var isAwaited = false
    }

    /// How often who waits looks whether he is still wanted.
    private static let lookNanoseconds: UInt64 = 50_000_000

    private let state = ConditionMutex(State())

    /// Somebody waits for him who has it to give way.
    var isAwaited: Bool { state.withLock { $0.isAwaited } }

    /// Takes it; the caller ends it.
    ///
    /// - Throws: `busy` while somebody has it who does not give way, or to whom the caller would;
    ///   `interrupted` where `isCancelled` said so meanwhile.
    func take(givesWay: Bool, _ isCancelled: () -> Bool) throws(FileError) {
        while true {
            let isMine = try state.wait(
                deadlineNanoseconds: monotonicNanoseconds() + Self.lookNanoseconds,
                until: { state in
                    let waits = state.isTaken && state.givesWay && !givesWay
                    if waits { state.isAwaited = true }
                    return !waits
                }
            ) { state, isDecided throws(FileError) in
                guard isDecided else { return false }
                guard !state.isTaken else { throw .busy }
                state = State(isTaken: true, givesWay: givesWay)
                return true
            }
            if isMine { return }
            if isCancelled() { throw .interrupted }
        }
    }

    func end() {
        state.withLock { $0 = State() }
        state.broadcast()
    }
}
