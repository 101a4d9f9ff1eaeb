// What a check found, as fsck.ashlar and a daemon that checks itself both tell it.
import Checking
import DiskFormat

/// The result of a check, ready to be shown or sent: text, JSON, and fsck(8)'s exit code.
public struct CheckAnswer: Codable, Equatable, Sendable {
    /// For people, without the line feeds.
    public var lines: [String]
    /// The report as one JSON object.
    public var json: String
    /// As fsck(8) gives it: 0, or 4 where errors are left.
    public var exitCode: Int32

    /// From its parts: for programs that do more than check.
    public init(lines: [String], json: String, exitCode: Int32) {
        self.lines = lines
        self.json = json
        self.exitCode = exitCode
    }

    /// Of a report; nothing was repaired.
    ///
    /// - Parameter isVerbose: also what is merely worth knowing, and all listed paths.
    public init(_ report: CheckReport, isVerbose: Bool) throws(CommandFailure) {
        lines = Self.lines(report, isVerbose: isVerbose)
        json = try Self.report(report).json()
        exitCode = Self.exitCode(report).rawValue
    }

    /// Information, such as a log that waits to be replayed, is no error.
    static func exitCode(_ report: CheckReport) -> CheckExitCode {
        let isBad = report.problemsNotListed > 0 || (report.worst ?? .information) > .information
        return isBad ? .errorsLeft : []
    }
}

// MARK: text

extension CheckAnswer {
    /// Paths shown with each problem unless asked for more.
    public static let pathsShown = 10

    static func lines(_ report: CheckReport, isVerbose: Bool) -> [String] {
        var lines: [String] = []
        let known = report.problems.filter { $0.isKnownLoss }
        for problem in report.problems where isVerbose || !problem.isKnownLoss {
            lines += Self.lines(problem, isVerbose: isVerbose)
        }
        if !isVerbose, !known.isEmpty { lines += knownLosses(known) }
        if report.problemsNotListed > 0 {
            lines.append("and \(report.problemsNotListed) more problems")
        }
        if isVerbose { lines += summary(report.summary).textLines() }
        return lines + [verdict(report)]
    }

    /// The last line: what it all means.
    static func verdict(_ report: CheckReport) -> String {
        let count =
            UInt64(report.problems.filter { $0.severity > .information }.count)
            + report.problemsNotListed
        let summary = report.summary
        let size =
            "\(summary.packs) packs, \(summary.chunks) chunks, \(ByteSize.text(summary.packBytes))"
        if count == 0 { return "clean: \(size)" }
        let word = report.worst == .loss ? "content is lost" : "no content is lost"
        return "\(count) problem\(count == 1 ? "" : "s"), \(word): \(size)"
    }

    /// What a repair has marked as lost, in short: it is no news.
    private static func knownLosses(_ problems: [Problem]) -> [String] {
        var seen: Set<Problem.Path> = []
        let paths = problems.flatMap(\.paths).filter { seen.insert($0).inserted }
        let count = problems.count
        var lines = [
            "information: known to be lost: \(count) chunk\(count == 1 ? "" : "s")",
            "  affects \(paths.count) listed path\(paths.count == 1 ? "" : "s"):",
        ]
        lines += paths.prefix(pathsShown).map {
            "    \($0.volume):\(DisplayText.escaped($0.bytes))"
        }
        if paths.count > pathsShown { lines.append("    and \(paths.count - pathsShown) more") }
        return lines + [
            "  next: Restore the listed files: from copies by --heal, or by writing them again."
        ]
    }

    private static func lines(_ problem: Problem, isVerbose: Bool) -> [String] {
        var lines = [
            "\(problem.severity.label): \(problem.kind.label): \(place(problem.place))"
        ]
        if !problem.detail.isEmpty {
            lines.append("  \(DisplayText.escaped(problem.detail.utf8))")
        }
        if problem.pathCount > 0 {
            lines.append("  affects \(problem.pathCount) path\(problem.pathCount == 1 ? "" : "s"):")
            let shown = isVerbose ? problem.paths : Array(problem.paths.prefix(pathsShown))
            lines += shown.map { "    \($0.volume):\(DisplayText.escaped($0.bytes))" }
            let hidden = problem.pathCount - UInt64(shown.count)
            if hidden > 0 { lines.append("    and \(hidden) more") }
        }
        lines.append("  next: \(problem.advice)")
        return lines
    }

    private static func place(_ place: Problem.Place) -> String {
        switch place {
        case .store: "the store"
        case .file(let name): "file \(DisplayText.escaped(name.utf8))"
        case .pack(let pack): "pack \(pack)"
        case .range(let pack, let range):
            "pack \(pack), bytes \(range.lowerBound) to \(range.upperBound)"
        case .record(let pack, let offset): "pack \(pack), offset \(offset)"
        case .frame(let pack, let offset, let frame):
            "pack \(pack), offset \(offset), frame \(frame)"
        case .commit(let epoch, let sequence): "commit \(sequence) of epoch \(epoch)"
        case .chunk(let name): "chunk \(name)"
        case .volume(let id): "volume \(id)"
        case .inode(_, let inode): "inode \(inode)"
        case .name(_, let directory, let name):
            "name \(DisplayText.escaped(name)) in directory \(directory)"
        case .index: "the index"
        }
    }
}

extension Problem {
    /// Whether a repair has marked it as lost before.
    var isKnownLoss: Bool { kind == .chunkMissing && severity == .information }
}

extension Problem.Severity {
    /// In a word, for text and JSON.
    public var label: String {
        switch self {
        case .information: "information"
        case .warning: "warning"
        case .damage: "damage"
        case .loss: "loss"
        }
    }
}

extension Problem.Kind {
    /// `frameDamaged` as `frame-damaged`: for text and JSON.
    public var label: String {
        var result = ""
        for character in rawValue {
            if character.isUppercase { result.append("-") }
            result.append(character.lowercased())
        }
        return result
    }
}

extension CheckDepth {
    /// As on the command line.
    public var label: String {
        switch self {
        case .quick: "quick"
        case .full: "full"
        case .deep: "deep"
        }
    }

    /// From `label`'s form.
    public init?(label: String) {
        switch label {
        case "quick": self = .quick
        case "full": self = .full
        case "deep": self = .deep
        default: return nil
        }
    }
}

// MARK: JSON

extension CheckAnswer {
    /// A check's report for JSON.
    public static func report(_ report: CheckReport) -> Report {
        [
            "verdict": .text(report.worst.map(\.label) ?? "clean"),
            "exit_code": .number(UInt64(exitCode(report).rawValue)),
            "summary": .object(summary(report.summary)),
            "problems": .list(report.problems.map { .object(problem($0)) }),
            "problems_not_listed": .number(report.problemsNotListed),
        ]
    }

    static func summary(_ summary: CheckReport.Summary) -> Report {
        let volumes = summary.volumes.map { volume in
            [
                ReportValue.text(volume.name), .text(volume.id.description),
                .number(volume.files), .number(volume.directories), .number(volume.others),
                .bytes(volume.logicalBytes), .number(volume.linkedInodes),
                .number(volume.orphans),
            ]
        }
        return [
            "store_id": .text(summary.storeID.description), "depth": .text(summary.depth.label),
            "packs": .number(UInt64(summary.packs)), "pack_bytes": .bytes(summary.packBytes),
            "records": .number(summary.records), "commits": .number(summary.commits),
            "epoch": .number(summary.epoch), "sequence": .number(summary.sequence),
            "commits_to_replay": .number(summary.commitsToReplay),
            "chunks": .number(summary.chunks), "chunk_copies": .number(summary.chunkCopies),
            "chunk_bytes": .bytes(summary.chunkBytes),
            "unowned_chunks": .number(summary.unownedChunks),
            "unowned_bytes": .bytes(summary.unownedBytes),
            "single_copy_nodes": .number(summary.singleCopyNodes),
            "verified_bytes": .bytes(summary.verifiedBytes),
            "snapshots": .number(summary.snapshots),
            "snapshot_nodes": .number(summary.snapshotNodes),
            "volumes": .table(
                ReportTable(
                    columns: [
                        "name", "id", "files", "directories", "others", "logical_bytes",
                        "linked_inodes", "orphans",
                    ], rows: volumes)),
        ]
    }

    private static func problem(_ problem: Problem) -> Report {
        [
            "kind": .text(problem.kind.label), "severity": .text(problem.severity.label),
            "place": .object(placeFields(problem.place)), "where": .text(place(problem.place)),
            "detail": .text(problem.detail), "advice": .text(problem.advice),
            "path_count": .number(problem.pathCount),
            "paths": .list(
                problem.paths.map {
                    .object(["volume": .text($0.volume), "path": .name($0.bytes)])
                }),
        ]
    }

    private static func placeFields(_ place: Problem.Place) -> Report {
        switch place {
        case .store, .index: [:]
        case .file(let name): ["file": .text(name)]
        case .pack(let pack): ["pack": .text(pack.description)]
        case .range(let pack, let range):
            [
                "pack": .text(pack.description), "from": .number(range.lowerBound),
                "to": .number(range.upperBound),
            ]
        case .record(let pack, let offset):
            ["pack": .text(pack.description), "offset": .number(offset)]
        case .frame(let pack, let offset, let frame):
            [
                "pack": .text(pack.description), "offset": .number(offset),
                "frame": .number(UInt64(frame)),
            ]
        case .commit(let epoch, let sequence):
            ["epoch": .number(epoch), "sequence": .number(sequence)]
        case .chunk(let name): ["chunk": .text(name.hexadecimal)]
        case .volume(let id): ["volume_id": .text(id.description)]
        case .inode(let volume, let inode):
            ["volume_id": .text(volume.description), "inode": .number(inode)]
        case .name(let volume, let directory, let name):
            [
                "volume_id": .text(volume.description), "directory": .number(directory),
                "name": .name(name),
            ]
        }
    }
}
