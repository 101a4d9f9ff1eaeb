// A directory scanned into a store, with what is said meanwhile and at the end.
import Console
import Control
import DiskFormat
import FileModel
import Glibc
import Hashing
import Pipeline
import Platform
import Streams
import Trees
import Volume

/// One scan on behalf of a command.
struct SourceScan {
    /// As it was given.
    let source: String
    let arguments: ScanArguments
    var options: ScanOptions
    let output: Output
    /// False: keys alone.
    var keepsContent = true
    let directory: OpenDirectory
    private let began = monotonicNanoseconds()

    init(
        _ source: String, _ arguments: ScanArguments, omitting omitted: [String],
        files: [String] = [], on output: Output
    ) throws {
        self.source = source
        self.arguments = arguments
        self.output = output
        options = try arguments.options(omitting: omitted, files: files)
        do throws(Errno) {
            directory = try OpenDirectory(path: source)
        } catch {
            throw CommandFailure(error, "cannot open \(DisplayText.escaped(source.utf8))")
        }
        raiseDescriptorLimit()
    }

    static let tagPrefix = "source-"

    /// What the snapshot is of.
    var description: String {
        let text = "of \(DisplayText.escaped(source.utf8))"
        return SnapshotImage.isAcceptable(description: text) ? text : ""
    }

    /// The source without symbolic links.
    var realPath: String { MountTable.realPath(source) ?? source }

    /// The tag of snapshots of the same directory: by its real path.
    var tag: String {
        let hasher = try? ChunkHasher(.sha256)
        let name = Array(realPath.utf8).withUnsafeBytes { hasher?.name(of: $0, domain: .data) }
        return Self.tagPrefix + (name?.hexadecimal.prefix(16) ?? "")
    }

    /// Scans.
    ///
    /// - Parameter keep: makes durable what was put until now.
    func run(
        into store: ChunkStore, volume: UniqueID, named name: String, nextInode: UInt64,
        base: ScanBase?, keep: @escaping () throws(StreamError) -> Void
    ) throws -> (root: RootImage, counts: ScanCounts) {
        let progress = Progress("scanning", on: output)
        let total = try size(progress)
        var events = DirectoryScan.Events()
        events.onProblem = { [output] in output.message($0.text) }
        events.keep = keep
        let began = monotonicNanoseconds()
        if !arguments.noProgress {
            events.onProgress = { counts, path in
                Self.show(counts, path, total, since: began, on: progress)
            }
        }
        let scan = try DirectoryScan(
            into: store, keepsContent: keepsContent, nextInode: nextInode, base: base,
            options: options, events: events, isCancelled: { Interruption.signal != nil })
        defer { progress.finish() }
        let root = try scan.run(directory, volumeID: volume, volumeName: name)
        return (root, scan.counts)
    }

    /// What there is, where somebody sees percentages.
    func size(_ progress: Progress) throws -> ScanSizing? {
        guard output.showsProgress, !arguments.noProgress else { return nil }
        var sizing = ScanSizing()
        let isWhole = sizing.run(
            directory, options, isCancelled: { Interruption.signal != nil },
            onProgress: { sizing in
                let bytes = ByteSize.text(sizing.logicalBytes)
                progress.update("\(sizing.entries) files, \(bytes) so far")
            })
        guard isWhole else { throw StreamError.cancelled }
        return sizing
    }

    static func show(
        _ counts: ScanCounts, _ path: [UInt8], _ total: ScanSizing?, since began: UInt64,
        on progress: Progress
    ) {
        let seconds = max(0.001, Double(monotonicNanoseconds() - began) / 1e9)
        let rate = UInt64(Double(counts.entries) / seconds)
        progress.update(
            doneBytes: counts.unchangedBytes + counts.readBytes, totalBytes: total?.logicalBytes,
            detail: "\(counts.entries) files  \(rate)/s  \(DisplayText.escaped(path.suffix(40)))")
    }

    // MARK: the end

    /// Fields of a report: what was scanned, what it took, how fast.
    func statistics(_ counts: ScanCounts, snapshotBytes: UInt64) -> Report {
        let seconds = max(1e-6, Double(monotonicNanoseconds() - began) / 1e9)
        var report: Report = [
            "files_processed": .number(counts.entries), "files": .number(counts.files),
            "directories": .number(counts.directories), "others": .number(counts.others),
            "unchanged_files": .number(counts.unchangedFiles),
            "data_size": .bytes(counts.logicalBytes), "read": .bytes(counts.readBytes),
            "snapshot_size": .bytes(snapshotBytes),
        ]
        if snapshotBytes > 0 {
            report.add("ratio", .ratio(Double(counts.logicalBytes) / Double(snapshotBytes)))
        }
        report.add("elapsed_seconds", .ratio(seconds))
        report.add("files_per_second", .number(UInt64(Double(counts.entries) / seconds)))
        report.add(
            "bytes_per_second", .bytes(UInt64(Double(counts.logicalBytes) / seconds)))
        report.add("excluded", .number(counts.excluded))
        report.add("skipped", .number(counts.skipped))
        report.add("changed_while_read", .number(counts.changedFiles))
        return report
    }

    /// Ends a command whose snapshot lacks files.
    func checkWhole(_ counts: ScanCounts) throws(CommandFailure) {
        guard counts.skipped > 0 else { return }
        throw CommandFailure(
            .system, "the snapshot was made without \(counts.skipped) files that could not be read",
            advice: "They are named above; --on-error stop makes none without them.")
    }
}

extension ScanProblem {
    /// For people.
    var text: String {
        let shown = path.isEmpty ? "." : DisplayText.escaped(path)
        switch kind {
        case .failed(let what, let reason): return "\(shown): cannot \(what) it: \(reason)"
        case .changed: return "\(shown): it changed while it was read"
        case .attributes:
            let most = DiskFormat.attributeBytesMax
            return "\(shown): its extended attributes are longer than \(most) bytes"
        }
    }
}

extension CommandFailure {
    /// Why a scan has no result.
    init(_ error: StreamError, store: String) {
        switch error {
        case .cancelled: self.init(.interrupted, "ended by a signal")
        case .source(let problem): self.init(.system, problem.text)
        case .store(let inner): self.init(inner, store: store)
        case .tree(let inner): self.init(tree: inner, what: DisplayText.escaped(store.utf8))
        case .commit(let inner):
            self.init(.system, "\(DisplayText.escaped(store.utf8)): cannot commit: \(inner)")
        case .threads(let inner): self.init(inner, "cannot start threads")
        }
    }
}
