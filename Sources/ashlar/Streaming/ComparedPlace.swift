// What a comparison is between: a store's volume or snapshot, a `.snap` file, or a directory.
import Backends
import Checking
import Console
import Control
import DiskFormat
import FileModel
import Glibc
import Pipeline
import Platform
import Queries
import Streams
import Trees
import Volume

/// One side of a comparison, as it was given on the command line.
enum ComparedPlace {
    case stored(VolumeState, hasContent: Bool)
    case directory(String)

    /// - Parameter volume: of a store.
    init(_ text: String, volume: String) throws {
        let address = try StoreAddress(text)
        if address.snapshot != nil || access(address.path + "/packs", F_OK) == 0 {
            if address.snapshot == nil {
                let client = ControlClient(storePath: address.path)
                if try client.isAnswered() { _ = try client.call("checkpoint", [:]) }
            }
            let found = try StoreView(address).volume(named: volume).volume
            self = .stored(found, hasContent: true)
            return
        }
        if (try? OpenDirectory(path: text)) != nil {
            self = .directory(text)
            return
        }
        do throws(StreamFileError) {
            let stream = try StreamFile(path: text, kind: .snapshot)
            self = .stored(
                try stream.volume(StreamFile.snapshotName),
                hasContent: stream.head.flags.contains(.content))
        } catch {
            throw CommandFailure(error, file: text)
        }
    }

    var stored: VolumeState? {
        if case .stored(let volume, _) = self { volume } else { nil }
    }
}

/// Two sides whose keys compare: directories are scanned for it, into stores that are removed.
final class Comparison {
    private(set) var old: ComparedSide
    private(set) var new: ComparedSide
    private let works: [WorkStore]

    /// - Parameters:
    ///   - paths: of directories only what is at or below one of these is scanned; empty: all.
    ///   - scratch: the beginning of the names of stores that are made for it.
    init(
        _ old: ComparedPlace, _ new: ComparedPlace, _ arguments: ScanArguments,
        below paths: [String] = [], scratch: String, on output: Output
    ) throws {
        let scanning = Scanning(arguments: arguments, paths: paths, output: output)
        var works: [WorkStore] = []
        do {
            let parameters = (old.stored ?? new.stored)?.parameters
            let first = try Self.side(
                old, like: parameters, base: new.stored, scanning, scratch + ".base", &works)
            let second = try Self.side(
                new, like: first.volume.parameters, base: first.volume, scanning,
                scratch + ".target", &works)
            self.old = first
            self.new = second
            self.works = works
        } catch {
            for work in works { work.abandon(isKept: false) }
            if let error = error as? StreamError {
                throw CommandFailure(error, store: "the comparison")
            }
            throw error
        }
    }

    /// How directories are scanned.
    private struct Scanning {
        let arguments: ScanArguments
        let paths: [String]
        let output: Output

        /// Leaves out what is not asked about.
        func restrict(_ options: inout ScanOptions) {
            guard !paths.isEmpty else { return }
            let places = PathPrefixes(paths.map(QueryPlace.bytes))
            let isExcluded = options.isExcluded
            options.isExcluded = { path, isDirectory in
                isExcluded(path, isDirectory)
                    || !(places.contain(path) || isDirectory && places.lead(from: path))
            }
        }
    }

    /// Removes what was made.
    func end() {
        for work in works { work.abandon(isKept: false) }
    }

    private static func side(
        _ place: ComparedPlace, like parameters: StoreParameters?, base: VolumeState?,
        _ scanning: Scanning, _ scratch: String, _ works: inout [WorkStore]
    ) throws -> ComparedSide {
        switch place {
        case .stored(let volume, let hasContent):
            let cutsAlike =
                parameters.map {
                    $0.hash == volume.parameters.hash && $0.chunker == volume.parameters.chunker
                } ?? true
            if cutsAlike { return ComparedSide(volume, content: hasContent ? .stored : .none) }
            guard hasContent else {
                throw CommandFailure(
                    .usage, "the two cut or name content differently: their keys do not compare",
                    advice: "Make the snapshot without content anew, with --base of the other.")
            }
            let work = try WorkStore(for: scratch, like: parameters)
            works.append(work)
            return ComparedSide(try imported(volume, into: work), content: .stored)
        case .directory(let path):
            let work = try WorkStore(for: scratch, like: parameters)
            works.append(work)
            return try scanned(path, into: work, base: base, scanning)
        }
    }

    /// What a store has that cuts in another way, cut as the other side is.
    private static func imported(_ volume: VolumeState, into work: WorkStore) throws -> VolumeState
    {
        let live = work.live
        var importing = try SnapshotImport(
            volume, into: live.store, nextInode: try live.nextInode(of: WorkStore.volumeName))
        let root = try importing.run(
            volumeID: try work.volumeID(), volumeName: WorkStore.volumeName,
            isCancelled: { Interruption.signal != nil },
            keep: { () throws(StreamError) in try StreamJob.keep(live) })
        return try work.snapshot(root)
    }

    private static func scanned(
        _ path: String, into work: WorkStore, base: VolumeState?, _ scanning: Scanning
    ) throws -> ComparedSide {
        let live = work.live
        var scan = try SourceScan(
            path, scanning.arguments, omitting: [work.path], on: scanning.output)
        scanning.restrict(&scan.options)
        scan.keepsContent = false
        scan.options.errorPolicy = .stop
        var known: ScanBase?
        if let base {
            let carrier = try ChunkCarrier(from: base, to: live.store, withData: false)
            known = ScanBase(base.root, in: base) { (image) throws(TreeError) in
                _ = try carrier.carry(image)
            }
        }
        let (root, _) = try scan.run(
            into: live.store, volume: try work.volumeID(), named: WorkStore.volumeName,
            nextInode: try live.nextInode(of: WorkStore.volumeName), base: known,
            keep: { () throws(StreamError) in try StreamJob.keep(live) })
        let directory: OpenDirectory
        do throws(Errno) {
            directory = try OpenDirectory(path: path)
        } catch {
            throw CommandFailure(error, "cannot open \(DisplayText.escaped(path.utf8))")
        }
        return ComparedSide(try work.snapshot(root), content: .directory(directory))
    }
}

extension WorkStore {
    func volumeID() throws -> UniqueID {
        guard let record = try live.store.volumes().first?.record else {
            throw CommandFailure(.internalError, "a store without a volume")
        }
        return record.volumeID
    }

    /// Makes a snapshot of a tree in the store, and opens it.
    func snapshot(_ root: RootImage) throws -> VolumeState {
        let draft = SnapshotDraft(name: StreamFile.snapshotName)
        let image = try live.addSnapshot(draft, of: Self.volumeName, root: root)
        let backend = try DirectoryBackend(path: path, isReadOnly: true)
        let state: State
        do throws(CheckingError) {
            state = try State.open(backend)
        } catch {
            throw CommandFailure(error, store: path)
        }
        do throws(TreeError) {
            return try VolumeState(image, in: state)
        } catch {
            throw CommandFailure(tree: error, what: path)
        }
    }
}
