import CGnu
import Foundation

/// Random reads and writes in a large image: cold, warm, written, and written with fsync.
enum RandomAccess {
    private static let coldReads = 3_000
    private static let warmReads = 100_000
    private static let writes = 5_000
    private static let synchronousWrites = 400
    private static let blockBytes = 4096
    private static let recordBytes = 8192

    static func run(
        _ setting: Work.Setting, _ peer: any Peer
    ) throws(BenchmarkError) -> [String: Double] {
        guard let image = setting.corpus.bigImage else { throw .missing("no image") }
        let peer = try Trees.mounted(peer)
        let path = peer.mountpoint + "/image"
        try Command("cp", image, path).run()
        try peer.makeDurable()
        try peer.restart()
        let places = try Places(ofDataIn: image)
        func count(_ whole: Int) -> Int { max(Int(Double(whole) * setting.scale), 16) }
        var values: [String: Double] = [:]
        let cold = places.random(count(coldReads), seed: setting.seed, bytes: blockBytes)
        values["random-read-cold"] = try rate(path, cold, bytes: blockBytes, .read)
        try Command.shell("cat \"$1\" > /dev/null", path).run()
        let warm = places.random(count(warmReads), seed: setting.seed + 1, bytes: blockBytes)
        values["random-read-warm"] = try rate(path, warm, bytes: blockBytes, .read)
        let written = places.random(count(writes), seed: setting.seed + 2, bytes: blockBytes)
        values["random-write"] = try rate(path, written, bytes: blockBytes, .write) {
            () throws(BenchmarkError) in try peer.makeDurable()
        }
        let records = places.random(
            count(synchronousWrites), seed: setting.seed + 3, bytes: recordBytes)
        values["write-fsync"] = try rate(path, records, bytes: recordBytes, .writeAndSynchronize)
        return values
    }

    private enum Access {
        case read
        case write
        case writeAndSynchronize
    }

    /// Operations in a second, one after the other; `finish` counts as part of the work.
    private static func rate(
        _ path: String, _ offsets: [Int], bytes: Int, _ access: Access,
        finish: () throws(BenchmarkError) -> Void = { () throws(BenchmarkError) in }
    ) throws(BenchmarkError) -> Double {
        let file = open(path, (access == .read ? O_RDONLY : O_RDWR) | O_CLOEXEC)
        guard file >= 0 else { throw .system(call: "open", path: path, errno: errno) }
        defer { close(file) }
        var random = Random(seed: UInt64(bytes))
        var buffer = (0..<bytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let began = Clock.seconds
        for (index, offset) in offsets.enumerated() {
            if index % 64 == 0 { try Interruption.check() }
            // Never the same bytes twice.
            buffer.withUnsafeMutableBytes { $0.storeBytes(of: index, as: Int.self) }
            let done =
                access == .read
                ? pread(file, &buffer, bytes, off_t(offset))
                : pwrite(file, buffer, bytes, off_t(offset))
            guard done == bytes else { throw .system(call: "pread", path: path, errno: errno) }
            if access == .writeAndSynchronize, fsync(file) != 0 {
                throw .system(call: "fsync", path: path, errno: errno)
            }
        }
        try finish()
        return Double(offsets.count) / (Clock.seconds - began)
    }
}

/// Places in a file where it has data: holes cost nothing anywhere.
struct Places {
    private var extents: [Range<Int>] = []

    init(ofDataIn path: String) throws(BenchmarkError) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system(call: "open", path: path, errno: errno) }
        defer { close(file) }
        var position: off_t = 0
        while true {
            let begin = gnu_seek_data(file, position)
            guard begin >= 0 else { break }
            let end = gnu_seek_hole(file, begin)
            guard end > begin else { break }
            extents.append(Int(begin)..<Int(end))
            position = end
        }
        guard !extents.isEmpty else { throw .missing("\(path) has no data") }
    }

    /// Offsets that are multiples of `bytes`, with as many bytes of data behind each.
    func random(_ count: Int, seed: UInt64, bytes: Int) -> [Int] {
        var random = Random(seed: seed)
        let large = extents.filter { $0.count >= 2 * bytes }
        let total = large.reduce(0) { $0 + $1.count }
        guard total > 0 else { return [] }
        return (0..<count).map { _ in
            var place = Int(random.next() % UInt64(total))
            for extent in large {
                if place < extent.count {
                    let aligned = (extent.lowerBound + place) / bytes * bytes
                    let first = (extent.lowerBound + bytes - 1) / bytes * bytes
                    return min(max(aligned, first), extent.upperBound - bytes)
                }
                place -= extent.count
            }
            return large[0].lowerBound
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct Random {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
