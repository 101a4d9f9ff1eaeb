// The images: which there are, what each is for, and how each is made.
import DiskFormat

/// An image of a small store, kept in Tests/GoldenTests/Images and tested for ever.
///
/// An image is never changed: stores like it exist. What is new in the format gets an image of its
/// own; its number is the next one.
enum GoldenImage: String, CaseIterable {
    /// Everything that a volume can hold, in the state of one checkpoint, in two copies.
    case plain
    /// Commits behind the checkpoint, and what an unclean end leaves behind them.
    case unclean
    /// Files with pieces on top of their content.
    case pieces
    /// The parameters that are not the default: sha512-256, fixed:64K, no compression.
    case twice
    /// Three volumes that share chunks.
    case severalVolumes = "several-volumes"
    /// Chunks and packs condemned, a record punched out, a place filled up.
    case deleted
    /// Lists of several levels, and compressed commits, by libzstd.
    case tall
    /// Format version 2.
    case futureVersion = "future-version"
    /// An unknown incompatible feature.
    case futureIncompatible = "future-incompatible"
    /// An unknown feature that allows reading.
    case futureReadOnly = "future-readonly"
    /// Unknown features, records and sections that may be passed over.
    case futureOptional = "future-optional"
    /// An unknown record that may not be passed over.
    case futureRecord = "future-record"
    /// An unknown section, in the last commit, that may not be passed over.
    case futureSection = "future-section"
    /// A newer program has written on: its pack is of format version 2, the one before of 1.
    case futureUpgraded = "future-upgraded"
    /// Snapshots: in checkpoints' lists, and changed by commits behind the last one.
    case snapshots
    /// One volume of two was removed by the last checkpoint.
    case removedVolume = "removed-volume"
    /// Rules of volumes: listed by a checkpoint, changed and cleared by commits behind it.
    case rules
    /// A volume that began as a snapshot of another, and has changed since; the snapshot is gone.
    case cloned

    /// Fixed for ever: it is in the store's id.
    var number: UInt64 {
        switch self {
        case .plain: 1
        case .unclean: 2
        case .pieces: 3
        case .twice: 4
        case .severalVolumes: 5
        case .deleted: 6
        case .tall: 7
        case .futureVersion: 8
        case .futureIncompatible: 9
        case .futureReadOnly: 10
        case .futureOptional: 11
        case .futureRecord: 12
        case .futureSection: 13
        case .futureUpgraded: 14
        case .snapshots: 15
        case .removedVolume: 16
        case .rules: 17
        case .cloned: 18
        }
    }

    /// Whether its bytes come from libzstd, and so depend on its release.
    var dependsOnLibrary: Bool { self == .tall }

    /// What a program of this version may do with it.
    enum Use {
        case readAndWrite
        case read
        /// All of its packs are of a newer program.
        case nothing
        /// Some of it is: the state before can be read from the packs, but is not the newest.
        case onlyCheck
    }

    var use: Use {
        switch self {
        case .futureVersion, .futureIncompatible: .nothing
        case .futureReadOnly: .read
        case .futureRecord, .futureSection, .futureUpgraded: .onlyCheck
        default: .readAndWrite
        }
    }

    /// Makes the image: its files, by their names within a store.
    func make() throws -> [String: [UInt8]] {
        switch self {
        case .plain: try makePlain()
        case .unclean: try makeUnclean()
        case .pieces: try makePieces()
        case .twice: try makeTwice()
        case .severalVolumes: try makeSeveralVolumes()
        case .deleted: try makeDeleted()
        case .tall: try makeTall()
        case .futureVersion: try makeFuture { $0[8] = 2 }
        case .futureIncompatible: try makeFuture { $0[32 + 5] = 0x10 }
        case .futureReadOnly: try makeFuture { $0[24 + 2] = 0x01 }
        case .futureOptional: try makeFutureOptional()
        case .futureRecord: try makeFutureRecord()
        case .futureSection: try makeFutureSection()
        case .futureUpgraded: try makeFutureUpgraded()
        case .snapshots: try makeSnapshots()
        case .removedVolume: try makeRemovedVolume()
        case .rules: try makeRules()
        case .cloned: try makeCloned()
        }
    }
}
