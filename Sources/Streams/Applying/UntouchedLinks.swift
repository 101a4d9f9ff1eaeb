import Checking
import DiskFormat
import Trees

/// Names that a difference leaves where they are, of files that have other names which it does not: both its
/// sides have them, as they are. Who makes the others links to these.
///
/// Where one file of the old side is several in the new one, only names of the first of these can stay.
///
/// Memory: those names.
struct UntouchedLinks {
    /// By path: the file's number in the side that is made.
    private(set) var inodes: [[UInt8]: UInt64] = [:]
    /// Names that are of another file than others which they were one with.
    private(set) var parting: Set<[UInt8]> = []
    /// By numbers of the old side: the file that stays in its place.
    private var successors: [UInt64: UInt64] = [:]

    /// None.
    init() {}

    init(
        from old: VolumeState, to new: VolumeState, isCancelled: () -> Bool
    ) throws(ApplyError) {
        guard new.root.linkedInodes != nil || old.root.linkedInodes != nil else { return }
        var walk = StoredWalk(new)
        var path = WalkedPath()
        while !isCancelled() {
            do throws(TreeError) {
                switch try walk.next() {
                case nil: return
                case .begin(let name, _):
                    path.enter(name)
                    path.open()
                case .end: path.close()
                case .file(let name, let image):
                    path.enter(name)
                    guard let before = try old.resolve(bytes: path.bytes),
                        image.isLinked || before.isLinked,
                        before.isSameBesideNames(as: image)
                    else { continue }
                    take(path.bytes, from: before, to: image)
                }
            } catch {
                throw .tree(error)
            }
        }
        throw .cancelled
    }

    private mutating func take(_ path: [UInt8], from before: InodeImage, to image: InodeImage) {
        let successor = successors[before.inode] ?? image.inode
        successors[before.inode] = successor
        if successor != image.inode {
            parting.insert(path)
        } else if image.isLinked {
            inodes[path] = image.inode
        }
    }

    /// All paths, always in the same order.
    var paths: [[UInt8]] { inodes.keys.sorted { $0.lexicographicallyPrecedes($1) } }

    /// A path of each file.
    var firstPaths: [UInt64: [UInt8]] {
        Dictionary(paths.map { (inodes[$0] ?? 0, $0) }, uniquingKeysWith: { first, _ in first })
    }
}
