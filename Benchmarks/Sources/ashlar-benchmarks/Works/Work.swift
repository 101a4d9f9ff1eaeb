import BenchmarkKit

/// Some metrics that are measured one after the other on one fresh peer.
struct Work: Sendable {
    let name: String
    /// The metrics it may give, in the order of the catalogue.
    let metrics: [String]
    let needs: Set<Corpus.Part>
    /// The peers it is measured on, where they are there.
    let peers: [String]
    let run: @Sendable (Setting, any Peer) throws(BenchmarkError) -> [String: Double]

    /// What a work has at hand.
    struct Setting: Sendable {
        let corpus: Corpus
        /// The share of operations that are counted one by one.
        let scale: Double
        /// A seed for what is random; the same for all peers of a round.
        let seed: UInt64
        /// A folder for small files that belong to no peer.
        let scratch: String
    }

    private static let writable = [
        "ashlar", "btrfs", "ext4", "passthrough", "passthrough-fh", "gocryptfs", "zfs",
    ]

    /// Inodes of linux-source, each of which costs the low-level passthrough a descriptor.
    private static let sourceInodes: UInt64 = 90_000
    private static var manyFiles: [String] {
        writable.filter {
            $0 != "passthrough" || PassthroughPeer.descriptorsMax > sourceInodes
        }
    }

    /// All works, in the order they are measured.
    static let all: [Work] = [
        Work(
            name: "trees",
            metrics: [
                "copy-new", "copy-similar", "copy-same", "cpu", "read-cold", "read-warm",
                "copy-inside",
            ], needs: [.images], peers: writable + ["reference"], run: Trees.run),
        Work(
            name: "small", metrics: ["copy-small"], needs: [.headers], peers: writable,
            run: Small.run),
        Work(
            name: "source", metrics: ["untar", "find", "git-status", "remove"], needs: [.source],
            peers: manyFiles, run: Source.run),
        Work(
            name: "disks", metrics: ["image-first", "image-second"], needs: [.disks],
            peers: writable, run: Disks.run),
        Work(
            name: "random",
            metrics: ["random-read-cold", "random-read-warm", "random-write", "write-fsync"],
            needs: [.images, .headers, .source, .bigImage], peers: writable, run: RandomAccess.run),
        Work(
            name: "backup", metrics: ["backup", "stored", "check"], needs: [.images, .headers],
            peers: writable + ["restic", "borg", "casync"], run: Backup.run),
    ]
}
