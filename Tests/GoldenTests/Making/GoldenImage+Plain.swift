// The images of what every store has: files of all kinds, of all parameters.
import DiskFormat

extension GoldenImage {
    func makePlain() throws -> [String: [UInt8]] {
        var plan = ImagePlan(number: number) { $0.metadataCopies = 2 }
        plan.frameBytesMax = 16 << 10
        let writer = try ImageWriter(plan)
        let volume = ImageVolume(writer)
        try addDocuments(to: volume)
        try addDevices(to: volume)
        try addSparse(to: volume)
        try addAttributes(to: volume)
        try addOddNames(to: volume)
        try addOddTimes(to: volume)
        try addFarm(to: volume)
        try volume.make("orphan", 0o100600) {
            try volume.fill(&$0, [.bytes(Array("nobody knows my name\n".utf8))])
        }
        volume.unlink("orphan", staysOpen: true)
        try writer.checkpoint([volume])
        return writer.files
    }

    /// Small and longer files, equal ones, hard and symbolic links.
    private func addDocuments(to volume: ImageVolume) throws {
        let docs = try volume.make("docs", 0o042775) {
            $0.owner = 1000
            $0.group = 100
        }
        try volume.make("readme.txt", in: docs, 0o100644) {
            $0.owner = 1000
            $0.group = 100
            try volume.fill(&$0, [.bytes(Array("Ashlar golden image.\n".utf8))])
        }
        try volume.make("empty", in: docs, 0o100600)
        let long = SplitMix.bytes(seed: 1, 12_000)
        for name in ["long", "same"] {
            try volume.make(name, in: docs, 0o100640) { try volume.fill(&$0, [.bytes(long)]) }
        }
        // A run of zeros in the middle is cut out, a short one is not.
        let gap = [UInt8](repeating: 0, count: 5_000)
        try volume.make("gap", in: docs, 0o100644) {
            try volume.fill(
                &$0,
                [
                    .bytes(
                        SplitMix.bytes(seed: 2, 1_500) + gap + SplitMix.bytes(seed: 3, 700)
                            + [UInt8](repeating: 0, count: 4_095) + [1])
                ])
        }
        let first = try volume.make("first", in: docs, 0o100664) {
            try volume.fill(&$0, [.bytes(Array("three names\n".utf8))])
        }
        volume.link(first, "second")
        volume.link(first, "third", in: docs)
        // One name is left, and the image stays in the table.
        let once = try volume.make("once-linked", in: docs, 0o100644) {
            try volume.fill(&$0, [.bytes(Array("one name is left\n".utf8))])
        }
        volume.link(once, "for-a-moment", in: docs)
        volume.unlink("for-a-moment", in: docs)
        for (name, target) in [
            ("link", "docs/readme.txt"), ("dangling", String(repeating: "../nowhere/", count: 30)),
        ] {
            try volume.make(name, 0o120777) {
                $0.content = .target(Array(target.utf8))
                $0.size = UInt64(target.utf8.count)
            }
        }
    }

    private func addDevices(to volume: ImageVolume) throws {
        let devices = try volume.make("devices", 0o041777)
        try volume.make("null", in: devices, 0o020666) { $0.device = (1, 3) }
        try volume.make("disk", in: devices, 0o060660) { $0.device = (259, 1_048_575) }
        try volume.make("pipe", in: devices, 0o010644)
        try volume.make("socket", in: devices, 0o140755)
    }

    private func addSparse(to volume: ImageVolume) throws {
        try volume.make("sparse", 0o100644) {
            try volume.fill(
                &$0,
                [
                    .hole(1 << 40), .bytes(SplitMix.bytes(seed: 4, 2_000)), .zeros(8_192),
                    .hole(4_096), .bytes(SplitMix.bytes(seed: 4, 2_000)), .hole(10_000),
                ])
        }
        try volume.make("all-hole", 0o100644) { try volume.fill(&$0, [.hole(65_536)]) }
        try volume.make("all-zeros", 0o100644) { try volume.fill(&$0, [.zeros(4_096)]) }
    }

    private func addAttributes(to volume: ImageVolume) throws {
        let folder = try volume.make("attributes", 0o040755) {
            // user::rwx group::r-x other::--- as acl(5) has it.
            try volume.attach(
                &$0,
                [
                    (
                        "system.posix_acl_default",
                        [
                            2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255,
                            255, 32, 0, 0, 0, 255, 255, 255, 255,
                        ]
                    )
                ])
        }
        try volume.make("inline", in: folder, 0o100644) {
            try volume.attach(
                &$0,
                [
                    ("user.empty", []), ("user.comment", Array("in the inode".utf8)),
                    (
                        "security.capability",
                        [1, 0, 0, 2, 0, 4, 0, 0] + [UInt8](repeating: 0, count: 12)
                    ),
                ])
        }
        try volume.make("chunk", in: folder, 0o100644) {
            try volume.fill(&$0, [.bytes(Array("x".utf8))])
            try volume.attach(
                &$0,
                [("trusted.large", SplitMix.bytes(seed: 5, 600)), ("user.small", [0xff])])
        }
    }

    private func addOddNames(to volume: ImageVolume) throws {
        let names = try volume.make("names", 0o040700)
        let odd: [[UInt8]] = [
            Array("new\nline".utf8), Array("a space".utf8), [0xff, 0xfe], Array("-rf".utf8),
            Array("...".utf8), Array("back\\slash".utf8), Array("\"quoted\"".utf8),
            Array("\u{1b}[31mred".utf8), Array("caf\u{e9}".utf8), Array("cafe\u{301}".utf8),
            [UInt8](repeating: 0x6e, count: 255), [0x01],
        ]
        for name in odd {
            try volume.make(name, in: names, 0o100644) { try volume.fill(&$0, [.bytes(name)]) }
        }
    }

    private func addOddTimes(to volume: ImageVolume) throws {
        try volume.make("before-1970", 0o104755) {
            $0.generation = 1 << 63
            $0.owner = UInt32.max - 1
            $0.group = 65_534
            $0.modificationTime = DiskTime(seconds: -1, nanoseconds: 999_999_999)
            $0.accessTime = DiskTime(seconds: -62_135_596_800, nanoseconds: 0)
            $0.changeTime = DiskTime(seconds: 1 << 40, nanoseconds: 1)
            $0.birthTime = DiskTime(seconds: 0, nanoseconds: 0)
        }
    }

    /// Two directories of the same hard links, as `cp -al` makes them: their nodes are equal.
    private func addFarm(to volume: ImageVolume) throws {
        let farm = try volume.make("farm", 0o040755)
        let a = try volume.make("a", in: farm, 0o040755)
        let b = try volume.make("b", in: farm, 0o040755)
        for name in ["cow", "hen"] {
            let inode = try volume.make(name, in: a, 0o100644)
            volume.link(inode, name, in: b)
        }
    }

    func makeTwice() throws -> [String: [UInt8]] {
        var plan = ImagePlan(number: number) {
            $0.hash = .sha512_256
            $0.chunker = .fixed(bytes: 64 << 10)
            $0.metadataCopies = 2
            $0.codec = 0
            $0.level = 0
            $0.superChunkBytes = 128 << 10
        }
        plan.frames = .none
        plan.frameBytesMax = 1 << 20
        let writer = try ImageWriter(plan)
        let volume = ImageVolume(writer)
        let block = SplitMix.bytes(seed: 6, 64 << 10)
        let folder = try volume.make("blocks", 0o040755)
        // A block, one of zeros, the block again, and less than one.
        try volume.make("three-and-a-bit", in: folder, 0o100644) {
            try volume.fill(
                &$0,
                [.bytes(block + [UInt8](repeating: 0, count: 64 << 10) + block + [1, 2, 3])])
        }
        try volume.make("one", in: folder, 0o100644) { try volume.fill(&$0, [.bytes(block)]) }
        try writer.checkpoint([volume])
        try volume.make("later", 0o100644) { try volume.fill(&$0, [.bytes([1, 2, 3])]) }
        writer.commit([volume])
        return writer.files
    }

    func makeTall() throws -> [String: [UInt8]] {
        var plan = ImagePlan(number: number)
        plan.frames = .library
        plan.frameBytesMax = 64 << 10
        let writer = try ImageWriter(plan)
        let volume = ImageVolume(writer)
        let many = try volume.make("many", 0o040755)
        for index in 0..<500 { try volume.make("file-\(index)", in: many, 0o100644) }
        let linked = try volume.make("linked", 0o040755)
        for index in 0..<440 {
            let inode = try volume.make("name-\(index)", in: linked, 0o100644)
            volume.link(inode, "again-\(index)", in: linked)
        }
        var segments: [Segment] = []
        let block = SplitMix.bytes(seed: 7, 1_024)
        for index in 0..<480 {
            segments += [.hole(UInt64(1 + index * 30 % 997) * 4_096), .bytes(block)]
        }
        try volume.make("wide", 0o100644) { try volume.fill(&$0, segments) }
        let text = String(repeating: "The quick brown fox jumps over the lazy dog.\n", count: 900)
        try volume.make("text", 0o100644) { try volume.fill(&$0, [.bytes(Array(text.utf8))]) }
        try writer.checkpoint([volume])
        for index in 0..<100 { try volume.make("behind-\(index)", in: many, 0o100600) }
        volume.unlink("file-300", in: many)
        writer.commit([volume])
        return writer.files
    }
}
