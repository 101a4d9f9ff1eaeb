// `ashlar stats`: what a store holds and what it saves.
import ArgumentParser
import Backends
import Console
import Control
import DiskFormat
import Pipeline
import Platform

/// Shows the figures of a store; those of a mounted one are its daemon's.
struct StatisticsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show what a store holds and what it saves.")

    @Argument(help: "The store, or a mountpoint.")
    var store: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        guard try StoreAddress(store).snapshot == nil else {
            throw CommandFailure(
                .usage, "the figures are the store's: leave out what follows the @",
                advice: "ashlar du tells what a snapshot takes.")
        }
        let address = try StorePlace(store).address
        let client = ControlClient(storePath: address.path)
        if try client.isAnswered() {
            let result = try client.call("statistics", [:])
            if json {
                output.bytes(Array((result["json"]?.text ?? "").utf8))
            } else {
                if case .list(let lines) = result["lines"] {
                    for line in lines { output.line(line.text ?? "") }
                }
            }
        } else {
            let store = try ReadOnlyStore.open(address.path)
            defer { try? store.close() }
            try output.report(try StatisticsReport.make(store), asJSON: json)
        }
        try output.flush()
    }
}

/// A store opened for looking at its index: what the index does not know yet is replayed in memory.
enum ReadOnlyStore {
    static func open(_ path: String) throws -> ChunkStore {
        let backend = try PackFolder(path: path).backend
        var options = StoreOptions()
        options.isReadOnly = true
        options.memoryBytes = 128 << 20
        do throws(StoreError) {
            return try ChunkStore.open(
                backend, index: RocksIndexProvider(path: StoreLayout.index(of: path)),
                options: options)
        } catch {
            throw CommandFailure(error, store: path)
        }
    }
}

/// The figures, by the names that people script against.
enum StatisticsReport {
    static func make(_ store: ChunkStore) throws -> Report {
        let figures = try store.statistics()
        let volumes = try store.volumes()
        var files: UInt64 = 0
        var directories: UInt64 = 0
        var others: UInt64 = 0
        var logical: UInt64 = 0
        for (_, record) in volumes {
            files += record.statistics.files
            directories += record.statistics.directories
            others += record.statistics.others
            logical += record.statistics.logicalBytes
        }
        let packBytes = try store.backend.list(prefix: "packs/").reduce(0) { $0 + $1.size }
        let alive = figures.uniqueBytes - min(figures.deadBytes, figures.uniqueBytes)
        return [
            "store": .name(Array(store.backend.location.utf8)),
            "logical_bytes": .bytes(logical), "unique_bytes": .bytes(alive),
            "stored_bytes": .bytes(packBytes),
            "dedup_ratio": .ratio(ratio(logical, alive)),
            "compression_ratio": .ratio(ratio(figures.uniqueBytes, figures.storedBytes)),
            "total_ratio": .ratio(ratio(logical, packBytes)), "files": .number(files),
            "directories": .number(directories), "others": .number(others),
            "volumes": .number(UInt64(volumes.count)),
            "snapshots": .number(UInt64(store.snapshots.count)),
            "chunks": .number(figures.chunks),
            "super_chunks": .number(figures.superChunks), "packs": .number(figures.packs),
            "dead_bytes": .bytes(figures.deadBytes), "dead_chunks": .number(figures.deadChunks),
            "index_bytes": .bytes(figures.indexStoredBytes),
        ]
    }

    private static func ratio(_ a: UInt64, _ b: UInt64) -> Double {
        b == 0 ? 1 : Double(a) / Double(b)
    }
}
