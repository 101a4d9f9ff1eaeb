// The cache in front of packs and codec: one load for all askers, a bound in bytes.
import Platform

/// Keeps decoded frames, bounded in bytes; what was not used for longest goes first.
///
/// Invariants:
/// 1. The frames that are kept cost at most `limitBytes` (`DecodedFrame.memoryBytes`). A frame that
///    alone exceeds it is handed out and not kept.
/// 2. A frame is loaded by one thread at a time: who asks for it meanwhile waits for that load and
///    gets its frame or its error. Errors are not kept: the next asker loads again.
/// 3. Evicting drops the cache's reference only. Frames in use live on; they are bounded by those
///    who use them.
/// 4. After `remove(pack:)` has returned nobody gets a frame whose load began before: pack numbers
///    may be given out again.
///
/// Any thread. The lock is held for a look-up, never for a load or a deallocation.
public final class FrameCache<LoadError: Error>: Sendable {
    /// Numbers since the cache was made, except `bytes` and `frames`, which are of the moment.
    public struct Counters: Equatable, Sendable {
        /// Asked for and there.
        public var hits: UInt64 = 0
        /// Asked for and loaded by the asker.
        public var misses: UInt64 = 0
        /// Asked for while another thread loaded it.
        public var joins: UInt64 = 0
        /// Kept frames that had to go for others or for a lower limit.
        public var evictions: UInt64 = 0
        /// Cost of the frames that are kept.
        public var bytes = 0
        /// How many frames are kept.
        public var frames = 0
    }

    /// A load under way, and then its result.
    private final class Flight: Sendable {
        let result = ConditionMutex<Result<DecodedFrame, LoadError>?>(nil)

        func land(_ loaded: Result<DecodedFrame, LoadError>) {
            result.withLock { $0 = loaded }
            result.broadcast()
        }

        func wait() throws(LoadError) -> DecodedFrame {
            let landed = result.wait(until: { $0 != nil }, then: { $0 })
            guard let landed else { preconditionFailure("a wait ended before its condition") }
            return try landed.get()
        }
    }

    private struct State {
        var list = FrameList()
        var flights: [FrameKey: Flight] = [:]
        var limitBytes: Int
        var counters = Counters()

        mutating func evict() -> [DecodedFrame] {
            let evicted = list.evict(downTo: limitBytes)
            counters.evictions += UInt64(evicted.count)
            return evicted
        }
    }

    private enum Found {
        case kept(DecodedFrame)
        case loading(Flight)
        case toLoad(Flight)
    }

    private let state: ConditionMutex<State>

    /// Keeps frames of at most `limitBytes` together; 0 keeps none, and still loads once for all who
    /// ask at the same time.
    public init(limitBytes: Int) {
        precondition(limitBytes >= 0)
        state = ConditionMutex(State(limitBytes: limitBytes))
    }

    /// The bound; lowering it evicts at once.
    public var limitBytes: Int {
        get { state.withLock { $0.limitBytes } }
        set {
            precondition(newValue >= 0)
            // The result holds the frames until the lock is open: they are freed outside it.
            _ = state.withLock { state in
                state.limitBytes = newValue
                return state.evict()
            }
        }
    }

    public var counters: Counters {
        state.withLock { state in
            var counters = state.counters
            counters.bytes = state.list.bytes
            counters.frames = state.list.count
            return counters
        }
    }

    /// The frame of `key`: kept, or loaded by `load` on this thread, or by another that has begun.
    ///
    /// `load` must not ask this cache for the same key: it would wait for itself.
    /// Throws what the load throws, to all who waited for it.
    public func frame(
        for key: FrameKey, load: () throws(LoadError) -> DecodedFrame
    ) throws(LoadError) -> DecodedFrame {
        let found = state.withLock { state in
            if let frame = state.list.use(key) {
                state.counters.hits += 1
                return Found.kept(frame)
            }
            if let flight = state.flights[key] {
                state.counters.joins += 1
                return .loading(flight)
            }
            state.counters.misses += 1
            let flight = Flight()
            state.flights[key] = flight
            return .toLoad(flight)
        }
        switch found {
        case .kept(let frame):
            return frame
        case .loading(let flight):
            return try flight.wait()
        case .toLoad(let flight):
            let result: Result<DecodedFrame, LoadError>
            do {
                result = .success(try load())
            } catch {
                result = .failure(error)
            }
            finish(flight, key: key, result)
            return try result.get()
        }
    }

    private func finish(
        _ flight: Flight, key: FrameKey, _ result: Result<DecodedFrame, LoadError>
    ) {
        _ = state.withLock { state -> [DecodedFrame] in
            // Another flight, or none: the pack was removed meanwhile, and this frame is of no use
            // to those who ask from now on.
            guard state.flights[key] === flight else { return [] }
            state.flights[key] = nil
            guard case .success(let frame) = result, frame.memoryBytes <= state.limitBytes else {
                return []
            }
            state.list.insert(frame, key: key)
            return state.evict()
        }
        flight.land(result)
    }

    /// The frame when it is kept; counts as a use, not as a hit or miss.
    public func keptFrame(for key: FrameKey) -> DecodedFrame? {
        state.withLock { $0.list.use(key) }
    }

    /// Forgets all frames of `pack`, also those being loaded. Takes a look at every kept frame: for
    /// packs that are deleted or rewritten, not for every read.
    public func remove(pack: UInt32) {
        _ = state.withLock { state in
            for key in state.flights.keys.filter({ $0.pack == pack }) {
                state.flights[key] = nil
            }
            return state.list.remove(pack: pack)
        }
    }
}
