// Why a command ends without its result, and the exit code that follows from it.

/// What went wrong, as far as exit codes tell it apart. The raw values are the words by which daemons
/// tell it on their sockets.
public enum FailureKind: String, Sendable, CaseIterable {
    /// The command line makes no sense.
    case usage
    /// The caller may not do this.
    case permission
    /// There is no store, or no such file, pack, chunk or mount.
    case notFound
    /// The place is not a store of this program: something else, or made by a newer version.
    case notAStore
    /// Somebody else holds the store or the mount.
    case busy
    /// Bytes of the store are not what they should be.
    case damaged
    /// The system refused: out of space, memory, files, an I/O error.
    case system
    /// The kernel or fusermount3 refused to mount or unmount.
    case mountRefused
    /// A signal ended the work.
    case interrupted
    /// A mistake in the program itself.
    case internalError
}

/// A failure with its message: one line for people, without the program's name and a full stop.
public struct CommandFailure: Error, Equatable, Sendable {
    /// What the exit code is made of.
    public var kind: FailureKind
    /// What happened, naming the thing it happened to.
    public var message: String
    /// What to do next, where there is something to say.
    public var advice: String?

    /// From its parts.
    public init(_ kind: FailureKind, _ message: String, advice: String? = nil) {
        self.kind = kind
        self.message = message
        self.advice = advice
    }
}

/// Which manual page's exit codes a program keeps to.
public enum ProgramFamily: Sendable, CaseIterable {
    /// ashlar's own commands: 0, 1 failure, 2 usage, 3 damage, 10 no store, 11 in use, 130 by signal.
    case general
    /// mkfs(8): 0 or 1.
    case make
    /// mount(8) and umount(8): 0, 1, 2, 4, 8, 32.
    case mount
    /// fsck(8): 0, or a sum of 1, 4, 8, 16, 32.
    case check

    /// The exit code for a failure of that kind. Never 0.
    public func exitCode(for kind: FailureKind) -> Int32 {
        switch self {
        case .general: Self.generalCode(kind)
        case .make: 1
        case .mount: Self.mountCode(kind).rawValue
        case .check: Self.checkCode(kind).rawValue
        }
    }

    private static func generalCode(_ kind: FailureKind) -> Int32 {
        switch kind {
        case .usage: 2
        case .damaged: 3
        case .notAStore: 10
        case .busy: 11
        case .interrupted: 130
        case .permission, .notFound, .system, .mountRefused, .internalError: 1
        }
    }

    private static func mountCode(_ kind: FailureKind) -> MountExitCode {
        switch kind {
        case .usage, .permission: .usage
        case .system: .system
        case .internalError: .internalError
        case .interrupted: .interrupted
        case .notFound, .notAStore, .busy, .damaged, .mountRefused: .failure
        }
    }

    private static func checkCode(_ kind: FailureKind) -> CheckExitCode {
        switch kind {
        case .usage: .usage
        case .interrupted: .cancelled
        case .permission, .notFound, .notAStore, .busy, .damaged, .system, .mountRefused,
            .internalError:
            .operational
        }
    }
}

/// Exit codes of mount(8) and umount(8).
public enum MountExitCode: Int32, Sendable {
    case success = 0
    /// Incorrect invocation or permissions.
    case usage = 1
    /// Out of memory, cannot fork, and the like.
    case system = 2
    /// A bug of ours.
    case internalError = 4
    /// By a signal.
    case interrupted = 8
    /// Mounting or unmounting failed.
    case failure = 32
}

/// Exit codes of fsck(8): flags that are added.
public struct CheckExitCode: OptionSet, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// Errors were found and corrected.
    public static let corrected = CheckExitCode(rawValue: 1)
    /// Errors are left.
    public static let errorsLeft = CheckExitCode(rawValue: 4)
    /// The check itself failed.
    public static let operational = CheckExitCode(rawValue: 8)
    /// The command line makes no sense.
    public static let usage = CheckExitCode(rawValue: 16)
    /// Ended by the user.
    public static let cancelled = CheckExitCode(rawValue: 32)
}
