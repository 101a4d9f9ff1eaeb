// `ashlar snapshot create --source`: a directory of the machine becomes a snapshot of a store.
import Console
import DiskFormat
import FileModel
import NamespaceIndex
import Pipeline
import Platform
import Streams
import Trees
import Volume

/// Scans a directory into a store that nobody else uses.
struct DirectorySnapshot {
    let store: String
    let volume: String
    var draft: SnapshotDraft

    /// Makes the snapshot, and tells of it.
    func run(_ source: String, _ arguments: ScanArguments, asJSON: Bool) throws {
        let output = Output(program: CommandRunner.programName)
        let path = try StoreAddress(whole: store).path
        let scan = try SourceScan(source, arguments, omitting: [path], on: output)
        Interruption.catchSignals()
        let writable = try Self.open(path)
        var result: (image: SnapshotImage, counts: ScanCounts, bytes: UInt64)
        do {
            result = try make(scan, in: writable.live)
            try writable.close()
        } catch {
            // The first failure is the one to tell.
            try? writable.close()
            throw Self.failure(error, path)
        }
        var report: Report = [
            "snapshot": .text(result.image.name), "volume": .text(volume),
            "source": .name(Array(source.utf8)),
        ]
        report.fields += scan.statistics(result.counts, snapshotBytes: result.bytes).fields
        try output.report(report, asJSON: asJSON)
        try output.flush()
        try scan.checkWhole(result.counts)
    }

    static func open(_ path: String) throws -> WritableStore {
        do {
            return try WritableStore(path, timing: .untouched)
        } catch let failure as CommandFailure where failure.kind == .busy {
            throw CommandFailure(
                .busy, failure.message,
                advice: "A directory is scanned into a store that is not in use: unmount it first.")
        }
    }

    static func failure(_ error: any Error, _ path: String) -> any Error {
        guard let error = error as? StreamError else { return error }
        guard case .cancelled = error else { return CommandFailure(error, store: path) }
        return CommandFailure(
            .interrupted, "ended by a signal: no snapshot was made",
            advice: "What was read is kept in the store; the same command finds it there.")
    }

    private func make(
        _ scan: SourceScan, in live: LiveStore
    ) throws -> (SnapshotImage, ScanCounts, UInt64) {
        let before = try Self.packBytes(live)
        let known = try prepare(live)
        let tag = scan.tag
        do {
            let (root, counts) = try scan.run(
                into: live.store, volume: known.volumeID, named: known.name,
                nextInode: try nextInode(live), base: try base(tag, in: live),
                keep: { () throws(StreamError) in try Self.keep(live) })
            var draft = draft
            draft.tags.append(tag)
            if draft.description.isEmpty { draft.description = scan.description }
            let image = try add(draft, root, to: live)
            return (image, counts, try Self.packBytes(live) - before)
        } catch {
            try? Self.keep(live)
            throw error
        }
    }

    /// Looks whether the snapshot can be made, and gets the store ready: trees and index say the same
    /// from here on, and no checkpoint comes before the snapshot. Returns the volume.
    func prepare(_ live: LiveStore) throws -> VolumeRecord {
        guard let known = try live.store.volumes().map(\.record).first(where: { $0.name == volume })
        else { throw CommandFailure(SnapshotError.noVolume(volume), live) }
        do throws(SnapshotError) {
            try live.checkCanMake(draft, of: volume)
        } catch {
            throw CommandFailure(error, live)
        }
        do throws(FileError) { try live.checkpoint() } catch { throw StreamError.commit(error) }
        return known
    }

    /// Makes durable what was put until now.
    static func keep(_ live: LiveStore) throws(StreamError) {
        do throws(FileError) { try live.keepChunks() } catch { throw .commit(error) }
    }

    func nextInode(_ live: LiveStore) throws(CommandFailure) -> UInt64 {
        do throws(SnapshotError) {
            return try live.nextInode(of: volume)
        } catch {
            throw CommandFailure(error, live)
        }
    }

    func add(
        _ draft: SnapshotDraft, _ root: RootImage, to live: LiveStore
    ) throws(CommandFailure) -> SnapshotImage {
        do throws(SnapshotError) {
            return try live.addSnapshot(draft, of: volume, root: root)
        } catch {
            throw CommandFailure(error, live)
        }
    }

    /// The newest snapshot of the same directory.
    func base(_ tag: String, in live: LiveStore) throws -> ScanBase? {
        let known = try live.snapshots(of: volume).last { $0.tags.contains(tag) }
        guard let known else { return nil }
        // Without it all is read: slower, and as good.
        guard let bytes = try? live.store.bytes(of: known.root, domain: .tree),
            let root = try? bytes.withUnsafeBytes({ try RootImage($0) })
        else { return nil }
        return ScanBase(root, in: live.store)
    }

    private static func packBytes(_ live: LiveStore) throws -> UInt64 {
        try live.store.backend.list(prefix: "packs/").reduce(0) { $0 + $1.size }
    }
}
