/// # Queries: what is in a volume, at one instant
///
/// Purpose: finds files of a volume or snapshot by what they are, says which are equal, largest,
/// newest, and what differs between two of them (`VolumeDifference`). Everything is read from the packs by `Checking`'s reader; nothing is changed or locked.
///
/// Words: a *path* is the bytes of a name below the volume's root, parts joined by slashes, without
/// a leading one.
///
/// Invariants:
/// 1. Files come in a stable order: those of a directory by the bytes of their names, then its
///    directories, each with all below it.
/// 2. Memory does not grow with the number of files, but for results that are kept (`TopFiles`,
///    `Duplicates`) and the directories that wait on the way to where the walk is.
/// 3. A directory that cannot be read is told and passed over; the rest is found.
///
/// Threads: one at a time; all but the volume that is walked are values.
import Checking
import DiskFormat
import Trees

/// A file that was found.
public struct FoundFile: Equatable, Sendable {
    /// Empty for the root directory itself.
    public var path: [UInt8]
    public var image: InodeImage

    public init(path: [UInt8], image: InodeImage) {
        self.path = path
        self.image = image
    }
}

/// A walk through a volume.
public struct VolumeWalk {
    /// A directory that could not be read whole.
    public struct Failure: Sendable {
        public var path: [UInt8]
        public var error: TreeError
    }

    private let volume: VolumeState
    /// Directories in which nothing was found for damage.
    public private(set) var failures: [Failure] = []

    public init(_ volume: VolumeState) {
        self.volume = volume
    }

    /// Visits every inode below a directory, or a file alone, until `body` returns false.
    ///
    /// - Parameters:
    ///   - path: of what the walk begins with; empty for the root.
    ///   - image: what is there.
    /// - Returns: whether the walk came to its end.
    /// - Throws: what `body` throws.
    @discardableResult
    public mutating func visit<Failure: Error>(
        _ path: [UInt8], _ image: InodeImage, _ body: (FoundFile) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        guard try body(FoundFile(path: path, image: image)) else { return false }
        guard image.mode >> 12 == 4 else { return true }
        // The last one is the next: pushed in reverse order.
        var waiting = [(path: path, image: image)]
        while let directory = waiting.popLast() {
            let (files, directories) = entries(of: directory.path, directory.image)
            for file in files where try !body(file) { return false }
            for below in directories where try !body(below) { return false }
            waiting += directories.reversed().map { ($0.path, $0.image) }
        }
        return true
    }

    /// What is in a directory, in the order of names.
    private mutating func entries(
        of path: [UInt8], _ image: InodeImage
    ) -> (files: [FoundFile], directories: [FoundFile]) {
        var files: [FoundFile] = []
        var directories: [FoundFile] = []
        let base = path.isEmpty ? path : path + [UInt8(ascii: "/")]
        do throws(TreeError) {
            try volume.forEachEntry(of: image) { entry throws(TreeError) in
                guard let child = try volume.image(of: entry) else { return true }
                let found = FoundFile(path: base + entry.name, image: child)
                if child.mode >> 12 == 4 { directories.append(found) } else { files.append(found) }
                return true
            }
        } catch {
            failures.append(Failure(path: path, error: error))
        }
        return (files, directories)
    }
}
