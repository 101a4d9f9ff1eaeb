// Where a command that looks is to look: a store, or what is mounted somewhere.
import Console
import Control
import Platform

/// A store with one of its volumes, found by what was given for a store on the command line: the
/// store's path, or a mountpoint, either with `@SNAPSHOT` behind it.
struct StorePlace: Equatable {
    var address: StoreAddress
    var volume: String

    /// - Parameter volume: as given; nil: the one that is mounted there, or `main`.
    init(_ text: String, volume: String? = nil) throws(CommandFailure) {
        address = try StoreAddress(text)
        self.volume = volume ?? "main"
        guard let mount = try MountProgram.mounts().mount(at: address.path) else { return }
        address.path = mount.source
        guard let served = try Self.served(mount) else { return }
        if volume == nil { self.volume = served["volume"]?.text ?? self.volume }
        address.snapshot = address.snapshot ?? served["snapshot"]?.text
    }

    /// What the daemon says of its mount; nil where none answers, as on a read-only medium.
    private static func served(_ mount: MountedVolume) throws(CommandFailure) -> JSONValue? {
        do throws(ControlError) {
            let client = ControlClient(storePath: mount.source)
            guard try client.isAnswered(), case .list(let all) = try client.call("status")["mounts"]
            else { return nil }
            return all.first { $0["mountpoint"]?.text == mount.mountpoint }
        } catch {
            throw CommandFailure(error)
        }
    }
}
