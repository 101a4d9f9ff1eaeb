// `ashlar find-largest`, `find-newest`, `find-oldest`, `find-duplicates`.
import ArgumentParser
import Console
import DiskFormat
import Queries

/// Files in a rank.
struct FindLargestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find-largest", abstract: "Find the largest files of a volume or snapshot.")

    @OptionGroup var place: QueryPlace
    @OptionGroup var ranked: RankedOptions
    @OptionGroup var form: QueryForm

    func run() throws { try ranked.find(.largest, place, form) }
}

struct FindNewestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find-newest", abstract: "Find the files that were changed last.")

    @OptionGroup var place: QueryPlace
    @OptionGroup var ranked: RankedOptions
    @OptionGroup var form: QueryForm

    func run() throws { try ranked.find(.newest, place, form) }
}

struct FindOldestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find-oldest", abstract: "Find the files that were not changed for longest.")

    @OptionGroup var place: QueryPlace
    @OptionGroup var ranked: RankedOptions
    @OptionGroup var form: QueryForm

    func run() throws { try ranked.find(.oldest, place, form) }
}

/// How many, and of which.
struct RankedOptions: ParsableArguments {
    private static let countRange = 1...1_000_000

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("So many.", valueName: "number"))
    var count = 20

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Paths that match; may be repeated.", valueName: "pattern"))
    var pattern: [String] = []

    func find(_ rank: FileRank, _ place: QueryPlace, _ form: QueryForm) throws {
        let output = Output(program: CommandRunner.programName)
        guard Self.countRange.contains(count) else {
            throw CommandFailure(.usage, "--count: \(count) is not between 1 and 1000000")
        }
        var query = FileQuery()
        query.patterns = pattern.map { Glob($0.utf8) }
        let view = try place.open()
        var writer = FileWriter(output: output, form: try form.chosen())
        var top = TopFiles(rank, limit: count)
        var walk = VolumeWalk(view.volume)
        walk.visit(view.path, view.image) { file in
            if query.matches(file.path, file.image) { top.take(file) }
            return true
        }
        try writer.begin()
        for file in top.files { try writer.write(file) }
        try writer.end()
        try place.report(walk.failures, output)
    }
}

/// Files of equal content.
struct FindDuplicatesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find-duplicates",
        abstract: "Find files of equal content, and what it saves that it is stored once.",
        discussion: """
            By their keys: no content is read. Files that share most come first. For instance, the \
            duplicates among images:

              ashlar find-duplicates --pattern '*.img' /srv/store
            """)

    @OptionGroup var place: QueryPlace

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Paths that match; may be repeated.", valueName: "pattern"))
    var pattern: [String] = []

    @Option(help: ArgumentHelp("Files of at least this size.", valueName: "size"))
    var minSize: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        var query = FileQuery()
        query.patterns = pattern.map { Glob($0.utf8) }
        query.minimumSize = try QueryCriteria.size(minSize, "--min-size")
        let view = try place.open()
        var duplicates = Duplicates()
        var walk = VolumeWalk(view.volume)
        walk.visit(view.path, view.image) { file in
            if query.matches(file.path, file.image) { duplicates.take(file) }
            return true
        }
        let found = duplicates.found
        let shared = found.reduce(UInt64(0)) { $0 + $1.sharedBytes }
        if json {
            try output.report(
                [
                    "shared_bytes": .bytes(shared),
                    "groups": .list(found.map { .object(Self.report($0)) }),
                ], asJSON: true)
        } else {
            for group in found {
                output.line(
                    "\(group.paths.count) files of \(ByteSize.text(group.size)), sharing saves "
                        + "\(ByteSize.text(group.sharedBytes)):")
                for path in group.paths {
                    output.bytes(Array("  ".utf8))
                    output.name([UInt8(ascii: "/")] + path, terminator: 0x0a)
                }
            }
            output.line("\(found.count) contents, sharing saves \(ByteSize.text(shared))")
        }
        try output.flush()
        try place.report(walk.failures, output)
    }

    private static func report(_ group: Duplicates.Group) -> Report {
        [
            "key": .text(group.key.hexadecimal), "size": .bytes(group.size),
            "shared_bytes": .bytes(group.sharedBytes),
            "paths": .list(group.paths.map { .name([UInt8(ascii: "/")] + $0) }),
        ]
    }
}
