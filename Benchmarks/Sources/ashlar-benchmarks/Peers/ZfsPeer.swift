import Foundation

/// zfs-fuse with dedup: the only ZFS that Debian's main section has. Its daemon is started and ended
/// here; one that is running already is left alone, and the peer counts as missing.
final class ZfsPeer: FilesystemPeer {
    let name = "zfs"
    let packages = ["zfs-fuse"]
    let mountpoint: String
    private(set) var daemon: Int32?
    private let disk: BackingDisk
    private var settings = 0

    private static let pool = "ashlarbench"
    /// Its daemon calls a pool busy for a moment after the last use.
    private static let busyTriesMax = 50

    init(disk: BackingDisk) {
        self.disk = disk
        mountpoint = disk.folder + "/zfs"
    }

    var missing: String? {
        if let words = Self.missing("zfs-fuse", "zpool", package: "zfs-fuse") { return words }
        return isRunning ? "another zfs-fuse is running" : nil
    }

    private var isRunning: Bool {
        Files.names(in: "/proc").contains { process in
            guard Int32(process) != nil,
                let data = FileManager.default.contents(atPath: "/proc/\(process)/comm")
            else { return false }
            return String(decoding: data, as: UTF8.self) == "zfs-fuse\n"
        }
    }

    var version: String { "zfs-fuse, dedup, gzip-1" }

    func start() throws(BenchmarkError) {
        try startDaemon()
        try disk.wipe()
        try Command(
            "zpool", "create", "-f", "-o", "cachefile=none", "-O", "dedup=on", "-O",
            "compression=gzip-1", "-O",
            "atime=off", "-m", mountpoint, Self.pool, disk.device
        ).run()
    }

    private func startDaemon() throws(BenchmarkError) {
        try Files.makeFolder("/var/run/zfs")
        try Files.makeFolder("/var/lock/zfs")
        daemon = Int32(
            try Command.shell(
                "zfs-fuse --no-daemon --no-kstat-mount < /dev/null > /dev/null 2>&1 & echo $!"
            ).run().output)
        // It answers a moment later.
        for _ in 0..<50 {
            if (try? Command("zpool", "list", "-H").run()) != nil { return }
            usleep(100_000)
        }
        throw .missing("zfs-fuse does not answer")
    }

    /// Setting a property waits for the transaction group that holds all before it; syncfs does not
    /// reach a FUSE filesystem's process.
    func makeDurable() throws(BenchmarkError) {
        settings += 1
        try Command("zfs", "set", "ashlar:durable=\(settings)", Self.pool).run()
    }

    func restart() throws(BenchmarkError) {
        try export()
        endDaemon()
        try disk.forget()
        try startDaemon()
        try importPool()
    }

    private func export() throws(BenchmarkError) {
        var tries = 1
        while true {
            do throws(BenchmarkError) {
                try Command("zpool", "export", Self.pool).run()
                return
            } catch {
                guard tries < Self.busyTriesMax, !Interruption.isRequested else { throw error }
                tries += 1
                usleep(200_000)
            }
        }
    }

    /// Not into the list of pools that the next daemon opens by itself: a pool that was not destroyed
    /// would be active there, and its disk in use.
    private func importPool() throws(BenchmarkError) {
        try Command(
            "zpool", "import", "-o", "cachefile=none", "-d", "/dev", Self.pool
        ).run()
    }

    func storedBytes() throws(BenchmarkError) -> UInt64 {
        try export()
        try importPool()
        let text = try Command("zpool", "list", "-H", "-o", "alloc", Self.pool).run().output
        guard let bytes = Self.bytes(text) else { throw .missing("zpool said \(text)") }
        return bytes
    }

    /// Reads zpool's `1.25G`.
    static func bytes(_ text: String) -> UInt64? {
        let shifts: [Character: Double] = ["K": 10, "M": 20, "G": 30, "T": 40]
        guard let last = text.last else { return nil }
        let number = shifts[last] == nil ? text : String(text.dropLast())
        guard let value = Double(number) else { return nil }
        return UInt64(value * exp2(shifts[last] ?? 0))
    }

    func stop() {
        if daemon != nil {
            for _ in 0..<Self.busyTriesMax {
                let destroyed = try? Command("zpool", "destroy", "-f", Self.pool).cleaning.run()
                if destroyed != nil { break }
                usleep(200_000)
            }
        }
        endDaemon()
        if BackingDisk.isMounted(mountpoint) {
            _ = try? Command("umount", "-l", mountpoint).cleaning.run()
        }
    }

    private func endDaemon() {
        guard let process = daemon else { return }
        kill(process, SIGTERM)
        for _ in 0..<100 where kill(process, 0) == 0 { usleep(100_000) }
        // It does not always heed the first signal. The pool is exported or destroyed by now.
        kill(process, SIGKILL)
        daemon = nil
    }
}
