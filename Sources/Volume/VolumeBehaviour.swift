// What each mount of a volume may say for itself.
import Synchronization

/// How a volume behaves for those who use it now.
public struct VolumeBehaviour: Equatable, Sendable {
    /// When reading sets a file's access time.
    public enum AccessTimes: UInt8, Sendable {
        case never
        /// Where it is not after the last change, or older than a day (the kernel's default).
        case relative
        case always
    }

    public var isReadOnly = false
    public var accessTimes = AccessTimes.relative
    /// Directories keep their access time, whatever `accessTimes` says.
    public var skipsDirectoryAccessTimes = false

    public init() {}
}

/// A behaviour that operations read without a lock. Any thread.
final class VolumeBehaviourCell: Sendable {
    /// Bits 0 and 1 access times, 2 directories keep theirs, 3 read-only.
    private let bits: Atomic<UInt8>

    init(_ behaviour: VolumeBehaviour) {
        bits = Atomic(Self.encoded(behaviour))
    }

    var value: VolumeBehaviour {
        get {
            let now = bits.load(ordering: .relaxed)
            var behaviour = VolumeBehaviour()
            behaviour.accessTimes = VolumeBehaviour.AccessTimes(rawValue: now & 3) ?? .relative
            behaviour.skipsDirectoryAccessTimes = now & 4 != 0
            behaviour.isReadOnly = now & 8 != 0
            return behaviour
        }
        set { bits.store(Self.encoded(newValue), ordering: .relaxed) }
    }

    private static func encoded(_ behaviour: VolumeBehaviour) -> UInt8 {
        behaviour.accessTimes.rawValue | (behaviour.skipsDirectoryAccessTimes ? 4 : 0)
            | (behaviour.isReadOnly ? 8 : 0)
    }
}
