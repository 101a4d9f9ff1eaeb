/// Named joinable pthreads.
///
/// 1. Signals are blocked in every thread made here, so that they reach the main thread or whoever
///    waits for them; those that the processor raises (SIGSEGV and the like) are not.
/// 2. A thread is joined at most once. One whose `PlatformThread` goes unjoined is detached: it ends
///    by itself and its memory is given back.
import CLinux
import Glibc
import Synchronization

/// A running thread with a closure.
///
/// Safe to share: `thread` is constant and `isOpen` atomic.
public final class PlatformThread: @unchecked Sendable {
    public let name: String
    private let thread: pthread_t
    /// Whether it is still to be joined or detached.
    private let isOpen = Atomic<Bool>(true)

    /// Starts a thread that runs `body` and ends with it.
    ///
    /// - Parameters:
    ///   - name: shown by top and gdb; Linux keeps the first 15 bytes.
    ///   - stackBytes: the stack's size; nil for the system's default (8 MiB, touched pages only).
    /// - Throws: EAGAIN where the system's limit of threads is reached.
    public init(
        name: String, stackBytes: Int? = nil, _ body: @escaping @Sendable () -> Void
    ) throws(Errno) {
        self.name = name
        thread = try Self.start(Box(name: name, body: body), stackBytes: stackBytes)
    }

    deinit {
        if isOpen.exchange(false, ordering: .acquiringAndReleasing) { pthread_detach(thread) }
    }

    /// Waits for the end of the thread. A second call returns at once. Not from the thread itself.
    public func join() {
        guard isOpen.exchange(false, ordering: .acquiringAndReleasing) else { return }
        succeed(pthread_join(thread, nil))
    }

    /// Whether the caller runs on this thread.
    public var isCurrent: Bool {
        pthread_equal(pthread_self(), thread) != 0
    }

    private final class Box {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private static func start(_ box: Box, stackBytes: Int?) throws(Errno) -> pthread_t {
        var attributes = pthread_attr_t()
        succeed(pthread_attr_init(&attributes))
        defer { pthread_attr_destroy(&attributes) }
        if let stackBytes {
            let result = pthread_attr_setstacksize(&attributes, stackBytes)
            if result != 0 { throw Errno(rawValue: result) }
        }
        // A new thread inherits the mask of its maker.
        var blocked = blockableSignals()
        var old = sigset_t()
        succeed(pthread_sigmask(SIG_BLOCK, &blocked, &old))
        defer { pthread_sigmask(SIG_SETMASK, &old, nil) }

        let held = Unmanaged.passRetained(box)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
                ashlar_name_thread(box.name)
                box.body()
                return nil
            }, held.toOpaque())
        if result != 0 {
            held.release()
            throw Errno(rawValue: result)
        }
        return thread
    }

    /// Others come before the calling thread from now on. Never fails.
    ///
    /// - Parameter niceness: added to the thread's own; the sum ends at 19.
    public static func lowerPriorityOfCurrent(by niceness: Int32) {
        // On Linux 0 is the calling thread, and no other.
        let who = Int32(PRIO_PROCESS.rawValue)
        _ = setpriority(who, 0, getpriority(who, 0) + niceness)
    }

    private static func blockableSignals() -> sigset_t {
        var signals = sigset_t()
        sigfillset(&signals)
        for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] {
            sigdelset(&signals, fault)
        }
        return signals
    }
}
