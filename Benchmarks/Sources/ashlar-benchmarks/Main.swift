/// # Module: ashlar-benchmarks — Ashlar beside others
///
/// Purpose: fetches a corpus from Debian, brings up every peer that the machine has, does the same
/// work on each in turn, and tells medians and ratios. `make bench`; docs/PERFORMANCE.md says how to
/// read what it prints.
///
/// Words: see `BenchmarkKit`. A *work* gives several metrics, one after the other, on one fresh peer.
///
/// Invariants: each peer begins on an empty filesystem on the same loop device. What is measured has
/// its input in the page cache. Nothing mounted, attached or running is left behind, whatever
/// happens, short of SIGKILL; what that leaves, the next run sweeps up.
///
/// Threads: one, and one for signals (`Interruption`).
import ArgumentParser
import BenchmarkKit
import Foundation

@main
struct Benchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ashlar-benchmarks",
        abstract: "Measure Ashlar.", subcommands: [ComparisonCommand.self, ScaleCommand.self],
        defaultSubcommand: ComparisonCommand.self)

    static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    static func say(_ words: String) {
        FileHandle.standardError.write(Data((words + "\n").utf8))
    }
}

/// `make bench`.
struct ComparisonCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Measure Ashlar beside other filesystems and backup tools.",
        discussion: """
            Needs root and loop devices. Peers that the machine does not have are named and left \
            out. Results: tables on standard output; report.json, report.md and charts in --output.

              ashlar-benchmarks --programs ../.build/release --quick
              ashlar-benchmarks --programs ../.build/release --rounds 5 --only copy-new,copy-small
            """)

    @Option(help: "The folder of ashlar and fsck.ashlar.")
    var programs = "../.build/release"

    @Option(help: "Mount options for Ashlar, comma-separated.")
    var mountOptions = ""

    @Option(help: "How often everything is measured.")
    var rounds: Int?

    @Flag(help: "A quarter of the trees, one round, only what is quick.")
    var quick = false

    @Option(help: "The share of trees and operations, above 0 to 1.")
    var scale: Double?

    @Option(help: "Metrics to measure, comma-separated; --list names them.")
    var only: String?

    @Option(help: "Peers to measure, comma-separated; Ashlar always is.")
    var peers: String?

    @Flag(help: "Name metrics and peers, and what is missing.")
    var list = false

    @Option(help: "Where the corpus is kept between runs.")
    var cache = "/var/cache/ashlar-benchmarks"

    @Option(help: "Where filesystems are made; on the disk that is to be measured.")
    var work = "/var/tmp/ashlar-benchmarks"

    @Option(help: "Bytes of the disk that filesystems are made on, in GiB.")
    var diskSize = 12

    @Option(help: "Where report.json, report.md and charts are written.")
    var output = "results"

    @Option(help: "The folder of this package, for the reference program in C.")
    var sources = "."

    @Option(help: "A seed for random offsets.")
    var seed: UInt64 = 1

    private static let quickMetrics = [
        "copy-new", "copy-similar", "copy-same", "cpu", "read-cold", "read-warm", "copy-inside",
        "copy-small", "backup", "stored", "check",
    ]
    private static let quickPeers = [
        "ashlar", "btrfs", "ext4", "passthrough", "reference", "restic", "borg", "casync",
    ]
    /// As near to the front as still lets the machine be used.
    private static let niceness: Int32 = -10

    func validate() throws {
        if let scale, scale <= 0 || scale > 1 { throw ValidationError("--scale is above 0 to 1") }
        if let rounds, rounds < 1 { throw ValidationError("--rounds is at least 1") }
        if diskSize < 4 { throw ValidationError("--disk-size is at least 4") }
        for name in only?.split(separator: ",") ?? [] where Catalogue.metric(String(name)) == nil {
            throw ValidationError("there is no metric \(name); --list names them")
        }
    }

    func run() throws {
        guard geteuid() == 0 else { throw ValidationError("it needs root: mounts, loop devices") }
        Interruption.begin()
        do {
            try measure()
        } catch BenchmarkError.interrupted {
            Benchmarks.say("interrupted; nothing is left behind")
            throw ExitCode(130)
        } catch let error as BenchmarkError {
            Benchmarks.say("ashlar-benchmarks: \(error)")
            throw ExitCode(1)
        }
    }

    private func measure() throws {
        let work = Benchmarks.absolute(work)
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
        BackingDisk.sweep(folder: work)
        if list { return try tellList(work) }
        let share = scale ?? (quick ? 0.25 : 1)
        let metrics = chosenMetrics
        let works = Work.all.filter { !metrics.isDisjoint(with: $0.metrics) }
        let maker = CorpusMaker(
            cache: Benchmarks.absolute(cache), scale: share, say: Benchmarks.say)
        let corpus = try maker.make(works.reduce(into: []) { $0.formUnion($1.needs) })

        Benchmarks.say("making a disk of \(diskSize) GiB in \(work)")
        let disk = try BackingDisk(folder: work, bytes: UInt64(diskSize) << 30)
        defer { disk.remove() }
        let (found, absent) = sorted(allPeers(disk))
        guard found.contains(where: { $0.name == BenchmarkKit.subject }) else {
            throw BenchmarkError.missing(absent.first ?? "no Ashlar")
        }
        for words in absent { Benchmarks.say("left out: \(words)") }
        let runner = Runner(
            peers: found,
            setting: Work.Setting(corpus: corpus, scale: share, seed: seed, scratch: work),
            say: Benchmarks.say)
        let began = (time: Machines.now, load: Machines.load)
        func report() -> Report {
            Report(
                machine: Machines.describe(
                    began: began.time, loadBefore: began.load,
                    sources: Benchmarks.absolute(sources)),
                rounds: rounds ?? (quick ? 1 : 3), scale: share,
                peers: found.map { Report.PeerVersion(name: $0.name, version: $0.version) },
                samples: runner.samples, notes: corpus.notes + absent + runner.notes)
        }
        // Hours of work are kept though the next one is interrupted.
        defer { if let text = try? write(report()) { print(text) } }
        for work in works {
            Benchmarks.say(work.name)
            try runner.measure(work, metrics: metrics, rounds: rounds ?? (quick ? 1 : 3))
            _ = try write(report())
        }
    }

    private var chosenMetrics: Set<String> {
        if let only { return Set(only.split(separator: ",").map(String.init)) }
        return Set(quick ? Self.quickMetrics : Catalogue.metrics.map(\.name))
    }

    /// All peers, Ashlar first, in the order they are shown.
    private func allPeers(_ disk: BackingDisk) -> [any Peer] {
        let tools = Benchmarks.absolute(cache) + "/tools"
        return [
            AshlarPeer(disk: disk, programs: Benchmarks.absolute(programs), options: mountOptions),
            KernelPeer(.btrfs, disk: disk), KernelPeer(.ext4, disk: disk),
            PassthroughPeer(.lowLevel, disk: disk, tools: tools),
            PassthroughPeer(.paths, disk: disk, tools: tools), GocryptfsPeer(disk: disk),
            ZfsPeer(disk: disk), ArchivePeer(.restic, disk: disk), ArchivePeer(.borg, disk: disk),
            ArchivePeer(.casync, disk: disk),
            ReferencePeer(sources: Benchmarks.absolute(sources) + "/Reference", tools: tools),
        ]
    }

    /// Peers that are wanted and there; sentences about those that are wanted and missing.
    private func sorted(_ all: [any Peer]) -> (found: [any Peer], absent: [String]) {
        let wanted =
            peers.map { Set($0.split(separator: ",").map(String.init)) }
            ?? Set(quick ? Self.quickPeers : all.map(\.name))
        let chosen = all.filter { wanted.contains($0.name) || $0.name == BenchmarkKit.subject }
        return (
            chosen.filter { $0.missing == nil },
            chosen.compactMap { peer in peer.missing.map { "\(peer.name): \($0)" } }
        )
    }

    private func tellList(_ folder: String) throws {
        for work in Work.all {
            print("\(work.name)")
            for name in work.metrics {
                guard let metric = Catalogue.metric(name) else { continue }
                print(
                    "    \(name.padding(toLength: 18, withPad: " ", startingAt: 0))\(metric.title)")
            }
        }
        let disk = try BackingDisk(folder: folder, bytes: 1 << 20)
        defer { disk.remove() }
        print("peers")
        for peer in allPeers(disk) {
            let name = peer.name.padding(toLength: 18, withPad: " ", startingAt: 0)
            print("    \(name)\(peer.missing ?? peer.version)")
        }
    }

    /// Writes the report's files, and returns its tables.
    private func write(_ report: Report) throws -> String {
        let folder = Benchmarks.absolute(output)
        try Files.makeFolder(folder)
        let text = Tables(report).all
        try report.json().write(to: URL(fileURLWithPath: folder + "/report.json"))
        try text.write(toFile: folder + "/report.md", atomically: true, encoding: .utf8)
        for metric in report.metrics {
            try BarChart(report, metric: metric)?.svg.write(
                toFile: "\(folder)/\(metric.name).svg", atomically: true, encoding: .utf8)
        }
        Benchmarks.say("written to \(folder)")
        return text
    }
}
