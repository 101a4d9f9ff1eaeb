// A snapshot as commands and daemons tell of it.
import Console
import DiskFormat
import Pipeline

/// What is told of a snapshot; as it goes over the socket.
struct ListedSnapshot: Codable, Equatable {
    var name: String
    var identifier: String
    var volume: String
    var seconds: Int64
    var nanoseconds: UInt32
    var epoch: UInt64
    var sequence: UInt64
    var root: String
    var isPinned: Bool
    var description: String
    var tags: [String]
    var files: UInt64
    var directories: UInt64
    var others: UInt64
    var logicalBytes: UInt64

    init(_ image: SnapshotImage, volume: String) {
        name = image.name
        identifier = image.id.description
        self.volume = volume
        seconds = image.time.seconds
        nanoseconds = image.time.nanoseconds
        epoch = image.epoch
        sequence = image.sequence
        root = image.root.description
        isPinned = image.isPinned
        description = image.description
        tags = image.tags
        files = image.statistics.files
        directories = image.statistics.directories
        others = image.statistics.others
        logicalBytes = image.statistics.logicalBytes
    }

    /// All of a store, or of one volume: by volume, then in the order of their making.
    static func all(
        of store: ChunkStore, volume: String?
    ) throws(CommandFailure) -> [ListedSnapshot] {
        var names: [UniqueID: String] = [:]
        do throws(StoreError) {
            for (_, record) in try store.volumes() { names[record.volumeID] = record.name }
        } catch {
            throw CommandFailure(error, store: store.backend.location)
        }
        if let volume, !names.values.contains(volume) {
            throw CommandFailure(
                .notFound, "the store has no volume \(DisplayText.escaped(volume.utf8))",
                advice: "It has: \(names.values.sorted().joined(separator: ", ")).")
        }
        return store.snapshots.values.map {
            ListedSnapshot($0, volume: names[$0.volumeID] ?? $0.volumeID.description)
        }.filter { volume == nil || $0.volume == volume }.sorted {
            ($0.volume, $0.epoch, $0.sequence, $0.name) < (
                $1.volume, $1.epoch, $1.sequence, $1.name
            )
        }
    }

    var report: Report {
        [
            "name": .text(name), "volume": .text(volume), "time": .time(seconds, nanoseconds),
            "files": .number(files), "directories": .number(directories),
            "others": .number(others), "logical_bytes": .bytes(logicalBytes),
            "pinned": .flag(isPinned), "tags": .list(tags.map { .text($0) }),
            "description": description.isEmpty ? .none : .name(Array(description.utf8)),
            "snapshot_id": .text(identifier), "epoch": .number(epoch),
            "sequence": .number(sequence), "root": .text(root),
        ]
    }

    /// One line of a list.
    static let columns = ["name", "volume", "time", "files", "logical_bytes", "pinned", "tags"]

    var row: [ReportValue] {
        [
            .text(name), .text(volume), .time(seconds, 0), .number(files), .bytes(logicalBytes),
            .flag(isPinned), .text(tags.joined(separator: ",")),
        ]
    }
}
