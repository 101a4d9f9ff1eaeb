import Foundation

/// restic, Borg and casync: dedup without a mount, into a folder on the ext4. Their caches lie
/// beside the store and do not count as stored.
final class ArchivePeer: BackupPeer {
    enum Kind: String {
        case restic
        case borg
        case casync
    }

    let kind: Kind
    private let ground: StoreOnExt4

    init(_ kind: Kind, disk: BackingDisk) {
        self.kind = kind
        ground = StoreOnExt4(disk: disk)
    }

    var name: String { kind.rawValue }
    var packages: [String] { [kind == .borg ? "borgbackup" : kind.rawValue] }
    var missing: String? { Self.missing(kind.rawValue, package: packages[0]) }

    var version: String {
        switch kind {
        case .restic: Self.version("restic", "version")
        case .borg: Self.version("borg", "--version") + ", zstd,1, no encryption"
        case .casync: Self.version("casync", "--version")
        }
    }

    private var environment: [String: String] {
        [
            "RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": ground.root + "/cache",
            "BORG_BASE_DIR": ground.root + "/cache",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        ]
    }

    private func run(_ arguments: String...) throws(BenchmarkError) -> Command.Outcome {
        try Command(arguments).with(environment: environment).run()
    }

    func start() throws(BenchmarkError) {
        try ground.start()
        switch kind {
        case .restic: _ = try run("restic", "init", "-q", "-r", ground.store)
        case .borg: _ = try run("borg", "init", "-e", "none", ground.store)
        case .casync: break
        }
    }

    func backUp(_ tree: String, as name: String) throws(BenchmarkError) {
        let store = ground.store
        switch kind {
        case .restic: _ = try run("restic", "-r", store, "-q", "backup", "--tag", name, tree)
        case .borg:
            _ = try run("borg", "create", "--compression", "zstd,1", "\(store)::\(name)", tree)
        case .casync:
            _ = try run(
                "casync", "make", "--store=\(store)/chunks", "\(store)/\(name).caidx", tree)
        }
        try ground.makeDurable()
    }

    func storedBytes() throws(BenchmarkError) -> UInt64 {
        try ground.makeDurable()
        return try Files.allocatedBytes(below: ground.store)
    }

    func checkSeconds() throws(BenchmarkError) -> Double? {
        try ground.restart()
        switch kind {
        case .restic:
            return try run("restic", "-r", ground.store, "-q", "check", "--read-data").seconds
        case .borg: return try run("borg", "check", "--verify-data", ground.store).seconds
        case .casync: return nil
        }
    }

    func stop() {
        ground.stop()
    }
}
