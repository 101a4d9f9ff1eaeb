/// A fixed number of named threads that work off a bounded queue.
///
/// Invariants:
/// 1. At most `queueCapacity` jobs wait; `submit` blocks when that many do (back-pressure).
/// 2. Jobs begin in the order in which they were submitted.
/// 3. Every accepted job runs exactly once, also when `shutdown` comes before it began.
///
/// Jobs should be batches (a buffer, a super-chunk): a handoff costs about a lock and a wake-up.
public final class WorkerPool: Sendable {
    public typealias Job = @Sendable () -> Void

    public let name: String
    private let queue: WorkerQueue
    private let threads: [PlatformThread]

    /// Starts `threadCount` threads named `name-0`, `name-1`, …
    ///
    /// - Parameter niceness: how far others come before these threads, 0 to 19.
    /// - Throws: what thread creation reported; threads begun by then end again.
    public init(
        name: String, threadCount: Int, queueCapacity: Int, niceness: Int32 = 0
    ) throws(Errno) {
        precondition(threadCount >= 1 && queueCapacity >= 1 && (0...19).contains(niceness))
        self.name = name
        let queue = WorkerQueue(capacity: queueCapacity)
        self.queue = queue
        var threads: [PlatformThread] = []
        do {
            for index in 0..<threadCount {
                threads.append(
                    try PlatformThread(name: "\(name)-\(index)") {
                        if niceness > 0 { PlatformThread.lowerPriorityOfCurrent(by: niceness) }
                        queue.work()
                    })
            }
        } catch {
            queue.close()
            for thread in threads { thread.join() }
            throw error
        }
        self.threads = threads
    }

    /// Without `shutdown` the threads finish what is queued and end by themselves, unwaited for.
    deinit {
        queue.close()
    }

    /// Queues `job`, waiting for room. Returns false, and does not run it, after `shutdown`.
    ///
    /// A job may submit to its own pool only with `trySubmit`: were all workers to wait for room,
    /// none would be left to make it.
    @discardableResult
    public func submit(_ job: @escaping Job) -> Bool {
        queue.append(job, waiting: true)
    }

    /// Queues `job` if there is room at once.
    public func trySubmit(_ job: @escaping Job) -> Bool {
        queue.append(job, waiting: false)
    }

    /// Waits until no job is queued or running. Not from a job of this pool.
    public func drain() {
        queue.awaitIdle()
    }

    /// Refuses new jobs, runs what is queued, and joins the threads. Not from a job of this pool. A
    /// second call returns at once.
    public func shutdown() {
        queue.close()
        for thread in threads {
            precondition(!thread.isCurrent, "a job must not shut its own pool down")
            thread.join()
        }
    }
}

/// What the threads share; outlives the pool until they have ended.
private final class WorkerQueue: Sendable {
    private struct State {
        /// A ring; nil where free.
        var ring: [WorkerPool.Job?]
        var head = 0
        var count = 0
        var running = 0
        var isClosed = false
    }

    private enum Condition {
        static let work = 0
        static let room = 1
        static let idle = 2
        static let count = 3
    }

    private let state: ConditionMutex<State>

    init(capacity: Int) {
        state = ConditionMutex(
            State(ring: Array(repeating: nil, count: capacity)), conditions: Condition.count)
    }

    func append(_ job: @escaping WorkerPool.Job, waiting: Bool) -> Bool {
        let accepted = state.wait(
            on: Condition.room,
            until: { !waiting || $0.isClosed || $0.count < $0.ring.count },
            then: { state in
                guard !state.isClosed, state.count < state.ring.count else { return false }
                state.ring[(state.head + state.count) % state.ring.count] = job
                state.count += 1
                return true
            })
        if accepted { state.signal(Condition.work) }
        return accepted
    }

    func close() {
        state.withLock { $0.isClosed = true }
        state.broadcast(Condition.work)
        state.broadcast(Condition.room)
    }

    func awaitIdle() {
        state.wait(on: Condition.idle) { $0.count == 0 && $0.running == 0 }
    }

    /// The body of each thread.
    func work() {
        while let job = next() {
            job()
            let isIdle = state.withLock { state in
                state.running -= 1
                return state.count == 0 && state.running == 0
            }
            if isIdle { state.broadcast(Condition.idle) }
        }
    }

    /// The next job, counted as running; nil when closed and empty.
    private func next() -> WorkerPool.Job? {
        let job: WorkerPool.Job? = state.wait(
            on: Condition.work, until: { $0.count > 0 || $0.isClosed },
            then: { state in
                guard state.count > 0 else { return nil }
                let job = state.ring[state.head]
                state.ring[state.head] = nil
                state.head = (state.head + 1) % state.ring.count
                state.count -= 1
                state.running += 1
                return job
            })
        if job != nil { state.signal(Condition.room) }
        return job
    }
}
