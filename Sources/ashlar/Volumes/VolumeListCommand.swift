// `ashlar volume list`: which volumes a store has, and where they are mounted.
import ArgumentParser
import Console
import Control
import DiskFormat
import NamespaceIndex
import Pipeline

/// `ashlar volume list STORE`.
struct VolumeListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the volumes of a store.")

    @Argument(help: "The store.")
    var store: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let volumes = try Self.volumes(of: try StoreAddress(whole: store).path)
        if json {
            try output.report(
                ["volumes": .list(volumes.map { .object($0.report) })], asJSON: true)
        } else {
            for volume in volumes { output.line(volume.line) }
        }
        try output.flush()
    }

    private static func volumes(of store: String) throws -> [ListedVolume] {
        let client = ControlClient(storePath: store)
        guard try client.isAnswered() else {
            let opened = try ReadOnlyStore.open(store)
            defer { try? opened.close() }
            return try ListedVolume.all(of: opened)
        }
        var mountpoints: [String: String] = [:]
        if case .list(let mounts) = try client.call("status")["mounts"] {
            for mount in mounts {
                guard let volume = mount["volume"]?.text else { continue }
                mountpoints[volume] = mount["mountpoint"]?.text
            }
        }
        guard case .list(let items) = try client.call("volume-list")["volumes"] else {
            throw ControlError.badMessage("no list of volumes")
        }
        return try items.map { item throws(ControlError) in
            var volume = try ListedVolume(item)
            volume.mountpoint = mountpoints[volume.name]
            return volume
        }
    }
}

/// A volume as it is listed, and as a daemon tells of it.
struct ListedVolume {
    var name: String
    var identifier: String
    var files: UInt64
    var directories: UInt64
    var others: UInt64
    var logicalBytes: UInt64
    var mountpoint: String?

    /// As of the store's last commit, in the order of their names.
    static func all(of store: ChunkStore) throws(CommandFailure) -> [ListedVolume] {
        do throws(StoreError) {
            return try store.volumes().map { ListedVolume($0.record) }
                .sorted { $0.name < $1.name }
        } catch {
            throw CommandFailure(error, store: store.backend.location)
        }
    }

    private init(_ record: VolumeRecord) {
        name = record.name
        identifier = record.volumeID.description
        files = record.statistics.files
        directories = record.statistics.directories
        others = record.statistics.others
        logicalBytes = record.statistics.logicalBytes
    }

    /// From a daemon's answer.
    init(_ value: JSONValue) throws(ControlError) {
        guard let name = value["name"]?.text, let identifier = value["volume_id"]?.text else {
            throw .badMessage("a volume without name or id")
        }
        self.name = name
        self.identifier = identifier
        func number(_ key: String) -> UInt64 { UInt64(clamping: value[key]?.integer ?? 0) }
        files = number("files")
        directories = number("directories")
        others = number("others")
        logicalBytes = number("logical_bytes")
    }

    var answer: JSONValue {
        .object([
            "name": .text(name), "volume_id": .text(identifier),
            "files": .integer(Int64(clamping: files)),
            "directories": .integer(Int64(clamping: directories)),
            "others": .integer(Int64(clamping: others)),
            "logical_bytes": .integer(Int64(clamping: logicalBytes)),
        ])
    }

    var report: Report {
        [
            "name": .text(name), "volume_id": .text(identifier), "files": .number(files),
            "directories": .number(directories), "others": .number(others),
            "logical_bytes": .bytes(logicalBytes),
            "mountpoint": mountpoint.map { .name(Array($0.utf8)) } ?? .none,
        ]
    }

    var line: String {
        let place = mountpoint.map { ", mounted on \(DisplayText.escaped($0.utf8))" } ?? ""
        return "\(name): \(files) files, \(directories) directories, "
            + "\(ByteSize.text(logicalBytes))\(place)"
    }
}
