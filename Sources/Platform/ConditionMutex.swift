/// State that can be reached only under its lock, with conditions to wait for.
///
/// A pthread mutex with condition variables. `Synchronization.Mutex` has none; and ThreadSanitizer,
/// which knows pthreads and not that lock, sees races wherever it is used.
///
/// Invariants:
/// 1. The state is only touched between lock and unlock: it leaves `withLock` only by what the
///    closure returns.
/// 2. Timed waits run on CLOCK_MONOTONIC: setting the wall clock neither shortens nor hangs them.
/// 3. A wait ends only with its condition true or its deadline passed; spurious wake-ups are hidden.
import Glibc

/// A lock around `State`. Any thread; not recursive: a closure must not come back to the same lock.
///
/// Safe to share: `state` is protected by `mutex`, and the pointers never change.
public final class ConditionMutex<State: ~Copyable>: @unchecked Sendable {
    private let state: UnsafeMutablePointer<State>
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let conditions: UnsafeMutableBufferPointer<pthread_cond_t>

    /// - Parameter conditions: how many separate conditions threads can wait on, numbered from 0.
    public init(_ initial: consuming sending State, conditions count: Int = 1) {
        precondition(count >= 1)
        state = .allocate(capacity: 1)
        state.initialize(to: initial)
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        succeed(pthread_mutex_init(mutex, nil))
        conditions = .allocate(capacity: count)
        conditions.initialize(repeating: pthread_cond_t())
        var attributes = pthread_condattr_t()
        succeed(pthread_condattr_init(&attributes))
        succeed(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC))
        for index in 0..<count {
            succeed(pthread_cond_init(condition(index), &attributes))
        }
        succeed(pthread_condattr_destroy(&attributes))
    }

    deinit {
        for index in conditions.indices {
            succeed(pthread_cond_destroy(condition(index)))
        }
        conditions.deallocate()
        succeed(pthread_mutex_destroy(mutex))
        mutex.deallocate()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Runs `body` alone with the state.
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        succeed(pthread_mutex_lock(mutex))
        defer { succeed(pthread_mutex_unlock(mutex)) }
        return try body(&state.pointee)
    }

    /// Waits until `predicate` holds, then runs `body` under the same hold of the lock.
    ///
    /// The predicate is tried at once and after each `signal` or `broadcast` of `index`.
    public func wait<Result: ~Copyable, Failure: Error>(
        on index: Int = 0, until predicate: (inout State) -> Bool,
        then body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        succeed(pthread_mutex_lock(mutex))
        defer { succeed(pthread_mutex_unlock(mutex)) }
        while !predicate(&state.pointee) {
            succeed(pthread_cond_wait(condition(index), mutex))
        }
        return try body(&state.pointee)
    }

    /// Waits until `predicate` holds.
    public func wait(on index: Int = 0, until predicate: (inout State) -> Bool) {
        wait(on: index, until: predicate, then: { _ in })
    }

    /// Waits until `predicate` holds or the monotonic clock has reached `deadlineNanoseconds`, then
    /// runs `body` with the last answer of the predicate, under the same hold of the lock.
    public func wait<Result: ~Copyable, Failure: Error>(
        on index: Int = 0, deadlineNanoseconds: UInt64, until predicate: (inout State) -> Bool,
        then body: (inout State, _ holds: Bool) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var deadline = timespec(
            tv_sec: Int(deadlineNanoseconds / 1_000_000_000),
            tv_nsec: Int(deadlineNanoseconds % 1_000_000_000))
        succeed(pthread_mutex_lock(mutex))
        defer { succeed(pthread_mutex_unlock(mutex)) }
        while !predicate(&state.pointee) {
            let result = pthread_cond_timedwait(condition(index), mutex, &deadline)
            if result == ETIMEDOUT {
                let holds = predicate(&state.pointee)
                return try body(&state.pointee, holds)
            }
            succeed(result)
        }
        return try body(&state.pointee, true)
    }

    /// As above; returns whether `predicate` held before the deadline.
    public func wait(
        on index: Int = 0, deadlineNanoseconds: UInt64, until predicate: (inout State) -> Bool
    ) -> Bool {
        wait(
            on: index, deadlineNanoseconds: deadlineNanoseconds, until: predicate,
            then: { _, holds in holds })
    }

    /// Wakes one thread that waits on condition `index`. With or without holding the lock.
    public func signal(_ index: Int = 0) {
        succeed(pthread_cond_signal(condition(index)))
    }

    /// Wakes all threads that wait on condition `index`. With or without holding the lock.
    public func broadcast(_ index: Int = 0) {
        succeed(pthread_cond_broadcast(condition(index)))
    }

    private func condition(_ index: Int) -> UnsafeMutablePointer<pthread_cond_t> {
        precondition(conditions.indices.contains(index), "no such condition")
        // The buffer is never empty, so that it has a base address.
        return conditions.baseAddress.unsafelyUnwrapped + index
    }
}

/// A pthread call on a valid object fails only when it is misused; going on would corrupt memory.
@inline(__always)
func succeed(_ result: Int32) {
    precondition(result == 0, "a pthread call failed: the object is misused")
}
