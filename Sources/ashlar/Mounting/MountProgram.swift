// The life of a daemon, from the store's lock to the exit code.
//
//     the caller's process              the daemon
//     ────────────────────              ──────────
//     check both places
//     take the store's lock ──────────▶ held by a daemon already: asked to mount this, too
//     fork ───────────────────────────▶ holds the lock too; announces itself in it
//     wait                              log to syslog
//       │                               open the store, listen on its control socket
//       │                               mount, serve on a thread (`MountHost`)
//       │                               ask the mount itself (statfs), so that it answers
//     exit 0 ◀────────────────────────  report: ready; leave the terminal
//                                       … until the last mount has ended …
//                                       stop listening, finish the store, release the lock
//
// In the foreground there is no fork, and the caller's process does it all.
import Console
import Control
import Glibc
import Logging
import Mount
import Platform

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
        guard let hold = try hold(place, request) else { return MountExitCode.success.rawValue }
        if request.isForeground {
            DaemonLog.toTerminal(output, isVerbose: request.isVerbose)
            return serve(place, request, hold, nil)
        }
        return try runInBackground(place, request, hold)
    }

    /// The store's lock; nil where a daemon had it and has mounted what was asked for.
    private func hold(
        _ place: MountPlace, _ request: MountRequest
    ) throws(CommandFailure) -> StoreHold? {
        do throws(CommandFailure) {
            return try StoreHold(place.store, isReadOnly: request.settings.isReadOnly)
        } catch {
            guard error.kind == .busy else { throw error }
            if request.isForeground {
                var refusal = error
                refusal.advice =
                    "Where that is a daemon of a mount, it can serve this one too: leave out -f."
                throw refusal
            }
            let daemon = DaemonRequest(place: place, request: request, output: output)
            guard try daemon.send() else { throw error }
            return nil
        }
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
            exit(serve(place, request, hold, report))
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

    /// Serves until the last mount has ended; returns the exit code.
    private func serve(
        _ place: MountPlace, _ request: MountRequest, _ hold: StoreHold,
        _ report: consuming DaemonReport?
    ) -> Int32 {
        let log = Logger(label: "ashlar.mount")
        let daemon: RunningDaemon
        do {
            daemon = try start(place, request, hold, log)
        } catch {
            let failure = CommandFailure(anyError: error)
            let code = ProgramFamily.mount.exitCode(for: failure.kind)
            // The waiting parent tells it; where nobody waits, the log does.
            if let report = consume report {
                let words = failure.message + (failure.advice.map { "\n" + $0 } ?? "")
                // A parent that was killed meanwhile has nobody to tell.
                try? report.send(status: code, message: words)
            } else {
                log.error("\(failure.message)")
            }
            return code
        }
        // Ready is ready, also when the terminal could not be left or the parent is gone.
        if let report = consume report {
            try? report.send(status: 0, message: daemon.store.notice ?? "")
        } else if let notice = daemon.store.notice {
            log.warning("\(notice)")
        }
        let code = daemon.host.waitUntilEmpty()
        return max(code, finish(daemon, hold, log))
    }

    /// What serves.
    private struct RunningDaemon {
        let store: any MountableStore
        let host: MountHost
        let server: ControlServer?
    }

    private func start(
        _ place: MountPlace, _ request: MountRequest, _ hold: StoreHold, _ log: Logger
    ) throws -> RunningDaemon {
        let store = try open(place, request)
        let host = MountHost(store, log: log)
        var server: ControlServer?
        do {
            let own = DaemonHandlers(
                host: host, store: place.store, log: log, settings: request.settings)
            // Where the medium cannot be written there is no place for a socket either.
            if hold.isWritable {
                server = try ControlServer(
                    storePath: place.store, holding: hold.lock,
                    handlers: store.handlers.merging(own.handlers) { stores, _ in stores })
            }
            try host.add(place, request)
            return RunningDaemon(store: store, host: host, server: server)
        } catch {
            // Others may have been mounted through the socket: they go with this one.
            _ = host.requestEnd(of: nil)
            _ = host.waitUntilEmpty()
            server?.stop()
            do { try store.finish() } catch {
                log.error("\(CommandFailure(anyError: error).message)")
            }
            throw error
        }
    }

    private func finish(
        _ daemon: RunningDaemon, _ hold: StoreHold, _ log: Logger
    ) -> Int32 {
        daemon.server?.stop()
        defer { hold.lock.release() }
        do {
            // What is being made durable is not to be cut short by a second signal.
            try EndSignals.ignored { try daemon.store.finish() }
            return MountExitCode.success.rawValue
        } catch {
            let failure = CommandFailure(anyError: error)
            log.error("\(failure.message)")
            return ProgramFamily.mount.exitCode(for: failure.kind)
        }
    }
}

/// The signals that end a daemon.
enum EndSignals {
    /// Runs `body` while they have no effect.
    static func ignored<Result>(_ body: () throws -> Result) rethrows -> Result {
        let all = [SIGTERM, SIGINT, SIGHUP]
        let before = all.map { signal($0, SIG_IGN) }
        defer {
            for (number, handler) in zip(all, before) { signal(number, handler) }
        }
        return try body()
    }
}
