import Pipeline
import Platform

/// When what was put is to be made durable: after some seconds, so that an interruption loses little,
/// and after so many new chunks, since each takes memory until a commit has them in the index. One
/// thread.
final class KeepClock {
    /// Most new chunks between two commits: some MiB of memory.
    static let chunksMax = 2048
    /// Asking costs a lock.
    private static let askEvery = 64

    private let store: ChunkStore
    private let nanoseconds: UInt64
    private let keep: () throws(StreamError) -> Void
    private var last = monotonicNanoseconds()
    private var calls = 0
    /// What `note` has met.
    private var failure: StreamError?

    init(
        _ store: ChunkStore, seconds: Double = 5, keep: @escaping () throws(StreamError) -> Void
    ) {
        self.store = store
        self.keep = keep
        nanoseconds = UInt64(max(0, seconds) * 1e9)
    }

    /// Something was put: to be called often. Throws what keeping does.
    func tick() throws(StreamError) {
        note()
        try check()
    }

    /// As `tick`, where nothing can be thrown; `check` throws it later.
    func note() {
        calls += 1
        if calls % Self.askEvery == 0 { look() }
    }

    /// Some time has passed: keeps where that is due.
    func look() {
        guard failure == nil,
            store.uncommittedChunks >= Self.chunksMax
                || monotonicNanoseconds() - last >= nanoseconds
        else { return }
        do throws(StreamError) {
            try keep()
        } catch {
            failure = error
        }
        last = monotonicNanoseconds()
    }

    func check() throws(StreamError) {
        if let failure { throw failure }
    }
}
