// `ashlar snapshot create --source`: a directory of the machine becomes a snapshot of a store.
import Console
import DiskFormat
import Glibc
import Platform
import Streams
import Volume

/// Has a directory scanned into a store, mounted or not.
struct DirectorySnapshot {
    let store: String
    let volume: String
    var draft: SnapshotDraft

    /// Makes the snapshot, and tells of it.
    func run(_ source: String, _ arguments: ScanArguments, asJSON: Bool) throws {
        let output = Output(program: CommandRunner.programName)
        let path = try StoreAddress(whole: store).path
        let scan = try SourceScan(source, arguments, omitting: [path], on: output)
        let job = try job(scan, arguments)
        let progress = Progress("scanning", on: output)
        let total = try scan.size(progress)
        let began = monotonicNanoseconds()
        var events = StreamJob.Events()
        events.isCancelled = { Interruption.signal != nil }
        // The job tells on one thread.
        nonisolated(unsafe) let teller = (output: output, progress: progress)
        events.onProblem = { teller.output.message($0) }
        if !arguments.noProgress {
            events.onProgress = {
                SourceScan.show($0, $1, total, since: began, on: teller.progress)
            }
        }
        let outcome = try job.run(onStoreAt: path, events)
        progress.finish()
        var report: Report = [
            "snapshot": .text(outcome.snapshot.name), "volume": .text(volume),
            "source": .name(Array(source.utf8)),
        ]
        report.fields +=
            scan.statistics(outcome.counts, snapshotBytes: outcome.storedBytes).fields
        try output.report(report, asJSON: asJSON)
        try output.flush()
        try scan.checkWhole(outcome.counts)
    }

    private func job(_ scan: SourceScan, _ arguments: ScanArguments) throws -> StreamJob {
        let facts: FileFacts
        do throws(Errno) {
            facts = try scan.directory.facts()
        } catch {
            throw CommandFailure(error, DisplayText.escaped(scan.source.utf8))
        }
        var job = StreamJob(volume: volume, name: draft.name)
        job.description = draft.description.isEmpty ? scan.description : draft.description
        job.tags = draft.tags + [scan.tag]
        job.isPinned = draft.isPinned
        job.scan = StreamJob.Scan(
            source: scan.realPath, device: facts.device, inode: facts.inode,
            arguments: try arguments.sent(), sourceTag: scan.tag)
        return job
    }
}
