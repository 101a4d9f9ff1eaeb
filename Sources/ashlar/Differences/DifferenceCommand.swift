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
            attributes), in the order of paths. Directories that are equal are not opened. For \
            instance:

              ashlar diff /srv/store@monday /srv/store@tuesday
              ashlar diff --quick /srv/store@monday /srv/store || echo changed

            Exit codes: 0 nothing differs, 1 something does, 2 trouble.
            """)

    @Argument(help: "The first: STORE@SNAPSHOT, or STORE.")
    var old: String

    @Argument(help: "The second: STORE@SNAPSHOT, or STORE.")
    var new: String

    @Option(help: ArgumentHelp("The volume.", valueName: "name"))
    var volume = "main"

    @Flag(help: "Compare content only.")
    var content = false

    @Flag(help: "Compare attributes only.")
    var attributes = false

    @Flag(help: "Say nothing, and end at the first difference.")
    var quick = false

    @Flag(name: .customLong("zero"), help: "End each line with NUL, and escape nothing.")
    var zero = false

    @Flag(help: "One JSON object a line.")
    var json = false

    /// Written out after so many, so that whoever reads sees something, and a closed pipe ends it.
    private static let linesPerFlush = 256

    func validate() throws {
        if zero && json { throw ValidationError("Choose one of --zero and --json.") }
    }

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
        let (a, b) = try views()
        guard a.parameters.hash == b.parameters.hash,
            a.parameters.chunker == b.parameters.chunker
        else {
            throw CommandFailure(
                .usage, "the stores cut or name content differently: keys do not compare",
                advice: "Mount both, and use diff(1).")
        }
        var count = 0
        do throws(TreeError) {
            var difference = try VolumeDifference(from: a, to: b, wanted: wanted)
            while let found = try difference.next() {
                count += 1
                if quick { return true }
                write(found, output)
                if count % Self.linesPerFlush == 0 { try? output.flush() }
            }
        } catch {
            throw CommandFailure(tree: error, what: "\(old), \(new)")
        }
        return count > 0
    }

    private var wanted: FileDifference.Aspects {
        switch (content, attributes) {
        case (true, false): [.kind, .content]
        case (false, true): [.kind, .permissions, .owner, .time, .attributes]
        default: .all
        }
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

    // MARK: lines

    private func write(_ found: FileDifference, _ output: Output) {
        let path = [UInt8(ascii: "/")] + found.path
        if json {
            var report: Report = ["path": .name(path), "change": .text(Self.word(found))]
            if !found.aspects.isEmpty {
                report.add("what", .list(Self.words(found.aspects).map { .text($0) }))
            }
            if let old = found.old { report.add("old", .object(Self.side(old))) }
            if let new = found.new { report.add("new", .object(Self.side(new))) }
            if let text = try? report.json(isCompact: true) { output.bytes(text.line) }
            return
        }
        let letter = found.old == nil ? "A " : found.new == nil ? "D " : "M "
        output.bytes(Array(letter.utf8))
        guard !found.aspects.isEmpty, !zero else {
            return output.name(path, terminator: zero ? 0 : 0x0a)
        }
        output.name(path, terminator: UInt8(ascii: " "))
        output.line("(\(Self.words(found.aspects).joined(separator: ", ")))")
    }

    private static func word(_ found: FileDifference) -> String {
        found.old == nil ? "added" : found.new == nil ? "deleted" : "modified"
    }

    private static func words(_ aspects: FileDifference.Aspects) -> [String] {
        let all: [(FileDifference.Aspects, String)] = [
            (.kind, "kind"), (.content, "content"), (.permissions, "permissions"),
            (.owner, "owner"), (.time, "time"), (.attributes, "attributes"),
        ]
        return all.filter { aspects.contains($0.0) }.map(\.1)
    }

    private static func side(_ image: InodeImage) -> Report {
        [
            "mode": .text(ModeText.text(image.mode)), "owner": .number(UInt64(image.owner)),
            "group": .number(UInt64(image.group)), "size": .bytes(image.size),
            "modified": .time(image.modificationTime.seconds, image.modificationTime.nanoseconds),
            "inode": .number(image.inode),
        ]
    }
}
