// The newest valid state of a store: its volumes, to be listed and read.
import Backends
import DiskFormat
import Packs
import Trees

/// The volumes of a store at its newest commit, read from the packs alone: for fsck, and for
/// programs that look into a store without mounting it.
///
/// Threads: one at a time.
public final class State {
    /// What the packs hold.
    public let inventory: Inventory
    /// Which commits make this state.
    public let log: CommitLog
    /// In the order of their names. A volume whose root cannot be read is not among them.
    public private(set) var volumes: [VolumeState] = []
    /// Volumes that cannot be read, and why.
    public private(set) var unreadable: [(id: UniqueID, name: String, root: ChunkName, TreeError)] =
        []
    /// Newest roots that cannot be read, of volumes that can: by older roots and what commits say since.
    private(set) var passedOver: [(id: UniqueID, name: String, root: ChunkName, TreeError)] = []
    /// In the order of their making.
    public private(set) var snapshots: [SnapshotImage] = []
    /// Those that say anything, by volume.
    public private(set) var rules: [UniqueID: VolumeRules] = [:]
    let chunks: ChunkReader

    /// Opens the newest state of the store in `backend`: reads the headers and tables of all packs,
    /// and verifies what was written since the newest checkpoint. What is damaged does not keep it
    /// from opening; reading it then throws.
    ///
    /// - Parameters:
    ///   - store: refuses packs of other stores; nil: the one that most packs belong to.
    ///   - scope: how much is read before anything is looked for. With `newest`, what is unusual is met
    ///     by reading the whole.
    ///   - cacheBytes: bound of the decoded frames that are kept.
    /// - Throws: `noStore`; `newerFormat` where any pack is of a newer program, since what the others
    ///   say is not the newest state then; `noState` where no checkpoint can be read.
    public static func open(
        _ backend: any Backend, store: StoreIdentity? = nil, scope: Inventory.Scope = .whole,
        cacheBytes: Int = 64 << 20, monitor: CheckMonitor = CheckMonitor()
    ) throws(CheckingError) -> State {
        if scope == .newest,
            let state = try newest(
                backend, store: store, cacheBytes: cacheBytes, monitor: monitor)
        {
            return state
        }
        let inventory = try Inventory(backend, store: store, monitor: monitor)
        if inventory.findings.contains(where: { $0.kind == .packNewer }) { throw .newerFormat }
        let chunks = ChunkReader(inventory, cacheBytes: cacheBytes)
        let log = try CommitLog(inventory, chunks)
        return try State(inventory, log, chunks)
    }

    /// The state by as little as is needed; nil where that may not be the right one: a newer program
    /// wrote something, or the newest checkpoint is not whole, so that an older one is needed.
    private static func newest(
        _ backend: any Backend, store: StoreIdentity?, cacheBytes: Int, monitor: CheckMonitor
    ) throws(CheckingError) -> State? {
        let inventory = try Inventory(backend, store: store, scope: .newest, monitor: monitor)
        guard !inventory.findings.contains(where: { $0.kind == .packNewer }) else { return nil }
        let chunks = ChunkReader(inventory, cacheBytes: cacheBytes)
        let log = try CommitLog(inventory, chunks)
        let newest = inventory.commits.last { $0.isCheckpoint }
        guard let start = log.checkpoint, start.hash == newest?.hash, log.findings.isEmpty,
            log.beyond.isEmpty
        else { return nil }
        let state = try State(inventory, log, chunks)
        return state.unreadable.isEmpty ? state : nil
    }

    /// - Throws: `noState` where the log has no checkpoint.
    init(
        _ inventory: Inventory, _ log: CommitLog, _ chunks: ChunkReader
    ) throws(CheckingError) {
        self.inventory = inventory
        self.log = log
        self.chunks = chunks
        guard log.checkpoint != nil else { throw .noState }
        var drafts: [UniqueID: Draft] = [:]
        var snapshots: [UniqueID: SnapshotImage] = [:]
        for entry in log.chain {
            let commit = try inventory.commit(entry)
            // A checkpoint's list is whole.
            if entry.isCheckpoint {
                snapshots = [:]
                rules = [:]
            }
            for changed in commit.rules { rules[changed.volumeID] = changed }
            for change in commit.snapshots {
                switch change {
                case .put(let image): snapshots[image.id] = image
                case .gone(let id): snapshots[id] = nil
                }
            }
            for section in commit.volumes {
                if section.isRemoved {
                    drafts[section.volumeID] = nil
                    continue
                }
                try drafts[section.volumeID, default: Draft()].apply(section, chunks)
            }
        }
        for (id, draft) in drafts.sorted(by: { $0.key.description < $1.key.description }) {
            try add(id, draft)
        }
        volumes.sort { $0.name < $1.name }
        rules = rules.filter { !$0.value.isEmpty }
        self.snapshots = snapshots.values.sorted {
            ($0.epoch, $0.sequence, $0.number) < ($1.epoch, $1.sequence, $1.number)
        }
    }

    private func add(_ id: UniqueID, _ draft: Draft) throws(CheckingError) {
        guard let root = draft.root else {
            let failure = draft.failure ?? (.zero, .missing(.zero))
            unreadable.append((id, draft.name, failure.root, failure.error))
            return
        }
        do throws(TreeError) {
            volumes.append(
                try VolumeState(
                    id: id, name: draft.name, nextInode: max(draft.nextInode, root.image.nextInode),
                    rootName: root.name, root: root.image, overlay: draft.overlay, chunks: chunks))
        } catch {
            unreadable.append((id, draft.name, root.name, error))
            return
        }
        guard let newest = draft.newestRoot else { return }
        do throws(TreeError) {
            _ = try RootImage.read(newest, chunks)
        } catch .storage(let node) {
            throw .tree(.storage(node: node))
        } catch {
            passedOver.append((id, draft.name, newest, error))
        }
    }

    /// The volume of that name.
    public func volume(named name: String) -> VolumeState? {
        volumes.first { $0.name == name }
    }

    /// The snapshot of that name of a volume.
    public func snapshot(named name: String, of volume: UniqueID) -> SnapshotImage? {
        snapshots.first { $0.name == name && $0.volumeID == volume }
    }
}

extension RootImage {
    /// Reads a root by its name.
    static func read(_ name: ChunkName, _ chunks: ChunkReader) throws(TreeError) -> RootImage {
        let bytes = try chunks.chunk(name, domain: .tree)
        do throws(FormatError) {
            return try bytes.borrowing { (raw) throws(FormatError) in try RootImage(raw) }
        } catch {
            throw .format(error, node: name)
        }
    }
}
