// The mounts of one daemon: each on a thread of its own, all of one store.
//
//     add ─▶ reserved ─▶ mounted, served by its thread ─▶ answers statfs ─▶ ready
//                              │
//               umount, signal, request, failure
//                              ▼
//                        ending: unmounted, released (durable) ─▶ gone
//
// When the last one is gone the host closes: nothing can be added any more, and whoever waits in
// `waitUntilEmpty` may finish the store.
import Console
import FileModel
import Glibc
import Logging
import Mount
import Platform

/// Mounts filesystems of a store and knows which are there. Any thread.
final class MountHost: Sendable {
    /// One mount, from the request to its end.
    struct Mount: Sendable {
        let number: Int
        let place: MountPlace
        let request: MountRequest
        let sinceSeconds: Int64
        var session: MountSession?
        var served: (any ServedFilesystem)?
        var isEnding = false
    }

    private struct State {
        var mounts: [Mount] = []
        var nextNumber = 1
        var isClosed = false
        /// The worst exit code of the mounts that ended.
        var exitCode: Int32 = 0
    }

    /// How long a mount may take to end before a new one of the same volume is refused.
    static let endingNanoseconds: UInt64 = 10_000_000_000

    private let store: any MountableStore
    private let log: Logger
    private let state = ConditionMutex(State())

    init(_ store: any MountableStore, log: Logger) {
        self.store = store
        self.log = log
    }

    var mounts: [Mount] { state.withLock { $0.mounts } }

    // MARK: beginning

    /// Mounts what `request` asks for; returns when the mount answers.
    ///
    /// - Throws: `CommandFailure`; nothing is left of the mount then.
    func add(_ place: MountPlace, _ request: MountRequest) throws {
        let number = try reserve(place, request)
        var session: MountSession?
        var taken: (any ServedFilesystem)?
        do {
            let served = try store.serve(request)
            taken = served
            change(number) { $0.served = served }
            var options = request.settings.mountOptions(
                source: place.store, mountpoint: place.mountpoint, isRoot: geteuid() == 0)
            options.handlesSignals = true
            let made = try MountSession(filesystem: served.filesystem, options: options)
            session = made
            change(number) { $0.session = made }
            try made.mount()
            served.attach(made.notifier)
            _ = try PlatformThread(name: "mount-\(number)") { [self] in
                serve(number, made, served)
            }
        } catch {
            // The first error is the one to tell.
            try? session?.unmount()
            try? taken?.release()
            end(number, code: MountExitCode.success.rawValue)
            throw error
        }
        try confirm(place.mountpoint, session)
        log.info("\(place.store) is mounted on \(place.mountpoint)")
    }

    private func reserve(
        _ place: MountPlace, _ request: MountRequest
    ) throws(CommandFailure) -> Int {
        let deadline = monotonicNanoseconds() + Self.endingNanoseconds
        return try state.wait(
            deadlineNanoseconds: deadline,
            until: { state in
                !state.mounts.contains {
                    $0.isEnding
                        && ($0.place.mountpoint == place.mountpoint
                            || $0.served?.volumeName == request.settings.volume)
                }
            },
            then: { state, _ throws(CommandFailure) in
                guard !state.isClosed else {
                    throw CommandFailure(.busy, "the daemon that holds \(place.store) is ending")
                }
                let number = state.nextNumber
                state.nextNumber += 1
                state.mounts.append(
                    Mount(
                        number: number, place: place, request: request,
                        sinceSeconds: wallClock().seconds))
                return number
            })
    }

    /// Asks the mount for its size, as its first user would.
    private func confirm(_ mountpoint: String, _ session: MountSession?) throws {
        var status = statvfs()
        guard statvfs(mountpoint, &status) != 0 else { return }
        let reason = CommandFailure.words(Errno(rawValue: errno))
        session?.requestExit()
        throw CommandFailure(.mountRefused, "the mount does not answer: \(reason)")
    }

    // MARK: ending

    private func serve(
        _ number: Int, _ session: MountSession, _ served: any ServedFilesystem
    ) {
        let mountEnd = session.run()
        change(number) { $0.isEnding = true }
        let mountpoint = mounts.first { $0.number == number }?.place.mountpoint ?? ""
        log.info("the mount on \(mountpoint) has ended: \(mountEnd.words)")
        try? session.unmount()
        var code = mountEnd.exitCode
        do {
            try served.release()
        } catch {
            log.error("\(CommandFailure(anyError: error).message)")
            code = MountExitCode.system.rawValue
        }
        end(number, code: code)
    }

    private func end(_ number: Int, code: Int32) {
        state.withLock { state in
            state.mounts.removeAll { $0.number == number }
            state.exitCode = max(state.exitCode, code)
            if state.mounts.isEmpty { state.isClosed = true }
        }
        state.broadcast()
    }

    private func change(_ number: Int, _ change: (inout Mount) -> Void) {
        state.withLock { state in
            guard let index = state.mounts.firstIndex(where: { $0.number == number }) else {
                return
            }
            change(&state.mounts[index])
        }
        state.broadcast()
    }

    /// Ends one mount, or all of them, as a signal would; returns at once. False: there is none there.
    func requestEnd(of mountpoint: String?) -> Bool {
        let ending = mounts.filter { mountpoint == nil || $0.place.mountpoint == mountpoint }
        for mount in ending { mount.session?.requestExit() }
        return !ending.isEmpty
    }

    /// Waits until nothing is left of a mount that was taken away; false where it goes on: somebody
    /// still uses it, or sees it in another namespace.
    func waitForEnd(of mountpoint: String, nanoseconds: UInt64) -> Bool {
        state.wait(
            deadlineNanoseconds: monotonicNanoseconds() + nanoseconds,
            until: { !$0.mounts.contains { $0.place.mountpoint == mountpoint } })
    }

    /// Waits for the last mount's end.
    ///
    /// - Returns: the worst exit code of all mounts.
    func waitUntilEmpty() -> Int32 {
        state.wait(until: { $0.mounts.isEmpty }) { state in
            state.isClosed = true
            return state.exitCode
        }
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
