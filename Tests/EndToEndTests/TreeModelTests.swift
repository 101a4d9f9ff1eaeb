import CLinux
import EndToEndSupport
import Foundation
import XCTest

/// Thousands of random operations on a mounted volume and on a tmpfs: each gives the same result, and
/// the trees are equal, also after remounts and in the end by an index made anew.
final class TreeModelTests: EndToEndTestCase {
    private static let operationCount = Machine.isLong ? 100_000 : 3_000

    func testRandomOperations() throws {
        var random = SeededGenerator()
        try makeDirectory("model")
        let mounted = try run(["mount", "-t", "tmpfs", "tmpfs", path("model")])
        guard mounted.code == 0 else { throw XCTSkip("no tmpfs: \(mounted.errors)") }
        try System.check(chmod(path("model"), 0o755))
        let place = try makePlace()
        try place.mount("commit=1")
        let seconds = Date()
        var supported = Set<String>()
        for number in 0..<Self.operationCount {
            let operation = Self.operation(&random)
            let expected = operation.perform(in: path("model"))
            let result = operation.perform(in: place.mountpoint)
            if result == expected {
                if !result.hasPrefix("errno") { supported.insert(Self.name(operation)) }
            } else if !Self.mayDiffer(operation, expected) {
                XCTFail("operation \(number), \(operation): \(result), not \(expected)")
                return
            }
            if number % (Self.operationCount / 4) == Self.operationCount / 8 {
                try compare(place, number)
                try place.remount("commit=1")
                try compare(place, number)
            }
        }
        print("\(Self.operationCount) operations in \(Date().timeIntervalSince(seconds)) s")
        XCTAssertGreaterThan(supported.count, 20, "kinds that ever succeed: \(supported.sorted())")
        try place.unmount()
        try place.mustBeClean()
        XCTAssertEqual(Cleaning.removeTree(place.store + "/index"), 0)
        try place.mount()
        try compare(place, Self.operationCount)
        try place.unmount()
        try place.mustBeClean()
    }

    /// Compares all but times, which are those of the calls. (diff cannot compare special files.)
    private func compare(_ place: Place, _ number: Int) throws {
        let result = try mustRun([
            try Machine.require("rsync"), "-ncirlpgoDHX", "--delete", path("model") + "/",
            place.mountpoint + "/",
        ])
        let lines = result.text.split(separator: "\n").filter { line in
            !line.contains("..t......") && !line.contains("..T......")
        }
        XCTAssertEqual(lines, [], "operation \(number)")
        XCTAssertEqual(try listing(place.mountpoint), try listing(path("model")))
    }

    /// Every name with what lstat(2) says of it.
    private func listing(_ top: String) throws -> [String] {
        try mustRun(["find", top, "-printf", "%P %M %U %G %l %n\n"]).text
            .split(separator: "\n").map(String.init)
            .map { $0.contains(" d") ? String($0.split(separator: " ").dropLast().joined()) : $0 }
            .sorted()
    }

    /// What tmpfs does in its own way.
    private static func mayDiffer(_ operation: Operation, _ expected: String) -> Bool {
        switch operation.kind {
        // Modes of fallocate(2) that tmpfs has not.
        case .allocate(let mode, _, _): mode & ASHLAR_FALLOCATE_ZERO_RANGE != 0
        // User attributes came to tmpfs with Linux 6.6.
        case .setAttribute, .attribute, .removeAttribute, .listAttributes:
            expected == "errno \(SystemError(EOPNOTSUPP))"
        default: false
        }
    }

    private static func name(_ operation: Operation) -> String {
        String("\(operation.kind)".prefix { $0 != "(" })
    }

    // MARK: what to do next

    private static let folders = ["", "a/", "b/", "a/c/"]

    private static func path(_ random: inout SeededGenerator) -> String {
        folders[random.below(folders.count)] + "f\(random.below(6))"
    }

    private static func folder(_ random: inout SeededGenerator) -> String {
        ["a", "b", "a/c", "b/d", "f1"][random.below(5)]
    }

    private static func either(_ random: inout SeededGenerator) -> String {
        random.below(5) == 0 ? folder(&random) : path(&random)
    }

    /// Short, seldom long; often at the sizes of blocks.
    private static func length(_ random: inout SeededGenerator, _ longest: Int = 300_000) -> Int {
        switch random.below(4) {
        case 0: random.below(longest)
        case 1: 4096 * random.below(20)
        default: random.below(6000)
        }
    }

    /// Text that compresses and repeats, or bytes that do not, or zeros.
    private static func bytes(_ random: inout SeededGenerator) -> [UInt8] {
        let count = length(&random, 150_000)
        switch random.below(4) {
        case 0: return random.bytes(count)
        case 1: return [UInt8](repeating: 0, count: count)
        default:
            let word = Array("line \(random.below(50))\n".utf8)
            return (0..<count).map { word[$0 % word.count] }
        }
    }

    private static func operation(_ random: inout SeededGenerator) -> Operation {
        switch random.below(100) {
        case 0..<14: .init(kind: .create(exclusive: random.below(3) == 0), path: path(&random))
        case 14..<44: contentOperation(&random)
        case 44..<50: .init(kind: .readAll, path: path(&random))
        case 50..<53:
            .init(
                kind: .read(offset: length(&random), length: length(&random)), path: path(&random))
        case 53..<75: nameOperation(&random)
        case 75..<90: attributeOperation(&random)
        case 90..<94: .init(kind: .list, path: folder(&random))
        case 94..<97: .init(kind: .synchronize, path: either(&random))
        default: .init(kind: .look, path: either(&random))
        }
    }

    private static func contentOperation(_ random: inout SeededGenerator) -> Operation {
        let path = path(&random)
        switch random.below(10) {
        case 0...4:
            return .init(
                kind: .write(
                    offset: length(&random), bytes: bytes(&random), append: random.below(4) == 0),
                path: path)
        case 5:
            return .init(kind: .mapped(offset: length(&random), bytes: bytes(&random)), path: path)
        case 6: return .init(kind: .truncate(length(&random)), path: path)
        case 7, 8:
            let keep = ASHLAR_FALLOCATE_KEEP_SIZE
            let modes = [0, keep, keep | ASHLAR_FALLOCATE_PUNCH_HOLE]
            return .init(
                kind: .allocate(
                    mode: modes[random.below(3)], offset: length(&random),
                    length: length(&random)), path: path)
        default:
            return .init(
                kind: .copyRange(
                    to: Self.path(&random), from: length(&random), at: length(&random),
                    length: length(&random)), path: path)
        }
    }

    private static func nameOperation(_ random: inout SeededGenerator) -> Operation {
        switch random.below(16) {
        case 0...2: .init(kind: .makeDirectory, path: folder(&random))
        case 3: .init(kind: .removeDirectory, path: either(&random))
        case 4...6: .init(kind: .unlink, path: either(&random))
        case 7...11:
            .init(
                kind: .rename(
                    to: either(&random), flags: [0, 0, 0, 1, 2][random.below(5)]),
                path: either(&random))
        case 12, 13: .init(kind: .link(to: path(&random)), path: path(&random))
        case 14: .init(kind: .symlink(target: path(&random)), path: path(&random))
        default:
            .init(
                kind: .makeSpecial([S_IFIFO, S_IFSOCK][random.below(2)] | 0o644),
                path: folders[random.below(4)] + "s\(random.below(3))")
        }
    }

    private static func attributeOperation(_ random: inout SeededGenerator) -> Operation {
        let path = either(&random)
        let name = "user.\(random.below(3))"
        switch random.below(8) {
        case 0:
            // Readable by us whatever it is, since we are root.
            return .init(kind: .changeMode(mode_t(random.below(0o10000))), path: path)
        case 1: return .init(kind: .setTimes(random.below(1 << 32)), path: path)
        case 2, 3:
            return .init(
                kind: .setAttribute(
                    name, random.bytes([0, 5, 200, 2000][random.below(4)]),
                    flags: Int32(random.below(3))), path: path)
        case 4: return .init(kind: .removeAttribute(name), path: path)
        case 5: return .init(kind: .attribute(name), path: path)
        default: return .init(kind: .listAttributes, path: path)
        }
    }
}
