/// Which calls are to fail, for tests: shared by the fault-injecting twins.
import Platform

/// One fault: the `firstCall`-th matching call fails, and perhaps all that follow.
public struct Fault<Operation: Hashable & Sendable>: Sendable {
    /// What a struck call does.
    public enum Effect: Sendable, Equatable {
        /// Nothing, and fails.
        case nothing
        /// A write or read of only so many bytes, and fails. Other calls do nothing.
        case partial(bytes: Int)
        /// All of it, and fails nevertheless, as when an answer is lost.
        case complete
        /// A write or read of only so many bytes, and succeeds. For system calls alone, which may do
        /// so; at a backend it is like `partial`.
        case short(bytes: Int)
    }

    /// The calls that match; empty for all of them.
    public var operations: Set<Operation>
    /// Only calls on names (paths) that contain this; empty for all of them.
    public var nameContains: String
    /// The first call that fails: 1 for the next one that matches.
    public var firstCall: Int
    /// Whether all later matching calls fail too.
    public var isLasting: Bool
    public var error: Errno
    public var effect: Effect

    public init(
        _ operations: Set<Operation> = [], nameContains: String = "", firstCall: Int = 1,
        isLasting: Bool = false, error: Errno = .ioError, effect: Effect = .nothing
    ) {
        precondition(firstCall >= 1)
        self.operations = operations
        self.nameContains = nameContains
        self.firstCall = firstCall
        self.isLasting = isLasting
        self.error = error
        self.effect = effect
    }

    func matches(_ operation: Operation, _ name: String) -> Bool {
        guard operations.isEmpty || operations.contains(operation) else { return false }
        return nameContains.isEmpty || name.contains(nameContains)
    }
}

/// Faults to come. Any thread; calls of several threads are counted in the order in which they come.
public final class FaultPlan<Operation: Hashable & Sendable>: Sendable {
    private struct State {
        var faults: [(fault: Fault<Operation>, calls: Int)] = []
        var calls: [Operation: Int] = [:]
        var struck = 0
    }

    private let state = ConditionMutex(State())

    public init(_ faults: [Fault<Operation>] = []) {
        for fault in faults { add(fault) }
    }

    /// Adds a fault, which counts from now on.
    public func add(_ fault: Fault<Operation>) {
        state.withLock { $0.faults.append((fault, 0)) }
    }

    /// Removes all faults; what they did stays done.
    public func clear() {
        state.withLock { $0.faults = [] }
    }

    /// How many calls of `operation` have been made, failed ones included.
    public func callCount(_ operation: Operation) -> Int {
        state.withLock { $0.calls[operation, default: 0] }
    }

    /// How many calls have been made.
    public var totalCallCount: Int {
        state.withLock { $0.calls.values.reduce(0, +) }
    }

    /// How many calls have been struck.
    public var struckCount: Int {
        state.withLock { $0.struck }
    }

    /// Counts a call; returns the fault that strikes it, the one added first if there are several.
    func strike(_ operation: Operation, _ name: String) -> Fault<Operation>? {
        state.withLock { state in
            state.calls[operation, default: 0] += 1
            var striking: Fault<Operation>?
            for index in state.faults.indices
            where state.faults[index].fault.matches(operation, name) {
                state.faults[index].calls += 1
                let (fault, calls) = state.faults[index]
                let isHit = fault.isLasting ? calls >= fault.firstCall : calls == fault.firstCall
                if isHit && striking == nil { striking = fault }
            }
            if striking != nil { state.struck += 1 }
            return striking
        }
    }
}
