// The frames that were read last: where one chunk lay the next ones mostly lie, too.
import DiskFormat
import Platform
import SuperChunks

/// A few frames, in which chunks are found by name without asking the index (after DDFS's
/// locality-preserved caching: Zhu, Li, Patterson, FAST 2008).
///
/// What is found is verified, by its frame's checksum and under its name, wherever its pack is meanwhile.
/// Any thread.
final class RecentFrames: Sendable {
    /// Data and metadata lie in frames of their own, and are read in turns.
    private static let framesMax = 2

    private struct State {
        var data: [DecodedFrame] = []
        var metadata: [DecodedFrame] = []
    }

    private let state = ConditionMutex(State())

    /// The frame that has the chunk, if it is one of these.
    func find(
        _ name: ChunkName, _ domain: ChunkDomain
    ) -> (frame: DecodedFrame, entry: DecodedFrame.Entry)? {
        let frames = state.withLock { domain.isMetadata ? $0.metadata : $0.data }
        for frame in frames {
            if let entry = frame.find(name), entry.domain == domain { return (frame, entry) }
        }
        return nil
    }

    /// A frame was read from. Returns whether it is not one of these already.
    func note(_ frame: DecodedFrame, isMetadata: Bool) -> Bool {
        // What it takes the place of is let go of outside of the lock.
        let (isNew, before) = state.withLock { state in
            let old = isMetadata ? state.metadata : state.data
            guard !old.contains(where: { $0 === frame }) else { return (false, old) }
            let new = [frame] + old.prefix(Self.framesMax - 1)
            if isMetadata { state.metadata = new } else { state.data = new }
            return (true, old)
        }
        withExtendedLifetime(before) {}
        return isNew
    }

    /// Lets go of all: their memory is wanted.
    func removeAll() {
        let before = state.withLock { state in
            defer { state = State() }
            return state
        }
        withExtendedLifetime(before) {}
    }
}
