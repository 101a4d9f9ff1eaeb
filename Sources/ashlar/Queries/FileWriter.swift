// Files that were found, as people and programs want them.
import ArgumentParser
import Console
import DiskFormat
import Queries

/// In what form results are written.
struct QueryForm: ParsableArguments {
    @Flag(help: "Columns: kind, mode, owner, group, size, time of change, path.")
    var table = false

    @Flag(help: "Comma-separated values with a line of headings (RFC 4180).")
    var csv = false

    @Flag(help: "One JSON object a line.")
    var json = false

    @Flag(name: .customLong("zero"), help: "End each path with NUL, and escape nothing.")
    var zero = false

    enum Form {
        case paths
        case zero
        case table
        case csv
        case json
    }

    func chosen() throws(CommandFailure) -> Form {
        let all: [(Bool, Form)] = [
            (table, .table), (csv, .csv), (json, .json), (zero, .zero),
        ]
        let wanted = all.filter(\.0).map(\.1)
        guard wanted.count <= 1 else {
            throw CommandFailure(.usage, "choose one of --table, --csv, --json and --zero")
        }
        return wanted.first ?? .paths
    }
}

/// Writes files one by one, so that memory does not grow with their number.
struct FileWriter {
    /// Written out after so many, so that whoever reads sees something, and a closed pipe ends it.
    private static let filesPerFlush = 256

    let output: Output
    let form: QueryForm.Form
    private(set) var count = 0

    init(output: Output, form: QueryForm.Form) {
        self.output = output
        self.form = form
    }

    /// - Parameter withSnapshots: files are written with those that have them.
    func begin(withSnapshots: Bool = false) throws(CommandFailure) {
        let more = withSnapshots ? ",snapshots" : ""
        switch form {
        case .csv:
            output.bytes(Array("type,mode,owner,group,size,modified,key,path\(more)\r\n".utf8))
        case .table:
            output.line(
                "TYPE  MODE   OWNER  GROUP          SIZE  MODIFIED              "
                    + (withSnapshots ? "SNAPSHOTS:PATH" : "PATH"))
        case .paths, .zero, .json: break
        }
    }

    /// - Parameter snapshots: those that have it, where several were looked into.
    mutating func write(
        _ file: FoundFile, in snapshots: [String]? = nil
    ) throws(CommandFailure) {
        count += 1
        let head = snapshots.map { Array($0.joined(separator: ",").utf8) + [UInt8(ascii: ":")] }
        switch form {
        case .paths, .zero:
            output.bytes(head ?? [])
            output.name(
                [UInt8(ascii: "/")] + file.path, terminator: form == .zero ? 0 : 0x0a)
        case .json:
            var report = FileReport.report(file)
            if let snapshots { report.add("snapshots", .list(snapshots.map { .text($0) })) }
            output.bytes(try report.json(isCompact: true).line)
        case .csv: output.bytes(csv(file, snapshots))
        case .table: table(file, head ?? [])
        }
        if count % Self.filesPerFlush == 0 { try output.flush() }
    }

    func end() throws(CommandFailure) { try output.flush() }

    private func csv(_ file: FoundFile, _ snapshots: [String]?) -> [UInt8] {
        let image = file.image
        let fields = [
            FileQuery.letter(ofMode: image.mode), String(image.mode & 0o7777, radix: 8),
            String(image.owner), String(image.group), String(image.size),
            ReportTime.text(image.modificationTime.seconds, image.modificationTime.nanoseconds),
            FileReport.key(image) ?? "",
        ]
        let path = ([UInt8(ascii: "/")] + file.path).flatMap {
            $0 == UInt8(ascii: "\"") ? [$0, $0] : [$0]
        }
        let quote = [UInt8(ascii: "\"")]
        let more = snapshots.map { "," + $0.joined(separator: " ") } ?? ""
        return Array((fields.joined(separator: ",") + ",").utf8) + quote + path + quote
            + Array((more + "\r\n").utf8)
    }

    private func table(_ file: FoundFile, _ head: [UInt8]) {
        let image = file.image
        func padded(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.utf8.count)) + text
        }
        let words = [
            FileQuery.letter(ofMode: image.mode), padded(String(image.mode & 0o7777, radix: 8), 7),
            padded(String(image.owner), 6), padded(String(image.group), 5),
            padded(String(image.size), 13),
            " " + ReportTime.text(image.modificationTime.seconds, 0), "",
        ]
        output.bytes(Array(words.joined(separator: " ").utf8) + head)
        output.name([UInt8(ascii: "/")] + file.path, terminator: 0x0a)
    }
}

/// A file as a report.
enum FileReport {
    static func report(_ file: FoundFile) -> Report {
        let image = file.image
        var report: Report = [
            "path": .name([UInt8(ascii: "/")] + file.path),
            "type": .text(FileQuery.letter(ofMode: image.mode)),
            "mode": .text(String(image.mode & 0o7777, radix: 8)),
            "owner": .number(UInt64(image.owner)), "group": .number(UInt64(image.group)),
            "size": .bytes(image.size),
            "modified": .time(image.modificationTime.seconds, image.modificationTime.nanoseconds),
            "inode": .number(image.inode), "links": .number(image.linkCount),
        ]
        if let key = key(image) { report.add("key", .text(key)) }
        return report
    }

    /// As `user.ashlar.key` has it.
    static func key(_ image: InodeImage) -> String? {
        switch image.content {
        case .chunk(let name): "chunk:\(name.hexadecimal)"
        case .recipe(let node): "recipe:\(node.name.hexadecimal)"
        case .none, .directory, .target: nil
        }
    }
}

extension String {
    /// Its bytes and a line feed.
    var line: [UInt8] { Array(utf8) + [0x0a] }
}
