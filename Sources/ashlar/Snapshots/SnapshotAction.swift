// A change of a volume's snapshots, by whoever has the store.
import Console
import Control
import DiskFormat
import FileModel
import Volume

/// What is to be done, and to which volume.
struct SnapshotAction: Codable {
    enum Kind: String, Codable {
        case create, edit, delete, rollback, clone
    }

    static let command = "snapshot"

    var kind: Kind
    var volume: String
    /// The snapshot's name.
    var name: String
    /// Of edit, the snapshot's; of clone, the volume's.
    var newName: String?
    var description: String?
    var tags: [String]?
    var isPinned: Bool?

    init(_ kind: Kind, _ name: String, of volume: String) {
        self.kind = kind
        self.name = name
        self.volume = volume
    }

    /// Makes it durable: through the daemon where one answers, else on the store itself. Returns the
    /// snapshot as it is, or was.
    func perform(on address: StoreAddress) throws -> ListedSnapshot {
        let client = ControlClient(storePath: address.path)
        if try client.isAnswered() {
            let sent = try JSONValue(encoding: self)
            let answer = try client.call(
                Self.command, ["action": sent], silenceNanoseconds: nil)
            guard let snapshot = answer["snapshot"] else {
                throw ControlError.badMessage("no snapshot in the answer")
            }
            return try snapshot.decoded(as: ListedSnapshot.self)
        }
        let store = try WritableStore(address.path)
        let result: ListedSnapshot
        do {
            result = try perform(on: store.live)
        } catch {
            // The first failure is the one to tell.
            try? store.close()
            throw error
        }
        try store.close()
        return result
    }

    /// Several, one behind the other; on a store without a daemon with one opening of it.
    static func perform(_ actions: [SnapshotAction], on address: StoreAddress) throws {
        guard !actions.isEmpty else { return }
        if try ControlClient(storePath: address.path).isAnswered() {
            for action in actions { _ = try action.perform(on: address) }
            return
        }
        let store = try WritableStore(address.path)
        do {
            for action in actions { _ = try action.perform(on: store.live) }
        } catch {
            // The first failure is the one to tell.
            try? store.close()
            throw error
        }
        try store.close()
    }

    func perform(on live: LiveStore) throws(CommandFailure) -> ListedSnapshot {
        do throws(SnapshotError) {
            return ListedSnapshot(try change(live), volume: volume)
        } catch {
            throw CommandFailure(error, live)
        }
    }

    private func change(_ live: LiveStore) throws(SnapshotError) -> SnapshotImage {
        switch kind {
        case .create:
            var draft = SnapshotDraft(name: name)
            draft.description = description ?? ""
            draft.tags = tags ?? []
            draft.isPinned = isPinned ?? false
            return try live.createSnapshot(draft, of: volume)
        case .edit:
            var edit = SnapshotEdit()
            edit.name = newName
            edit.description = description
            edit.tags = tags
            edit.isPinned = isPinned
            return try live.editSnapshot(named: name, of: volume, edit)
        case .delete: return try live.deleteSnapshot(named: name, of: volume)
        case .rollback: return try live.rollBack(volume, to: name)
        case .clone: return try live.clone(name, of: volume, to: newName ?? "")
        }
    }
}

/// What the daemon of a store answers about snapshots.
struct SnapshotHandlers {
    let store: ServedStore

    var handlers: [String: ControlHandler] {
        let live = store.live
        return [
            SnapshotAction.command: { request throws(ControlError) in
                guard let sent = request.arguments["action"] else {
                    throw .refused(code: FailureKind.usage.rawValue, message: "no action is given")
                }
                let action = try sent.decoded(as: SnapshotAction.self)
                return .object([
                    "snapshot": try JSONValue(encoding: try perform(action))
                ])
            },
            "snapshot-list": { request throws(ControlError) in
                let snapshots: [ListedSnapshot]
                do throws(CommandFailure) {
                    snapshots = try ListedSnapshot.all(
                        of: live.store, volume: request.arguments["volume"]?.text)
                } catch {
                    throw error.answer
                }
                return .object(["snapshots": try JSONValue(encoding: snapshots)])
            },
        ]
    }
}

extension SnapshotHandlers {
    /// Nobody can mount a volume that is being rolled back.
    private func perform(_ action: SnapshotAction) throws(ControlError) -> ListedSnapshot {
        do throws(CommandFailure) {
            guard action.kind == .rollback, let volume = store.live.volume(named: action.volume)
            else { return try action.perform(on: store.live) }
            try store.take(volume, for: "being rolled back")
            defer { store.giveBack(volume) }
            return try action.perform(on: store.live)
        } catch {
            throw error.answer
        }
    }
}

extension CommandFailure {
    /// Why nothing was done about a snapshot.
    init(_ error: SnapshotError, _ live: LiveStore) {
        switch error {
        case .noVolume(let name):
            self.init(
                .notFound, "the store has no volume \(DisplayText.escaped(name.utf8))",
                advice: "It has: \(live.volumeNames.joined(separator: ", ")).")
        case .noSnapshot(let name):
            self.init(
                .notFound, "there is no snapshot \(DisplayText.escaped(name.utf8))",
                advice: "ashlar snapshot list shows those that there are.")
        case .exists(let name):
            self.init(.busy, "there is a snapshot \(DisplayText.escaped(name.utf8)) already")
        case .badName(let name):
            self.init(.usage, Self.badName(name, "a snapshot"))
        case .badTag(let name): self.init(.usage, Self.badName(name, "a tag"))
        case .tooManyTags:
            self.init(.usage, "a snapshot has at most \(SnapshotImage.tagsMax) tags")
        case .descriptionTooLong:
            self.init(
                .usage,
                "a description has at most \(SnapshotImage.descriptionBytesMax) bytes")
        case .rulesTooLong:
            self.init(.usage, "the rules are too long: fewer tags make them shorter")
        case .pinned(let name):
            self.init(
                .busy, "the snapshot \(DisplayText.escaped(name.utf8)) is pinned",
                advice: "ashlar snapshot unpin lets it be deleted.")
        case .tooMany:
            self.init(
                .system, "the store has \(SnapshotImage.countMax) snapshots, and can have no more",
                advice: "Delete some.")
        case .unfoldable:
            self.init(
                .damaged, "some files have changes on top of content that cannot be read",
                advice: "Repair the store first: see fsck.ashlar(8).")
        case .inUse(let name):
            self.init(
                .busy, "the volume \(DisplayText.escaped(name.utf8)) is mounted",
                advice: "Unmount it first; other volumes of the store may stay.")
        case .snapshotInUse(let name):
            self.init(
                .busy, "the snapshot \(DisplayText.escaped(name.utf8)) is mounted",
                advice: "Unmount it first.")
        case .volumeList(let error): self.init(error)
        case .failed(.tooBig):
            self.init(
                .system, "too much differs for one commit: nothing was changed",
                advice: "Mount the volume and copy what is needed from .snapshots.")
        case .failed(.readOnly): self.init(.system, "the store is read-only")
        case .failed(let error): self.init(.system, "the store could not be written: \(error)")
        }
    }

    private static func badName(_ name: String, _ what: String) -> String {
        "\(DisplayText.escaped(name.utf8)) is no name of \(what): 1 to 128 of A-Z a-z 0-9 . _ + -, "
            + "not beginning with . or -"
    }
}
