// Asking the daemon that holds a store to mount another of its volumes.
import Backends
import Console
import Control
import Platform

/// A mount request on its way to the daemon that has the store already.
struct DaemonRequest {
    let place: MountPlace
    let request: MountRequest
    let output: Output

    /// Asks; returns when the mount answers. False: no daemon of a mount answers there, and whoever
    /// holds the store does something else.
    func send() throws(CommandFailure) -> Bool {
        let client = ControlClient(storePath: place.store)
        let answer: JSONValue
        do throws(ControlError) {
            let daemon = try client.call("ping")
            try check(daemon)
            answer = try client.call(
                "mount", request.sent(place), silenceNanoseconds: nil)
        } catch {
            switch error {
            case .noDaemon, .hungUp: return false
            default: throw CommandFailure(error)
            }
        }
        if case .list(let notes) = answer["notes"] {
            for note in notes { output.note(note.text ?? "") }
        }
        return true
    }

    /// What the daemon mounts is seen where the daemon lives, which must be here.
    private func check(_ daemon: JSONValue) throws(ControlError) {
        let theirs = daemon["mount_namespace"]?.text ?? ""
        guard let own = MountNamespace.own, theirs != own else { return }
        let process = daemon["process"]?.integer ?? 0
        throw .refused(
            code: FailureKind.mountRefused.rawValue,
            message: "\(place.store) is held by process \(process), which lives in another mount "
                + "namespace: what it mounts is not seen here")
    }
}

extension MountRequest {
    /// As the arguments of the control command `mount`.
    func sent(_ place: MountPlace) -> [String: JSONValue] {
        var arguments: [String: JSONValue] = [
            "mountpoint": .text(place.mountpoint),
            "options": .list(options.map { .text($0) }),
            "verbose": .flag(isVerbose),
        ]
        if let snapshot = address.snapshot { arguments["snapshot"] = .text(snapshot) }
        return arguments
    }

    /// From a client's arguments: everything is looked at again, here.
    static func received(
        _ arguments: JSONValue, store: String
    ) throws(CommandFailure) -> (MountPlace, MountRequest) {
        guard let mountpoint = arguments["mountpoint"]?.text, mountpoint.hasPrefix("/") else {
            throw CommandFailure(.usage, "the mountpoint is no absolute path")
        }
        var options: [String] = []
        if case .list(let items) = arguments["options"] { options = items.compactMap(\.text) }
        var address = try StoreAddress(store)
        address.path = store
        address.snapshot = arguments["snapshot"]?.text
        let settings = try MountSettings(parsing: options, isSloppy: true)
        let request = MountRequest(
            address: address, mountpoint: mountpoint, settings: settings, options: options,
            isVerbose: arguments["verbose"]?.flag ?? false)
        let place = try request.place()
        let mounts = try MountProgram.mounts()
        if let mounted = mounts.mount(at: place.mountpoint) {
            throw CommandFailure(
                .busy, "\(mounted.source) is mounted on \(place.mountpoint) already")
        }
        return (place, request)
    }
}

extension MountSettings {
    /// What this mount asks for and does not get, since the daemon serves others already: a line each.
    func differencesForDaemon(_ daemon: MountSettings) -> [String] {
        var lines: [String] = []
        if let memoryBytes, memoryBytes != daemon.memoryBytes {
            lines.append("memory= is as the store's first mount has it")
        }
        if let commitSeconds, commitSeconds != daemon.commitSeconds {
            lines.append("commit= is as the store's first mount has it")
        }
        if let reclaimSeconds, reclaimSeconds != daemon.reclaimSeconds {
            lines.append("reclaim= is as the store's first mount has it")
        }
        if let optimizeSeconds, optimizeSeconds != daemon.optimizeSeconds {
            lines.append("optimize= is as the store's first mount has it")
        }
        return lines
    }
}
