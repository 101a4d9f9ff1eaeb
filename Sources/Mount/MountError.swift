/// Why a volume could not be mounted or unmounted. `code` is an errno value, for the message.
public enum MountError: Error, Equatable, Sendable {
    /// libfuse refused the options, or there was no memory.
    case sessionRefused(code: Int32)
    /// mount(2), or fusermount3, refused: ENODEV means that there is no /dev/fuse.
    case mountFailed(mountpoint: String, code: Int32)
    /// The session is mounted already, or was: a session is used once.
    case alreadyMounted(mountpoint: String)
    case unmountFailed(mountpoint: String, code: Int32)
    /// mount(2) refused to change the flags.
    case remountFailed(mountpoint: String, code: Int32)
    /// The thread that delivers invalidations could not be started.
    case threadRefused(code: Int32)
}
