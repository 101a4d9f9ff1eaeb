// Who commits, and who waits for it.
import FileModel
import Pipeline
import Platform

/// Orders the commits of a store: one at a time, shared by all who wait, and at intervals by itself.
///
/// Any thread. A commit runs on the thread of the first who asks; those who ask while it runs wait
/// for the next one, since theirs may have come after its cut.
final class Committer: Sendable {
    private struct State {
        var begun: UInt64 = 0
        var ended: UInt64 = 0
        var isRunning = false
        var failure: FileError?
        /// Why the last commit, which did not fail, could not hold all that was received.
        var leftOut: FileError?
        /// The next commit is to be followed by a checkpoint.
        var wantsCheckpoint = false
    }

    /// Makes one commit, and a checkpoint where that is asked for; returns why some file's content is
    /// not in it.
    typealias Work = @Sendable (_ withCheckpoint: Bool) throws(FileError) -> FileError?

    private let state = ConditionMutex(State())
    private let space: SpaceGuard
    /// Set once, before use.
    private let perform = ConditionMutex<Work?>(nil)

    init(space: SpaceGuard) {
        self.space = space
    }

    func setWork(_ work: Work?) {
        perform.withLock { $0 = work }
    }

    /// Returns when a commit is durable whose cut came after this call; with `checkpoint` also a
    /// checkpoint that holds it.
    /// - Returns: why some file's content, received before, is not in it; nil: everything is.
    func commit(checkpoint: Bool = false) throws(FileError) -> FileError? {
        let target = state.withLock { state in
            if checkpoint { state.wantsCheckpoint = true }
            return state.begun + 1
        }
        while true {
            let lead = state.wait(
                until: { $0.ended >= target || !$0.isRunning },
                then: { state -> (leads: Bool, withCheckpoint: Bool) in
                    guard state.ended < target else { return (false, false) }
                    state.isRunning = true
                    state.begun += 1
                    defer { state.wantsCheckpoint = false }
                    return (true, state.wantsCheckpoint)
                })
            guard lead.leads else { break }
            run(withCheckpoint: lead.withCheckpoint)
        }
        let (failure, leftOut) = state.withLock { ($0.failure, $0.leftOut) }
        if let failure { throw failure }
        return leftOut
    }

    /// Runs `work`, which commits everything that was received when it began, in place of a commit:
    /// alone, and for all who wait for one meanwhile. Returns what `work` does, as `commit` would.
    @discardableResult
    func commit(by work: () throws(FileError) -> FileError?) throws(FileError) -> FileError? {
        state.wait(
            until: { !$0.isRunning },
            then: { state in
                state.isRunning = true
                state.begun += 1
            })
        do throws(FileError) {
            let leftOut = try work()
            end(nil, leftOut: leftOut)
            return leftOut
        } catch {
            end(error)
            throw error
        }
    }

    /// Runs `body` while no commit is under way and none begins: for what commits by itself.
    func exclusively(_ body: () -> Void) {
        state.wait(until: { !$0.isRunning }, then: { $0.isRunning = true })
        body()
        state.withLock { $0.isRunning = false }
        state.broadcast()
    }

    private func run(withCheckpoint: Bool) {
        guard let work = perform.withLock({ $0 }) else { return end(.readOnly) }
        do throws(FileError) {
            let leftOut = try work(withCheckpoint)
            end(nil, leftOut: leftOut)
        } catch {
            end(error)
        }
    }

    private func end(_ failure: FileError?, leftOut: FileError? = nil) {
        state.withLock { state in
            state.isRunning = false
            state.ended = state.begun
            state.failure = failure
            state.leftOut = leftOut
        }
        state.broadcast()
    }

    /// Refuses when so many more bytes may not find room when they are stored.
    func reserve(_ byteCount: Int) throws(FileError) {
        try space.reserve(byteCount)
    }
}

/// Keeps writers from promising what the medium may not take (DESIGN §3.9): new bytes are taken
/// while the space above the store's reserve exceeds what is buffered, uncompressed, by a margin.
final class SpaceGuard: Sendable {
    private struct State {
        /// Bytes that may still be taken before the medium is asked again.
        var allowance: Int64 = 0
        var askedNanoseconds: UInt64 = 0
    }

    private static let intervalNanoseconds: UInt64 = 200_000_000
    private static let stepBytes: Int64 = 64 << 20

    private let store: ChunkStore
    private let state = ConditionMutex(State())
    private let buffered: ConditionMutex<(@Sendable () -> Int)?> = ConditionMutex(nil)
    private let shortage: ConditionMutex<(@Sendable () -> Void)?> = ConditionMutex(nil)

    init(store: ChunkStore) {
        self.store = store
    }

    /// Tells how much is buffered.
    func setBuffered(_ count: @escaping @Sendable () -> Int) {
        buffered.withLock { $0 = count }
    }

    /// Is told when somebody is refused.
    func setShortage(_ tell: (@Sendable () -> Void)?) {
        shortage.withLock { $0 = tell }
    }

    func reserve(_ byteCount: Int) throws(FileError) {
        let isAllowed = state.withLock { state -> Bool in
            let isRecent =
                monotonicNanoseconds() - state.askedNanoseconds < SpaceGuard.intervalNanoseconds
            guard isRecent, state.allowance >= Int64(byteCount) else { return false }
            state.allowance -= Int64(byteCount)
            return true
        }
        if isAllowed { return }
        let free: Int64
        do throws(StoreError) {
            let space = try store.space()
            free =
                Int64(clamping: space.availableBytes)
                - Int64(clamping: try store.reserveBytes())
                - Int64(buffered.withLock { $0 }?() ?? 0)
        } catch {
            throw .io
        }
        guard free >= Int64(byteCount), free > 0 else {
            shortage.withLock { $0 }?()
            throw .noSpace
        }
        state.withLock { state in
            // Half of what is there, so that several writers together do not take it twice.
            state.allowance = min(SpaceGuard.stepBytes, free / 2)
            state.askedNanoseconds = monotonicNanoseconds()
        }
    }
}
