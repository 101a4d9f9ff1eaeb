import ArgumentParser
import BenchmarkKit
import Foundation

/// `make bench-scale`: a store of very many chunks and a directory of very many files, beside one of
/// a hundredth. Only Ashlar: what is asked is how its own times grow.
struct ScaleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale",
        abstract: "Measure a store of ten million chunks beside one of a hundredth.",
        discussion: """
            Needs root. The stores are made by the programs, through a mount: chunks of 4 KiB with a \
            number in each, so that they take little space, and files without content in one directory.
            """)

    @Option(help: "The folder of ashlar and fsck.ashlar.")
    var programs = "../.build/release"

    @Option(help: "Where the stores are made; it must not exist, and is removed at the end.")
    var folder = "/var/tmp/ashlar-scale"

    @Option(help: "Chunks of the large store.")
    var chunks = 10_000_000

    @Option(help: "Files in the large store's directory.")
    var files = 1_000_000

    @Option(help: "How much smaller the small store is.")
    var divisor = 100

    @Option(help: "The daemon's memory, as the option memory= of the mount.")
    var memory = "256M"

    func validate() throws {
        if divisor < 2 { throw ValidationError("--divisor is at least 2") }
        if chunks / divisor < ScaleStore.blocksPerProbe || files / divisor < 1000 {
            throw ValidationError("that is too small to say anything")
        }
    }

    func run() throws {
        guard geteuid() == 0 else { throw ValidationError("it needs root: mounts") }
        Interruption.begin()
        do throws(BenchmarkError) {
            try measure()
        } catch {
            guard case .interrupted = error else {
                Benchmarks.say("ashlar-benchmarks: \(error)")
                throw ExitCode(1)
            }
            Benchmarks.say("interrupted; nothing is left behind")
            throw ExitCode(130)
        }
    }

    private func measure() throws(BenchmarkError) {
        guard !Files.exists(folder) else { throw .missing("\(folder) is there already") }
        try Files.makeFolder(folder)
        defer { _ = try? Command("rm", "-rf", "--one-file-system", folder).cleaning.run() }
        var columns: [[ScaleValue]] = []
        for part in [divisor, 1] {
            let store = ScaleStore(
                folder: folder + "/\(part)", programs: Benchmarks.absolute(programs),
                memory: memory,
                chunks: chunks / part, files: files / part)
            defer { store.stop() }
            Benchmarks.say("\(store.chunks) chunks, \(store.files) files")
            columns.append(
                try store.measure { value in
                    Benchmarks.say("    \(value.name): \(value.shown)")
                })
        }
        print("| | \(chunks / divisor) chunks, \(files / divisor) files |", terminator: "")
        print(" \(chunks) chunks, \(files) files | ratio |\n|---|---:|---:|---:|")
        for (small, large) in zip(columns[0], columns[1]) {
            let ratio = small.value > 0 ? String(format: "%.2f", large.value / small.value) : ""
            print("| \(small.name) | \(small.shown) | \(large.shown) | \(ratio) |")
        }
    }
}

/// One thing that was measured of a store.
struct ScaleValue {
    var name: String
    var value: Double
    var unit: String

    var shown: String { String(format: value < 10 ? "%.2f " : "%.0f ", value) + unit }
}
