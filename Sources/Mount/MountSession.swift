/// # Mount: a volume served to the kernel
///
/// Turns FUSE requests into calls of `any FilesystemOperations`, and its errors into errno (in
/// FileError+Errno.swift only). CFuseShim owns everything that touches libfuse.
///
/// Words: a *request* is one question of the kernel; a *lookup count* is how often the kernel was
/// given an inode, which `forget` takes back; an *entry* is a name with its inode and attributes.
///
/// Invariants:
///  - every request is answered exactly once, by the thread that received it;
///  - what a volume counted but the kernel did not get (an interrupted request) is forgotten at once;
///  - between a request and its answer there is no Swift concurrency, no log line, and no allocation
///    but the volume's own and libfuse's;
///  - a mount is never taken down by anything but umount(8), `unmount()` or a clean end: after a crash
///    it stays dead (ENOTCONN), so that nobody writes into the directory below.
///
/// Threads: requests run on libfuse's threads and on those of the rings (`KernelRings`), which call the
/// volume concurrently; invalidations on a thread of their own.
import CFuseShim
import FileModel
import Glibc

/// One mount of one volume: `init`, `mount()`, `run()`, `unmount()`, each once and in this order.
///
/// `requestExit()`, `notifier`, and the counters may be used by any thread at any time.
///
/// Unchecked because of the pointer: what it points to is made for any thread.
public final class MountSession: @unchecked Sendable {
    private let options: MountOptions
    /// Lives as long as the shim's session, which borrows it.
    private let handler: RequestHandler
    private let shim: OpaquePointer
    private let invalidations: InvalidationQueue
    private let stage = SessionStageCell()

    /// Tells the kernel what to let go of. Calls return at once; see `InvalidationQueue`.
    public var notifier: any KernelNotifier { invalidations }

    /// Prepares a mount of `filesystem`; nothing is mounted yet.
    public init(
        filesystem: any FilesystemOperations, options: MountOptions
    ) throws(MountError) {
        var options = options
        if filesystem.isReadOnly { options.flags.insert(.readOnly) }
        let handler = RequestHandler(
            filesystem: filesystem,
            synchronizesNames: !options.flags.isDisjoint(with: [
                .synchronous, .directorySynchronous,
            ]), hasAccessLists: options.accessControlLists)
        var code: Int32 = 0
        let context = Unmanaged.passUnretained(handler).toOpaque()
        let session = options.withShimOptions { ashlar_fuse_session_new(&$0, context, &code) }
        guard let session else { throw .sessionRefused(code: code) }
        self.options = options
        self.handler = handler
        shim = session
        invalidations = InvalidationQueue(session: session)
    }

    deinit {
        _ = ashlar_fuse_session_unmount(shim)
        invalidations.stop()
        ashlar_fuse_session_destroy(shim)
    }

    /// Attaches the volume to its mountpoint. Whoever looks at it waits until `run()` serves it.
    public func mount() throws(MountError) {
        guard stage.move(from: .made, to: .mounted) else {
            throw .alreadyMounted(mountpoint: options.mountpoint)
        }
        if options.rings == .askedFor { askForRings() }
        try invalidations.start()
        let code = ashlar_fuse_session_mount(shim)
        guard code == 0 else {
            _ = stage.move(from: .mounted, to: .ended)
            invalidations.stop()
            throw .mountFailed(mountpoint: options.mountpoint, code: code)
        }
    }

    private func askForRings() {
        guard KernelRings.areOffered != true else { return }
        let code = KernelRings.offer(true)
        guard code != 0 else { return }
        libraryLog.warning(
            "io_uring cannot be had, requests come through the device",
            metadata: ["parameter": "\(KernelRings.parameterPath)", "errno": "\(code)"])
    }

    /// Serves requests on this thread's behalf until the mount ends. Every request that was begun has
    /// been answered when it returns; the connection is closed.
    public func run() -> MountEnd {
        guard stage.move(from: .mounted, to: .running) else { return .failed(code: EINVAL) }
        let end = MountEnd(shimResult: ashlar_fuse_session_run(shim))
        _ = stage.move(from: .running, to: .ended)
        invalidations.stop()
        return end
    }

    /// Ends `run()` as a SIGTERM would: unmounts if nobody uses the mount; otherwise what the kernel
    /// still holds is written, and those who use it get ENOTCONN from then on.
    public func requestExit() {
        ashlar_fuse_session_request_exit(shim)
    }

    /// Takes the mount out of the namespace, if it is there still. While `run()` serves, those who have
    /// files open keep them, and `run()` returns when the last one is done.
    public func unmount() throws(MountError) {
        let code = ashlar_fuse_session_unmount(shim)
        guard code == 0 else {
            throw .unmountFailed(mountpoint: options.mountpoint, code: code)
        }
    }

    /// How many requests of a kind the kernel has sent.
    public func count(of request: KernelRequest) -> UInt64 {
        ashlar_fuse_session_count(shim, request.rawValue)
    }

    /// How many requests that wait for an answer the kernel has sent: the round trips.
    public var answeredRequestCount: UInt64 {
        KernelRequest.allCases.reduce(0) { $1.isAnswered ? $0 + count(of: $1) : $0 }
    }

    /// Whether requests come by io_uring; false until the kernel's first question is answered.
    public var usesRings: Bool { ashlar_fuse_session_uses_rings(shim) }

    /// Bytes of content returned to and taken from the kernel.
    public var transferredBytes: (read: UInt64, written: UInt64) { handler.transferred }

    /// Invalidations that were not delivered yet. One that evicts many should pace itself by this.
    public var pendingInvalidationCount: Int { invalidations.pendingCount }

    /// Changes the flags of a volume mounted by any process (`mount -o remount`).
    public static func remount(
        at mountpoint: String, flags: MountOptions.Flags
    ) throws(MountError) {
        let code = ashlar_fuse_remount(mountpoint, flags.rawValue)
        guard code == 0 else { throw .remountFailed(mountpoint: mountpoint, code: code) }
    }
}
