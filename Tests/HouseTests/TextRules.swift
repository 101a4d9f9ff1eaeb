/// Rules that hold of the text of files and of the names at the repository's top (ENGINEERING §2,
/// §3). Pure functions: text in, complaints out, any thread.
enum TextRules {
    /// The longest file, in lines.
    static let fileLinesMax = 600

    /// What has no place in shipped code: traps instead of errors, and notes instead of work.
    static let forbiddenWords = ["fatalError(", "try!", "TODO", "FIXME", "XXX", "HACK"]

    /// What the top of the repository may hold, besides dotfiles.
    static let topLevelNames: Set<String> = [
        "Package.swift", "Package.resolved", "Sources", "Tests", "CFuseShim", "README.md", "fsck",
        "examples", "Makefile", "LICENSE", "docs", "packaging", "Benchmarks",
    ]

    /// The complaint about a file that is too long, or nil.
    static func lengthViolation(path: String, text: String) -> String? {
        let newlines = text.utf8.count { $0 == UInt8(ascii: "\n") }
        let lines = text.isEmpty || text.utf8.last == UInt8(ascii: "\n") ? newlines : newlines + 1
        return lines <= fileLinesMax ? nil : "\(path): \(lines) lines, at most \(fileLinesMax)"
    }

    /// Complaints about forbidden words, comments included, with their lines counted from 1. A
    /// word inside a longer one does not count.
    static func forbiddenWords(path: String, text: String) -> [String] {
        guard forbiddenWords.contains(where: text.contains) else { return [] }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        return lines.enumerated().flatMap { index, line in
            forbiddenWords.filter { holds(line, word: $0) }.map {
                "\(path):\(index + 1): \($0) has no place here"
            }
        }
    }

    /// Whether a Swift file begins with a module's heading, `/// # ` or `// # `.
    static func opensWithHeading(_ text: String) -> Bool {
        ["/// # ", "// # "].contains(where: text.hasPrefix)
    }

    /// Whether a C header opens with a comment.
    static func opensWithComment(_ text: String) -> Bool {
        ["/*", "//"].contains(where: text.hasPrefix)
    }

    /// The complaint about a module none of whose files explains it, or nil. A C module, one
    /// without Swift, is explained by a header. A module without files is not there yet.
    ///
    /// - Parameter files: names and texts of all the module's source files.
    static func headingViolation(module: String, files: [(path: String, text: String)]) -> String? {
        if files.isEmpty { return nil }
        let swift = files.filter { $0.path.hasSuffix(".swift") }
        if !swift.isEmpty {
            return swift.contains { opensWithHeading($0.text) }
                ? nil : "\(module): no file opens with a heading comment (`/// # `)"
        }
        let headers = files.filter { $0.path.hasSuffix(".h") || $0.path.hasSuffix(".hpp") }
        return headers.contains { opensWithComment($0.text) }
            ? nil : "\(module): no header opens with a comment"
    }

    /// Complaints about what does not belong at the repository's top, given the paths of all its
    /// files, relative to the top.
    static func topLevelViolations(paths: [String]) -> [String] {
        let names = Set(paths.compactMap { $0.split(separator: "/").first.map(String.init) })
        return names.filter { !$0.hasPrefix(".") && !topLevelNames.contains($0) }.sorted().map {
            "\($0) does not belong at the top of the repository"
        }
    }

    /// Whether a line holds a word that is not part of a longer one.
    private static func holds(_ line: Substring, word: String) -> Bool {
        line.ranges(of: word).contains { range in
            let before = line[..<range.lowerBound].last
            let after = line[range.upperBound...].first
            let endsInLetter = word.last?.isLetter ?? false
            return !isWordPart(before) && !(endsInLetter && isWordPart(after))
        }
    }

    private static func isWordPart(_ character: Character?) -> Bool {
        character.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false
    }
}
