// The images from the future: what programs of this version have to refuse, or to pass over.
import DiskFormat

extension GoldenImage {
    /// A small store with a commit behind its checkpoint.
    private func fillSmall(_ writer: ImageWriter) throws -> ImageVolume {
        let volume = ImageVolume(writer)
        let folder = try volume.make("folder", 0o040755)
        try volume.make("hello", 0o100644) {
            try volume.fill(&$0, [.bytes(Array("Hello from the future.\n".utf8))])
        }
        try volume.make("data", in: folder, 0o100600) {
            try volume.fill(&$0, [.bytes(SplitMix.bytes(seed: 50, 600))])
        }
        return volume
    }

    private func addLater(_ volume: ImageVolume) throws {
        try volume.make("later", 0o100644) {
            try volume.fill(&$0, [.bytes(Array("Later.\n".utf8))])
        }
        volume.writer.commit([volume])
    }

    func makeFuture(_ patch: @escaping (inout [UInt8]) -> Void) throws -> [String: [UInt8]] {
        var plan = ImagePlan(number: number)
        plan.patchHeader = patch
        let writer = try ImageWriter(plan)
        let volume = try fillSmall(writer)
        try writer.checkpoint([volume])
        try addLater(volume)
        return writer.files
    }

    /// A record of a kind that nobody knows yet, with every field that this version fixes in use.
    private func addUnknownRecord(_ writer: ImageWriter, kind: UInt8, isOptional: Bool) {
        let body = SplitMix.bytes(seed: UInt64(kind), 77)
        var header = RecordHeader(
            kind: .filler, flags: isOptional ? .optional : [], codec: 9,
            storedBytes: UInt32(body.count), rawBytes: 1_000_000, frameCount: 3, itemCount: 5,
            bodyChecksum: BodyChecksum(low: 0xbad, high: 0xbad))
        header.kindByte = kind
        writer.append(header, body) { bytes in
            bytes[7] = 6  // id of the body's checksum
            bytes[18] = 2  // transform
            bytes[19] = 1  // key slot
            bytes[20] = 4  // dictionary
        }
    }

    private func section(tag: UInt16, isOptional: Bool, _ body: [UInt8]) -> [UInt8] {
        [UInt8(tag & 0xff), UInt8(tag >> 8), isOptional ? 1 : 0, 0]
            + ImagePack.littleEndian(UInt32(body.count)) + body
    }

    func makeFutureOptional() throws -> [String: [UInt8]] {
        var plan = ImagePlan(number: number)
        plan.patchHeader = { $0[16 + 4] = 0x20 }
        plan.commitTail = { sequence in
            section(tag: 99, isOptional: true, SplitMix.bytes(seed: sequence, 40))
                + section(tag: 30_000, isOptional: true, [])
        }
        let writer = try ImageWriter(plan)
        addUnknownRecord(writer, kind: 77, isOptional: true)
        let volume = try fillSmall(writer)
        writer.flush()
        addUnknownRecord(writer, kind: 78, isOptional: true)
        try writer.checkpoint([volume])
        // As parity would lie: behind the last commit of a pack that is then sealed.
        addUnknownRecord(writer, kind: 200, isOptional: true)
        writer.roll()
        addUnknownRecord(writer, kind: 77, isOptional: true)
        try addLater(volume)
        return writer.files
    }

    func makeFutureRecord() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number))
        let volume = try fillSmall(writer)
        try writer.checkpoint([volume])
        addUnknownRecord(writer, kind: 77, isOptional: false)
        try addLater(volume)
        return writer.files
    }

    func makeFutureUpgraded() throws -> [String: [UInt8]] {
        var packs = 0
        var plan = ImagePlan(number: number)
        plan.patchHeader = { header in
            packs += 1
            if packs == 2 { header[8] = 2 }
        }
        let writer = try ImageWriter(plan)
        let volume = try fillSmall(writer)
        try writer.checkpoint([volume])
        writer.roll()
        try addLater(volume)
        return writer.files
    }

    func makeFutureSection() throws -> [String: [UInt8]] {
        var plan = ImagePlan(number: number)
        plan.commitTail = { sequence in
            sequence == 2 ? section(tag: 99, isOptional: false, [1, 2, 3]) : []
        }
        let writer = try ImageWriter(plan)
        let volume = try fillSmall(writer)
        try writer.checkpoint([volume])
        try addLater(volume)
        return writer.files
    }
}
