// The image of snapshots: listed by checkpoints, made, changed and deleted by commits between them.
import DiskFormat

extension GoldenImage {
    private func snapshot(
        _ number: UInt16, _ name: String, of volume: ImageVolume, sequence: UInt64
    ) -> SnapshotImage {
        let root = volume.rootName ?? .zero
        var image = SnapshotImage(
            id: UniqueID(random: (0x736e_6170_0000_0000 | UInt64(number), 0x6173_686c_6172)),
            volumeID: volume.id, name: name, root: root,
            time: DiskTime(
                seconds: ImageWriter.epochSeconds + 60 * Int64(sequence), nanoseconds: 7))
        image.number = number
        image.epoch = 1
        image.sequence = sequence
        return image
    }

    func makeSnapshots() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number) { $0.metadataCopies = 2 })
        let volume = ImageVolume(writer)
        func file(_ name: String, in parent: UInt64, _ bytes: [UInt8]) throws -> UInt64 {
            try volume.make(name, in: parent, 0o100644) {
                try volume.fill(&$0, [.bytes(bytes)])
            }
        }
        let folder = try volume.make("folder", 0o040755)
        let same = try volume.make("same", 0o040755)
        _ = try file("unchanged", in: same, Array("I stay.\n".utf8))
        let text = try file("text", in: folder, Array("first\n".utf8))
        _ = try file("long", in: folder, SplitMix.bytes(seed: 60, 6_000))
        volume.link(text, "linked", in: same)
        _ = try file("open", in: folder, Array("I am open.\n".utf8))
        volume.unlink("open", in: folder, staysOpen: true)
        try writer.checkpoint([volume])
        // A commit that says nothing but that there is a snapshot.
        let first = snapshot(1, "first", of: volume, sequence: 2)
        writer.commit([volume]) { $0.snapshots = [.put(first)] }
        try volume.change(text) { try volume.fill(&$0, [.bytes(Array("second\n".utf8))]) }
        volume.unlink("long", in: folder)
        writer.commit([volume])
        // A checkpoint lists all, a new one of its own root among them.
        var second: SnapshotImage?
        try writer.checkpoint([volume]) { commit in
            var made = snapshot(2, "second", of: volume, sequence: 4)
            made.root = commit.volumes[0].root ?? .zero
            made.isPinned = true
            made.description = "a sécond one"
            made.tags = ["daily", "x.1"]
            made.statistics.files = 2
            second = made
            commit.snapshots = [.put(first), .put(made)]
        }
        _ = try file("third", in: folder, Array("third\n".utf8))
        writer.commit([volume])
        try writer.checkpoint([volume]) { commit in
            guard let second else { return }
            commit.snapshots = [.put(first), .put(second)]
        }
        // Behind the last checkpoint: one renamed, one made and deleted again.
        var renamed = first
        renamed.name = "renamed"
        let brief = snapshot(3, "brief", of: volume, sequence: 7)
        writer.commit([volume]) { $0.snapshots = [.put(renamed), .put(brief)] }
        volume.unlink("third", in: folder)
        writer.commit([volume]) { $0.snapshots = [.gone(brief.id)] }
        return writer.files
    }

    func makeCloned() throws -> [String: [UInt8]] {
        let writer = try ImageWriter(ImagePlan(number: number))
        let main = ImageVolume(writer, name: "main", number: 1)
        let clone = ImageVolume(writer, name: "clone", number: 2)
        let folder = try main.make("folder", 0o040755)
        for name in ["kept", "removed"] {
            try main.make(name, in: folder, 0o100644) {
                try main.fill(&$0, [.bytes(Array("\(name)\n".utf8))])
            }
        }
        let linked = try main.make("linked", 0o100644) {
            try main.fill(&$0, [.bytes(Array("linked\n".utf8))])
        }
        main.link(linked, "again", in: folder)
        writer.commit([main])
        try writer.checkpoint([main])
        let snapshot = snapshot(1, "s", of: main, sequence: 3)
        writer.commit([]) { $0.snapshots = [.put(snapshot)] }
        let (section, count) = try clone.begin(as: main, snapshot.id)
        try writer.checkpoint([main]) { commit in
            commit.snapshots = [.put(snapshot)]
            commit.volumes.append(section)
            commit.nodeCounts = (commit.nodeCounts + [count]).sorted { $0.name < $1.name }
        }
        main.unlink("linked")
        writer.commit([main]) { $0.snapshots = [.gone(snapshot.id)] }
        clone.unlink("removed", in: folder)
        try clone.make("new", in: folder, 0o100644) {
            try clone.fill(&$0, [.bytes(Array("new\n".utf8))])
        }
        clone.unlink("again", in: folder)
        writer.commit([clone])
        return writer.files
    }
}
