// `ashlar diff`: what is different between two snapshots, or a snapshot and its volume.
import ArgumentParser
import Checking
import Console
import Control
import DiskFormat
import Queries
import Trees

/// Compares trees; the exit codes are those of diff(1).
struct DifferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what differs between two snapshots, or a snapshot and its volume.",
        discussion: """
            Each is STORE@SNAPSHOT, or STORE for the volume as it is now. A line for each difference: A \
            added, D deleted, M modified (and what: kind, content, permissions, owner, time, \
            attributes, links: how many names it has), with --find-renames also R renamed, in the order of paths. Directories that \
            are equal are not opened. For instance:

              ashlar diff /srv/store@monday /srv/store@tuesday
              ashlar diff -M --content /srv/store@monday /srv/store /etc --exclude '*.bak'
              ashlar diff --quick /srv/store@monday /srv/store || echo changed

            Exit codes: 0 nothing differs, 1 something does, 2 trouble.
            """)

    @Argument(help: "The first: STORE@SNAPSHOT, or STORE.")
    var old: String

    @Argument(help: "The second: STORE@SNAPSHOT, or STORE.")
    var new: String

    @Argument(help: "Paths: only what is at or below one of them.")
    var paths: [String] = []

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Say nothing, and end at the first difference.")
    var quick = false

    @OptionGroup var filter: DifferenceFilter
    @OptionGroup var excludes: ExcludeArguments
    @OptionGroup var form: DifferenceForm

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let differs: Bool
        do {
            differs = try compare(output)
            try output.flush()
        } catch {
            output.report(CommandFailure(anyError: error))
            throw ExitCode(2)
        }
        if differs { throw ExitCode(1) }
    }

    private func compare(_ output: Output) throws -> Bool {
        let telling = DifferenceTelling(
            filter: filter, rules: try excludes.rules(), paths: paths, isQuick: quick,
            form: try form.chosen(), output: output)
        let (a, b) = try views()
        guard a.parameters.hash == b.parameters.hash,
            a.parameters.chunker == b.parameters.chunker
        else {
            throw CommandFailure(
                .usage, "the stores cut or name content differently: keys do not compare",
                advice: "Mount both, and use diff(1).")
        }
        return try telling.run(a, b, called: "\(old), \(new)")
    }

    /// Snapshots, or the volume at its newest state, with all of it in its trees. Of one store both are
    /// of the same state.
    private func views() throws -> (VolumeState, VolumeState) {
        let first = try StoreAddress(old)
        let second = try StoreAddress(new)
        for address in [first, second] where address.snapshot == nil {
            let client = ControlClient(storePath: address.path)
            if try client.isAnswered() { _ = try client.call("checkpoint", [:]) }
        }
        let (state, a) = try StoreView(first).volume(named: volume)
        let isSame = first.path == second.path
        let (_, b) = try StoreView(second).volume(named: volume, in: isSame ? state : nil)
        return (a, b)
    }

    static func words(_ aspects: FileDifference.Aspects) -> [String] {
        let all: [(FileDifference.Aspects, String)] = [
            (.kind, "kind"), (.content, "content"), (.permissions, "permissions"),
            (.owner, "owner"), (.time, "time"), (.attributes, "attributes"),
            (.links, "links"),
        ]
        return all.filter { aspects.contains($0.0) }.map(\.1)
    }
}
