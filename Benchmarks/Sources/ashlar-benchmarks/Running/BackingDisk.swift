import Foundation

/// The disk that every peer gets, one after the other: a loop device over one file, past the page
/// cache, so that all of them stand on the same ground. The file is written once in advance: who came
/// first would otherwise pay for its allocation.
final class BackingDisk {
    let folder: String
    /// The loop device.
    let device: String

    private var filePath: String { folder + "/disk" }

    /// Makes the file and the device.
    init(folder: String, bytes: UInt64) throws(BenchmarkError) {
        self.folder = folder
        try Files.makeFolder(folder)
        let path = folder + "/disk"
        try Command.shell(
            "head -c \"$2\" /dev/zero | dd of=\"$1\" bs=4M iflag=fullblock conv=fsync status=none",
            path, String(bytes)
        ).run()
        do {
            device = try Command("losetup", "--find", "--show", "--direct-io=on", path).run().output
        } catch {
            unlink(path)
            throw error
        }
    }

    /// Lets go of both.
    func remove() {
        _ = try? Command("losetup", "--detach", device).cleaning.run()
        unlink(filePath)
    }

    /// Forgets which filesystem was there last: mount(8) would not know which one is meant.
    func wipe() throws(BenchmarkError) {
        try Command("wipefs", "--all", "--quiet", device).run()
    }

    /// Lets the kernel forget what it has of the device. With what was mounted on it unmounted, nothing
    /// of it is in memory then: the loop device goes past the page cache. Others on the machine keep
    /// their caches, which `drop_caches` would not let them.
    func forget() throws(BenchmarkError) {
        try Command("blockdev", "--flushbufs", device).run()
    }

    /// Makes an ext4 and mounts it.
    func mountExt4(at path: String) throws(BenchmarkError) {
        try wipe()
        try Command("mkfs.ext4", "-q", "-F", "-E", "nodiscard", device).run()
        try Files.makeFolder(path)
        try mountAgainExt4(at: path)
    }

    /// Mounts the ext4 that is there. Its inode tables are not zeroed in the background: that would
    /// be somebody else's work in the middle of a measurement.
    func mountAgainExt4(at path: String) throws(BenchmarkError) {
        try Command("mount", "-t", "ext4", "-o", "noatime,noinit_itable", device, path).run()
    }

    /// Unmounts whatever is mounted below `folder` and detaches every loop device whose file is
    /// there: what a run that was killed has left.
    static func sweep(folder: String) {
        let table = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        let mounts = table.split(separator: "\n").compactMap { line -> String? in
            let fields = line.split(separator: " ")
            return fields.count > 4 ? String(fields[4]) : nil
        }
        for path in mounts.reversed() where path.hasPrefix(folder + "/") {
            _ = try? Command("umount", path).cleaning.run()
            _ = try? Command("umount", "-l", path).cleaning.run()
        }
        let loops =
            (try? Command("losetup", "-l", "-n", "-O", "NAME,BACK-FILE").cleaning.run())?
            .output ?? ""
        for line in loops.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 2, fields[1].hasPrefix(folder + "/") else { continue }
            _ = try? Command("losetup", "--detach", String(fields[0])).cleaning.run()
        }
        unlink(folder + "/disk")
    }

    /// Whether something is mounted at a path.
    static func isMounted(_ path: String) -> Bool {
        (try? Command("mountpoint", "-q", path).cleaning.run()) != nil
    }
}
