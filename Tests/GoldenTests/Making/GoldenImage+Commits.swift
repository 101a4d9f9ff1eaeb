// The images of how stores change: commits behind a checkpoint, pieces, deletion, several volumes.
import DiskFormat

extension GoldenImage {
    private func file(
        _ volume: ImageVolume, _ name: String, in parent: UInt64 = ImageVolume.root,
        _ bytes: [UInt8]
    ) throws -> UInt64 {
        try volume.make(name, in: parent, 0o100644) { try volume.fill(&$0, [.bytes(bytes)]) }
    }

    func makeUnclean() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number) { $0.metadataCopies = 2 })
        let volume = ImageVolume(writer)
        let old = try volume.make("old", 0o040755)
        let new = try volume.make("new", 0o040755)
        let kept = try file(volume, "kept", in: old, SplitMix.bytes(seed: 10, 6_000))
        _ = try file(volume, "moved", in: old, Array("I move.\n".utf8))
        _ = try file(volume, "removed", in: old, Array("I go.\n".utf8))
        let open = try file(volume, "open", in: old, Array("I am open.\n".utf8))
        let folder = try volume.make("folder", in: old, 0o040700)
        _ = try file(volume, "inside", in: folder, Array("I come along.\n".utf8))
        try writer.checkpoint([volume])
        // One commit of names: renames over directories, an end, an orphan, a second name.
        volume.rename("moved", in: old, to: "has moved", in: new)
        volume.rename("folder", in: old, to: "folder", in: new)
        volume.unlink("removed", in: old)
        volume.unlink("open", in: old, staysOpen: true)
        volume.link(kept, "linked", in: new)
        writer.commit([volume])
        // One behind the end of its pack: new content for an old file, and a new file.
        writer.roll()
        try volume.change(kept) {
            try volume.fill(&$0, [.bytes(SplitMix.bytes(seed: 11, 3_000))])
        }
        _ = try file(volume, "removed", in: old, Array("I am another.\n".utf8))
        writer.commit([volume])
        volume.end(open)
        try volume.make("empty", in: new, 0o040755)
        writer.commit([volume])
        try addTornTail(to: volume)
        return writer.files
    }

    /// A commit of which only a part became durable, and a pack whose header did not.
    private func addTornTail(to volume: ImageVolume) throws {
        let writer = volume.writer
        _ = try file(volume, "never", Array("I was never committed.\n".utf8))
        writer.commit([volume])
        let last = writer.commitOffsets[writer.commitOffsets.count - 1]
        writer.open.cut(to: last + 75)
        writer.beginTornPack(.copies, bytes: 100)
    }

    func makePieces() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number))
        let volume = ImageVolume(writer)
        let database = try file(volume, "database", SplitMix.bytes(seed: 20, 12_000))
        let small = try file(volume, "small", Array("0123456789".utf8))
        try writer.checkpoint([volume])
        typealias Piece = ExtentChange.Piece
        // Data amid the recipe's chunks, a hole, zeros, and the middle of a chunk of its own.
        volume.lay(database, 5_000..<5_512, [volume.data(at: 5_000, SplitMix.bytes(seed: 21, 512))])
        volume.lay(
            database, 8_000..<9_000,
            [
                Piece(offset: 8_000, length: 500, source: .hole),
                Piece(offset: 8_600, length: 400, source: .zeros),
            ])
        volume.change(database) { $0.allocatedBytes = 11_500 }
        writer.commit([volume])
        // Over pieces of before: half of one replaced, and the key shows again where none is.
        let page = SplitMix.bytes(seed: 22, 4_096)
        let name = writer.put(page, .data)
        volume.lay(
            database, 5_256..<8_100,
            [
                Piece(
                    offset: 5_256, length: 100,
                    source: .data(name, chunkBytes: 4_096, offset: 1_000))
            ])
        volume.change(database) { $0.allocatedBytes = 11_600 }
        // On top of a key that is one chunk; the range is open to the end, the file is not.
        volume.lay(small, 3..<ExtentChange.endOfFile, [volume.data(at: 4, Array("abc".utf8))])
        volume.change(small) { $0.generation = 2 }
        writer.commit([volume])
        return writer.files
    }

    func makeSeveralVolumes() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number))
        let main = ImageVolume(writer, name: "main", number: 1)
        let backup = ImageVolume(writer, name: "backup-2023.11+x_y", number: 2)
        let empty = ImageVolume(writer, name: "0", number: 3)
        let shared = SplitMix.bytes(seed: 30, 4_000)
        _ = try file(main, "shared", shared)
        _ = try file(main, "mine", Array("of main\n".utf8))
        let folder = try backup.make("folder", 0o040755)
        _ = try file(backup, "shared too", in: folder, shared)
        try writer.checkpoint([main, backup, empty])
        // One commit changes two volumes, the next another two.
        _ = try file(main, "second", Array("second\n".utf8))
        backup.unlink("shared too", in: folder)
        writer.commit([main, backup])
        _ = try file(backup, "third", Array("third\n".utf8))
        _ = try file(empty, "no more", Array("not empty\n".utf8))
        writer.commit([backup, empty])
        // A checkpoint in which only one volume has a new root.
        try checkpointOne(writer, main, others: [backup, empty])
        _ = try file(main, "fourth", shared)
        writer.commit([main])
        return writer.files
    }

    /// `others` have been committed, so their roots of now are made and counted here too; they name
    /// them again at the checkpoint behind it.
    private func checkpointOne(
        _ writer: ImageWriter, _ volume: ImageVolume, others: [ImageVolume]
    ) throws {
        try writer.checkpoint([volume] + others)
        let roots = others.map(\.rootName)
        _ = try file(volume, "between", Array("between\n".utf8))
        writer.commit([volume])
        try writer.checkpoint([volume]) { commit in
            for (other, root) in zip(others, roots) {
                var section = other.section()
                section.root = root
                commit.volumes.append(section)
            }
        }
    }

    func makeRemovedVolume() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number))
        let main = ImageVolume(writer, name: "main", number: 1)
        let gone = ImageVolume(writer, name: "gone", number: 2)
        let shared = SplitMix.bytes(seed: 70, 3_000)
        _ = try file(main, "shared", shared)
        _ = try file(gone, "shared too", shared)
        let folder = try gone.make("folder", 0o040755)
        _ = try file(gone, "alone", in: folder, Array("alone\n".utf8))
        try writer.checkpoint([main, gone])
        // Emptied first, and the trees told of it.
        gone.unlink("alone", in: folder)
        gone.unlink("folder")
        gone.unlink("shared too")
        writer.commit([gone])
        try writer.checkpoint([main, gone])
        try writer.checkpoint([main]) { commit in
            guard let root = gone.rootName else { return }
            var section = gone.section()
            section.isRemoved = true
            commit.volumes.append(section)
            commit.nodeCounts = (commit.nodeCounts + [CountChange(name: root, change: -1)])
                .sorted { $0.name < $1.name }
        }
        _ = try file(main, "later", Array("later\n".utf8))
        writer.commit([main])
        return writer.files
    }

    func makeRules() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number))
        let main = ImageVolume(writer, name: "main", number: 1)
        let other = ImageVolume(writer, name: "other", number: 2)
        _ = try file(main, "kept", Array("kept\n".utf8))
        let first = VolumeRules(
            volumeID: main.id, retention: "keep-daily=7", schedule: "every=1h prefix=auto")
        let second = VolumeRules(volumeID: other.id, retention: "keep-yearly=1")
        try writer.checkpoint([main, other]) { $0.rules = [first, second] }
        _ = try file(main, "later", Array("later\n".utf8))
        writer.commit([main]) { commit in
            var changed = first
            changed.retention = "keep-last=2 keep-tag=ünï"
            commit.rules = [changed]
        }
        writer.commit([main]) { $0.rules = [VolumeRules(volumeID: other.id)] }
        return writer.files
    }

    func makeDeleted() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number))
        let volume = ImageVolume(writer)
        let first = SplitMix.bytes(seed: 40, 3_000)
        _ = try file(volume, "first", first)
        try writer.checkpoint([volume])
        let inFirst = Set(writer.contents.keys)
        let firstPack = writer.open
        writer.roll()
        // The second pack: a file that will end, whose record will be punched, and one that stays.
        _ = try file(volume, "second", SplitMix.bytes(seed: 41, 2_500))
        writer.flush()
        let punched = firstRecord(of: writer)
        let inSecond = Set(writer.contents.keys).subtracting(inFirst)
        _ = try file(volume, "stays", Array("I stay.\n".utf8))
        volume.unlink("first")
        writer.commit([volume])
        try writer.checkpoint([volume])
        volume.unlink("second")
        writer.commit([volume])
        // A filler: nothing of worth.
        let nothing = [UInt8](repeating: 0xee, count: 100)
        writer.append(
            RecordHeader(
                kind: .filler, storedBytes: 100, rawBytes: 0,
                bodyChecksum: nothing.withUnsafeBytes { BodyChecksum(of: $0) }), nothing)
        try writer.checkpoint([volume])
        try addCondemnations(
            to: volume, chunks: [inFirst, inSecond], firstPack, punched)
        return writer.files
    }

    /// Where the open pack's first record is, and how long its body.
    private func firstRecord(
        of writer: ImageWriter
    ) -> (pack: ImagePack, offset: UInt64, storedBytes: UInt32) {
        let start = PackHeader.byteCount
        let storedBytes = writer.open.bytes[start + 8..<start + 12].reversed()
            .reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return (writer.open, UInt64(start), storedBytes)
    }

    /// Three more checkpoints: what died is condemned, then the pack and the record it lay in.
    private func addCondemnations(
        to volume: ImageVolume, chunks: [Set<ChunkName>], _ pack: ImagePack,
        _ punched: (pack: ImagePack, offset: UInt64, storedBytes: UInt32)
    ) throws {
        let writer = volume.writer
        for round in 0..<2 {
            _ = try file(volume, "round-\(round)", Array("round \(round)\n".utf8))
            writer.commit([volume])
            writer.roll()
            let dead = chunks[round].subtracting(volume.nodes.keys)
            try writer.checkpoint([volume]) { $0.condemnedChunks = dead.sorted() }
            for name in dead { writer.forget(name) }
        }
        // The same bytes as condemned ones are stored again.
        _ = try file(volume, "first-again", SplitMix.bytes(seed: 40, 3_000))
        writer.commit([volume]) {
            $0.punchedRecords = [PunchedRecord(pack: punched.pack.id, offset: punched.offset)]
        }
        punched.pack.punch(punched.offset, storedBytes: punched.storedBytes)
        try writer.checkpoint([volume]) { $0.condemnedPacks = [pack.id] }
    }
}
