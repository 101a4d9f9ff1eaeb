import EndToEndSupport
import Foundation
import XCTest

/// Two real trees that resemble each other: copied in, compared, mounted again, browsed, checked.
final class TreeTests: EndToEndTestCase {
    /// Where real files are on a machine that can build Ashlar, and how many are taken of each.
    private static let sources = [
        ("/usr/include/linux", 450), ("/usr/include/c++", 300), ("/usr/share/perl5", 200),
        ("/usr/lib/x86_64-linux-gnu/pkgconfig", 60), ("/usr/share/zoneinfo/Europe", 60),
    ]

    /// A tree of real files, with their links, modes and times.
    private func makeTree() throws -> String {
        let tree = try makeDirectory("tree")
        for (source, count) in Self.sources where access(source, R_OK) == 0 {
            let list = path("list")
            try mustRun([
                "sh", "-c", "cd \"$1\" && find . -print0 | sort -z | head -z -n \"$2\" > \"$3\"",
                "sh", source, "\(count)", list,
            ])
            let target = tree + "/" + source.dropFirst().replacingOccurrences(of: "/", with: "_")
            try System.check(mkdir(target, 0o755))
            try mustRun([
                try Machine.require("rsync"), "-a", "-0", "--files-from=\(list)", source + "/",
                target,
            ])
            unlink(list)
        }
        // One file that is longer than a super-chunk, and compresses like programs do.
        try mustRun(["cp", try Program.built("fsck.ashlar"), tree + "/program"])
        try mustRun(["truncate", "-s", "6M", tree + "/program"])
        return tree
    }

    /// The same again, a little changed: as the next version of a package is.
    private func makeChangedTree(_ tree: String, _ random: inout SeededGenerator) throws -> String {
        let changed = path("changed")
        try mustRun(["cp", "-a", tree, changed])
        let program = changed + "/program"
        try System.writeFile(program, Array("one line before".utf8) + System.readFile(program))
        // The others; without this one there would be little to save.
        let files = try fileList(changed).filter { $0 != program }
        for index in 0..<40 {
            let file = files[random.below(files.count)]
            guard let old = try? System.readFile(file) else { continue }
            switch index % 5 {
            case 0: try System.writeFile(file, old + Array("// one line more\n".utf8))
            case 1: try System.writeFile(file, Array("// one line before\n".utf8) + old)
            case 2: rename(file, file + ".moved")
            case 3: unlink(file)
            default: chmod(file, 0o640)
            }
        }
        return changed
    }

    private func fileList(_ tree: String) throws -> [String] {
        try mustRun(["find", tree, "-type", "f"]).text.split(separator: "\n").map(String.init)
            .sorted()
    }

    func testTwoSimilarTrees() throws {
        var random = SeededGenerator()
        let tree = try makeTree()
        let changed = try makeChangedTree(tree, &random)
        let place = try makePlace()
        try place.mount()
        try mustRun(["cp", "-a", tree, place.path("tree")])
        try mustRun(["cp", "-a", changed, place.path("changed")])
        try assertEqualTrees(tree, place.path("tree"))
        try assertEqualTrees(changed, place.path("changed"))
        for depth in [[], ["--quick"], ["--deep"]] { try place.mustBeClean(["-n"] + depth) }

        try place.remount()
        try assertEqualTrees(tree, place.path("tree"))
        try assertEqualTrees(changed, place.path("changed"))
        try place.unmount()
        for depth in [[], ["--quick"], ["--deep"], ["-n"]] { try place.mustBeClean(depth) }
        try browse(place, tree: tree, &random)
        try compareFigures(place, trees: [tree, changed])
    }

    /// `ls -R` names what is there and `cat` prints it, without a mount.
    private func browse(_ place: Place, tree: String, _ random: inout SeededGenerator) throws {
        let listed = try listing(try ashlar(["ls", "-R", "--zero", place.store, "/tree"]).output)
        let found = try mustRun(["find", tree, "-mindepth", "1", "-printf", "%P\\0"])
        let expected = found.output.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        XCTAssertEqual(listed.sorted(), expected.sorted())
        XCTAssertGreaterThan(expected.count, 300, "too few files for a test of trees")

        let files = try fileList(tree)
        var chosen = (0..<25).map { _ in files[random.below(files.count)] }
        chosen.append(tree + "/program")
        let printed = try ashlar(
            ["cat", place.store] + chosen.map { "/tree" + $0.dropFirst(tree.count) })
        XCTAssertEqual(printed.code, 0, printed.errors)
        XCTAssertTrue(try printed.output == chosen.flatMap { try System.readFile($0) })
    }

    /// Paths below the listed directory, from the sections of `ls -R --zero`.
    private func listing(_ output: [UInt8]) throws -> [String] {
        var paths: [String] = []
        var folder: String?
        for word in output.split(separator: 0, omittingEmptySubsequences: false).dropLast() {
            let text = String(decoding: word, as: UTF8.self)
            if let inside = folder {
                if text.isEmpty { folder = nil } else { paths.append(inside + text) }
            } else {
                XCTAssertTrue(text.hasPrefix("/tree") && text.hasSuffix(":"), text)
                let below = text.dropLast().dropFirst("/tree".count)
                folder = below.isEmpty ? "" : String(below.dropFirst()) + "/"
            }
        }
        return paths
    }

    private func compareFigures(_ place: Place, trees: [String]) throws {
        let figures = try ashlar(["stats", "--json", place.store]).json()
        func figure(_ name: String) throws -> Double {
            try XCTUnwrap((figures[name] as? NSNumber)?.doubleValue, "no \(name)")
        }
        var sizes = [0, 0, 0]
        for tree in trees {
            let lines = try mustRun(["find", tree, "-printf", "%y %s\\n"]).text
            for line in lines.split(separator: "\n") {
                switch line.first {
                case "f":
                    sizes[0] += 1
                    sizes[2] += Int(line.dropFirst(2)) ?? 0
                case "d": sizes[1] += 1
                default: break
                }
            }
        }
        XCTAssertEqual(try figure("files"), Double(sizes[0]))
        // The root of the volume is a directory too.
        XCTAssertEqual(try figure("directories"), Double(sizes[1] + 1))
        XCTAssertEqual(try figure("logical_bytes"), Double(sizes[2]))
        XCTAssertGreaterThan(try figure("dedup_ratio"), 1.8, "two near copies")
        XCTAssertLessThan(try figure("stored_bytes"), Double(sizes[2]) / 2)
        for name in ["unique_bytes", "chunks", "super_chunks", "packs", "compression_ratio"] {
            XCTAssertGreaterThan(try figure(name), 0, name)
        }
        let usage = try ashlar(["du", "--json", place.store, "/"]).json()
        XCTAssertEqual((usage["logical_bytes"] as? NSNumber)?.intValue, sizes[2], "\(usage)")
    }
}
