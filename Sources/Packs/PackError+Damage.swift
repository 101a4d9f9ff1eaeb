// Tells damage of a place, which a walk goes around, from errors that end it.
import Backends
import DiskFormat
import Glibc

extension PackError {
    /// Whether the medium could not give the bytes (EIO): damage of a place, not of everything.
    public var isUnreadableMedium: Bool {
        guard case .backend(.system(_, let code, _), _) = self else { return false }
        return code == EIO
    }

    /// Whether a place in the pack is bad, while the rest may well be readable.
    public var isDamage: Bool {
        if case .format = self { return true }
        return isUnreadableMedium
    }
}
