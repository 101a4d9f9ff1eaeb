// When files get the times by which they count as right.
//
//     written, renamed ─▶ unsettled ─(syncfs)─▶ on the medium ─▶ the source's time
//
// Filesystems make names, sizes and times durable in seconds, and bytes half a minute later. A file
// that had the source's size and time from the first moment would be passed over by the run behind a
// power cut, though it is empty.
import DiskFormat
import Glibc
import Platform

/// Files that have everything but their time.
struct UnsettledFiles {
    /// Then the medium is waited for: a restore that was killed has so much to do again.
    static let countMax = 16_384
    static let bytesMax: UInt64 = 1 << 30

    struct File {
        var name: [UInt8]
        var inode: ino_t
        var image: InodeImage
    }

    /// By the paths of their directories.
    private(set) var files: [[UInt8]: [File]] = [:]
    private var count = 0
    private var bytes: UInt64 = 0

    var isFull: Bool { count >= Self.countMax || bytes >= Self.bytesMax }

    mutating func add(_ file: File, in directory: [UInt8]) {
        files[directory, default: []].append(file)
        count += 1
        bytes += file.image.size
    }
}

extension Restorer {
    /// Whether a file that was written waits for the medium before it gets its time.
    func settlesLater(_ image: InodeImage) -> Bool {
        // What was verified is on the medium.
        options.synchronizes && !options.verifies && image.isRegular && image.size > 0
    }

    func settleLater(
        _ name: [UInt8], _ image: InodeImage, _ file: OpenFile, in directory: [UInt8]
    ) throws(RestoreError) {
        unsettled.add(
            .init(name: name, inode: try file.status().st_ino, image: image), in: directory)
        if unsettled.isFull { try settle() }
    }

    /// Waits for the medium, and gives all that were waiting their times.
    func settle() throws(RestoreError) {
        guard let root, !unsettled.files.isEmpty else { return }
        try synchronize(root)
        let waiting = unsettled.files
        unsettled = UnsettledFiles()
        for (path, files) in waiting {
            do throws(RestoreError) {
                let directory = try self.directory(at: path, below: root)
                for file in files { try settle(file, in: directory) }
            } catch {
                try fail(error, path)
            }
        }
    }

    private func settle(
        _ file: UnsettledFiles.File, in directory: DestinationDirectory
    ) throws(RestoreError) {
        // What somebody has put in its place, or removed, is his.
        guard try directory.status(file.name)?.st_ino == file.inode else { return }
        try attributes.setTimes(file.image, directory.openNode(file.name))
    }
}
