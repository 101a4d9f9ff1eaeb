// Files of snapshots and differences: which there are, what each is for, and how each is made.
import CKernels
import DiskFormat
import Hashing

/// A small `.snap` or `.diff` file, kept in Tests/GoldenTests/Streams. As a `GoldenImage`, it is never
/// changed.
enum StreamImage: String, CaseIterable {
    /// Every kind of content, in two packs.
    case content = "content.snap"
    /// Chunks of data are named, and not there.
    case keys = "keys.snap"
    /// A file changed, one gone, one new, of both ways.
    case change = "change.diff"
    /// The same without what only the base has.
    case oneWay = "one-way.diff"
    /// Version 2.
    case futureVersion = "future-version.snap"
    /// An unknown incompatible feature.
    case futureIncompatible = "future-incompatible.snap"
    /// Unknown features that allow reading.
    case futureReadOnly = "future-readonly.snap"

    /// Fixed for ever: it is in the store's id. Those of stores are below.
    private var number: UInt64 {
        switch self {
        case .content: 101
        case .keys: 102
        case .change: 103
        case .oneWay: 104
        case .futureVersion: 105
        case .futureIncompatible: 106
        case .futureReadOnly: 107
        }
    }

    /// Whether a program of this version may read it.
    var isOfToday: Bool { self != .futureVersion && self != .futureIncompatible }

    func make() throws -> [UInt8] {
        let writer = try ImageWriter(ImagePlan(number: number))
        switch self {
        case .content, .futureReadOnly:
            try makeSnapshot(writer)
        case .keys, .futureVersion, .futureIncompatible:
            writer.keepsData = false
            try makeSnapshot(writer)
        case .change:
            try makeDifference(writer)
        case .oneWay:
            try makeDifference(writer)
        }
        return file(writer)
    }

    // MARK: what is in them

    private static func snapshot(_ name: String, _ number: UInt64, _ tree: ImageVolume)
        -> SnapshotImage
    {
        var image = SnapshotImage(
            id: UniqueID(random: (0x736e_6170_0000_0000 | number, 0x6173_686c_6172)),
            volumeID: tree.id, name: name, root: tree.rootName ?? .zero,
            time: DiskTime(seconds: ImageWriter.epochSeconds, nanoseconds: 7))
        image.number = UInt16(number)
        image.epoch = 1
        image.sequence = number
        return image
    }

    private func makeSnapshot(_ writer: ImageWriter) throws {
        let tree = ImageVolume(writer)
        let folder = try tree.make("folder", 0o040750)
        let text = try tree.make("text", in: folder, 0o100644) {
            try tree.fill(&$0, [.bytes(Array("I am text.\n".utf8))])
            try tree.attach(&$0, [("user.note", [1, 2, 3])])
        }
        tree.link(text, "linked")
        _ = try tree.make("long", 0o100600) {
            try tree.fill(&$0, [.bytes(SplitMix.bytes(seed: 70, 9_000))])
        }
        _ = try tree.make("sparse", in: folder, 0o100644) {
            try tree.fill(&$0, [.hole(100_000), .bytes(Array("end\n".utf8)), .zeros(5_000)])
        }
        _ = try tree.make("empty", 0o100444)
        _ = try tree.make("link", 0o120777) {
            $0.content = .target(Array("folder/text".utf8))
            $0.size = 11
        }
        _ = try tree.make("pipe", 0o010640)
        var counts: [ChunkName: Int64] = [:]
        _ = try tree.checkpoint(&counts)
        writer.flush()
        if self == .content { writer.roll() }
        try finish(writer, [Self.snapshot("snapshot", 1, tree)], counts)
    }

    private func makeDifference(_ writer: ImageWriter) throws {
        var counts: [ChunkName: Int64] = [:]
        var snapshots: [SnapshotImage] = []
        for (number, side) in ["base", "target"].enumerated() {
            let isBase = number == 0
            writer.keepsData = self == .change || !isBase
            let tree = ImageVolume(writer)
            let folder = try tree.make("folder", 0o040755)
            _ = try tree.make("text", in: folder, 0o100644) {
                let text = isBase ? "first\n" : "second\n"
                try tree.fill(&$0, [.bytes(Array(text.utf8))])
            }
            let seed: UInt64 = isBase ? 80 : 81
            _ = try tree.make(isBase ? "gone" : "new", 0o100644) {
                try tree.fill(&$0, [.bytes(SplitMix.bytes(seed: seed, 6_000))])
            }
            _ = try tree.checkpoint(&counts)
            snapshots.append(Self.snapshot(side, UInt64(number) + 1, tree))
        }
        try finish(writer, snapshots, counts)
    }

    /// A checkpoint of a volume with nothing in it, and the snapshots.
    private func finish(
        _ writer: ImageWriter, _ snapshots: [SnapshotImage], _ counts: [ChunkName: Int64]
    ) throws {
        try writer.checkpoint([ImageVolume(writer)]) { commit in
            commit.snapshots = snapshots.map { .put($0) }
        }
        writer.open.seal()
    }

    // MARK: the file, by the specification alone

    private var head: [UInt8] {
        var head = [UInt8](repeating: 0, count: 64)
        head.replaceSubrange(0..<8, with: Array("ASHLARST".utf8))
        head[8] = self == .futureVersion ? 2 : 1
        switch self {
        case .content, .futureReadOnly: (head[12], head[14]) = (1, 1)
        case .keys, .futureVersion, .futureIncompatible: (head[12], head[14]) = (1, 0)
        case .change: (head[12], head[14]) = (2, 1)
        case .oneWay: (head[12], head[14]) = (2, 3)
        }
        if self == .futureReadOnly {
            head[16 + 3] = 0x40
            head[24 + 2] = 0x01
        }
        if self == .futureIncompatible { head[32 + 5] = 0x10 }
        put(UInt64(ImageWriter.epochSeconds), at: 40, in: &head)
        put(UInt32(9), at: 48, in: &head)
        put(crc(head[..<60]), at: 60, in: &head)
        return head
    }

    private func file(_ writer: ImageWriter) -> [UInt8] {
        var file = head
        var table: [UInt8] = []
        for pack in writer.packs {
            file += [UInt8](repeating: 0, count: -file.count & 7)
            var section = [UInt8](repeating: 0, count: 32)
            put(pack.id.writer, at: 0, in: &section)
            put(pack.id.sequence, at: 8, in: &section)
            put(UInt64(file.count), at: 16, in: &section)
            put(UInt64(pack.bytes.count), at: 24, in: &section)
            let digest = pack.bytes.withUnsafeBytes { writer.hasher.name(of: $0, domain: .data) }
            section += digest.bytes
            table += section
            file += pack.bytes
        }
        file += [UInt8](repeating: 0, count: -file.count & 7)
        var trailer = [UInt8](repeating: 0, count: 48)
        trailer.replaceSubrange(0..<8, with: Array("ASHLARSE".utf8))
        put(UInt64(file.count), at: 8, in: &trailer)
        put(UInt32(writer.packs.count), at: 16, in: &trailer)
        let sum = (head + table).withUnsafeBytes { BodyChecksum(of: $0) }
        put(sum.low, at: 28, in: &trailer)
        put(sum.high, at: 36, in: &trailer)
        put(crc(trailer[..<44]), at: 44, in: &trailer)
        return file + table + trailer
    }

    private func put<Word: FixedWidthInteger>(
        _ word: Word, at offset: Int, in bytes: inout [UInt8]
    ) {
        withUnsafeBytes(of: word.littleEndian) {
            bytes.replaceSubrange(offset..<offset + $0.count, with: $0)
        }
    }

    private func crc(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBytes { ashlar_crc32c(0, $0.baseAddress, $0.count) }
    }
}
