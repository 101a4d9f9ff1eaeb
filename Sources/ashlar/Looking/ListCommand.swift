// `ashlar ls`: what is in a volume, without mounting it.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Glibc
import Trees

/// Lists a directory, or one file.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List a directory of a volume.")

    @Argument(help: "The store or a mountpoint, or either with @SNAPSHOT.")
    var store: String

    @Argument(help: "A path in the volume.")
    var path = "/"

    @Option(
        help: ArgumentHelp("The volume; main where nothing else is mounted.", valueName: "name"))
    var volume: String?

    @Flag(name: .customShort("l"), help: "Long: mode, links, owner, group, size, time, name.")
    var long = false

    @Flag(name: .customShort("i"), help: "Inode numbers first.")
    var inodes = false

    @Flag(name: .customShort("d"), help: "Directories themselves, not what is in them.")
    var directory = false

    @Flag(name: [.customShort("R"), .long], help: "All directories below, too.")
    var recursive = false

    @Flag(name: .customLong("zero"), help: "End each line with NUL, and escape nothing.")
    var zero = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let output = Output(program: CommandRunner.programName)
        let (_, view) = try StoreView(StorePlace(store, volume: volume)).volume()
        let image = try StoreView.resolve(path, in: view)
        let lister = Lister(command: self, volume: view, output: output)
        if json {
            try output.report(try lister.report(image, Array(path.utf8)), asJSON: true)
        } else {
            try lister.list(image, Array(path.utf8))
        }
        try output.flush()
    }
}

/// Lists for one command.
struct Lister {
    let command: ListCommand
    let volume: VolumeState
    let output: Output

    private var terminator: UInt8 { command.zero ? 0 : 0x0a }

    func list(_ image: InodeImage, _ path: [UInt8]) throws {
        guard image.mode >> 12 == 4, !command.directory else { return show(image, path) }
        var folders: [(name: [UInt8], image: InodeImage)] = []
        if command.recursive { output.name(path + [0x3a], terminator: terminator) }
        try reading(path) { () throws(TreeError) in
            try volume.forEachEntry(of: image) { entry throws(TreeError) in
                guard let child = try volume.image(of: entry) else { return true }
                show(child, entry.name)
                if child.mode >> 12 == 4 { folders.append((entry.name, child)) }
                return true
            }
        }
        guard command.recursive else { return }
        for folder in folders {
            output.bytes([terminator])
            let base = path.last == 0x2f ? path : path + [0x2f]
            try list(folder.image, base + folder.name)
        }
    }

    private func reading(_ path: [UInt8], _ body: () throws(TreeError) -> Void) throws {
        do throws(TreeError) {
            try body()
        } catch {
            throw CommandFailure(tree: error, what: DisplayText.escaped(path))
        }
    }

    private func show(_ image: InodeImage, _ name: [UInt8]) {
        var line: [UInt8] = []
        if command.inodes { line += Array("\(image.inode) ".utf8) }
        guard command.long else {
            output.bytes(line)
            output.name(name, terminator: terminator)
            return
        }
        let size =
            image.device.map { "\($0.major), \($0.minor)" } ?? String(image.size)
        let words = [
            ModeText.text(image.mode), Self.padded(String(image.linkCount), 3),
            Self.padded(String(image.owner), 5), Self.padded(String(image.group), 5),
            Self.padded(size, 12), ModeText.time(image.modificationTime), "",
        ]
        output.bytes(line + Array(words.joined(separator: " ").utf8))
        if case .target(let target) = image.content {
            let isRaw = !output.isTerminal || command.zero
            output.bytes(isRaw ? name : Array(DisplayText.escaped(name).utf8))
            output.bytes(Array(" -> ".utf8))
            output.name(target, terminator: terminator)
        } else {
            output.name(name, terminator: terminator)
        }
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.utf8.count)) + text
    }

    // MARK: JSON

    func report(_ image: InodeImage, _ path: [UInt8]) throws -> Report {
        var report = fields(image, path)
        guard image.mode >> 12 == 4, !command.directory else { return report }
        var rows: [ReportValue] = []
        try reading(path) { () throws(TreeError) in
            try volume.forEachEntry(of: image) { entry throws(TreeError) in
                guard let child = try volume.image(of: entry) else { return true }
                rows.append(.object(fields(child, entry.name)))
                return true
            }
        }
        report.add("entries", .list(rows))
        return report
    }

    private func fields(_ image: InodeImage, _ name: [UInt8]) -> Report {
        let time = image.modificationTime
        var report: Report = [
            "name": .name(name), "inode": .number(image.inode),
            "mode": .text(ModeText.text(image.mode)), "links": .number(image.linkCount),
            "owner": .number(UInt64(image.owner)), "group": .number(UInt64(image.group)),
            "size": .bytes(image.size), "allocated": .bytes(image.allocatedBytes),
            "modified": .time(time.seconds, time.nanoseconds),
        ]
        if case .target(let target) = image.content { report.add("target", .name(target)) }
        if let device = image.device {
            report.add("device", .text("\(device.major):\(device.minor)"))
        }
        return report
    }
}

/// Modes and times as ls(1) writes them.
enum ModeText {
    static func text(_ mode: UInt32) -> String {
        let kinds: [UInt32: Character] = [
            1: "p", 2: "c", 4: "d", 6: "b", 8: "-", 10: "l", 12: "s",
        ]
        var letters: [Character] = [kinds[mode >> 12] ?? "?"]
        for (shift, special, small, large) in [
            (6, 0o4000, "s", "S"), (3, 0o2000, "s", "S"), (0, 0o1000, "t", "T"),
        ] as [(UInt32, UInt32, Character, Character)] {
            letters.append(mode >> shift & 4 != 0 ? "r" : "-")
            letters.append(mode >> shift & 2 != 0 ? "w" : "-")
            let runs = mode >> shift & 1 != 0
            letters.append(
                mode & special != 0 ? (runs ? small : large) : (runs ? "x" : "-"))
        }
        return String(letters)
    }

    /// Local time, to the minute.
    static func time(_ time: DiskTime) -> String {
        var moment = time_t(time.seconds)
        var fields = tm()
        guard localtime_r(&moment, &fields) != nil else { return String(time.seconds) }
        var characters = [CChar](repeating: 0, count: 32)
        let count = strftime(&characters, characters.count, "%Y-%m-%d %H:%M", &fields)
        return String(
            decoding: characters.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
