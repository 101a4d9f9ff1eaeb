import Foundation

/// Ashlar itself, by its programs.
final class AshlarPeer: FilesystemPeer {
    let name = BenchmarkName.ashlar
    let packages: [String] = []
    let mountpoint: String
    private let ground: StoreOnExt4
    private let programs: String
    private let options: String
    private(set) var daemon: Int32?

    /// - Parameters:
    ///   - programs: the folder of `ashlar` and `fsck.ashlar`.
    ///   - options: mount options, comma-separated; may be empty.
    init(disk: BackingDisk, programs: String, options: String) {
        ground = StoreOnExt4(disk: disk)
        mountpoint = disk.folder + "/ashlar"
        self.programs = programs
        self.options = options
    }

    private var ashlar: String { programs + "/ashlar" }

    var missing: String? {
        for program in ["ashlar", "fsck.ashlar"] where access("\(programs)/\(program)", X_OK) != 0 {
            return "no program \(program) in \(programs): make build, or --programs"
        }
        return access("/dev/fuse", R_OK | W_OK) == 0 ? nil : "no /dev/fuse"
    }

    var version: String {
        Self.version(ashlar, "--version") + (options.isEmpty ? "" : " -o \(options)")
    }

    func start() throws(BenchmarkError) {
        try ground.start()
        try Files.makeFolder(mountpoint)
        try Command(ashlar, "mkfs", "--quiet", ground.store).run()
        try mount()
    }

    private func mount() throws(BenchmarkError) {
        let chosen = options.isEmpty ? [] : ["-o", options]
        try Command([ashlar, "mount"] + chosen + [ground.store, mountpoint]).run()
        daemon = findDaemon()
    }

    /// The process that holds the store's lock: by its command line, which names the store.
    private func findDaemon() -> Int32? {
        Files.names(in: "/proc").compactMap { Int32($0) }.first { process in
            guard let data = FileManager.default.contents(atPath: "/proc/\(process)/cmdline")
            else { return false }
            let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.first == ashlar && words.contains(ground.store)
        }
    }

    /// A FUSE filesystem's process is not told of syncfs: an fsync of its root is its word.
    func makeDurable() throws(BenchmarkError) {
        try Files.synchronize(mountpoint)
    }

    func restart() throws(BenchmarkError) {
        try Command(ashlar, "umount", "--quiet", mountpoint).run()
        try ground.restart()
        try mount()
    }

    /// After an unmount: the packs, and the index as it is then.
    func storedBytes() throws(BenchmarkError) -> UInt64 {
        try unmount()
        try ground.makeDurable()
        return try Files.allocatedBytes(below: ground.store)
    }

    /// Checked without the mount, with cold caches.
    func checkSeconds() throws(BenchmarkError) -> Double? {
        try unmount()
        try ground.restart()
        return try Command(programs + "/fsck.ashlar", "--deep", "--quiet", ground.store).run()
            .seconds
    }

    private func unmount() throws(BenchmarkError) {
        guard BackingDisk.isMounted(mountpoint) else { return }
        try Command(ashlar, "umount", "--quiet", mountpoint).run()
        daemon = nil
    }

    func stop() {
        if BackingDisk.isMounted(mountpoint) {
            let command = Command(ashlar, "umount", "--quiet", "--timeout", "120", mountpoint)
            if (try? command.cleaning.run()) == nil {
                _ = try? Command("umount", "-l", mountpoint).cleaning.run()
            }
        }
        daemon = nil
        ground.stop()
    }
}

/// Names of peers that code asks for.
enum BenchmarkName {
    static let ashlar = "ashlar"
    static let reference = "reference"
}
