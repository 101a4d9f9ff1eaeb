// What every daemon answers on its control socket, whatever store it has.
import Console
import Control
import Glibc
import Logging
import Mount
import Platform

/// `ping`, `status`, `mount`, `umount` and `settle`.
struct DaemonHandlers {
    /// How long `settle` waits for a mount that somebody still uses.
    private static let settlingNanoseconds: UInt64 = 5_000_000_000

    let host: MountHost
    let store: String
    let log: Logger
    /// What the daemon was begun with: its memory and commits are those of all its mounts.
    let settings: MountSettings

    var handlers: [String: ControlHandler] {
        let host = host
        let log = log
        return [
            "ping": { _ throws(ControlError) in
                .object([
                    "process": .integer(Int64(getpid())), "version": .text(ashlarVersion),
                    "mount_namespace": .text(MountNamespace.own ?? ""),
                ])
            },
            "status": { [self] _ throws(ControlError) in status() },
            "mount": { [self] request throws(ControlError) in try mount(request) },
            "umount": { request throws(ControlError) in
                let mountpoint = request.arguments["mountpoint"]?.text
                log.info("asked to end \(mountpoint.map { "the mount on \($0)" } ?? "all mounts")")
                guard host.requestEnd(of: mountpoint) else {
                    throw ControlError.refused(
                        code: FailureKind.notFound.rawValue,
                        message: "nothing is mounted on \(mountpoint ?? store)")
                }
                return .object([:])
            },
            "settle": { request throws(ControlError) in
                let mountpoint = request.arguments["mountpoint"]?.text ?? ""
                let isGone = host.waitForEnd(
                    of: mountpoint, nanoseconds: Self.settlingNanoseconds)
                return .object(["gone": .flag(isGone)])
            },
        ]
    }

    private func mount(_ request: ControlRequest) throws(ControlError) -> JSONValue {
        do {
            let (place, request) = try MountRequest.received(request.arguments, store: store)
            try host.add(place, request)
            let differences = request.settings.differencesForDaemon(settings)
            return .object(["notes": .list(differences.map { .text($0) })])
        } catch let error as ControlError {
            throw error
        } catch {
            throw CommandFailure(anyError: error).answer
        }
    }

    private func status() -> JSONValue {
        .object([
            "process": .integer(Int64(getpid())), "version": .text(ashlarVersion),
            "store": .text(store),
            "resident_bytes": .integer(
                Int64(clamping: (try? ProcessMemory.residentBytes()) ?? 0)),
            "mounts": .list(host.mounts.map(Self.status)),
        ])
    }

    private static func status(_ mount: MountHost.Mount) -> JSONValue {
        let transferred = mount.session?.transferredBytes ?? (read: 0, written: 0)
        return .object([
            "snapshot": mount.request.address.snapshot.map { .text($0) } ?? .null,
            "mountpoint": .text(mount.place.mountpoint),
            "volume": .text(mount.served?.volumeName ?? mount.request.settings.volume),
            "read_only": .flag(mount.request.settings.isReadOnly),
            "options": .list(mount.request.options.map { .text($0) }),
            "verbose": .flag(mount.request.isVerbose),
            "mounted_since": .text(ReportTime.text(mount.sinceSeconds, 0)),
            "io_uring": .flag(mount.session?.usesRings ?? false),
            "requests": .integer(Int64(clamping: mount.session?.answeredRequestCount ?? 0)),
            "read_bytes": .integer(Int64(clamping: transferred.read)),
            "written_bytes": .integer(Int64(clamping: transferred.written)),
        ])
    }
}
