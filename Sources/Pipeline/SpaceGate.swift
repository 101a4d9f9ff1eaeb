// Whether there is room for new data, asked for seldom.
import Backends
import Platform

/// Keeps new data out while less than three quarters of the reserve are free. Metadata and commits pass:
/// deleting never needs space (DESIGN §3.9). Who acknowledges writes before they are stored leaves the
/// whole reserve free: the quarter between is for what comes with them (names, commits, tables), so that
/// what was acknowledged still passes. Any thread.
final class SpaceGate: Sendable {
    /// The backend is asked after so long or so much, whichever comes first; and where there is less
    /// room than twice that, after half of it, since a small medium is full before.
    static let intervalNanoseconds: UInt64 = 50_000_000
    static let intervalBytes = 16 << 20

    private struct State {
        var askedAt: UInt64 = 0
        var bytesSince = 0
        var bytesAllowed = SpaceGate.intervalBytes
        var isShort = false
        var isAsked = false
    }

    private let backend: any Backend
    private let state = ConditionMutex(State())

    init(backend: any Backend) {
        self.backend = backend
    }

    /// Bytes that data leaves free: 64 MiB, or 1/64 of the medium where that is more, at most 2 GiB;
    /// of a medium below 512 MiB an eighth.
    static func reserveBytes(of space: BackendSpace) -> UInt64 {
        let small = space.totalBytes / 8
        let usual = max(64 << 20, min(space.totalBytes / 64, 2 << 30))
        return min(small, usual)
    }

    /// Whether data may be written now. A backend that does not tell its space is taken to have it.
    func isOpen() -> Bool {
        let now = monotonicNanoseconds()
        let isFresh = state.withLock { state in
            // Another thread may have asked after this one has looked at the clock.
            let isFresh =
                state.isAsked && state.bytesSince < state.bytesAllowed
                && now < state.askedAt + SpaceGate.intervalNanoseconds
            if !isFresh {
                state.isAsked = true
                state.askedAt = now
                state.bytesSince = 0
            }
            return isFresh
        }
        guard !isFresh else { return state.withLock { !$0.isShort } }
        let room = (try? backend.space()).map { space in
            Int64(clamping: space.availableBytes)
                - Int64(clamping: SpaceGate.reserveBytes(of: space) / 4 * 3)
        }
        let isShort = (room ?? 0) < 0
        // Where there is none, only time tells that some has come.
        let allowed = room.flatMap { isShort ? nil : Int(clamping: $0 / 2) }
        state.withLock { state in
            state.isShort = isShort
            state.bytesAllowed = min(SpaceGate.intervalBytes, allowed ?? .max)
        }
        return !isShort
    }

    /// So much was appended.
    func note(bytes: Int) {
        state.withLock { $0.bytesSince += bytes }
    }

    /// A write has failed for want of space: closed until the backend is asked again.
    func close() {
        let now = monotonicNanoseconds()
        state.withLock { state in
            state.isShort = true
            state.isAsked = true
            state.askedAt = now
        }
    }
}
