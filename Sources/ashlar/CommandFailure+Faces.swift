// The errors of the faces in words.
import Backends
import Console
import Control
import DiskFormat
import Glibc
import Mount
import Packs
import Platform

extension CommandFailure {
    /// A mount's error.
    init(_ error: MountError) {
        switch error {
        case .sessionRefused(let code):
            self.init(.system, "cannot prepare the mount: \(Self.words(Errno(rawValue: code)))")
        case .mountFailed(let mountpoint, let code) where code == ENODEV:
            self.init(
                .mountRefused, "cannot mount on \(mountpoint): there is no /dev/fuse",
                advice: "Load the kernel's module: modprobe fuse")
        case .mountFailed(let mountpoint, let code):
            self.init(
                .mountRefused,
                "cannot mount on \(mountpoint): \(Self.words(Errno(rawValue: code)))")
        case .alreadyMounted(let mountpoint):
            self.init(.internalError, "\(mountpoint) was mounted before")
        case .unmountFailed(let mountpoint, let code):
            self.init(
                .mountRefused, "cannot unmount \(mountpoint): \(Self.words(Errno(rawValue: code)))")
        case .remountFailed(let mountpoint, let code):
            self.init(
                .mountRefused, "cannot remount \(mountpoint): \(Self.words(Errno(rawValue: code)))")
        case .threadRefused(let code):
            self.init(.system, "cannot start a thread: \(Self.words(Errno(rawValue: code)))")
        }
    }

    /// An error of the control socket.
    init(_ error: ControlError) {
        switch error {
        case .noDaemon, .notMounted: self.init(.notFound, error.words)
        case .refused(let code, let message):
            self.init(FailureKind(rawValue: code) ?? .system, message)
        case .badMessage, .tooLong, .hungUp, .timedOut, .notASocket, .system:
            self.init(.system, error.words)
        }
    }

    /// The answer of a daemon that fails so.
    var answer: ControlError {
        .refused(code: kind.rawValue, message: message + (advice.map { "\n" + $0 } ?? ""))
    }

    /// Any error that a layer throws.
    init(anyError error: any Error) {
        switch error {
        case let failure as CommandFailure: self = failure
        case let error as MountError: self.init(error)
        case let error as ControlError: self.init(error)
        case let error as BackendError: self.init(error)
        case let error as PackError: self.init(error)
        case let error as FormatError: self.init(.damaged, Self.words(error))
        case let error as Errno: self.init(.system, Self.words(error))
        default: self.init(.internalError, "\(error)")
        }
    }
}
