// What an image holds, as the tests say it and as readers show it: one row for each name.
import DiskFormat
import Hashing

/// A name with everything that stat(2), the content and the attributes tell.
struct Row: Equatable, CustomStringConvertible {
    /// A stretch of a file that is no hole, named by the first 16 digits of its bytes' SHA-256.
    struct Run: Equatable {
        var offset: UInt64
        var length: UInt64
        var hash: String

        init(_ offset: UInt64, _ length: UInt64, _ hash: String) {
            self.offset = offset
            self.length = length
            self.hash = hash
        }
    }

    struct Time: Equatable {
        var seconds: Int64
        var nanoseconds: UInt32
    }

    /// From the volume's root; bytes that are no printable ASCII as `\xNN`.
    var path: String
    var inode: UInt64
    var generation: UInt64 = 1
    /// `st_mode`.
    var mode: UInt32
    var links: UInt64
    var owner: UInt32 = 0
    var group: UInt32 = 0
    var device: [UInt32] = []
    var size: UInt64 = 0
    var allocated: UInt64 = 0
    /// Modification, change, access, birth.
    var times: [Time]
    var runs: [Run] = []
    var target = ""
    /// `NAME=VALUE`, see `attribute`.
    var attributes: [String] = []

    /// What the tests expect: times as the images have them, but where `with` changes them.
    init(
        _ path: String, _ inode: UInt64, _ mode: UInt32, links: UInt64? = nil, owner: UInt32 = 0,
        group: UInt32 = 0
    ) {
        self.path = path
        self.inode = inode
        self.mode = mode
        self.links = links ?? (mode >> 12 == 4 ? 2 : 1)
        self.owner = owner
        self.group = group
        times = [0, 1_000, 2_000, -1_000].map {
            Time(
                seconds: 1_700_000_000 + $0 + Int64(inode),
                nanoseconds: UInt32(truncatingIfNeeded: inode))
        }
    }

    func with(_ change: (inout Row) -> Void) -> Row {
        var row = self
        change(&row)
        return row
    }

    /// A regular file without holes, of this text.
    func holding(_ text: String) -> Row {
        let bytes = Array(text.utf8)
        return holding([Run(0, UInt64(bytes.count), Row.hash(bytes))])
    }

    /// A regular file of these runs, which ends with the last of them.
    func holding(_ runs: [Run]) -> Row {
        with { row in
            row.runs = runs
            row.size = runs.last.map { $0.offset + $0.length } ?? 0
            row.allocated = runs.reduce(0) { $0 + $1.length }
        }
    }

    func pointing(to target: String) -> Row {
        with {
            $0.target = target
            $0.size = UInt64(target.utf8.count)
        }
    }

    var description: String {
        let times = times.map { "\($0.seconds).\($0.nanoseconds)" }.joined(separator: " ")
        let runs = runs.map { "\($0.offset)+\($0.length):\($0.hash)" }.joined(separator: " ")
        return "\(path) #\(inode).\(generation) \(String(mode, radix: 8)) ×\(links) "
            + "\(owner):\(group) \(device) \(size) (\(allocated)) [\(times)] {\(runs)} "
            + "-> \(target) \(attributes)"
    }

    // MARK: made of what was read

    static func hash(_ bytes: [UInt8]) -> String {
        guard let hasher = try? ChunkHasher(.sha256) else { return "no hasher" }
        let name = bytes.withUnsafeBytes { hasher.name(of: $0, domain: .data) }
        return String(name.hexadecimal.prefix(16))
    }

    /// The value in hexadecimal; of a long one the first 16 digits of its SHA-256.
    static func attribute(_ name: [UInt8], _ value: [UInt8]) -> String {
        escaped(name) + "=" + (value.count > 64 ? "sha256:" + hash(value) : hexadecimal(value))
    }

    static func escaped(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            (0x20..<0x7f).contains(byte) && byte != 0x5c
                ? String(UnicodeScalar(byte)) : "\\x" + hexadecimal([byte])
        }.joined()
    }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
