// Unmounting one volume.
import Backends
import CLinux
import Console
import Control
import Glibc
import Mount
import Platform

/// How to unmount.
struct Unmounting {
    /// How often a wait looks again.
    static let pollNanoseconds: UInt64 = 20_000_000
    /// Silence before a wait is explained.
    static let patienceNanoseconds: UInt64 = 2_000_000_000

    /// How long a process that has released the store may take to end.
    static let endingNanoseconds: UInt64 = 2_000_000_000

    let output: Output
    var isForced = false
    var isLazy = false
    var fallsBackToReadOnly = false
    var timeoutSeconds: UInt32?

    /// Unmounts what is mounted at `path`, or the one mount of the store at `path`, and waits for the
    /// end of its daemon.
    func unmount(_ path: String) throws(CommandFailure) {
        let volume = try find(path)
        let holder = try Self.holder(ofStore: volume.source)
        do throws(CommandFailure) {
            try detach(volume.mountpoint)
        } catch {
            guard fallsBackToReadOnly, error.kind == .busy else { throw error }
            return try remountReadOnly(volume.mountpoint)
        }
        output.detail("\(volume.mountpoint) is unmounted")
        guard let holder else { return }
        if isLazy {
            output.note(
                "\(volume.source) stays in use until nobody uses \(volume.mountpoint) any more")
            return
        }
        let goesOn = try !MountProgram.mounts().volumes(ofStore: volume.source).isEmpty
        if goesOn, try settle(volume) { return }
        try wait(for: holder, store: volume.source)
    }

    private func find(_ path: String) throws(CommandFailure) -> MountedVolume {
        let table = try MountProgram.mounts()
        if let volume = table.mount(at: path) { return volume }
        let shown = DisplayText.escaped(path.utf8)
        let volumes = table.volumes(ofStore: MountTable.realPath(path) ?? path)
        if volumes.count > 1 {
            throw CommandFailure(
                .usage, "\(shown) is mounted \(volumes.count) times: name one of the mountpoints",
                advice: volumes.map(\.mountpoint).joined(separator: "\n"))
        }
        guard let volume = volumes.first else {
            throw CommandFailure(.notFound, "\(shown): no volume of Ashlar is mounted there")
        }
        return volume
    }

    // MARK: unmounting

    private func detach(_ mountpoint: String) throws(CommandFailure) {
        var flags: Int32 = 0
        if isForced { flags |= ASHLAR_UNMOUNT_FORCE }
        if isLazy { flags |= ASHLAR_UNMOUNT_DETACH }
        if ashlar_unmount(mountpoint, flags) == 0 { return }
        let reason = Errno(rawValue: errno)
        switch reason {
        case .notPermitted: try detachByHelper(mountpoint)
        case .resourceBusy:
            throw CommandFailure(
                .busy, "\(mountpoint) is in use", advice: "fuser -vm \(mountpoint) names the users."
            )
        default:
            throw CommandFailure(
                .mountRefused, "cannot unmount \(mountpoint): \(CommandFailure.words(reason))")
        }
    }

    /// What a user has mounted is unmounted by fusermount3(1), which says itself what is wrong.
    private func detachByHelper(_ mountpoint: String) throws(CommandFailure) {
        let arguments = ["fusermount3", "-u"] + (isLazy ? ["-z"] : []) + ["--", mountpoint]
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawnp(&process, "fusermount3", nil, nil, pointers, environ)
        guard code == 0 else {
            throw CommandFailure(Errno(rawValue: code), "cannot run fusermount3")
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else {
                throw CommandFailure(Errno(rawValue: errno), "cannot wait for fusermount3")
            }
        }
        guard status == 0 else {
            throw CommandFailure(.mountRefused, "cannot unmount \(mountpoint)")
        }
    }

    private func remountReadOnly(_ mountpoint: String) throws(CommandFailure) {
        do throws(MountError) {
            try MountSession.remount(at: mountpoint, flags: .readOnly)
        } catch {
            throw CommandFailure(error)
        }
        output.note("\(mountpoint) is in use and was made read-only")
    }

    // MARK: waiting

    /// Who holds the store; nil where nobody does: its daemon has died.
    private static func holder(ofStore store: String) throws(CommandFailure) -> ExclusiveHolder? {
        do throws(StoreLockError) {
            return try StoreLock.exclusiveHolder(storePath: store)
        } catch {
            // A mount whose store was taken away must be unmountable nevertheless.
            if case .system = error { return nil }
            throw CommandFailure(error, store: store)
        }
    }

    /// The daemon goes on with other volumes: waits until it has let go of this one, and made durable
    /// what was written to it. False: the daemon is ending as well.
    private func settle(_ volume: MountedVolume) throws(CommandFailure) -> Bool {
        let client = ControlClient(storePath: volume.source)
        do throws(ControlError) {
            let answer = try client.call(
                "settle", ["mountpoint": .text(volume.mountpoint)], silenceNanoseconds: nil)
            guard answer["gone"]?.flag ?? false else {
                _ = try client.call("synchronize", silenceNanoseconds: nil)
                output.note("\(volume.mountpoint) is still in use somewhere; its data is durable")
                return true
            }
            return true
        } catch {
            switch error {
            case .noDaemon, .hungUp: return false
            default: throw CommandFailure(error)
            }
        }
    }

    private func wait(for found: ExclusiveHolder, store: String) throws(CommandFailure) {
        let began = monotonicNanoseconds()
        let progress = Progress("unmounting", on: output)
        var isExplained = false
        var freeSince: UInt64?
        while try Self.isHeld(by: found, store, &freeSince) {
            let waited = monotonicNanoseconds() - began
            if let timeoutSeconds, waited >= UInt64(timeoutSeconds) * 1_000_000_000 {
                throw CommandFailure(
                    .busy,
                    "\(store) is still being written after \(timeoutSeconds) seconds; it is "
                        + "unmounted, and its daemon goes on")
            }
            if waited >= Self.patienceNanoseconds {
                let who = found.holder.map { "process \($0.processID)" } ?? "the daemon"
                if output.showsProgress {
                    progress.update("waiting for \(who), \(waited / 1_000_000_000) s")
                } else if !isExplained {
                    output.note("waiting for \(who) to write what is left")
                }
                isExplained = true
            }
            sleepNanoseconds(Self.pollNanoseconds)
        }
        progress.finish()
    }

    /// Until the lock is free or another's. Then for the process's own end, which follows at once,
    /// so that the store's directory is not open any more: but not for ever, since a process that
    /// serves a volume may be more than that.
    private static func isHeld(
        by found: ExclusiveHolder, _ store: String, _ freeSince: inout UInt64?
    ) throws(CommandFailure) -> Bool {
        if freeSince == nil {
            let now = try holder(ofStore: store)
            if let now, now.holder == nil || found.holder == nil || now == found { return true }
            freeSince = monotonicNanoseconds()
        }
        guard let process = found.holder, let freeSince else { return false }
        return process.isAlive && monotonicNanoseconds() - freeSince < endingNanoseconds
    }
}
