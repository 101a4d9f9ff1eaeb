// What a scan leaves out, by rules as in gitignore(5).
import Queries

/// Rules, of which the last that matches decides.
///
///     *.o         files and directories of that name, anywhere
///     build/      directories only
///     /tmp, a/b   below the source itself: any slash but a last one ties a rule to it
///     !keep.o     not left out after all; but nothing is looked for in a directory that is left out
///     # …         a comment; \# and \! stand for themselves
struct ExcludeRules: Equatable, Sendable {
    private struct Rule: Equatable {
        var pattern: Glob
        var isForDirectories: Bool
        var isNegated: Bool
    }

    private var rules: [Rule] = []

    var isEmpty: Bool { rules.isEmpty }

    /// Adds a line of a file of rules; blank ones and comments say nothing.
    mutating func add(_ line: some Sequence<UInt8>) {
        var bytes = Array(line)
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        while bytes.last == UInt8(ascii: " "), bytes.dropLast().last != UInt8(ascii: "\\") {
            bytes.removeLast()
        }
        guard let first = bytes.first, first != UInt8(ascii: "#") else { return }
        let isNegated = first == UInt8(ascii: "!")
        if isNegated { bytes.removeFirst() }
        let isForDirectories = bytes.last == UInt8(ascii: "/")
        if isForDirectories { bytes.removeLast() }
        guard !bytes.isEmpty else { return }
        rules.append(
            Rule(
                pattern: Glob(bytes), isForDirectories: isForDirectories, isNegated: isNegated))
    }

    /// Whether a path below the source is left out by itself.
    func excludes(_ path: [UInt8], isDirectory: Bool) -> Bool {
        let last = rules.last { rule in
            (isDirectory || !rule.isForDirectories) && rule.pattern.matches(path)
        }
        return last.map { !$0.isNegated } ?? false
    }
}
