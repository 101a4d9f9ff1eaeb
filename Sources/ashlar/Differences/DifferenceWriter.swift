// Differences, as people and programs want them.
import ArgumentParser
import Checking
import Console
import DiskFormat
import Queries
import Trees

/// Which differences are told.
struct DifferenceFilter: ParsableArguments {
    @Flag(help: "Compare content only.")
    var content = false

    @Flag(help: "Compare attributes only.")
    var attributes = false

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Paths that match; may be repeated, one has to match.", valueName: "pattern"))
    var pattern: [String] = []

    @Flag(
        name: [.customShort("M"), .long],
        help: "Tell files that got another name as such: R, found by inode or content.")
    var findRenames = false

    private var wanted: FileDifference.Aspects {
        switch (content, attributes) {
        case (true, false): [.kind, .content]
        case (false, true): [.kind, .permissions, .owner, .time, .attributes, .links]
        default: .all
        }
    }

    /// Whether anything is not told.
    var isGiven: Bool { content || attributes || !pattern.isEmpty }

    /// - Parameters:
    ///   - paths: only what is at or below one of them; empty for all.
    ///   - rules: what is left out, of both sides.
    ///   - isQuick: only whether there are any counts, for which no renames are looked for.
    func differences(
        _ old: VolumeState, _ new: VolumeState, below paths: [String],
        leavingOut rules: ExcludeRules, isQuick: Bool = false
    ) throws(TreeError) -> RenamedDifferences {
        let patterns = pattern.map { Glob($0.utf8) }
        let remainder = DifferenceRemainder(rules)
        let prefixes = paths.map(QueryPlace.bytes)
        let wanted = wanted
        return try RenamedDifferences(
            finding: findRenames && !isQuick,
            of: { () throws(TreeError) in
                try VolumeDifference(from: old, to: new, wanted: wanted, below: prefixes)
            },
            telling: { found in
                guard patterns.isEmpty || patterns.contains(where: { $0.matches(found.path) })
                else { return nil }
                return remainder.of(found)
            })
    }
}

/// In what form differences are told.
struct DifferenceForm: ParsableArguments {
    @Flag(help: "Columns: change, sizes before and after, path, and what changed.")
    var table = false

    @Flag(name: .customLong("zero"), help: "End each line with NUL, and escape nothing.")
    var zero = false

    @Flag(help: "One JSON object a line.")
    var json = false

    enum Form {
        case text, table, zero, json
    }

    func chosen() throws(CommandFailure) -> Form {
        let all: [(Bool, Form)] = [(table, .table), (zero, .zero), (json, .json)]
        let wanted = all.filter(\.0).map(\.1)
        guard wanted.count <= 1 else {
            throw CommandFailure(.usage, "choose one of --table, --zero and --json")
        }
        return wanted.first ?? .text
    }
}

/// Writes differences one by one, so that memory does not grow with their number.
struct DifferenceWriter {
    /// Written out after so many, so that whoever reads sees something, and a closed pipe ends it.
    private static let linesPerFlush = 256

    let output: Output
    let form: DifferenceForm.Form
    private var count = 0

    init(output: Output, form: DifferenceForm.Form) {
        self.output = output
        self.form = form
    }

    func begin(withMoments: Bool = false) {
        guard form == .table else { return }
        output.line(
            (withMoments ? "SNAPSHOT          " : "") + "CHANGE      OLD SIZE      NEW SIZE  PATH")
    }

    /// - Parameter moment: in which snapshot it is first seen, where there are several.
    mutating func write(_ found: FileDifference, moment: String? = nil) {
        switch form {
        case .json: json(found, moment)
        case .table: table(found, moment)
        case .text, .zero: text(found, moment)
        }
        count += 1
        // What is not written is told at the end.
        if count % Self.linesPerFlush == 0 { try? output.flush() }
    }

    private static func full(_ path: [UInt8]) -> [UInt8] { [UInt8(ascii: "/")] + path }

    private static func letter(_ found: FileDifference) -> String {
        found.oldPath != nil ? "R" : found.old == nil ? "A" : found.new == nil ? "D" : "M"
    }

    private static func word(_ found: FileDifference) -> String {
        found.oldPath != nil
            ? "renamed" : found.old == nil ? "added" : found.new == nil ? "deleted" : "modified"
    }

    private func text(_ found: FileDifference, _ moment: String?) {
        let end: UInt8 = form == .zero ? 0 : 0x0a
        output.bytes(Array(((moment.map { "\($0) " } ?? "") + Self.letter(found) + " ").utf8))
        if let old = found.oldPath {
            output.name(Self.full(old), terminator: form == .zero ? 0 : UInt8(ascii: " "))
            if form != .zero { output.bytes(Array("-> ".utf8)) }
        }
        guard !found.aspects.isEmpty, form != .zero else {
            return output.name(Self.full(found.path), terminator: end)
        }
        output.name(Self.full(found.path), terminator: UInt8(ascii: " "))
        output.line("(\(DifferenceCommand.words(found.aspects).joined(separator: ", ")))")
    }

    private func table(_ found: FileDifference, _ moment: String?) {
        func padded(_ text: String, _ width: Int, left: Bool = false) -> String {
            let padding = String(repeating: " ", count: max(0, width - text.utf8.count))
            return left ? text + padding : padding + text
        }
        func size(_ image: InodeImage?) -> String {
            padded(image.map { $0.mode >> 12 == 8 ? String($0.size) : "-" } ?? "", 13)
        }
        let words = [
            padded(Self.word(found), 8, left: true), size(found.old), size(found.new), " ",
        ]
        let head = moment.map { padded($0, 16, left: true) + "  " } ?? ""
        output.bytes(Array((head + words.joined(separator: " ")).utf8))
        if let old = found.oldPath {
            output.name(Self.full(old), terminator: UInt8(ascii: " "))
            output.bytes(Array("-> ".utf8))
        }
        guard !found.aspects.isEmpty else { return output.name(Self.full(found.path)) }
        output.name(Self.full(found.path), terminator: UInt8(ascii: " "))
        output.line("(\(DifferenceCommand.words(found.aspects).joined(separator: ", ")))")
    }

    private func json(_ found: FileDifference, _ moment: String?) {
        var report: Report = [:]
        if let moment { report.add("snapshot", .text(moment)) }
        report.add("path", .name(Self.full(found.path)))
        report.add("change", .text(Self.word(found)))
        if let old = found.oldPath { report.add("old_path", .name(Self.full(old))) }
        if !found.aspects.isEmpty {
            report.add("what", .list(DifferenceCommand.words(found.aspects).map { .text($0) }))
        }
        if let old = found.old { report.add("old", .object(Self.side(old))) }
        if let new = found.new { report.add("new", .object(Self.side(new))) }
        if let text = try? report.json(isCompact: true) { output.bytes(text.line) }
    }

    private static func side(_ image: InodeImage) -> Report {
        var report: Report = [
            "mode": .text(ModeText.text(image.mode)), "owner": .number(UInt64(image.owner)),
            "group": .number(UInt64(image.group)), "size": .bytes(image.size),
            "modified": .time(image.modificationTime.seconds, image.modificationTime.nanoseconds),
            "inode": .number(image.inode),
        ]
        if image.mode >> 12 != 4 { report.add("links", .number(image.linkCount)) }
        if let key = FileReport.key(image) { report.add("key", .text(key)) }
        return report
    }
}
