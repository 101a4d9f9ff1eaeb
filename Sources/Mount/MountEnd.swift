import CFuseShim

/// How `MountSession.run()` ended.
public enum MountEnd: Equatable, Sendable {
    /// Somebody unmounted the volume, or the connection was aborted (`umount -f`).
    case unmounted
    /// SIGTERM, SIGINT or SIGHUP came (by its number).
    case signalled(Int32)
    /// `requestExit()` was called.
    case requested
    /// The loop failed; `code` is an errno value.
    case failed(code: Int32)

    init(shimResult: Int32) {
        switch shimResult {
        case 0: self = .unmounted
        case Int32(ASHLAR_FUSE_END_REQUESTED): self = .requested
        case 1...: self = .signalled(shimResult)
        default: self = .failed(code: -shimResult)
        }
    }
}
