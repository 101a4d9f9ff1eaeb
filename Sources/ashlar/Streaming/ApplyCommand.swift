// `ashlar apply`: one side of a difference becomes the other.
import ArgumentParser
import Checking
import Console
import Control
import DiskFormat
import Glibc
import Platform
import Queries
import Streams
import Trees

/// `ashlar apply DIRECTORY FILE.diff`, `ashlar apply STORE@SNAPSHOT FILE.diff --name NEW`.
struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make of a directory, or of a snapshot, what a difference says.",
        discussion: """
            The directory must have, wherever the difference touches it, what the first side had: content \
            is read, and everything is compared before anything is changed. What is changed appears \
            whole under its name; an interrupted command is finished by repeating it. Files that the \
            difference does not name stay as they are. For instance, to there and back:

              ashlar stream diff --base old --target new --output new.diff
              ashlar apply old new.diff
              ashlar apply --reverse old new.diff

            Of a snapshot another one is made, in the same store, whose volumes may be mounted and in \
            use; "ashlar snapshot clone" makes a volume of it:

              ashlar apply /srv/store@monday tuesday.diff --name tuesday

            Exit codes: 1 also where the directory is not what the difference begins with.
            """)

    @Argument(help: "The directory, or STORE@SNAPSHOT.")
    var directory: String

    @Argument(help: "The difference, as \"ashlar stream diff --output\" writes it.")
    var file: String

    @Option(
        help: ArgumentHelp("Of STORE@SNAPSHOT: what the new snapshot is called.", valueName: "name")
    )
    var name: String?

    @Option(help: ArgumentHelp("Of STORE@SNAPSHOT: the volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Make the first side of the second.")
    var reverse = false

    @Flag(
        name: [.customShort("n"), .long], help: "Compare everything, and change nothing.")
    var dryRun = false

    @Flag(help: "Show no progress.")
    var noProgress = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let address = try StoreAddress(directory)
        if address.snapshot != nil { return try makeSnapshot(of: address, output) }
        guard name == nil else {
            throw CommandFailure(.usage, "--name goes with STORE@SNAPSHOT")
        }
        if access(directory + "/packs", F_OK) == 0 {
            throw CommandFailure(
                .usage, "\(DisplayText.escaped(directory.utf8)) is a store",
                advice: "Name a snapshot of it (STORE@SNAPSHOT), or a directory of its mount.")
        }
        let (old, new) = try Self.sides(of: file, isReverse: reverse, isVerified: true)
        let root: OpenDirectory
        do throws(Errno) {
            root = try OpenDirectory(path: directory)
        } catch {
            throw CommandFailure(error, "cannot open \(DisplayText.escaped(directory.utf8))")
        }
        Interruption.catchSignals()
        raiseDescriptorLimit()
        let work: DifferenceApplication
        do throws(StreamError) {
            work = try DifferenceApplication(
                root, from: old, to: new, isCancelled: { Interruption.signal != nil })
        } catch {
            throw CommandFailure(error, store: file)
        }
        do throws(ApplyError) {
            try work.check(try Self.source(old, new))
        } catch {
            throw CommandFailure(error, file: file, hasBegun: false)
        }
        if !dryRun { try apply(work, old, new, output) }
        let report: Report = [
            "directory": .name(Array(directory.utf8)), "differences": .number(work.count),
            "done_before": .number(work.doneBefore), "changed": .flag(!dryRun),
        ]
        try output.report(report, asJSON: json)
        try output.flush()
    }

    private func makeSnapshot(of address: StoreAddress, _ output: Output) throws {
        guard dryRun || name != nil else {
            throw CommandFailure(
                .usage, "give the new snapshot a name: --name",
                advice: "A snapshot is never changed: what comes of it is another one.")
        }
        guard let real = MountTable.realPath(file) else {
            throw CommandFailure(
                .notFound, "there is no file \(DisplayText.escaped(file.utf8))")
        }
        let work = SnapshotApply(file: real, base: address.snapshot ?? "", isReverse: reverse)
        var report: Report = ["store": .name(Array(address.path.utf8))]
        if dryRun {
            Interruption.catchSignals()
            _ = try Self.sides(of: file, isReverse: reverse, isVerified: true)
            let count = try work.compare(in: address, volume: volume)
            report.add("differences", .number(count))
        } else {
            let outcome = try make(work, in: address.path, output)
            report.add("differences", .number(outcome.counts.entries))
            report.add("snapshot", .text("\(volume)@\(outcome.snapshot.name)"))
        }
        try output.report(report, asJSON: json)
        try output.flush()
    }

    private func make(
        _ work: SnapshotApply, in store: String, _ output: Output
    ) throws -> StreamJob.Outcome {
        // A signal ends this process, also while it waits for a daemon.
        let (old, new) = try Self.sides(of: file, isReverse: reverse, isVerified: true)
        let source = try Self.source(old, new)
        var total: UInt64 = 0
        while try source() != nil { total += 1 }
        var job = StreamJob(volume: volume, name: name ?? "")
        let text = "\(work.base) with \(DisplayText.escaped(file.utf8))"
        if SnapshotImage.isAcceptable(description: text) { job.description = text }
        job.difference = work
        let progress = Progress("applying", on: output)
        defer { progress.finish() }
        var events = StreamJob.Events()
        events.isCancelled = { Interruption.signal != nil }
        if !noProgress {
            // The job tells on one thread.
            nonisolated(unsafe) let teller = progress
            events.onProgress = { [total] counts, _ in
                teller.update("\(counts.entries) of \(total)")
            }
        }
        return try job.run(onStoreAt: store, events)
    }

    private func apply(
        _ work: DifferenceApplication, _ old: VolumeState, _ new: VolumeState, _ output: Output
    ) throws {
        let progress = Progress("applying", on: output)
        defer { progress.finish() }
        do throws(ApplyError) {
            try work.apply(try Self.source(old, new)) { done in
                if !noProgress { progress.update("\(done) of \(work.count)") }
            }
        } catch {
            throw CommandFailure(error, file: file, hasBegun: true)
        }
    }

    /// The side that there is, and the one that it becomes.
    ///
    /// - Parameter isVerified: reads the whole file first; else what is damaged shows when it is met.
    static func sides(
        of file: String, isReverse: Bool, isVerified: Bool = false
    ) throws(CommandFailure) -> (VolumeState, VolumeState) {
        do throws(StreamFileError) {
            let stream = try StreamFile(path: file, kind: .difference)
            if isReverse, stream.head.flags.contains(.oneWay) {
                throw StreamFileError.lacks("way back")
            }
            if isVerified {
                try stream.backend.verify(isCancelled: { Interruption.signal != nil })
            }
            let base = try stream.volume(StreamFile.baseName)
            let target = try stream.volume(StreamFile.targetName)
            return isReverse ? (target, base) : (base, target)
        } catch {
            if case .lacks("way back") = error {
                throw CommandFailure(
                    .usage, "\(DisplayText.escaped(file.utf8)) was made with --one-way",
                    advice: "It does not have what only the first side had.")
            }
            throw CommandFailure(error, file: file)
        }
    }

    /// The differences between the two sides.
    static func source(
        _ old: VolumeState, _ new: VolumeState
    ) throws(ApplyError) -> DifferenceApplication.Source {
        do throws(TreeError) {
            var difference = try VolumeDifference(from: old, to: new)
            return { () throws(TreeError) in
                try difference.next().map {
                    AppliedDifference(path: $0.path, old: $0.old, new: $0.new)
                }
            }
        } catch {
            throw .tree(error)
        }
    }
}

extension CommandFailure {
    /// Why a difference was not applied.
    init(_ error: ApplyError, file: String, hasBegun: Bool) {
        let shown = { (path: [UInt8]) in path.isEmpty ? "." : DisplayText.escaped(path) }
        let advice =
            hasBegun
            ? "What was changed until then stays; the same command finishes the rest."
            : "Nothing was changed."
        switch error {
        case .isOther(let path, let what):
            self.init(
                .system, "\(shown(path)) is not what the difference begins with: \(what)",
                advice: advice)
        case .system(let path, let call, let reason):
            self.init(.system, "\(shown(path)): cannot \(call) it: \(reason)", advice: advice)
        case .tree(let reason): self.init(tree: reason, what: DisplayText.escaped(file.utf8))
        case .lacksContent(let path):
            self.init(
                .damaged, "\(shown(path)): some content is neither in the difference nor there",
                advice: advice)
        case .cutsOtherwise:
            self.init(
                .usage, "\(DisplayText.escaped(file.utf8)) and the store cut content differently",
                advice: "Apply it to a directory, and scan that into the store.")
        case .stream(let reason): self.init(reason, store: "the store")
        case .cancelled:
            self.init(FailureKind.interrupted, "ended by a signal", advice: advice)
        }
    }
}
