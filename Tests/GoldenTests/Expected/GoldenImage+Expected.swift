// What each image holds, said by hand; hashes of random bytes come from another program.

/// A volume as readers have to show it.
struct ExpectedVolume {
    var name = "main"
    /// One for each name, the root among them.
    var rows: [Row]
    /// Inodes without a name.
    var orphans: [UInt64] = []
}

extension GoldenImage {
    /// The volumes, in the order of their names; of images that only fsck looks at, none.
    var volumes: [ExpectedVolume] {
        switch self {
        case .plain: [ExpectedVolume(rows: Self.plainRows, orphans: [42])]
        case .unclean: [ExpectedVolume(rows: Self.uncleanRows)]
        case .pieces: [ExpectedVolume(rows: Self.piecesRows)]
        case .twice: [ExpectedVolume(rows: Self.twiceRows)]
        case .severalVolumes: Self.threeVolumes
        case .deleted: [ExpectedVolume(rows: Self.deletedRows)]
        case .tall: [ExpectedVolume(rows: Self.tallRows)]
        case .futureReadOnly, .futureOptional: [ExpectedVolume(rows: Self.futureRows)]
        case .snapshots: [ExpectedVolume(rows: Self.snapshotsRows, orphans: [7])]
        case .removedVolume: [ExpectedVolume(rows: Self.removedVolumeRows)]
        case .rules: Self.rulesVolumes
        case .cloned: Self.clonedVolumes
        case .futureVersion, .futureIncompatible, .futureRecord, .futureSection, .futureUpgraded:
            []
        }
    }

    /// The kinds of all that fsck tells, sorted. Nothing of it is wrong, but in those images that
    /// a newer program has gone on with.
    var problems: [String] {
        switch self {
        case .plain: []
        case .unclean: ["logWaits", "tornTail", "tornTail", "unownedChunks"]
        case .pieces, .twice, .tall, .futureReadOnly, .futureOptional, .rules: ["logWaits"]
        case .severalVolumes, .snapshots, .removedVolume, .cloned: ["logWaits", "unownedChunks"]
        case .deleted: ["packCondemned", "unownedChunks"]
        case .futureRecord, .futureSection: ["packNewer", "unownedChunks"]
        case .futureUpgraded: ["packNewer"]
        case .futureVersion, .futureIncompatible: []
        }
    }

    /// The newest commit, those behind the checkpoint, and packs that are there; then each volume's
    /// files, directories, other inodes, bytes, linked inodes and orphans.
    var summary: [String] {
        switch self {
        case .plain:
            ["sequence 1, to replay 0, packs 2", "main: 27 8 6 1099511759359 4 1"]
        case .unclean: ["sequence 4, to replay 3, packs 5", "main: 4 5 0 3036 1 0"]
        case .pieces: ["sequence 3, to replay 2, packs 1", "main: 2 1 0 12010 0 0"]
        case .twice: ["sequence 2, to replay 1, packs 2", "main: 3 2 0 262150 0 0"]
        case .severalVolumes:
            [
                "sequence 7, to replay 1, packs 1", "0: 1 1 0 10 0 0",
                "backup-2023.11+x_y: 1 2 0 6 0 0", "main: 5 1 0 8023 0 0",
            ]
        case .deleted: ["sequence 11, to replay 0, packs 4", "main: 4 1 0 3024 0 0"]
        case .tall: ["sequence 2, to replay 1, packs 1", "main: 1041 3 0 966979124 440 0"]
        case .futureReadOnly: ["sequence 2, to replay 1, packs 1", "main: 3 2 0 630 0 0"]
        case .futureOptional: ["sequence 2, to replay 1, packs 2", "main: 3 2 0 630 0 0"]
        case .futureRecord, .futureSection, .futureUpgraded:
            ["sequence 1, to replay 0, packs 1", "main: 2 2 0 623 0 0"]
        case .futureVersion, .futureIncompatible: []
        case .rules:
            ["sequence 3, to replay 2, packs 1", "main: 2 1 0 11 0 0", "other: 0 1 0 0 0 0"]
        case .cloned:
            ["sequence 6, to replay 2, packs 1", "clone: 3 2 0 16 1 0", "main: 3 2 0 20 1 0"]
        case .removedVolume: ["sequence 5, to replay 1, packs 1", "main: 2 1 0 3006 0 0"]
        case .snapshots: ["sequence 8, to replay 2, packs 2", "main: 2 3 0 15 1 1"]
        }
    }
}
