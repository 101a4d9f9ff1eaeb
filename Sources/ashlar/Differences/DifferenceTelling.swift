// Differences of two trees, told as the options say: for all commands that compare.
import Checking
import Console
import DiskFormat
import Queries
import Trees

/// What is told of the differences of two trees, and how. Wherever the trees come from, it is the same.
struct DifferenceTelling {
    let filter: DifferenceFilter
    /// What is left out, of both sides.
    let rules: ExcludeRules
    /// Only what is at or below one of these; empty: all.
    let paths: [String]
    /// Nothing is said, and the first difference is the last.
    let isQuick: Bool
    let form: DifferenceForm.Form
    let output: Output

    /// Tells the differences. Returns whether there are any.
    ///
    /// - Parameter name: what failures call the two.
    func run(_ old: VolumeState, _ new: VolumeState, called name: String) throws -> Bool {
        let remainder = DifferenceRemainder(rules)
        for path in paths where !remainder.leavesOut(QueryPlace.bytes(of: path)) {
            try Self.check(path, old, new)
        }
        var writer = DifferenceWriter(output: output, form: form)
        var differs = false
        do throws(TreeError) {
            var differences = try filter.differences(
                old, new, below: paths, leavingOut: rules, isQuick: isQuick)
            if differences.hasTooMany {
                output.note("too many names came and went: renames are not looked for")
            }
            if !isQuick { writer.begin() }
            while Interruption.signal == nil, let found = try differences.next() {
                differs = true
                if isQuick { break }
                writer.write(found)
            }
        } catch {
            throw CommandFailure(tree: error, what: name)
        }
        try Interruption.check()
        return differs
    }

    private static func check(_ path: String, _ a: VolumeState, _ b: VolumeState) throws {
        let shown = DisplayText.escaped(path.utf8)
        let isThere: Bool
        do throws(TreeError) {
            let inOld = try a.resolve(path) != nil
            let inNew = try b.resolve(path) != nil
            isThere = inOld || inNew
        } catch {
            throw CommandFailure(tree: error, what: shown)
        }
        guard isThere else {
            throw CommandFailure(.notFound, "\(shown): neither of them has it")
        }
    }
}

/// What rules leave of differences, which come in the order of paths: of what is left out neither side
/// has anything. One thread.
final class DifferenceRemainder {
    private let rules: ExcludeRules
    /// The directory that was looked at last, and whether it is left out.
    private var parent: [UInt8] = []
    private var isParentOut = false

    init(_ rules: ExcludeRules) {
        self.rules = rules
    }

    /// The difference without what is left out; nil where nothing remains.
    func of(_ found: FileDifference) -> FileDifference? {
        if rules.isEmpty || found.path.isEmpty { return found }
        if isBelowWhatIsOut(found.path) { return nil }
        func isOut(_ image: InodeImage?) -> Bool {
            guard let image else { return true }
            return rules.excludes(found.path, isDirectory: image.mode >> 12 == 4)
        }
        var left = found
        if isOut(found.old) { left.old = nil }
        if isOut(found.new) { left.new = nil }
        if left.old == nil && left.new == nil { return nil }
        if left.old == nil || left.new == nil { left.aspects = [] }
        return left
    }

    /// Whether a directory of that path is left out, or lies in one that is.
    func leavesOut(_ path: [UInt8]) -> Bool {
        !rules.isEmpty && isBelowWhatIsOut(path + [UInt8(ascii: "/")])
    }

    private func isBelowWhatIsOut(_ path: [UInt8]) -> Bool {
        let slash = UInt8(ascii: "/")
        guard let end = path.lastIndex(of: slash) else { return false }
        if path[..<end].elementsEqual(parent) { return isParentOut }
        parent = Array(path[..<end])
        // A directory that is left out is so with everything in it.
        var part = 0
        isParentOut = false
        while let next = parent[part...].firstIndex(of: slash), !isParentOut {
            isParentOut = rules.excludes(Array(parent[..<next]), isDirectory: true)
            part = next + 1
        }
        if !isParentOut { isParentOut = rules.excludes(parent, isDirectory: true) }
        return isParentOut
    }
}
