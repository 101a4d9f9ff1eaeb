// Where problems are gathered: each place and kind once, paths bounded.
import DiskFormat

/// A place in the packs that is bad, before it is known what needs it.
public struct Finding: Hashable, Sendable {
    public var kind: Problem.Kind
    public var place: Problem.Place
    /// What was found, for people.
    public var detail: String
}

/// The problems of one check.
struct ProblemBook {
    private struct Key: Hashable {
        var kind: Problem.Kind
        var place: Problem.Place
    }

    private(set) var problems: [Problem] = []
    private(set) var notListed: UInt64 = 0
    private var numbers: [Key: Int] = [:]
    private let problemsMax: Int
    private let pathsMax: Int
    /// The problems of places that may hold chunks which nobody can name.
    private(set) var hiding: [Int] = []

    init(problemsMax: Int, pathsMax: Int) {
        self.problemsMax = max(1, problemsMax)
        self.pathsMax = max(0, pathsMax)
    }

    /// Enters a problem once; returns its number, or nil where the book is full.
    @discardableResult
    mutating func add(
        _ kind: Problem.Kind, _ place: Problem.Place, _ detail: String,
        severity: Problem.Severity? = nil
    ) -> Int? {
        let key = Key(kind: kind, place: place)
        if let known = numbers[key] { return known }
        guard problems.count < problemsMax else {
            notListed += 1
            return nil
        }
        let number = problems.count
        problems.append(
            Problem(
                kind: kind, severity: severity ?? kind.severity, place: place, detail: detail))
        numbers[key] = number
        if kind.hidesContent { hiding.append(number) }
        return number
    }

    func number(of kind: Problem.Kind, _ place: Problem.Place) -> Int? {
        numbers[Key(kind: kind, place: place)]
    }

    /// Adds a path to a problem, once for each inode and name as callers see them.
    mutating func affect(_ number: Int, _ path: Problem.Path) {
        if problems[number].paths.last == path { return }
        problems[number].pathCount += 1
        if problems[number].paths.count < pathsMax { problems[number].paths.append(path) }
    }

    mutating func raise(_ number: Int, to severity: Problem.Severity) {
        problems[number].severity = max(problems[number].severity, severity)
    }

    /// Says what a problem comes to in the end.
    mutating func settle(_ number: Int, as severity: Problem.Severity, _ text: String) {
        problems[number].severity = severity
        note(text, on: number)
    }

    mutating func note(_ text: String, on number: Int) {
        problems[number].detail += "; " + text
    }

    /// All problems, the worst first, otherwise in the order in which they were found.
    func sorted() -> [Problem] {
        problems.enumerated().sorted { a, b in
            a.element.severity == b.element.severity
                ? a.offset < b.offset : a.element.severity > b.element.severity
        }.map(\.element)
    }
}
