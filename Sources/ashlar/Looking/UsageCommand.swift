// `ashlar du`: what files take, what they share, and what deleting them would free.
import ArgumentParser
import Checking
import ChunkIndex
import Console
import DiskFormat
import Metadata
import Pipeline
import Trees

/// Counts the space of a file or a directory with all below it.
struct UsageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "du",
        abstract: "Show what a file or directory takes, shares, and would free.",
        discussion: """
            logical: the sizes of the files; unique: raw bytes of the different chunks they consist \
            of; shared: those of them that something else in the store owns, too; \
            freed_if_deleted: the others. All before compression.

            Of a snapshot as a whole: freed_if_deleted_stored is what deleting it gives back, in bytes \
            of packs, trees and copies included.
            """)

    @Argument(help: "The store or a mountpoint, or either with @SNAPSHOT.")
    var store: String

    @Argument(help: "A path in the volume.")
    var path = "/"

    @Option(
        help: ArgumentHelp("The volume; main where nothing else is mounted.", valueName: "name"))
    var volume: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let place = try StorePlace(store, volume: volume)
        let address = place.address
        let (_, view) = try StoreView(place).volume()
        let image = try StoreView.resolve(path, in: view)
        let open = try ReadOnlyStore.open(address.path)
        defer { try? open.close() }
        var usage = SpaceUsage(store: open, volume: view)
        if let snapshot = address.snapshot, image.inode == RootImage.rootInode {
            usage.onlyItsOwn = try Self.space(of: snapshot, view.id, open)
        }
        do throws(TreeError) {
            try usage.add(image)
        } catch {
            throw CommandFailure(tree: error, what: DisplayText.escaped(path.utf8))
        }
        if let failure = usage.failure { throw CommandFailure(failure, store: store) }
        try output.report(usage.report(path), asJSON: json)
        try output.flush()
    }

    private static func space(
        of name: String, _ volume: UniqueID, _ store: ChunkStore
    ) throws -> SnapshotSpace {
        let snapshot = store.snapshots.values.first { $0.name == name && $0.volumeID == volume }
        guard let snapshot else {
            throw CommandFailure(.system, "the snapshot \(name) was deleted meanwhile")
        }
        do throws(StoreError) {
            return try store.space(ofSnapshot: snapshot.id)
        } catch {
            throw CommandFailure(error, store: store.backend.location)
        }
    }
}

/// What a set of files owns. Plays through, on counts of its own, what deleting them would do.
struct SpaceUsage {
    private let store: ChunkStore
    private let volume: VolumeState
    private var files: UInt64 = 0
    private var directories: UInt64 = 0
    private var logicalBytes: UInt64 = 0
    private var uniqueBytes: UInt64 = 0
    private var freedBytes: UInt64 = 0
    /// Names of several-named inodes found so far.
    private var linksFound: [UInt64: UInt64] = [:]
    /// Owners left of each chunk that was met, and its raw bytes.
    private var owners: [ChunkName: (left: Int64, bytes: UInt64)] = [:]
    /// Recipe nodes whose chunks were counted as part of the files.
    private var seenNodes: Set<ChunkName> = []
    private(set) var failure: StoreError?
    /// Of a snapshot as a whole: what deleting it gives back.
    var onlyItsOwn: SnapshotSpace?

    init(store: ChunkStore, volume: VolumeState) {
        self.store = store
        self.volume = volume
    }

    /// Adds a file, or a directory and all below it.
    mutating func add(_ image: InodeImage) throws(TreeError) {
        var pending = [image]
        while let next = pending.popLast() {
            if next.mode >> 12 == 4 {
                directories += 1
                try volume.forEachEntry(of: next) { entry throws(TreeError) in
                    if let child = try volume.image(of: entry) { pending.append(child) }
                    return true
                }
            } else {
                try addFile(next)
            }
        }
    }

    private mutating func addFile(_ image: InodeImage) throws(TreeError) {
        let links = linksFound[image.inode, default: 0] + 1
        if image.isLinked { linksFound[image.inode] = links }
        if links == 1 {
            files += 1
            logicalBytes += image.mode >> 12 == 8 ? image.size : 0
            try count(image)
        }
        // Only with its last name does a file let go of what it owns. In a snapshot nothing does but
        // the whole.
        if links >= image.linkCount, !volume.isSnapshot { try release(image) }
    }

    private func owned(_ image: InodeImage) throws(TreeError) -> [(ChunkName, ChunkDomain)] {
        var names: [(ChunkName, ChunkDomain)] = []
        switch image.content {
        case .chunk(let name): names.append((name, .data))
        case .recipe(let node): names.append((node.name, .recipe))
        case .none, .directory, .target: break
        }
        if case .chunk(let name, _) = image.attributes { names.append((name, .data)) }
        if volume.hasPieces(image) {
            try volume.forEachExtent(of: image) { extent in
                if extent.isPiece, case .data(let name, _, _) = extent.source {
                    names.append((name, .data))
                }
                return true
            }
        }
        return names
    }

    /// Counts the different data chunks below.
    private mutating func count(_ image: InodeImage) throws(TreeError) {
        var pending = try owned(image)
        while let (name, domain) = pending.popLast() {
            if domain == .data {
                meet(name)
            } else if seenNodes.insert(name).inserted {
                meet(name)
                pending += try children(name)
            }
        }
    }

    /// Looks a chunk up at the first meeting, and counts its bytes as part of the files.
    private mutating func meet(_ name: ChunkName) {
        guard owners[name] == nil else { return }
        do throws(MetadataError) {
            guard let bytes = try store.index.get(IndexKey.chunk(name)) else {
                owners[name] = (0, 0)
                return
            }
            let record = try? bytes.withUnsafeBytes { try ChunkRecord($0) }
            let length = UInt64(record?.rawBytes ?? 0)
            owners[name] = (Int64(record?.count ?? 0), length)
            if record?.domain == .data { uniqueBytes += length }
        } catch {
            failure = failure ?? .index(error)
        }
    }

    private mutating func release(_ image: InodeImage) throws(TreeError) {
        var pending = try owned(image)
        while let (name, domain) = pending.popLast() {
            guard let owner = owners[name] else { continue }
            owners[name]?.left -= 1
            guard owner.left == 1 else { continue }
            if domain == .data {
                freedBytes += owner.bytes
            } else {
                pending += try children(name)
            }
        }
    }

    /// What a recipe node owns, each chunk once.
    private func children(_ name: ChunkName) throws(TreeError) -> [(ChunkName, ChunkDomain)] {
        let bytes: [UInt8]
        do throws(StoreError) {
            bytes = try store.bytes(of: name, domain: .recipe)
        } catch {
            throw .storage(node: name)
        }
        do throws(FormatError) {
            let node = try bytes.withUnsafeBufferPointer { (raw) throws(FormatError) in
                try RecipeNode(UnsafeRawBufferPointer(raw))
            }
            switch node {
            case .inner(_, let entries):
                return Set(entries.map(\.child)).map { ($0, .recipe) }
            case .leaf(let extents):
                return Set(
                    extents.compactMap { extent -> ChunkName? in
                        if case .data(let name, _) = extent { name } else { nil }
                    }
                ).map { ($0, .data) }
            }
        } catch {
            throw .format(error, node: name)
        }
    }

    func report(_ path: String) -> Report {
        var report: Report = [
            "path": .name(Array(path.utf8)), "files": .number(files),
            "directories": .number(directories), "logical_bytes": .bytes(logicalBytes),
            "unique_bytes": .bytes(uniqueBytes),
        ]
        if let onlyItsOwn {
            report.add("freed_if_deleted_bytes", .bytes(onlyItsOwn.rawBytes))
            report.add("freed_if_deleted_stored_bytes", .bytes(onlyItsOwn.storedBytes))
        } else if !volume.isSnapshot {
            report.add("shared_bytes", .bytes(uniqueBytes - min(freedBytes, uniqueBytes)))
            report.add("freed_if_deleted_bytes", .bytes(freedBytes))
        }
        return report
    }
}
