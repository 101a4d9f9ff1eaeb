// A change of a store's list of volumes, by whoever has the store.
import Backends
import Console
import Control
import FileModel
import Glibc
import Pipeline
import Platform
import Volume

/// What is to change.
enum VolumeChange: Equatable {
    case create(String)
    case rename(String, to: String)
    case remove(String)

    /// Makes it durable: through the daemon where one answers, else on the store itself.
    func perform(on address: StoreAddress) throws {
        let client = ControlClient(storePath: address.path)
        if try client.isAnswered() {
            _ = try client.call(command, arguments, silenceNanoseconds: nil)
            return
        }
        let store = try WritableStore(address.path)
        do {
            try perform(on: store.live)
        } catch {
            // The first failure is the one to tell.
            try? store.close()
            throw error
        }
        try store.close()
    }

    func perform(on live: LiveStore) throws(CommandFailure) {
        do throws(VolumeListError) {
            switch self {
            case .create(let name): try live.createVolume(named: name)
            case .rename(let name, let new): try live.renameVolume(named: name, to: new)
            case .remove(let name): try live.removeVolume(named: name)
            }
        } catch {
            throw CommandFailure(error)
        }
    }

    // MARK: on the socket

    var command: String {
        switch self {
        case .create: "volume-create"
        case .rename: "volume-rename"
        case .remove: "volume-remove"
        }
    }

    private var arguments: [String: JSONValue] {
        switch self {
        case .create(let name), .remove(let name): ["name": .text(name)]
        case .rename(let name, let new): ["name": .text(name), "new_name": .text(new)]
        }
    }
}

/// What the daemon of a store answers about its volumes.
struct VolumeHandlers {
    let store: ServedStore

    var handlers: [String: ControlHandler] {
        [
            "volume-list": { _ throws(ControlError) in
                do throws(CommandFailure) {
                    let volumes = try ListedVolume.all(of: store.live.store)
                    return .object(["volumes": .list(volumes.map(\.answer))])
                } catch {
                    throw error.answer
                }
            },
            "volume-create": { request throws(ControlError) in
                try perform(.create(try Self.name(request)))
            },
            "volume-rename": { request throws(ControlError) in
                try perform(
                    .rename(try Self.name(request), to: try Self.name(request, "new_name")))
            },
            "volume-remove": { request throws(ControlError) in
                try remove(try Self.name(request))
            },
        ]
    }

    private static func name(
        _ request: ControlRequest, _ key: String = "name"
    ) throws(ControlError) -> String {
        guard let name = request.arguments[key]?.text else {
            throw .refused(code: FailureKind.usage.rawValue, message: "no \(key) is given")
        }
        return name
    }

    private func perform(_ change: VolumeChange) throws(ControlError) -> JSONValue {
        do throws(CommandFailure) {
            try change.perform(on: store.live)
            return .object([:])
        } catch {
            throw error.answer
        }
    }

    /// Nobody can mount what is being removed.
    private func remove(_ name: String) throws(ControlError) -> JSONValue {
        guard let volume = store.live.volume(named: name) else {
            throw CommandFailure(VolumeListError.unknown(name: name)).answer
        }
        do throws(CommandFailure) {
            try store.take(volume, for: "being removed")
        } catch {
            throw error.answer
        }
        defer { store.giveBack(volume) }
        return try perform(.remove(name))
    }
}

extension CommandFailure {
    /// Why the list of volumes was not changed.
    init(_ error: VolumeListError) {
        switch error {
        case .badName(let name):
            self.init(
                .usage,
                "\(DisplayText.escaped(name.utf8)) is no name of a volume: 1 to 128 of "
                    + "A-Z a-z 0-9 . _ + -, not beginning with . or -")
        case .exists(let name):
            self.init(.busy, "the store has a volume \(DisplayText.escaped(name.utf8)) already")
        case .unknown(let name):
            self.init(.notFound, "the store has no volume \(DisplayText.escaped(name.utf8))")
        case .isOnlyVolume(let name):
            self.init(
                .usage, "\(name) is the store's only volume",
                advice: "Make another one first, or delete its files.")
        case .hasSnapshots(let name, let count):
            self.init(
                .busy, "\(DisplayText.escaped(name.utf8)) has \(count) snapshots",
                advice: "Delete them first: ashlar snapshot list, ashlar snapshot delete.")
        case .failed(let error):
            self.init(.system, "the store could not be written: \(error)")
        }
    }
}
