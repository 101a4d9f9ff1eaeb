// What every mount answers on its control socket.
import Console
import Control
import Glibc
import Logging
import Mount
import Platform

/// `ping`, `status` and `umount`.
struct StandardHandlers {
    let session: MountSession
    let place: MountPlace
    let request: MountRequest
    let log: Logger

    var handlers: [String: ControlHandler] {
        let status = status
        let session = session
        let log = log
        return [
            "ping": { _ throws(ControlError) in
                .object([
                    "process": .integer(Int64(getpid())), "version": .text(ashlarVersion),
                ])
            },
            "status": { _ throws(ControlError) in status() },
            "umount": { _ throws(ControlError) in
                log.info("asked to end the mount")
                session.requestExit()
                return .object([:])
            },
        ]
    }

    private var status: @Sendable () -> JSONValue {
        let session = session
        let place = place
        let settings = request.settings
        let began = wallClock().seconds
        return {
            let transferred = session.transferredBytes
            return .object([
                "process": .integer(Int64(getpid())), "version": .text(ashlarVersion),
                "store": .text(place.store), "mountpoint": .text(place.mountpoint),
                "volume": .text(settings.volume), "read_only": .flag(settings.isReadOnly),
                "mounted_since": .text(ReportTime.text(began, 0)),
                "requests": .integer(Int64(clamping: session.answeredRequestCount)),
                "read_bytes": .integer(Int64(clamping: transferred.read)),
                "written_bytes": .integer(Int64(clamping: transferred.written)),
                "resident_bytes": .integer(
                    Int64(clamping: (try? ProcessMemory.residentBytes()) ?? 0)),
            ])
        }
    }
}
