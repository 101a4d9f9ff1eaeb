import CLinux
import EndToEndSupport
import Foundation

/// A random sequence of operations on a tree of a few names, so that they meet. One thread.
struct OperationSource {
    private var random: SeededGenerator
    /// Whether files may be written to by mappings, whose bytes the kernel hands over when it likes.
    private let maps: Bool
    /// The longest of what is written, and the furthest place it is written to, in bytes.
    private let bytesMax: Int

    init(_ random: SeededGenerator, maps: Bool = true, bytesMax: Int = 300_000) {
        self.random = random
        self.maps = maps
        self.bytesMax = bytesMax
    }

    /// Below `bound`, by the same seed.
    mutating func below(_ bound: Int) -> Int { random.below(bound) }

    private static let folders = ["", "a/", "b/", "a/c/"]

    private mutating func path() -> String {
        Self.folders[random.below(Self.folders.count)] + "f\(random.below(6))"
    }

    private mutating func folder() -> String {
        ["a", "b", "a/c", "b/d", "f1"][random.below(5)]
    }

    private mutating func either() -> String {
        random.below(5) == 0 ? folder() : path()
    }

    /// Short, seldom long; often at the sizes of blocks.
    private mutating func length() -> Int {
        switch random.below(4) {
        case 0: random.below(bytesMax)
        case 1: min(4096 * random.below(20), bytesMax)
        default: random.below(min(6000, bytesMax))
        }
    }

    /// Text that compresses and repeats, or bytes that do not, or zeros.
    private mutating func bytes() -> [UInt8] {
        let count = length() / 2
        switch random.below(4) {
        case 0: return random.bytes(count)
        case 1: return [UInt8](repeating: 0, count: count)
        default:
            let word = Array("line \(random.below(50))\n".utf8)
            return (0..<count).map { word[$0 % word.count] }
        }
    }

    mutating func next() -> Operation {
        switch random.below(100) {
        case 0..<14: .init(kind: .create(exclusive: random.below(3) == 0), path: path())
        case 14..<44: contentOperation()
        case 44..<50: .init(kind: .readAll, path: path())
        case 50..<53:
            .init(
                kind: .read(offset: length(), length: length()), path: path())
        case 53..<75: nameOperation()
        case 75..<90: attributeOperation()
        case 90..<94: .init(kind: .list, path: folder())
        case 94..<97: .init(kind: .synchronize, path: either())
        default: .init(kind: .look, path: either())
        }
    }

    private mutating func contentOperation() -> Operation {
        let path = path()
        switch random.below(10) {
        case 0...4:
            return .init(
                kind: .write(
                    offset: length(), bytes: bytes(), append: random.below(4) == 0),
                path: path)
        case 5 where maps:
            return .init(kind: .mapped(offset: length(), bytes: bytes()), path: path)
        case 5, 6: return .init(kind: .truncate(length()), path: path)
        case 7, 8:
            let keep = ASHLAR_FALLOCATE_KEEP_SIZE
            let modes = [0, keep, keep | ASHLAR_FALLOCATE_PUNCH_HOLE]
            return .init(
                kind: .allocate(
                    mode: modes[random.below(3)], offset: length(),
                    length: length()), path: path)
        default:
            return .init(
                kind: .copyRange(
                    to: self.path(), from: length(), at: length(),
                    length: length()), path: path)
        }
    }

    private mutating func nameOperation() -> Operation {
        switch random.below(16) {
        case 0...2: .init(kind: .makeDirectory, path: folder())
        case 3: .init(kind: .removeDirectory, path: either())
        case 4...6: .init(kind: .unlink, path: either())
        case 7...11:
            .init(
                kind: .rename(
                    to: either(), flags: [0, 0, 0, 1, 2][random.below(5)]),
                path: either())
        case 12, 13: .init(kind: .link(to: path()), path: path())
        case 14: .init(kind: .symlink(target: path()), path: path())
        default:
            .init(
                kind: .makeSpecial([S_IFIFO, S_IFSOCK][random.below(2)] | 0o644),
                path: Self.folders[random.below(4)] + "s\(random.below(3))")
        }
    }

    private mutating func attributeOperation() -> Operation {
        let path = either()
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
