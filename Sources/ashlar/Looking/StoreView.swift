// A look into a store, mounted or not.
import Backends
import Checking
import Console
import Control
import DiskFormat
import Pipeline
import Trees

/// The newest state of a store, read from its packs. Where a daemon has the store, it is asked to
/// commit first, so that what it has received is seen.
struct StoreView {
    let backend: any Backend
    let path: String
    private let snapshot: String?
    private let chosenVolume: String
    /// Of decoded frames that are kept. What is read is mostly read in the order in which it lies.
    var cacheBytes = 4 << 20

    init(_ address: StoreAddress, volume: String = "main") throws {
        path = address.path
        snapshot = address.snapshot
        chosenVolume = volume
        backend = try PackFolder(path: path).backend
        try Self.askForCommit(path)
    }

    init(_ place: StorePlace) throws {
        try self.init(place.address, volume: place.volume)
    }

    /// Without a daemon there is nothing to ask.
    static func askForCommit(_ path: String) throws {
        let client = ControlClient(storePath: path)
        guard try client.isAnswered() else { return }
        _ = try client.call("commit", [:])
    }

    /// The state, with the volume that was chosen.
    func volume() throws -> (state: State, volume: VolumeState) {
        try volume(named: chosenVolume)
    }

    /// The state, with one volume chosen: as it is, or as the snapshot has it that was named.
    ///
    /// - Parameter known: the store's state, where it was opened already.
    func volume(
        named name: String, in known: State? = nil
    ) throws -> (state: State, volume: VolumeState) {
        let state = try known ?? openState()
        guard let volume = state.volume(named: name) else {
            let names = state.volumes.map(\.name).joined(separator: ", ")
            throw CommandFailure(
                .notFound, "the store has no volume \(DisplayText.escaped(name.utf8))",
                advice: "It has: \(names).")
        }
        guard let snapshot else { return (state, volume) }
        guard let image = state.snapshot(named: snapshot, of: volume.id) else {
            throw CommandFailure(
                .notFound,
                "the volume \(DisplayText.escaped(name.utf8)) has no snapshot "
                    + DisplayText.escaped(snapshot.utf8),
                advice: "ashlar snapshot list shows those that there are.")
        }
        do throws(TreeError) {
            return (state, try VolumeState(image, in: state))
        } catch {
            throw CommandFailure(tree: error, what: "the snapshot \(snapshot)")
        }
    }

    /// The state alone.
    func state() throws -> State { try openState() }

    private func openState() throws -> State {
        do throws(CheckingError) {
            return try State.open(backend, scope: .newest, cacheBytes: cacheBytes)
        } catch {
            throw CommandFailure(error, store: path)
        }
    }

    /// The inode at a path of the volume.
    static func resolve(_ path: String, in volume: VolumeState) throws -> InodeImage {
        let shown = DisplayText.escaped(path.utf8)
        let found: InodeImage?
        do throws(TreeError) {
            found = try volume.resolve(path)
        } catch {
            throw CommandFailure(tree: error, what: shown)
        }
        guard let found else {
            throw CommandFailure(.notFound, "\(shown): no such file or directory")
        }
        return found
    }
}

extension CommandFailure {
    /// A check or a look that could not be had.
    init(_ error: CheckingError, store: String) {
        let shown = DisplayText.escaped(store.utf8)
        switch error {
        case .noStore: self.init(.notAStore, "\(shown) is not an Ashlar store")
        case .newerFormat:
            self.init(.notAStore, "\(shown) was made by a newer version of Ashlar")
        case .noState: self.init(.damaged, "\(shown): no checkpoint can be read")
        case .cancelled: self.init(.interrupted, "ended by a signal")
        case .backend(let inner): self.init(inner)
        case .pack(let inner): self.init(inner)
        case .hashing(let inner): self.init(.system, "cannot hash: \(inner)")
        case .threads(let code): self.init(.system, "no threads: errno \(code)")
        case .tree(let inner): self.init(tree: inner, what: shown)
        }
    }

    /// A node or chunk that could not be read.
    init(tree error: TreeError, what: String) {
        switch error {
        case .missing(let name): self.init(.damaged, "\(what): chunk \(name) is missing")
        case .format(let inner, let node):
            self.init(.damaged, "\(what): chunk \(node): \(Self.words(inner))")
        case .storage(let node):
            self.init(
                .damaged,
                "\(what): " + (node.map { "chunk \($0) cannot be read" } ?? "cannot be read"))
        case .splitsChunk, .badEdit: self.init(.internalError, "\(what): \(error)")
        }
    }

    /// An error of the store's engine.
    init(_ error: StoreError, store: String) {
        let shown = DisplayText.escaped(store.utf8)
        switch error {
        case .notAStore: self.init(.notAStore, "\(shown) is not an Ashlar store")
        case .exists: self.init(.notAStore, "\(shown) is an Ashlar store already")
        case .pack(let inner): self.init(inner)
        case .backend(let inner): self.init(inner)
        case .noSpace, .index(.noSpace):
            self.init(.system, "\(shown): no space left on the device")
        case .noCommit:
            self.init(.damaged, "\(shown): no commit can be read", advice: "See fsck.ashlar(8).")
        case .readOnly(let reason): self.init(.system, "\(shown): \(reason)")
        case .lostPacks(let packs):
            self.init(
                .damaged,
                "\(shown): packs are missing: "
                    + packs.map(\.description).joined(separator: ", "))
        case .missingChunk(let name): self.init(.damaged, "chunk \(name) is missing")
        case .damagedChunk(let name): self.init(.damaged, "chunk \(name) is damaged")
        case .commitTooLong, .index, .indexDamaged, .outOfRange, .damagedLog, .hashing, .superChunk,
            .threads, .tooManySnapshots:
            self.init(.system, "\(shown): \(error)")
        }
    }
}
