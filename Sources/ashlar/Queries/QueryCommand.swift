// `ashlar query`: files of a volume by what they are.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Queries
import Trees

/// Finds files.
struct QueryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Find files of a volume or snapshot by name, size, time, kind, owner or content.",
        discussion: """
            Every criterion that is given has to hold. Patterns: * and ? within a part of a path, ** across \
            them, [a-z] sets; one without a slash is matched against the last part. For instance, kernel \
            modules above 1.5 MB that were changed this year, in a snapshot:

              ashlar query --pattern '**/*.ko' --min-size 1.5M \\
                --modified-after 2026-01-01T00:00:00Z /srv/store@monday

            With --all-snapshots each version of a path is found with the snapshots that have it, as \
            monday,tuesday:/path; trees that snapshots share are walked once.

            Exit status: 0 something was found, 1 nothing was.
            """)

    @OptionGroup var place: QueryPlace
    @OptionGroup var criteria: QueryCriteria
    @OptionGroup var form: QueryForm

    @Flag(help: "Look into all snapshots of the volume, and tell which have what is found.")
    var allSnapshots = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let query = try criteria.query()
        if allSnapshots { return try findInAll(query, output) }
        let view = try place.open()
        var writer = FileWriter(output: output, form: try form.chosen())
        var walk = VolumeWalk(view.volume)
        try writer.begin()
        try walk.visit(view.path, view.image) { (file) throws(CommandFailure) in
            // What the walk begins with is asked about, too, unless it is the root.
            if !file.path.isEmpty, query.matches(file.path, file.image) { try writer.write(file) }
            return true
        }
        try writer.end()
        try place.report(walk.failures, output)
        if writer.count == 0 { throw ExitCode(1) }
    }
}

extension QueryCommand {
    /// Snapshots that were deleted meanwhile are among them: what was there when it began.
    private func findInAll(_ query: FileQuery, _ output: Output) throws {
        let timeline = try VolumeTimeline(place.store, volume: place.volume)
        let prefix = QueryPlace.bytes(of: place.path)
        var all = AllSnapshots { file in
            !file.path.isEmpty && query.matches(file.path, file.image)
        }
        var failures: [VolumeWalk.Failure] = []
        var before: VolumeState?
        for position in timeline.snapshots.indices {
            let view = try timeline.moment(position).view
            do throws(TreeError) {
                if let before {
                    var differences = try VolumeDifference(
                        from: before, to: view, below: [prefix])
                    try all.takeNext { () throws(TreeError) in try differences.next() }
                } else if let image = try view.resolve(bytes: prefix) {
                    var walk = VolumeWalk(view)
                    walk.visit(prefix, image) { file in
                        all.take(file)
                        return true
                    }
                    failures = walk.failures
                }
            } catch {
                throw CommandFailure(tree: error, what: timeline.snapshots[position].name)
            }
            before = view
        }
        var writer = FileWriter(output: output, form: try form.chosen())
        try writer.begin(withSnapshots: true)
        for hit in all.found {
            try writer.write(hit.file, in: hit.snapshots.map { timeline.snapshots[$0].name })
        }
        try writer.end()
        try place.report(failures, output)
        if writer.count == 0 { throw ExitCode(1) }
    }
}

/// Where is looked.
struct QueryPlace: ParsableArguments {
    @Argument(help: "The store or a mountpoint, or either with @SNAPSHOT.")
    var store: String

    @Argument(help: "A path in the volume: only what is below it.")
    var path = "/"

    @Option(
        help: ArgumentHelp("The volume; main where nothing else is mounted.", valueName: "name"))
    var volume: String?

    struct Opened {
        let volume: VolumeState
        let path: [UInt8]
        let image: InodeImage
    }

    func open() throws -> Opened {
        let view = try StoreView(StorePlace(store, volume: volume)).volume().volume
        let image = try StoreView.resolve(path, in: view)
        return Opened(volume: view, path: Self.bytes(of: path), image: image)
    }

    /// Below the root, without slashes at its ends.
    static func bytes(of path: String) -> [UInt8] {
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).filter {
            !$0.elementsEqual([0x2e])
        }
        return Array(parts.joined(separator: [UInt8(ascii: "/")]))
    }

    /// Directories that could not be read: told, and a failure in the end.
    func report(_ failures: [VolumeWalk.Failure], _ output: Output) throws(CommandFailure) {
        for failure in failures {
            output.report(
                CommandFailure(
                    tree: failure.error, what: "/" + DisplayText.escaped(failure.path)))
        }
        guard failures.isEmpty else {
            throw CommandFailure(
                .damaged, "\(failures.count) directories could not be read",
                advice: "fsck.ashlar tells what is damaged.")
        }
    }
}

/// What is looked for.
struct QueryCriteria: ParsableArguments {
    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Paths that match; may be repeated, one has to match.", valueName: "pattern"))
    var pattern: [String] = []

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("No paths that match; may be repeated.", valueName: "pattern"))
    var exclude: [String] = []

    @Option(help: ArgumentHelp("Regular files of at least this size.", valueName: "size"))
    var minSize: String?

    @Option(help: ArgumentHelp("Regular files of at most this size.", valueName: "size"))
    var maxSize: String?

    @Option(
        help: ArgumentHelp(
            "Changed after this moment: RFC 3339, or @SECONDS since 1970.", valueName: "time"))
    var modifiedAfter: String?

    @Option(help: ArgumentHelp("Changed before this moment.", valueName: "time"))
    var modifiedBefore: String?

    @Option(
        help: ArgumentHelp(
            "Of these kinds, comma-separated: f d l b c p s, as find(1) has them.",
            valueName: "kinds"))
    var type: String?

    @Option(help: ArgumentHelp("Of this user: a number.", valueName: "uid"))
    var owner: UInt32?

    @Option(help: ArgumentHelp("Of this group: a number.", valueName: "gid"))
    var group: UInt32?

    @Option(
        help: ArgumentHelp(
            "Of this content: its key (user.ashlar.key), or the beginning of its name.",
            valueName: "key"))
    var hash: String?

    func query() throws(CommandFailure) -> FileQuery {
        var query = FileQuery()
        query.patterns = pattern.map { Glob($0.utf8) }
        query.excluded = exclude.map { Glob($0.utf8) }
        query.minimumSize = try Self.size(minSize, "--min-size")
        query.maximumSize = try Self.size(maxSize, "--max-size")
        query.modifiedAfter = try time(modifiedAfter, "--modified-after")
        query.modifiedBefore = try time(modifiedBefore, "--modified-before")
        query.owner = owner
        query.group = group
        for letters in (type ?? "").split(separator: ",") {
            for letter in letters {
                guard let kind = FileQuery.kind(letter: letter) else {
                    throw CommandFailure(.usage, "--type: \(letter) is none of f d l b c p s")
                }
                query.kinds.insert(kind)
            }
        }
        if let hash {
            let name = hash.split(separator: ":").last.map { $0.lowercased() } ?? ""
            guard !name.isEmpty, name.allSatisfy({ $0.isHexDigit && $0.isASCII }) else {
                throw CommandFailure(
                    .usage, "--hash: \(DisplayText.escaped(hash.utf8)) is no key")
            }
            query.hashPrefix = name
        }
        return query
    }

    static func size(_ text: String?, _ option: String) throws(CommandFailure) -> UInt64? {
        guard let text else { return nil }
        guard let bytes = ByteSize.parseMeasure(text) else {
            throw CommandFailure(
                .usage, "\(option): \(DisplayText.escaped(text.utf8)) is not a size")
        }
        return bytes
    }

    private func time(_ text: String?, _ option: String) throws(CommandFailure) -> DiskTime? {
        guard let text else { return nil }
        guard let time = TimeText.parse(text) else {
            throw CommandFailure(
                .usage,
                "\(option): \(DisplayText.escaped(text.utf8)) is no time: "
                    + "2026-11-27T08:00:00Z, 2026-11-27, or @1795766400")
        }
        return time
    }
}
