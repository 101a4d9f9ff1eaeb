import Foundation

/// A filesystem of the kernel on the disk.
final class KernelPeer: FilesystemPeer {
    enum Kind: String {
        case ext4
        case btrfs
    }

    let kind: Kind
    let disk: BackingDisk
    let mountpoint: String
    private var usedBytesEmpty: UInt64 = 0

    init(_ kind: Kind, disk: BackingDisk) {
        self.kind = kind
        self.disk = disk
        mountpoint = disk.folder + "/\(kind.rawValue)"
    }

    var name: String { kind.rawValue }
    var daemon: Int32? { nil }

    var packages: [String] { kind == .btrfs ? ["btrfs-progs"] : ["e2fsprogs"] }

    var missing: String? {
        let known = (try? String(contentsOfFile: "/proc/filesystems", encoding: .utf8)) ?? ""
        if let words = Self.missing("mkfs.\(kind.rawValue)", package: packages[0]) { return words }
        let isKnown =
            known.contains("\t\(kind.rawValue)\n")
            || (try? Command("modprobe", kind.rawValue).run()) != nil
        return isKnown ? nil : "the kernel has no \(kind.rawValue)"
    }

    var version: String {
        let release = Machines.kernel
        return kind == .btrfs ? "Linux \(release), compress=zstd:1" : "Linux \(release)"
    }

    func start() throws(BenchmarkError) {
        try Files.makeFolder(mountpoint)
        switch kind {
        case .ext4: try disk.mountExt4(at: mountpoint)
        case .btrfs:
            try disk.wipe()
            try Command("mkfs.btrfs", "-q", "-f", "--nodiscard", disk.device).run()
            try mount()
        }
        try Files.synchronizeFilesystem(mountpoint)
        usedBytesEmpty = try Files.usedBytes(ofFilesystem: mountpoint)
    }

    private func mount() throws(BenchmarkError) {
        switch kind {
        case .ext4: try disk.mountAgainExt4(at: mountpoint)
        case .btrfs:
            try Command(
                "mount", "-o", "noatime,nodiscard,compress=zstd:1", disk.device,
                mountpoint
            ).run()
        }
    }

    func makeDurable() throws(BenchmarkError) {
        try Files.synchronizeFilesystem(mountpoint)
    }

    func restart() throws(BenchmarkError) {
        try Command("umount", mountpoint).run()
        try disk.forget()
        try mount()
    }

    func storedBytes() throws(BenchmarkError) -> UInt64 {
        try makeDurable()
        let used = try Files.usedBytes(ofFilesystem: mountpoint)
        return used > usedBytesEmpty ? used - usedBytesEmpty : 0
    }

    func stop() {
        if BackingDisk.isMounted(mountpoint) {
            _ = try? Command("umount", mountpoint).cleaning.run()
        }
    }
}
