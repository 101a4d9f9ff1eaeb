// How much is buffered, and who turns it into chunks.
import FileModel
import Pipeline
import Platform

/// Bounds the bytes that the files of a store have buffered, by folding files on workers: those that
/// began to be written first go first.
///
/// Any thread. The lock is held for bookkeeping only. Nothing is let go of under it: a file that ended
/// takes its buffered bytes out of the account when its last reference goes, which may be the one
/// here.
final class DrainQueue: Sendable {
    private struct Waiting {
        var volume: Volume
        var node: Node
        var content: FileContent
    }

    private struct State {
        var bufferedBytes = 0
        /// Those before `head` have been taken out, and are nil.
        var waiting: [Waiting?] = []
        var head = 0
        /// Jobs handed to the workers and not ended.
        var running = 0
        /// Commits that fold what they hold.
        var captures = 0
        /// Their jobs that no worker has begun.
        var captureJobs = 0
        /// The last fold's failure; nil after a success.
        var failure: FileError?

        mutating func next() -> Waiting? {
            guard head < waiting.count else { return nil }
            let taken = waiting[head].take()
            head += 1
            if head > 1024, head * 2 > waiting.count {
                waiting.removeFirst(head)
                head = 0
            }
            return taken
        }
    }

    /// A file with more than this buffered is folded at once, however little others have.
    static let fileBytesMax = 4 << 20

    let pool: WorkerPool
    /// Above this files are folded; below it they wait, in case they change or vanish again.
    private let lowWaterBytes: Int
    private let limitBytes: Int
    private let jobsMax: Int
    private let state = ConditionMutex(State())

    init(limitBytes: Int, workerCount: Int) throws(Errno) {
        self.limitBytes = limitBytes
        lowWaterBytes = min(16 << 20, limitBytes / 4)
        jobsMax = workerCount
        pool = try WorkerPool(
            name: "fold", threadCount: workerCount, queueCapacity: 4 * workerCount,
            niceness: ChunkStore.workerNiceness)
    }

    /// Whether a commit waits for a worker.
    var areAwaited: Bool { state.withLock { $0.captureJobs > 0 } }

    /// Bytes that are buffered now.
    var bufferedBytes: Int { state.withLock { $0.bufferedBytes } }

    /// Waits until more may be buffered.
    func waitForRoom() throws(FileError) {
        let failure: FileError? = state.wait(
            until: { state in
                state.bufferedBytes <= limitBytes
                    || (state.running == 0 && state.captures == 0
                        && state.head == state.waiting.count)
            },
            then: { state in
                state.bufferedBytes <= limitBytes ? nil : state.failure ?? .noSpace
            })
        if let failure { throw failure }
    }

    /// The buffered bytes have changed.
    func account(_ change: Int) {
        guard change != 0 else { return }
        state.withLock { $0.bufferedBytes += change }
        if change < 0 { state.broadcast() }
    }

    /// Queues a file that has something buffered, and starts workers where there is enough to do.
    func add(_ node: Node, _ content: FileContent, of volume: Volume) {
        enqueue(node, content, of: volume)
        pump()
    }

    /// Queues a file without starting anybody: also from a worker.
    func enqueue(_ node: Node, _ content: FileContent, of volume: Volume) {
        state.withLock {
            $0.waiting.append(Waiting(volume: volume, node: node, content: content))
        }
    }

    /// Takes the files out of the queue that a commit has folded: little written files would
    /// otherwise wait, and stay in memory, until much is written.
    func trim() {
        let waiting = state.withLock { state -> [Waiting] in
            // Counted as a job, so that nobody takes the queue for empty.
            state.running += 1
            defer { (state.waiting, state.head) = ([], 0) }
            return state.waiting[state.head...].compactMap { $0 }
        }
        let left = waiting.filter { $0.content.staysQueued() }
        state.withLock { state in
            state.waiting = left as [Waiting?] + state.waiting[state.head...]
            state.head = 0
            state.running -= 1
        }
        state.broadcast()
        pump()
    }

    /// Starts workers while more is buffered than may wait.
    func pump() {
        while true {
            let next = state.withLock { state -> Waiting? in
                guard state.captureJobs == 0, state.bufferedBytes > lowWaterBytes,
                    state.running < jobsMax,
                    let next = state.next()
                else { return nil }
                state.running += 1
                return next
            }
            guard let next else { return }
            start(next)
        }
    }

    /// Folds one file at once, out of turn. Its place in the queue, if it has one, stays.
    func foldNow(_ node: Node, _ content: FileContent, of volume: Volume) {
        state.withLock { $0.running += 1 }
        start(Waiting(volume: volume, node: node, content: content))
    }

    /// Hands a file to a worker, which then goes on with others while there is enough to do: a
    /// worker never waits for room in its own pool.
    private func start(_ first: Waiting) {
        let isAccepted = pool.submit { [self] in
            var next: Waiting? = first
            while let waiting = next {
                var failure: FileError?
                do throws(FileError) {
                    try waiting.volume.drain(waiting.node, waiting.content)
                } catch {
                    failure = error
                }
                next = ended(failure, goesOn: true)
            }
        }
        if !isAccepted { _ = ended(nil, goesOn: false) }
    }

    /// Bookkeeping behind a file; the next one for the same worker, unless a commit waits for one.
    private func ended(_ failure: FileError?, goesOn: Bool) -> Waiting? {
        let next = state.withLock { state -> Waiting? in
            state.failure = failure
            if goesOn, state.captureJobs == 0, state.bufferedBytes > lowWaterBytes,
                let next = state.next()
            {
                return next
            }
            state.running -= 1
            return nil
        }
        state.broadcast()
        return next
    }

    /// Runs `bodies`, which fold what a commit holds, on the workers and waits for all. They come
    /// before the files that wait: writers may keep those too many for ever. Not from a worker.
    func runAll(_ bodies: [@Sendable () -> Void]) {
        state.withLock { $0.captures += 1 }
        defer {
            state.withLock { $0.captures -= 1 }
            state.broadcast()
            // Workers have let the files that wait lie.
            pump()
        }
        guard bodies.count > 1 else {
            for body in bodies { body() }
            return
        }
        let left = ConditionMutex(bodies.count)
        state.withLock { $0.captureJobs += bodies.count }
        for body in bodies {
            let isAccepted = pool.submit { [self] in
                state.withLock { $0.captureJobs -= 1 }
                body()
                left.withLock { $0 -= 1 }
                left.broadcast()
            }
            if !isAccepted {
                state.withLock { $0.captureJobs -= 1 }
                body()
                left.withLock { $0 -= 1 }
            }
        }
        left.wait { $0 == 0 }
    }

    func shutdown() {
        pool.shutdown()
    }
}
