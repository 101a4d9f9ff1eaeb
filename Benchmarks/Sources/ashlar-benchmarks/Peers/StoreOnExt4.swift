import Foundation

/// What peers share that keep their store in a folder: an ext4 on the disk, and the folder.
final class StoreOnExt4 {
    let disk: BackingDisk
    /// Where the ext4 is mounted.
    let root: String
    /// The store's folder.
    var store: String { root + "/store" }

    init(disk: BackingDisk) {
        self.disk = disk
        root = disk.folder + "/ground"
    }

    func start() throws(BenchmarkError) {
        try disk.mountExt4(at: root)
        try Files.makeFolder(store)
    }

    func makeDurable() throws(BenchmarkError) {
        try Files.synchronizeFilesystem(root)
    }

    /// Lets the kernel forget all that it keeps of the store.
    func restart() throws(BenchmarkError) {
        try Command("umount", root).run()
        try disk.forget()
        try disk.mountAgainExt4(at: root)
    }

    func stop() {
        // A daemon that is just ending may hold it for a moment.
        for _ in 0..<50 where BackingDisk.isMounted(root) {
            if (try? Command("umount", root).cleaning.run()) != nil { return }
            usleep(200_000)
        }
    }
}
