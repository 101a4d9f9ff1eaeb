// The life of a mount, from the lock to the exit code.
//
//     the caller's process              the daemon
//     ────────────────────              ──────────
//     check both places
//     take the store's lock
//     fork ───────────────────────────▶ holds the lock too; announces itself in it
//     wait                              log to syslog
//       │                               open the store, listen on its control socket
//       │                               mount; serve
//       │                               ask the mount itself (statfs), so that it answers
//     exit 0 ◀────────────────────────  report: ready; leave the terminal
//                                       … until umount, a signal, or a request …
//                                       stop listening, finish the store, release the lock
//
// In the foreground there is no fork, and the caller's process does it all.
import Console
import Control
import FileModel
import Glibc
import Logging
import Mount
import Platform

/// An open store with the volume to be served. Calls come from one thread, but for `handlers`.
protocol MountableStore: AnyObject {
    /// What is mounted.
    var filesystem: any FilesystemOperations { get }
    /// Commands of the control socket beside those that every mount has: commit, statistics, fsck.
    var handlers: [String: ControlHandler] { get }
    /// What is wrong with the store though it can be mounted, for whoever mounts it: nil where nothing
    /// is.
    var notice: String? { get }
    /// From now on the kernel can be told what to let go of. Before the first request is served.
    func attach(_ notifier: any KernelNotifier)
    /// Makes everything durable and closes the store. Once, after the last request.
    func finish() throws
}

extension MountableStore {
    var notice: String? { nil }
}

/// Opens the store of a mount. Called in the daemon: threads may be made.
typealias StoreOpener = (_ place: MountPlace, _ request: MountRequest) throws -> any MountableStore

/// Mounts a volume and serves it.
struct MountProgram {
    let output: Output
    let open: StoreOpener

    /// Does what `request` asks for. In the daemon it does not return.
    ///
    /// - Returns: the exit code, when the mount is there, or in the foreground when it has ended.
    func run(_ request: MountRequest) throws -> Int32 {
        for option in request.settings.unknown {
            output.note("passing over the unknown mount option \(DisplayText.escaped(option.utf8))")
        }
        if request.settings.isRemount {
            try remount(request)
            return MountExitCode.success.rawValue
        }
        let place = try request.place()
        if let mounted = try Self.mounts().mount(at: place.mountpoint) {
            throw CommandFailure(
                .busy, "\(mounted.source) is mounted on \(place.mountpoint) already")
        }
        if request.isFake { return MountExitCode.success.rawValue }
        let hold = try StoreHold(place.store, isReadOnly: request.settings.isReadOnly)
        if request.isForeground {
            DaemonLog.toTerminal(output, isVerbose: request.isVerbose)
            return serve(place, request, hold, Readiness(nil))
        }
        return try runInBackground(place, request, hold)
    }

    private func runInBackground(
        _ place: MountPlace, _ request: MountRequest, _ hold: StoreHold
    ) throws(CommandFailure) -> Int32 {
        let side: DaemonSide
        do throws(Errno) {
            side = try Daemon.fork()
        } catch {
            throw CommandFailure(error, "cannot start the daemon")
        }
        switch consume side {
        case .parent(let outcome):
            if outcome.status == 0 {
                if !outcome.message.isEmpty { output.message(outcome.message) }
                return MountExitCode.success.rawValue
            }
            output.message(outcome.message)
            return outcome.reported ? outcome.status : MountExitCode.failure.rawValue
        case .daemon(let report):
            hold.announce()
            DaemonLog.toSystem(isVerbose: request.isVerbose)
            exit(serve(place, request, hold, Readiness(report)))
        }
    }

    private func remount(_ request: MountRequest) throws(CommandFailure) {
        guard let mounted = try Self.mounts().mount(at: request.mountpoint) else {
            throw CommandFailure(
                .notFound, "\(DisplayText.escaped(request.mountpoint.utf8)) is not mounted")
        }
        if request.isFake { return }
        do throws(MountError) {
            try MountSession.remount(at: mounted.mountpoint, flags: request.settings.flags)
        } catch {
            throw CommandFailure(error)
        }
    }

    static func mounts() throws(CommandFailure) -> MountTable {
        do throws(ControlError) {
            return try MountTable.current()
        } catch {
            throw CommandFailure(error)
        }
    }

    // MARK: serving

    /// Serves until the end, whatever it is; returns the exit code.
    private func serve(
        _ place: MountPlace, _ request: MountRequest, _ hold: StoreHold, _ readiness: Readiness
    ) -> Int32 {
        let log = Logger(label: "ashlar.mount")
        do {
            return try serveOrThrow(place, request, hold, readiness, log)
        } catch {
            let failure = CommandFailure(anyError: error)
            let code = ProgramFamily.mount.exitCode(for: failure.kind)
            // The waiting parent tells it; where nobody waits any more, the log does.
            let words = failure.message + (failure.advice.map { "\n" + $0 } ?? "")
            if !readiness.refuse(status: code, message: words) {
                log.error("\(failure.message)")
            }
            return code
        }
    }

    private func serveOrThrow(
        _ place: MountPlace, _ request: MountRequest, _ hold: StoreHold, _ readiness: Readiness,
        _ log: Logger
    ) throws -> Int32 {
        let store = try open(place, request)
        var isFinished = false
        defer {
            if !isFinished {
                do { try store.finish() } catch {
                    log.error("\(CommandFailure(anyError: error).message)")
                }
            }
        }
        var options = request.settings.mountOptions(
            source: place.store, mountpoint: place.mountpoint, isRoot: geteuid() == 0)
        options.handlesSignals = true
        let session = try MountSession(filesystem: store.filesystem, options: options)
        let standard = StandardHandlers(
            session: session, place: place, request: request, log: log)
        // Where the medium cannot be written there is no place for a socket either.
        let server =
            hold.isWritable
            ? try ControlServer(
                storePath: place.store, holding: hold.lock,
                handlers: store.handlers.merging(standard.handlers) { own, _ in own }) : nil
        defer { server?.stop() }
        try session.mount()
        store.attach(session.notifier)
        let watcher = try readiness.confirm(place.mountpoint, notice: store.notice) { reason in
            log.error("the mount does not answer: \(reason)")
            session.requestExit()
        }
        log.info("\(place.store) is mounted on \(place.mountpoint)")
        let end = session.run()
        watcher?.join()
        server?.stop()
        log.info("the mount on \(place.mountpoint) has ended: \(end.words)")
        try? session.unmount()
        isFinished = true
        try store.finish()
        hold.lock.release()
        return end.exitCode
    }
}

extension MountEnd {
    var words: String {
        switch self {
        case .unmounted: "unmounted"
        case .signalled(let number): "signal \(number)"
        case .requested: "asked to end"
        case .failed(let code): CommandFailure.words(Errno(rawValue: code))
        }
    }

    /// A signal is a clean end: that is how services are stopped.
    var exitCode: Int32 {
        switch self {
        case .unmounted, .signalled, .requested: MountExitCode.success.rawValue
        case .failed: MountExitCode.system.rawValue
        }
    }
}
