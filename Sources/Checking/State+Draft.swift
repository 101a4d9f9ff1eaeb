// A volume while the log is being replayed.
import DiskFormat
import Trees

extension State {
    /// A root, and what commits say since.
    ///
    /// The log begins at the newest checkpoint all of whose roots can be read, so where a later one
    /// follows, some root of that cannot. Then no root of it is followed, and no tree that it has
    /// written: what commits say since the first root makes the same state, and that is how an index is
    /// made anew.
    struct Draft {
        private(set) var name = ""
        private(set) var nextInode: UInt64 = 0
        private(set) var root: (name: ChunkName, image: RootImage)?
        private(set) var failure: (root: ChunkName, error: TreeError)?
        /// The root of the last checkpoint, followed or not.
        private(set) var newestRoot: ChunkName?
        private(set) var overlay = Overlay()

        mutating func apply(
            _ section: VolumeChanges, _ chunks: ChunkReader
        ) throws(CheckingError) {
            name = section.volumeName
            nextInode = max(nextInode, section.nextInode)
            newestRoot = section.root ?? newestRoot
            var section = section
            if let rootName = section.root {
                if root == nil {
                    begin(rootName, section, chunks)
                } else {
                    try keepTrees(before: section, chunks)
                    section.inodes = []
                }
            }
            overlay.apply(section)
        }

        private mutating func begin(
            _ rootName: ChunkName, _ section: VolumeChanges, _ chunks: ChunkReader
        ) {
            do throws(TreeError) {
                root = (rootName, try RootImage.read(rootName, chunks))
                failure = nil
                overlay = Overlay()
            } catch {
                failure = (rootName, error)
                // All that a volume has when it is made is in the section.
                guard section.inodes.count == 1, case .put(let directory) = section.inodes[0],
                    directory.inode == RootImage.rootInode, directory.content == .none
                else { return }
                var statistics = RootImage.Statistics()
                statistics.directories = 1
                let image = RootImage(
                    volumeID: section.volumeID, volumeName: section.volumeName, time: .zero,
                    nextInode: section.nextInode, directory: directory, statistics: statistics)
                root = (rootName, image)
            }
        }

        /// Notes which trees the directories have that a checkpoint has written anew.
        private mutating func keepTrees(
            before section: VolumeChanges, _ chunks: ChunkReader
        ) throws(CheckingError) {
            guard let root else { return }
            var written: Set<UInt64> = []
            for case .put(let image) in section.inodes { written.insert(image.inode) }
            do throws(TreeError) {
                let volume = try VolumeState(
                    id: section.volumeID, name: name, nextInode: nextInode, rootName: root.name,
                    root: root.image, overlay: overlay, chunks: chunks)
                overlay.keepTrees(try volume.trees(of: written))
            } catch .storage(let node) {
                throw .tree(.storage(node: node))
            } catch {
                // The volume cannot be read, which is told at the end.
            }
        }
    }
}
