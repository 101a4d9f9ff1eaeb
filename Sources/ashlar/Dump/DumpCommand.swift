// `ashlar dump`: for people who want to see the stones.
import ArgumentParser
import Console
import DiskFormat
import Packs

/// What can be shown.
enum DumpKind: String, ExpressibleByArgument, CaseIterable {
    case pack, superchunk, chunk, commit, recipe, tree
}

/// Shows a part of a store as it lies in the packs. Needs no index, takes no lock, changes nothing,
/// and goes around damage.
struct DumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Show a pack, super-chunk, chunk, commit, recipe or tree as it is stored.",
        discussion: """
            ID is, for
              pack        the pack's id, or its beginning or end; all packs where there is none
              superchunk  PACK:OFFSET
              chunk       a chunk's name, or its beginning; the bytes go to standard output
              commit      a sequence number, PACK:OFFSET, or last
              recipe      the name of a recipe's node, or its beginning
              tree        the name of a directory's, root's or inode table's node; the volume's root, or
                          the snapshot's that is named with the store, where there is none
            """)

    @Argument(help: "The store or a mountpoint, or either with @SNAPSHOT.")
    var store: String

    @Argument(help: "What to show: pack, superchunk, chunk, commit, recipe or tree.")
    var kind: DumpKind

    @Argument(help: "Which one.")
    var id: String?

    @Option(
        help: ArgumentHelp(
            "Of a tree without an ID: the volume; main where nothing else is mounted.",
            valueName: "name"))
    var volume: String?

    @Flag(help: "Of a chunk: where it lies, not its bytes.")
    var info = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if id == nil && kind != .pack && kind != .tree {
            throw ValidationError("dump \(kind.rawValue) needs an ID.")
        }
        if info && kind != .chunk { throw ValidationError("--info goes with chunk only.") }
    }

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let place = try StorePlace(store, volume: volume)
        let dump = try Dump(PackFolder(path: place.address.path)) { output.message($0) }
        var id = id
        if id == nil, kind == .tree {
            id = try StoreView(place).volume().volume.rootName.hexadecimal
        }
        if kind == .chunk, !info, !json {
            output.bytes(try dump.chunkBytes(id ?? ""))
        } else {
            try output.report(try dump.report(kind, id), asJSON: json)
        }
        try output.flush()
    }
}

/// Makes the reports.
struct Dump {
    let folder: PackFolder
    let finder: ChunkFinder

    /// - Parameter complain: told of damage that was gone around.
    init(_ folder: PackFolder, complain: @escaping (String) -> Void) {
        self.folder = folder
        finder = ChunkFinder(folder, complain: complain)
    }

    /// The report on one thing; `id` is nil for all packs.
    func report(_ kind: DumpKind, _ id: String?) throws(CommandFailure) -> Report {
        guard let id else { return allPacks() }
        switch kind {
        case .pack: return try pack(try folder.open(try folder.pack(named: id)))
        case .superchunk:
            let (reader, offset) = try folder.place(id)
            return try superChunk(reader, offset)
        case .chunk: return chunk(try finder.find(id, domain: nil))
        case .commit: return try commit(id)
        case .recipe: return try node(id, domain: .recipe)
        case .tree: return try node(id, domain: .tree)
        }
    }

    /// The bytes of a chunk, verified by its name.
    func chunkBytes(_ text: String) throws(CommandFailure) -> [UInt8] {
        try finder.read(try finder.find(text, domain: nil))
    }

    private func allPacks() -> Report {
        var table = ReportTable(columns: ["pack", "role", "bytes", "created", "problem"])
        for (id, fileBytes) in folder.packs {
            do throws(CommandFailure) {
                let header = try folder.open(id).header
                table.rows.append([
                    .text(id.description), .text(header.role.label), .bytes(fileBytes),
                    .time(header.createdSeconds, header.createdNanoseconds), .none,
                ])
            } catch {
                table.rows.append([
                    .text(id.description), .none, .bytes(fileBytes), .none, .text(error.message),
                ])
            }
        }
        return ["packs": .table(table)]
    }

    private func chunk(_ places: [ChunkPlace]) -> Report {
        var report: Report = [
            "name": .text(places[0].chunk.name.hexadecimal),
            "domain": .text(places[0].chunk.domain.label),
            "length": .bytes(UInt64(places[0].chunk.rawBytes)),
        ]
        var table = ReportTable(
            columns: ["pack", "offset", "slot", "frame", "offset_in_frame", "second_copy"])
        for place in places {
            table.rows.append([
                .text(place.pack.description), .number(place.offset),
                .number(UInt64(place.slot)), .number(UInt64(place.frame)),
                .number(UInt64(place.offsetInFrame)), .flag(place.isCopy),
            ])
        }
        report.add("places", .table(table))
        return report
    }
}
