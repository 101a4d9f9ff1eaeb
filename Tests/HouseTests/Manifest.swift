/// The modules that Package.swift declares, read from its text: `layer("X", ["Y", product])`,
/// `shim("X")`, `program("X", …)`, and SwiftPM's own `.target(name: "X"…` and
/// `.executableTarget(name: "X"…`. Test suites are no modules. Pure functions, any thread.
struct Manifest {
    /// One declared module and the modules of this package it depends on.
    struct Module: Equatable {
        let name: String
        let dependencies: [String]
    }

    let modules: [Module]

    private static let openings = [
        "layer(", "shim(", "program(", ".target(", ".executableTarget(",
    ]

    /// Reads the text of a Package.swift.
    init(text: String) {
        let code = text.split(whereSeparator: \.isNewline)
            .filter { !$0.trimmingPrefix(while: \.isWhitespace).hasPrefix("//") }
            .filter { !$0.trimmingPrefix(while: \.isWhitespace).hasPrefix("func ") }
            .joined(separator: "\n")
        var found: [Module] = []
        if let start = code.firstRange(of: "targets:")?.upperBound {
            for opening in Self.openings {
                for range in code[start...].ranges(of: opening) {
                    if let module = Self.module(at: code[range.upperBound...]) {
                        found.append(module)
                    }
                }
            }
        }
        modules = found
    }

    /// Complaints about the declarations: unknown modules and dependencies that do not point down.
    var violations: [String] {
        modules.flatMap { module in
            [Layers.unknown(module.name)].compactMap { $0 }
                + module.dependencies.compactMap {
                    Layers.unknown($0) ?? Layers.violation(of: module.name, using: $0)
                }
        }
    }

    /// The module whose name, a literal, begins `text` right behind the opening parenthesis.
    private static func module(at text: Substring) -> Module? {
        let trimmed = text.drop(while: \.isWhitespace).trimmingPrefix("name:")
            .drop(while: \.isWhitespace)
        guard trimmed.first == "\"" else { return nil }
        let name = trimmed.dropFirst().prefix { $0 != "\"" }
        let call = callBody(trimmed.dropFirst(name.count + 2))
        return Module(name: String(name), dependencies: dependencies(in: call))
    }

    /// What is left of a call up to its closing parenthesis.
    private static func callBody(_ text: Substring) -> Substring {
        var depth = 1
        return text.prefix { character in
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            return depth > 0
        }
    }

    /// The literals of a call's list of dependencies: the first list that has no label, or has the
    /// label `dependencies`. Products are of other packages and passed over.
    private static func dependencies(in call: Substring) -> [String] {
        guard let bracket = call.firstIndex(of: "[") else { return [] }
        let label = call[..<bracket].filter { !$0.isWhitespace && $0 != "," }
        guard label.isEmpty || label == "dependencies:" else { return [] }
        let list = call[call.index(after: bracket)...].prefix { $0 != "]" }
        let ours = list.split(separator: ",").filter {
            !$0.contains("product(") && !$0.contains("package:")
        }
        return ours.compactMap { item in
            let parts = item.split(separator: "\"", omittingEmptySubsequences: false)
            return parts.count >= 3 ? String(parts[1]) : nil
        }
    }
}
