import Synchronization

/// Where a session stands; it only moves forward.
enum SessionStage: Sendable {
    case made
    case mounted
    case running
    case ended
}

/// A stage that any thread may move.
final class SessionStageCell: Sendable {
    private let stage = Mutex(SessionStage.made)

    /// Moves if the session stands at `old`; says whether it did.
    func move(from old: SessionStage, to new: SessionStage) -> Bool {
        stage.withLock { stage in
            guard stage == old else { return false }
            stage = new
            return true
        }
    }
}
