// The store behind mounts.
import Backends
import Checking
import Console
import Control
import DiskFormat
import FileModel
import Glibc
import Logging
import Pipeline
import Platform
import Volume

/// An open store whose volumes are served.
final class ServedStore: MountableStore {
    let live: LiveStore
    private let backend: any Backend
    private let path: String
    let notice: String?
    /// A volume that is mounted or being removed.
    private struct Use {
        var volume: Volume
        /// For what: a word for who wants it too.
        var purpose: String
        var isMounted: Bool
    }

    private let taken = ConditionMutex<[ObjectIdentifier: Use]>([:])
    let scheduler: SnapshotScheduler

    /// Memory for everything, when `memory=` does not say: 1 GiB, or a quarter of the machine's
    /// where that is less.
    static let memoryBytesDefault: UInt64 = 1 << 30
    /// What the program itself takes beside its caches and buffers.
    private static let overheadBytes: UInt64 = 48 << 20
    private static let arenasMax: Int32 = 4
    /// A node with its name and what the dictionaries around it cost, roughly.
    private static let nodeBytes: UInt64 = 1 << 10

    static func open(_ place: MountPlace, _ request: MountRequest) throws -> any MountableStore {
        do {
            return try ServedStore(place, request)
        } catch let error as StoreError {
            throw CommandFailure(error, store: place.store)
        }
    }

    private init(_ place: MountPlace, _ request: MountRequest) throws {
        let log = Logger(label: "ashlar.store")
        let settings = request.settings
        path = place.store
        backend = try DirectoryBackend(
            path: place.store, isReadOnly: settings.isReadOnly, create: false)
        StoreLayout.keepPrivate()
        let memory = settings.memoryBytes ?? Self.defaultMemory()
        // Each arena keeps pages of its own that nobody uses; refused, there are more of them.
        _ = ProcessMemory.limitArenas(Self.arenasMax)
        let caches = memory > 2 * Self.overheadBytes ? memory - Self.overheadBytes : memory / 2
        var options = StoreOptions()
        options.isReadOnly = settings.isReadOnly
        options.memoryBytes = Int(caches / 2)
        let warnings = ConditionMutex<[String]>([])
        options.onEvent = { event in
            StoreWords.log(event, to: log)
            if let words = StoreWords.warning(event) { warnings.withLock { $0.append(words) } }
        }
        let store: ChunkStore
        do throws(StoreError) {
            store = try ChunkStore.open(
                backend, index: RocksIndexProvider(path: StoreLayout.index(of: place.store)),
                options: options)
        } catch {
            throw CommandFailure(error, store: place.store)
        }
        let warned = warnings.withLock { $0 }
        notice = warned.isEmpty ? nil : warned.joined(separator: "\n")
        var volumeOptions = VolumeOptions()
        volumeOptions.residentBytesMax = memory
        volumeOptions.isReadOnly = settings.isReadOnly
        volumeOptions.dirtyBytesMax = Int(caches / 8)
        volumeOptions.nodesMax = Int(caches / 4 / Self.nodeBytes)
        var timing = LiveStore.Timing()
        // What has changed since the last checkpoint is kept in memory.
        timing.checkpointChanges = min(timing.checkpointChanges, volumeOptions.nodesMax)
        if let seconds = settings.commitSeconds { timing.commitSeconds = Double(seconds) }
        if let seconds = settings.reclaimSeconds {
            timing.reclaimSeconds = seconds == 0 ? nil : Double(seconds)
        }
        if let seconds = settings.optimizeSeconds, seconds > 0 {
            timing.optimizeIdleSeconds = Double(seconds)
        }
        do {
            live = try LiveStore(store, options: volumeOptions, timing: timing) { event in
                StoreWords.log(event, to: log)
            }
        } catch {
            try? store.close()
            throw error
        }
        scheduler = SnapshotScheduler(live, log: Logger(label: "ashlar.schedule"))
        if !settings.isReadOnly, !store.isReadOnly {
            try scheduler.start { [weak self] in self?.mountedVolumes ?? [] }
        }
    }

    /// The volumes that are mounted and may be written.
    var mountedVolumes: [String] {
        taken.withLock { taken in
            taken.values.filter { $0.isMounted && !$0.volume.behaviour.isReadOnly }
        }.map(\.volume.name).sorted()
    }

    private static func defaultMemory() -> UInt64 {
        guard let machine = ProcessMemory.machineBytes() else { return memoryBytesDefault }
        return min(memoryBytesDefault, machine / 4)
    }

    // MARK: volumes

    func serve(_ request: MountRequest) throws -> any ServedFilesystem {
        let settings = request.settings
        if let snapshot = request.address.snapshot {
            do throws(SnapshotError) {
                return ServedSnapshot(
                    try live.mountedSnapshot(named: snapshot, of: settings.volume),
                    of: settings.volume)
            } catch {
                throw CommandFailure(error, live)
            }
        }
        guard let volume = live.volume(named: settings.volume) else {
            throw CommandFailure(
                .notFound,
                "the store has no volume \(DisplayText.escaped(settings.volume.utf8))",
                advice: "It has: \(live.volumeNames.joined(separator: ", ")).")
        }
        if !settings.isReadOnly, live.isReadOnlyByChoice {
            throw CommandFailure(
                .busy, "the store was opened read-only, by its first mount",
                advice: "Unmount that, or mount this with -o ro.")
        }
        try take(
            volume, for: "mounted on \(request.mountpoint) by process \(getpid())", isMount: true)
        var behaviour = VolumeBehaviour()
        behaviour.isReadOnly = settings.isReadOnly
        behaviour.accessTimes =
            settings.flags.contains(.noAccessTime)
            ? .never : settings.flags.contains(.strictAccessTime) ? .always : .relative
        behaviour.skipsDirectoryAccessTimes = settings.flags.contains(.noDirectoryAccessTime)
        volume.behaviour = behaviour
        scheduler.look()
        return ServedVolume(volume, of: self)
    }

    /// Keeps a volume for one use.
    func take(
        _ volume: Volume, for purpose: String, isMount: Bool = false
    ) throws(CommandFailure) {
        let other = taken.withLock { taken in
            let other = taken[ObjectIdentifier(volume)]
            if other == nil {
                taken[ObjectIdentifier(volume)] = Use(
                    volume: volume, purpose: purpose, isMounted: isMount)
            }
            return other?.purpose
        }
        if let other { throw CommandFailure(.busy, "the volume \(volume.name) is \(other)") }
    }

    func giveBack(_ volume: Volume) {
        volume.behaviour = VolumeBehaviour()
        taken.withLock { $0[ObjectIdentifier(volume)] = nil }
    }

    func finish() throws {
        scheduler.stop()
        do throws(FileError) {
            try live.close()
        } catch {
            throw CommandFailure(
                .system,
                "the last commit failed (\(error)): what was written since the one before "
                    + "it is lost")
        }
    }

    var handlers: [String: ControlHandler] {
        let live = live
        let backend = backend
        let others = VolumeHandlers(store: self).handlers
            .merging(SnapshotHandlers(store: self).handlers) { own, _ in own }
            .merging(VolumeRulesHandlers(store: self).handlers) { own, _ in own }
            .merging(ReclaimHandlers(live: live).handlers) { own, _ in own }
            .merging(OptimizeHandlers(live: live).handlers) { own, _ in own }
            .merging(StreamJobHandlers(live: live, path: path).handlers) { own, _ in own }
        return others.merging([
            "commit": { _ throws(ControlError) in
                try ServedStore.commit(live)
                return .object([:])
            },
            "synchronize": { _ throws(ControlError) in
                try ServedStore.mustCommit(live)
                return .object([:])
            },
            "checkpoint": { _ throws(ControlError) in
                try ServedStore.mustCommit(live, withCheckpoint: true)
                return .object([:])
            },
            "statistics": { _ throws(ControlError) in
                try ServedStore.commit(live)
                do {
                    let report = try StatisticsReport.make(live.store)
                    return .object([
                        "json": .text(try report.json(isCompact: true)),
                        "lines": .list(report.textLines().map { .text($0) }),
                    ])
                } catch {
                    throw ControlError.refused(
                        code: "system", message: CommandFailure(anyError: error).message)
                }
            },
            "fsck": { request throws(ControlError) in
                try ServedStore.commit(live)
                return try ServedStore.check(backend, request)
            },
        ]) { own, _ in own }
    }

    /// Before something is looked at: of a store that has failed what is durable.
    private static func commit(_ live: LiveStore) throws(ControlError) {
        guard !live.store.isReadOnly else { return }
        try mustCommit(live)
    }

    /// For whoever asks that everything be durable.
    private static func mustCommit(
        _ live: LiveStore, withCheckpoint: Bool = false
    ) throws(ControlError) {
        do throws(FileError) {
            if withCheckpoint { try live.checkpoint() } else { try live.commit() }
        } catch {
            throw .refused(code: "system", message: "the commit failed: \(error)")
        }
    }

    /// Checks the packs while they grow: what is written meanwhile lies behind what is looked at.
    private static func check(
        _ backend: any Backend, _ request: ControlRequest
    ) throws(ControlError) -> JSONValue {
        let depths: [String: CheckDepth] = ["quick": .quick, "full": .full, "deep": .deep]
        let options = CheckOptions(
            depth: request.arguments["depth"]?.text.flatMap { depths[$0] } ?? .full)
        do {
            let report = try StoreCheck.run(backend, options: options)
            let answer = try CheckAnswer(
                report, isVerbose: request.arguments["verbose"]?.flag ?? false)
            return try JSONValue(encoding: answer)
        } catch let error as ControlError {
            throw error
        } catch {
            throw .refused(code: "system", message: "the check failed: \(error)")
        }
    }
}

/// A volume that is mounted, with its snapshots beside it.
final class ServedVolume: ServedFilesystem {
    private let volume: Volume
    private let view: BrowsableVolume
    private let store: ServedStore

    init(_ volume: Volume, of store: ServedStore) {
        self.volume = volume
        self.store = store
        view = store.live.browsable(volume)
    }

    var filesystem: any FilesystemOperations { view }
    var volumeName: String { volume.name }

    func attach(_ notifier: any KernelNotifier) { view.setNotifier(notifier) }

    func release() throws {
        view.setNotifier(nil)
        defer { store.giveBack(volume) }
        do throws(FileError) {
            try store.live.release(volume)
        } catch {
            throw CommandFailure(
                .system,
                "the last commit of \(volume.name) failed (\(error)): what was written since the "
                    + "one before it is lost unless a later one succeeds")
        }
    }
}

/// A snapshot that is mounted by itself. Any number of mounts may have it.
final class ServedSnapshot: ServedFilesystem {
    private let snapshot: MountedSnapshot
    let volumeName: String

    init(_ snapshot: MountedSnapshot, of volumeName: String) {
        self.snapshot = snapshot
        self.volumeName = volumeName
    }

    var filesystem: any FilesystemOperations { snapshot }

    func attach(_ notifier: any KernelNotifier) { snapshot.setNotifier(notifier) }

    func release() throws { snapshot.setNotifier(nil) }
}

/// Events of a store, for its log.
enum StoreWords {
    static func log(_ event: StoreEvent, to log: Logger) {
        switch event {
        case .replayed(let commits):
            log.notice("applied \(commits) commits that the index had not: after an unclean end")
        case .rebuildingIndex(let reason):
            log.notice("making the index anew from the packs: \(reason)")
        case .rebuilt(let chunks): log.notice("the index is made: \(chunks) chunks")
        case .sealedTornPack(let pack, let offset):
            log.notice("pack \(pack) ended in the middle of a write: cut at \(offset)")
        case .removedTornPack(let pack):
            log.notice("pack \(pack) was never committed to: removed")
        case .deletedPack(let pack): log.info("pack \(pack) held nothing alive: deleted")
        case .damagedChunk(let chunk, let why): log.error("chunk \(chunk) is damaged: \(why)")
        case .becameReadOnly, .lostPacks:
            if let words = warning(event) { log.error("\(words)") }
        }
    }

    /// What whoever mounts has to know at once, in words.
    static func warning(_ event: StoreEvent) -> String? {
        switch event {
        case .becameReadOnly(let why):
            return "nothing is written any more, until the store is opened anew: \(why)"
        case .lostPacks(let packs):
            let names = packs.prefix(8).map(\.description) + (packs.count > 8 ? ["…"] : [])
            return "\(packs.count) packs are missing or shorter than they were: "
                + names.joined(separator: ", ")
        case .replayed, .rebuildingIndex, .rebuilt, .sealedTornPack, .removedTornPack,
            .deletedPack, .damagedChunk:
            return nil
        }
    }

    static func log(_ event: LiveStoreEvent, to log: Logger) {
        switch event {
        case .commitFailed(let error): log.error("a commit failed: \(error)")
        case .checkpointFailed(let error): log.error("a checkpoint failed: \(error)")
        case .settlingFailed(let error):
            log.error("what snapshots own could not be counted, no space is given back: \(error)")
        case .orphansRemoved(let count, let volume):
            log.notice("\(volume): \(count) unlinked files of before the last end were removed")
        case .reclaimed(let bytes): log.info("gave \(ByteSize.text(bytes)) back to the medium")
        case .reclaimingFailed(let error): log.error("reclaiming failed: \(error)")
        case .optimized(let bytes): log.info("recompressing gave \(ByteSize.text(bytes)) back")
        }
    }
}
