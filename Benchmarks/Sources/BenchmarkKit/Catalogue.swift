/// All that is measured, and what is to be reached.
public enum Catalogue {
    public static let metrics: [Metric] = [
        Metric("copy-new", "copy in a kernel image tree, cp -a + durable"),
        Metric("copy-similar", "copy in a second, similar version"),
        Metric("copy-same", "the first tree again, all duplicate"),
        Metric("cpu", "CPU time of copying the first tree in (mount's process and cp)"),
        Metric("read-cold", "read the tree, cold caches, tar c to a pipe"),
        Metric("read-warm", "the same, warm"),
        Metric("copy-inside", "cp -a of the tree inside the mount"),
        Metric("image-first", "copy in a disk image of 2 GiB"),
        Metric("image-second", "copy in its second state"),
        Metric("copy-small", "copy in some 10,000 small files"),
        Metric("untar", "untar linux-source, 80,000 files"),
        Metric("find", "find -ls over 80,000 files"),
        Metric("git-status", "git status over 80,000 files"),
        Metric("remove", "rm -rf of 80,000 files"),
        Metric("random-read-cold", "random 4 KiB reads, cold", .operationsPerSecond),
        Metric("random-read-warm", "random 4 KiB reads, warm", .operationsPerSecond),
        Metric("random-write", "random 4 KiB writes, then durable", .operationsPerSecond),
        Metric("write-fsync", "8 KiB writes, each with fsync", .operationsPerSecond),
        Metric("backup", "copy in 3 headers and 3 images, as a backup"),
        Metric("stored", "bytes stored of these", .bytes),
        Metric("check", "check all stored data (fsck --deep)", .bytesPerSecond),
    ]

    private static let passthrough = ["passthrough", "passthrough-fh"]
    private static let backups = ["restic", "borg", "casync"]

    public static let goals: [Goal] = [
        Goal("copy-new", against: ["btrfs"], reach: 1.0, stretch: 0.8),
        Goal("copy-similar", against: ["btrfs"], reach: 0.9, stretch: 0.7),
        Goal("copy-same", against: ["btrfs"], reach: 0.8, stretch: 0.5),
        Goal("image-first", against: ["btrfs"], reach: 0.8, stretch: 0.6),
        Goal("image-second", against: ["btrfs"], reach: 0.5, stretch: 0.35),
        Goal("copy-small", against: passthrough, reach: 0.6, stretch: 0.35),
        Goal("untar", against: passthrough, reach: 0.6, stretch: 0.4),
        Goal("read-cold", against: ["btrfs"], reach: 1.2, stretch: 0.9),
        Goal("read-warm", against: ["ext4"], reach: 1.2, stretch: 1.05),
        Goal("find", against: passthrough, reach: 0.6, stretch: 0.3),
        Goal("git-status", against: passthrough, reach: 0.6, stretch: 0.3),
        Goal("remove", against: passthrough, reach: 0.6, stretch: 0.3),
        Goal("random-read-cold", against: ["btrfs"], reach: 1.5, stretch: 1.0),
        Goal("random-read-warm", against: ["ext4"], reach: 1.1, stretch: 1.0),
        Goal("random-write", against: ["btrfs"], reach: 1.5, stretch: 1.0),
        Goal("write-fsync", against: ["btrfs"], reach: 1.5, stretch: 1.0),
        Goal("copy-inside", against: ["btrfs"], reach: 2, stretch: 1),
        Goal("backup", against: backups, reach: 0.5, stretch: 0.3),
        Goal("check", against: ["restic", "borg"], reach: 0.5, stretch: 0.25),
        Goal("stored", against: backups + ["btrfs", "zfs"], reach: 0.85, stretch: 0.65),
        Goal("cpu", against: ["reference"], reach: 1.6, stretch: 1.25),
    ]

    /// The metric of a name, or nil.
    public static func metric(_ name: String) -> Metric? {
        metrics.first { $0.name == name }
    }
}
