// The errors of the layers below, in words: one place, so that a damaged pack is called the same by
// every program.
import Backends
import DiskFormat
import Glibc
import Packs
import Platform

extension CommandFailure {
    /// A system call refused, as the kind that its error number calls for.
    ///
    /// Where a word is a kind and an error number (`.interrupted`), the kind is meant.
    ///
    /// - Parameter what: what was tried: "cannot open /srv/store".
    @_disfavoredOverload
    public init(_ code: Errno, _ what: String) {
        self.init(Self.kind(of: code), "\(what): \(Self.words(code))")
    }

    /// The error in the C library's words.
    public static func words(_ code: Errno) -> String {
        String(cString: strerror(code.rawValue))
    }

    static func kind(of code: Errno) -> FailureKind {
        switch code {
        case .permissionDenied, .notPermitted: .permission
        case .noSuchFileOrDirectory, .notDirectory: .notFound
        case .resourceBusy: .busy
        default: .system
        }
    }

    /// A backend's error.
    public init(_ error: BackendError) {
        switch error {
        case .noSuchFile(let name): self.init(.notFound, "\(name): no such file")
        case .exists(let name): self.init(.notFound, "\(name): exists already")
        case .noSpace(let name): self.init(.system, "\(name): no space left on the device")
        case .poisoned(let name):
            self.init(.system, "\(name): an earlier write could not be made durable")
        case .badName(let name): self.init(.notFound, "\(name): not a name of a store's file")
        case .readOnly(let name): self.init(.permission, "\(name): the medium is read-only")
        case .system(let name, let code, let call):
            self.init(Errno(rawValue: code), "\(name): \(call)")
        }
    }

    /// A pack's error.
    public init(_ error: PackError) {
        switch error {
        case .backend(let inner, _): self.init(inner)
        case .format(let inner, let pack, let offset):
            self.init(.damaged, "pack \(pack), offset \(offset): \(Self.words(inner))")
            if inner.isNewer { kind = .notAStore }
        case .otherPack(let pack, let found):
            self.init(.damaged, "pack \(pack): its header says that it is pack \(found)")
        case .otherStore(let pack, let found):
            self.init(.damaged, "pack \(pack): belongs to another store, \(found)")
        case .full(let pack): self.init(.internalError, "pack \(pack): full")
        case .tooLong(let pack, let bytes):
            self.init(.internalError, "pack \(pack): a record of \(bytes) bytes is too long")
        case .broken(let pack, let durable):
            self.init(.system, "pack \(pack): a write failed; durable up to \(durable)")
        case .sealed(let pack): self.init(.internalError, "pack \(pack): sealed")
        }
    }

    /// What is wrong with bytes.
    public static func words(_ error: FormatError) -> String {
        switch error {
        case .truncated(let what): "ends too early (\(what))"
        case .notMagic(let what): "is something else (\(what))"
        case .checksum(let what): "wrong checksum (\(what))"
        case .badValue(let what): "impossible value (\(what))"
        case .newerVersion(let version):
            "made by a newer version of Ashlar (format \(version), this program knows "
                + "\(DiskFormat.version))"
        case .newerRecord(let kind):
            "written by a newer version of Ashlar (a record of kind \(kind))"
        case .unknownFeatures(let bits):
            "uses features that this program does not know (0x\(String(bits, radix: 16)))"
        }
    }

    /// A lock's error.
    ///
    /// - Parameter store: the store's path, for the message.
    public init(_ error: StoreLockError, store: String) {
        switch error {
        case .held(_, let holder):
            let who = holder.map { " by \($0)" } ?? ""
            self.init(.busy, "\(store) is in use\(who)")
        case .system(let path, let code, let call):
            self.init(Errno(rawValue: code), "\(path): \(call)")
        }
    }
}
