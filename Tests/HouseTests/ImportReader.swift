/// Finds the modules that a Swift file imports, by its lines: attributes, access levels and the
/// kind of a single imported symbol are passed over. Pure functions, any thread.
enum ImportReader {
    private static let accessLevels: Set<String> = [
        "public", "package", "internal", "fileprivate", "private",
    ]
    private static let symbolKinds: Set<String> = [
        "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
    ]

    /// The modules imported by a file's text, in order, without their submodules.
    static func modules(in text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).flatMap { line in
            line.contains("import") ? modules(inLine: line) : []
        }
    }

    /// The modules imported on one line; several statements may be joined by semicolons.
    private static func modules(inLine line: Substring) -> [String] {
        line.split(separator: ";").compactMap { statement in
            var words = statement.split(whereSeparator: \.isWhitespace)[...]
            while let word = words.first, word.hasPrefix("@") || accessLevels.contains(String(word))
            {
                words = words.dropFirst()
            }
            guard words.first == "import" else { return nil }
            words = words.dropFirst()
            if let kind = words.first, symbolKinds.contains(String(kind)) {
                words = words.dropFirst()
            }
            let name = words.first?.prefix { $0.isLetter || $0.isNumber || $0 == "_" } ?? ""
            return name.isEmpty ? nil : String(name)
        }
    }
}
