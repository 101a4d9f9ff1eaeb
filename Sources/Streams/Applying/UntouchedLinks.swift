import Checking
import DiskFormat
import Trees

/// Names that a difference does not touch, of files that have other names which it does: both its sides
/// have them, as they are. Who makes the others links to these.
///
/// Memory: those names.
struct UntouchedLinks {
    /// By path: the file's number in the side that is made.
    private(set) var inodes: [[UInt8]: UInt64] = [:]

    /// None.
    init() {}

    init(
        from old: VolumeState, to new: VolumeState, isCancelled: () -> Bool
    ) throws(ApplyError) {
        guard new.root.linkedInodes != nil else { return }
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
                    guard image.isLinked, let before = try old.resolve(bytes: path.bytes),
                        before.difference(from: image) == nil,
                        before.attributes == image.attributes, before.content == image.content
                    else { continue }
                    inodes[path.bytes] = image.inode
                }
            } catch {
                throw .tree(error)
            }
        }
        throw .cancelled
    }

    /// All paths, always in the same order.
    var paths: [[UInt8]] { inodes.keys.sorted { $0.lexicographicallyPrecedes($1) } }

    /// A path of each file.
    var firstPaths: [UInt64: [UInt8]] {
        Dictionary(paths.map { (inodes[$0] ?? 0, $0) }, uniquingKeysWith: { first, _ in first })
    }
}
