import EndToEndSupport
import Foundation
import XCTest

/// Names that programs stumble over, and paths that are longer than one argument may be.
final class NameTests: EndToEndTestCase {
    /// Names of all lengths up to the longest, with every byte that a name may have.
    private static let oddNames: [[UInt8]] = [
        [UInt8](repeating: 0x78, count: 255),
        [UInt8](repeating: 0xff, count: 255),
        Array("new\nline".utf8), Array("\u{1b}[2Jescape".utf8), Array("tab\tand space ".utf8),
        [0xc3, 0x28], [0xed, 0xa0, 0x80], [0x80], Array("Ä".utf8), Array("A\u{308}".utf8),
        Array("-rf".utf8), Array("*?[".utf8), Array("...".utf8), Array("\\x41".utf8),
        Array((1...0xff).filter { $0 != 0x2f }), Array(".ashlar".utf8), Array("a:".utf8),
    ]

    /// A path of a name in a folder, as C takes it.
    private func cPath(_ folder: String, _ name: [UInt8]) -> [CChar] {
        (Array(folder.utf8) + [0x2f] + name + [0]).map { CChar(bitPattern: $0) }
    }

    func testOddNames() throws {
        let place = try makePlace()
        try place.mount()
        let names = Self.oddNames
        let folder = place.path("odd")
        let outside = try makeDirectory("odd")
        try System.check(mkdir(folder, 0o755))
        for (index, name) in names.enumerated() {
            for top in [folder, outside] {
                let file = try System.check(
                    open(cPath(top, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644))
                try System.write(file, [UInt8(index)], at: 0)
                close(file)
            }
        }
        let tooLong = [UInt8](repeating: 0x79, count: 256)
        XCTAssertEqual(open(cPath(folder, tooLong), O_WRONLY | O_CREAT, 0o644), -1)
        XCTAssertEqual(errno, ENAMETOOLONG)
        let sorted = names.sorted { $0.lexicographicallyPrecedes($1) }
        for isSecond in [false, true] {
            if isSecond { try place.remount() }
            XCTAssertEqual(try System.names(folder), sorted)
            for (index, name) in names.enumerated() {
                let file = try System.check(open(cPath(folder, name), O_RDONLY | O_CLOEXEC))
                XCTAssertEqual(try System.read(file, 9, at: 0), [UInt8(index)])
                close(file)
            }
        }
        let diff = try run(["diff", "-r", "--no-dereference", outside, folder])
        XCTAssertEqual(diff.code, 0, diff.text)
        try place.unmount()
        try place.mustBeClean()
        try compareListing(place, sorted)
    }

    /// `--zero` gives names as they are; without it each takes one line.
    private func compareListing(_ place: Place, _ sorted: [[UInt8]]) throws {
        let exact = try ashlar(["ls", "--zero", place.store, "/odd"])
        XCTAssertEqual(
            exact.output.split(separator: 0).map(Array.init)
                .sorted { $0.lexicographicallyPrecedes($1) }, sorted)
        let rows = try XCTUnwrap(
            try ashlar(["ls", "--json", place.store, "/odd"]).json()["entries"] as? [[String: Any]])
        XCTAssertEqual(rows.count, sorted.count)
        let decoded = rows.compactMap { row -> [UInt8]? in
            if let text = row["name_base64"] as? String {
                return Data(base64Encoded: text).map { Array($0) }
            }
            return (row["name"] as? String).map { Array($0.utf8) }
        }
        XCTAssertEqual(decoded.sorted { $0.lexicographicallyPrecedes($1) }, sorted)
    }

    /// A path of 4,000 bytes: programs reach it whole, and more below it step by step.
    func testDeepPath() throws {
        let place = try makePlace()
        try place.mount()
        let name = String(repeating: "d", count: 199)
        let deep = String(repeating: name + "/", count: 19)
        try mustRun(["sh", "-c", "cd \"$1\" && mkdir -p \"$2\"", "sh", place.mountpoint, deep])
        // Twice as deep as the longest path that a system call takes.
        try insideDeepFolder(place.path(deep), name) { folder in
            let file = try System.check(
                openat(folder, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644))
            defer { close(file) }
            try System.write(file, Array("below\n".utf8), at: 0)
        }
        let file = place.mountpoint + "/" + deep + "file"
        XCTAssertGreaterThan(file.utf8.count, 3_800)
        try System.writeFile(file, Array("deep\n".utf8))
        try place.remount()
        XCTAssertEqual(try System.readFile(file), Array("deep\n".utf8))
        try insideDeepFolder(place.path(deep), name) { folder in
            let file = try System.check(openat(folder, "file", O_RDONLY | O_CLOEXEC))
            defer { close(file) }
            XCTAssertEqual(try System.read(file, 99, at: 0), Array("below\n".utf8))
        }
        try place.unmount()
        for depth in [["--quick"], [], ["--deep"]] { try place.mustBeClean(depth) }
        XCTAssertEqual(try ashlar(["cat", place.store, deep + "file"]).text, "deep\n")
        XCTAssertEqual(try ashlar(["cat", place.store, deep + deep + "file"]).text, "below\n")
        XCTAssertEqual(try ashlar(["du", place.store]).code, 0)
        try place.mount()
        try mustRun(["rm", "-r", place.path(name)])
        XCTAssertEqual(try System.names(place.mountpoint), [])
        try place.unmount()
        try place.mustBeClean()
    }

    /// Goes 19 folders further down from a path that is nearly as long as a path may be, making them
    /// where they are missing.
    private func insideDeepFolder(
        _ path: String, _ name: String, _ body: (Int32) throws -> Void
    ) throws {
        var folder = try System.open(path, O_RDONLY)
        defer { close(folder) }
        for _ in 0..<19 {
            mkdirat(folder, name, 0o755)
            let next = try System.check(openat(folder, name, O_RDONLY | O_CLOEXEC))
            close(folder)
            folder = next
        }
        try body(folder)
    }

    func testManyNamesInOneDirectory() throws {
        let place = try makePlace()
        try place.mount()
        let folder = place.path("many")
        try System.check(mkdir(folder, 0o755))
        let count = Machine.isLong ? 100_000 : 2_000
        for index in 0..<count {
            let file = try System.open("\(folder)/name-\(index)", O_WRONLY | O_CREAT | O_EXCL)
            close(file)
        }
        XCTAssertEqual(try System.names(folder).count, count)
        // Removing while listing, as rm -r does, misses none and sees none twice.
        try place.remount()
        let expected = (0..<count).map { Array("name-\($0)".utf8) }
            .sorted { $0.lexicographicallyPrecedes($1) }
        XCTAssertEqual(try System.names(folder), expected)
        try mustRun(["find", folder, "-name", "*[02468]", "-delete"])
        XCTAssertEqual(try System.names(folder), expected.filter { ($0.last ?? 0) % 2 == 1 })
        try place.unmount()
        try place.mustBeClean()
    }
}
