// `ashlar stream diff`: what differs between any two trees, told or written to a file.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Glibc
import Pipeline
import Platform
import Queries
import Streams
import Trees
import Volume

/// `ashlar stream diff --base A --target B [--output C.diff]`.
struct StreamDifferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what differs between any two of directories, snapshots, volumes and files.",
        discussion: """
            Each is a directory, STORE@SNAPSHOT, STORE for the volume as it is now, or a .snap file. \
            Trees of stores and files that are equal are not opened; of a directory, what is as the \
            other side has it by size, times and inode number is not read, but with --verify. \
            Differences are told as by "ashlar diff", with the same options; what --exclude leaves out \
            neither side has. With --output they are written to a file, complete in itself, that \
            "ashlar apply" makes one side of the other with. For instance:

              ashlar stream diff --base monday.snap --target /srv/www
              ashlar stream diff -M --base old.snap --target /usr --pattern '*.so*' lib share
              ashlar stream diff --base /srv/store@one --target /srv/store@two --output two.diff

            Exit codes: 0 nothing differs, 1 something does, 2 trouble.
            """)

    @Option(help: ArgumentHelp("The first.", valueName: "place"))
    var base: String

    @Option(help: ArgumentHelp("The second.", valueName: "place"))
    var target: String

    @Option(help: ArgumentHelp("Write the differences to this file.", valueName: "file"))
    var output: String?

    @Flag(help: "With --output: leave out content that only the first has; no way back then.")
    var oneWay = false

    @Argument(help: "Paths: only what is at or below one of them.")
    var paths: [String] = []

    @Flag(help: "Say nothing, and end at the first difference.")
    var quick = false

    @Option(help: ArgumentHelp("The volume, of stores.", valueName: "name"))
    var volume = "main"

    @OptionGroup var filter: DifferenceFilter

    @OptionGroup var scan: ScanArguments

    @OptionGroup var form: DifferenceForm

    func validate() throws {
        if output != nil, quick || filter.isGiven || filter.findRenames || !paths.isEmpty {
            throw ValidationError("--output takes all differences, but what --exclude leaves out.")
        }
        if output == nil, oneWay { throw ValidationError("--one-way goes with --output.") }
    }

    func run() throws {
        let console = Output(program: CommandRunner.programName)
        let differs: Bool
        do {
            Interruption.catchSignals()
            differs = try compare(console)
            try console.flush()
        } catch {
            console.report(CommandFailure(anyError: error))
            throw ExitCode(2)
        }
        if differs { throw ExitCode(1) }
    }

    private func compare(_ console: Output) throws -> Bool {
        let telling = DifferenceTelling(
            filter: filter, rules: try scan.excludes.rules(), paths: paths, isQuick: quick,
            form: try form.chosen(), output: console)
        let scratch = output ?? Self.scratch()
        let old = try ComparedPlace(base, volume: volume)
        let new = try ComparedPlace(target, volume: volume)
        let comparison = try Comparison(
            old, new, scan, below: paths, scratch: scratch, on: console)
        defer { comparison.end() }
        guard let output else {
            return try telling.run(
                comparison.old.volume, comparison.new.volume, called: "\(base), \(target)")
        }
        let file = DifferenceFile(
            output: output, isOneWay: oneWay, remainder: DifferenceRemainder(telling.rules))
        let made = try file.write(comparison)
        try console.report(made.report, asJSON: telling.form == .json)
        return made.count > 0
    }

    private static func scratch() -> String {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        return folder + "/ashlar-diff-" + String(randomUInt64(), radix: 16)
    }
}

/// A `.diff` file that is to be.
struct DifferenceFile {
    /// What was written.
    struct Made {
        var counts: [String: UInt64] = [:]
        var bytes: UInt64 = 0
        var output: String

        var count: UInt64 { counts.values.reduce(0, +) }

        var report: Report {
            [
                "difference": .name(Array(output.utf8)), "added": .number(counts["added"] ?? 0),
                "deleted": .number(counts["deleted"] ?? 0),
                "modified": .number(counts["modified"] ?? 0), "size": .bytes(bytes),
            ]
        }
    }

    let output: String
    let isOneWay: Bool
    /// What is not left out.
    let remainder: DifferenceRemainder

    /// Writes the differences of two sides, whose content must be there.
    func write(_ comparison: Comparison) throws -> Made {
        try check(comparison)
        let work = try WorkStore(for: output, like: comparison.old.volume.parameters)
        var made = Made(output: output)
        do {
            try fill(work, comparison, &made)
        } catch {
            work.abandon(isKept: false)
            if let error = error as? StreamError {
                throw CommandFailure(error, store: output)
            }
            throw error
        }
        let head = StreamHead(
            kind: .difference, flags: isOneWay ? [.content, .oneWay] : .content,
            time: WorkStore.now())
        made.bytes = try work.finish(head)
        return made
    }

    private func check(_ comparison: Comparison) throws(CommandFailure) {
        for (side, isNeeded) in [(comparison.old, !isOneWay), (comparison.new, true)] {
            guard isNeeded, case .none = side.content else { continue }
            throw CommandFailure(
                .usage, "a snapshot without content does not make a difference that can be applied",
                advice: "ashlar stream snapshot --content makes one with it.")
        }
    }

    private func fill(
        _ work: WorkStore, _ comparison: Comparison, _ made: inout Made
    ) throws {
        let live = work.live
        var making = try DifferenceMaking(
            from: comparison.old, to: comparison.new, isOneWay: isOneWay, in: live.store,
            nextInode: try live.nextInode(of: WorkStore.volumeName),
            isCancelled: { Interruption.signal != nil },
            keep: { () throws(StreamError) in try StreamJob.keep(live) })
        let shared = try SharedFiles(
            from: comparison.old.volume, to: comparison.new.volume,
            isCancelled: { Interruption.signal != nil })
        var difference = try VolumeDifference(
            from: comparison.old.volume, to: comparison.new.volume, shared: shared)
        while let next = try difference.next() {
            try Interruption.check()
            guard let found = remainder.of(next) else { continue }
            if let old = found.old, let new = found.new, found.aspects.isSubset(of: .links) {
                try making.addUntouched(found.path, old: old, new: new)
                if found.aspects.isEmpty { continue }
                made.counts["modified", default: 0] += 1
                continue
            }
            let word = found.old == nil ? "added" : found.new == nil ? "deleted" : "modified"
            made.counts[word, default: 0] += 1
            try making.add(found.path, old: found.old, new: found.new)
        }
        let roots = try making.finish(
            volumeID: try work.volumeID(), volumeName: WorkStore.volumeName)
        for (name, root) in [(StreamFile.baseName, roots.old), (StreamFile.targetName, roots.new)] {
            _ = try live.addSnapshot(
                SnapshotDraft(name: name), of: WorkStore.volumeName, root: root)
        }
    }
}
