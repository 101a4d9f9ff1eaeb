import FileModel
import Glibc

/// FUSE over io_uring (Linux 6.14): requests come by a ring for each processor, so that a round trip
/// stays on the processor of whoever asks. The kernel offers it to new mounts while its parameter
/// `fuse.enable_uring` is on, which is not the default.
public enum KernelRings {
    /// Of a mount.
    public enum Use: Sendable {
        /// Requests come through the device.
        case never
        /// By rings if the kernel offers them, through the device otherwise.
        case whereOffered
        /// As above, and the kernel is told to offer them, if it can and we may.
        case askedFor
    }

    static let parameterPath = "/sys/module/fuse/parameters/enable_uring"

    /// Whether the kernel offers rings to mounts that are made from now on; nil: it knows none.
    public static var areOffered: Bool? {
        let file = open(parameterPath, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var letter: UInt8 = 0
        guard read(file, &letter, 1) == 1 else { return nil }
        return letter == UInt8(ascii: "Y")
    }

    /// Sets the parameter, for all mounts of the machine that ask for rings; those there are keep what
    /// they have.
    ///
    /// - Returns: 0 or the errno: ENOENT on a kernel without rings, EACCES for those who are not root.
    public static func offer(_ isOffered: Bool) -> Int32 {
        let file = open(parameterPath, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return errno }
        defer { close(file) }
        var letter = UInt8(ascii: isOffered ? "Y" : "N")
        return write(file, &letter, 1) == 1 ? 0 : errno
    }
}
