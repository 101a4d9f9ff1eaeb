/// One writer, or several readers, of a store in a directory.
///
/// The lock is the kernel's, on the open file description of `STORE/lock` (an OFD lock, fcntl(2)):
/// - It goes when the last descriptor of the description is closed, that is also when the process
///   dies, however it dies. What a dead process leaves behind is a file, never a lock.
/// - It conflicts with every other description, also of the same process, and is not lost when some
///   other descriptor of the file is closed (as POSIX record locks are).
/// - After a fork both processes hold it, until both have closed it: a daemon keeps the lock that
///   its parent took. Programs that are started do not, unless `isInheritable` asks for it.
///
/// The text in the file only tells people who holds it; it is checked before it is believed. The
/// file itself must stay: were it removed and made anew, there would be two locks.
///
///     pid=4711
///     host=mason
///     command=ashlar mount /srv/store /mnt
///     since=1763700000          (seconds since 1970)
///     started=123456            (clock ticks from boot to the start of the process)
///     mode=exclusive
import Platform

public final class StoreLock: Sendable {
    /// The name of the lock file in the store.
    public static let fileName = "lock"

    public let mode: StoreLockMode
    private let path: String
    private let command: String?
    /// When the lock was taken: a daemon that announces itself anew has had it since then.
    private let sinceSeconds: Int64
    private let systemCalls: any SystemCalls
    /// nil when released.
    private let descriptor: ConditionMutex<Descriptor?>
    /// Whether the text can be written: not so on a read-only medium.
    private let isWritable: Bool

    /// How often a wait looks again.
    private static let pollNanoseconds: UInt64 = 20_000_000

    /// Takes the lock of the store at `storePath`, a directory.
    ///
    /// - Parameters:
    ///   - waitNanoseconds: how long to wait for others to give it up; 0 not at all.
    ///   - command: for the text; nil for the process's own command line.
    ///   - isInheritable: whether programs that this process starts keep the lock as well.
    /// - Throws: `held` with what is known of the holder, or the system's error.
    public init(
        storePath: String, mode: StoreLockMode, waitNanoseconds: UInt64 = 0,
        command: String? = nil, isInheritable: Bool = false,
        systemCalls: any SystemCalls = LinuxSystemCalls()
    ) throws(StoreLockError) {
        self.mode = mode
        self.command = command
        self.systemCalls = systemCalls
        path = storePath + "/" + Self.fileName
        let (end, isEndless) = monotonicNanoseconds().addingReportingOverflow(waitNanoseconds)
        let attempt = Attempt(
            path: path, mode: mode, isInheritable: isInheritable, systemCalls: systemCalls)
        while true {
            switch try attempt.take() {
            case .taken(let file, let isWritable):
                descriptor = ConditionMutex(file)
                sinceSeconds = wallClock().seconds
                self.isWritable = isWritable
                announce()
                return
            case .replaced:
                continue
            case .held(let holder):
                guard isEndless || monotonicNanoseconds() < end else {
                    throw .held(wanted: mode, holder: holder)
                }
                sleepNanoseconds(Self.pollNanoseconds)
            }
        }
    }

    /// Whether somebody holds the store exclusively, and who: nil where nobody does. Takes no lock,
    /// so that it is in nobody's way.
    public static func exclusiveHolder(
        storePath: String
    ) throws(StoreLockError) -> ExclusiveHolder? {
        let calls = LinuxSystemCalls()
        let path = storePath + "/" + fileName
        do throws(Errno) {
            let file = try calls.open(at: .currentDirectory, path, [.noFollow], mode: 0)
            defer { calls.closeQuietly(file) }
            guard try calls.isLockedExclusively(file) else { return nil }
            return ExclusiveHolder(holder: LockHolder(file, calls))
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw .system(path: path, code: error.rawValue, call: "fcntl")
        }
    }

    deinit {
        release()
    }

    /// Closes this process's descriptor. The lock goes with it, unless a forked or inheriting
    /// process holds another. The text stays: it is only believed of a living process. A second call
    /// does nothing.
    public func release() {
        descriptor.withLock { file in
            if let open = file { systemCalls.closeQuietly(open) }
            file = nil
        }
    }

    /// Writes the caller's process into the file as the holder: after a fork the number in it is the
    /// parent's. The lock does not depend on it, so that failure is not reported.
    public func announce() {
        guard isWritable else { return }
        let holder = LockHolder.current(
            mode: mode, command: command, sinceSeconds: sinceSeconds)
        let text = Array(holder.text.utf8)
        descriptor.withLock { file in
            guard let file else { return }
            _ = try? text.withUnsafeBufferPointer { (bytes) throws(Errno) in
                try systemCalls.writeAll(file, [UnsafeRawBufferPointer(bytes)], at: 0)
                try systemCalls.truncate(file, to: UInt64(bytes.count))
            }
        }
    }
}

/// What is known of an exclusive holder.
public struct ExclusiveHolder: Equatable, Sendable {
    /// nil where the lock file does not name a living process.
    public var holder: LockHolder?
}

/// Shared between readers, or exclusive to one writer.
public enum StoreLockMode: String, Sendable {
    case shared, exclusive
}

/// Why a lock was not taken.
public enum StoreLockError: Error, Equatable, Sendable {
    /// Others hold it. `holder` is one of them, where the file names a living process.
    case held(wanted: StoreLockMode, holder: LockHolder?)
    case system(path: String, code: Int32, call: StaticString)

    public static func == (a: StoreLockError, b: StoreLockError) -> Bool {
        switch (a, b) {
        case (.held(let wanted, let holder), .held(let otherWanted, let otherHolder)):
            wanted == otherWanted && holder == otherHolder
        case (.system(let path, let code, let call), .system(let otherPath, let other, let by)):
            path == otherPath && code == other && "\(call)" == "\(by)"
        default: false
        }
    }
}

/// One try: open, lock, and make sure that what was locked is still the store's lock file.
private struct Attempt {
    enum Outcome {
        case taken(Descriptor, isWritable: Bool)
        case held(LockHolder?)
        /// Another file has taken the name since it was opened.
        case replaced
    }

    let path: String
    let mode: StoreLockMode
    let isInheritable: Bool
    let systemCalls: any SystemCalls

    func take() throws(StoreLockError) -> Outcome {
        let (file, isWritable) = try run("open") { () throws(Errno) in try open() }
        do throws(StoreLockError) {
            let isTaken = try run("fcntl") { () throws(Errno) in
                try systemCalls.lock(file, mode == .shared ? .shared : .exclusive)
            }
            let outcome: Outcome =
                if !isTaken {
                    .held(holder(file))
                } else if try run("stat", { () throws(Errno) in try isCurrent(file) }) {
                    .taken(file, isWritable: isWritable)
                } else {
                    .replaced
                }
            if case .taken = outcome { return outcome }
            systemCalls.closeQuietly(file)
            return outcome
        } catch {
            systemCalls.closeQuietly(file)
            throw error
        }
    }

    private func open() throws(Errno) -> (Descriptor, isWritable: Bool) {
        let extra: OpenFlags = isInheritable ? [.noFollow, .inheritable] : [.noFollow]
        do throws(Errno) {
            let file = try systemCalls.open(
                at: .currentDirectory, path, extra.union([.readWrite, .create]), mode: 0o600)
            return (file, true)
        } catch {
            // A reader can do with less; a writer cannot.
            let isRefused =
                error == .readOnlyFileSystem || error == .permissionDenied
                || error == .notPermitted
            guard isRefused, mode == .shared else { throw error }
        }
        return (try systemCalls.open(at: .currentDirectory, path, extra, mode: 0), false)
    }

    private func isCurrent(_ file: Descriptor) throws(Errno) -> Bool {
        let held = try systemCalls.status(file)
        do throws(Errno) {
            let named = try systemCalls.status(at: .currentDirectory, path)
            return held.inode == named.inode && held.device == named.device
        } catch {
            if error == .noSuchFileOrDirectory { return false }
            throw error
        }
    }

    /// The living process that the text names; nil where there is none (the text may be that of an
    /// earlier holder, or half written).
    private func holder(_ file: Descriptor) -> LockHolder? { LockHolder(file, systemCalls) }

    private func run<Result>(
        _ call: StaticString, _ body: () throws(Errno) -> Result
    ) throws(StoreLockError) -> Result {
        do {
            return try body()
        } catch {
            throw .system(path: path, code: error.rawValue, call: call)
        }
    }
}
