// A volume made to be what a root says, at the cost of what differs.
//
// The volume's index is that of its newest checkpoint, so that its trees and the index say the same.
// Directories are compared by their inodes, wherever they lie: one whose tree is the same has all
// below it in common. What comes of it is an ordinary commit. Inodes keep the numbers that they had in
// the root; numbers that were given out since are not given out again.
import DiskFormat
import FileModel
import NamespaceIndex
import Trees

/// Gathers the changes. One thread; nobody commits meanwhile.
///
/// Memory in proportion to what differs.
struct VolumeReplacement {
    private let volume: Volume
    private let access: StoreAccess
    private let target: RootImage
    private var images: [UInt64: InodeImage] = [:]
    private var names: [NameChange] = []
    private var extents: [ExtentChange] = []
    /// Inodes that have lost a name, or have none.
    private var candidates: [UInt64] = []
    /// Directories of the target that are to be compared, with their trees there.
    private var pending: [(inode: UInt64, node: NodeReference?)] = []

    init(_ volume: Volume, by target: RootImage) {
        self.volume = volume
        access = StoreAccess(volume.store)
        self.target = target
    }

    /// What a commit has to say.
    mutating func changes(
        from record: VolumeRecord, _ current: RootImage
    ) throws(FileError) -> VolumeChanges {
        try compareLinked(current)
        try place(target.directory)
        while let next = pending.popLast() { try compare(next.inode, next.node) }
        candidates += current.orphans.map(\.inode)
        let gone = try endCandidates()
        var changes = VolumeChanges(
            volumeID: volume.volumeID, volumeName: record.name, epoch: 0, sequence: 0,
            nextInode: max(record.nextInode, target.nextInode))
        changes.inodes =
            gone.map { .gone($0) }
            + images.values.sorted { $0.inode < $1.inode }.map { .put($0) }
        changes.names = names
        changes.extents = extents
        return changes
    }

    private func reading(_ body: () throws(TreeError) -> Void) throws(FileError) {
        do throws(TreeError) {
            try body()
        } catch {
            throw access.fileError(error)
        }
    }

    // MARK: inodes

    /// The inode becomes what the target has. A directory keeps the tree that the newest checkpoint
    /// gave it, on top of which the changed names lie.
    private mutating func place(_ image: InodeImage) throws(FileError) {
        let stored = try volume.storedInode(image.inode)
        var image = image
        if image.mode >> 12 == 4 {
            var node: NodeReference?
            if case .directory(let reference) = image.content { node = reference }
            pending.append((image.inode, node))
            image.content = .none
            if let stored, case .directory(let reference) = stored.image.content {
                image.content = .directory(reference)
            }
        }
        if let stored, stored.image.isLinked, !image.isLinked {
            // What had a second name once stays in the table of such inodes.
            image.isLinked = true
            image.parent = nil
        }
        if let stored, stored.pieceCount > 0 {
            extents.append(
                ExtentChange(
                    inode: image.inode, range: 0..<ExtentChange.endOfFile, pieces: []))
        }
        images[image.inode] = image
    }

    private mutating func compareLinked(_ current: RootImage) throws(FileError) {
        var changed: [InodeImage] = []
        var lost: [UInt64] = []
        try reading { () throws(TreeError) in
            try ListDifference<LinkedInodesSchema, StoreAccess>.forEach(
                from: current.linkedInodes, to: target.linkedInodes, in: access
            ) { old, new in
                if let new { changed.append(new) } else if let old { lost.append(old.inode) }
                return true
            }
        }
        for image in changed { try place(image) }
        candidates += lost
    }

    // MARK: directories

    private mutating func compare(
        _ inode: UInt64, _ node: NodeReference?
    ) throws(FileError) {
        var current: NodeReference?
        if let stored = try volume.storedInode(inode),
            case .directory(let reference) = stored.image.content
        {
            current = reference
        }
        var differences: [(old: DirectoryEntry?, new: DirectoryEntry?)] = []
        try reading { () throws(TreeError) in
            try ListDifference<DirectorySchema, StoreAccess>.forEach(
                from: current, to: node, in: access
            ) { old, new in
                differences.append((old, new))
                return true
            }
        }
        for (old, new) in differences {
            if let old, old.collision != new?.collision || new == nil {
                names.append(
                    NameChange(
                        parent: inode, name: old.name, collision: old.collision, target: nil))
            }
            if let old, old.inode != new?.inode { candidates.append(old.inode) }
            guard let new else { continue }
            let kind: UInt8
            switch new.target {
            case .linked(_, let linkedKind): kind = linkedKind
            case .only(let image):
                kind = UInt8(image.mode >> 12)
                try place(image)
            }
            names.append(
                NameChange(
                    parent: inode, name: new.name, collision: new.collision,
                    target: .init(inode: new.inode, kind: kind)))
        }
    }

    // MARK: what is no more

    /// Those of the candidates that the target does not have; directories with all that is in them.
    private mutating func endCandidates() throws(FileError) -> [UInt64] {
        var gone: Set<UInt64> = []
        while let inode = candidates.popLast() {
            guard images[inode] == nil, !gone.contains(inode), try !isLinkedInTarget(inode),
                let stored = try volume.storedInode(inode)
            else { continue }
            gone.insert(inode)
            guard case .directory(let node) = stored.image.content else { continue }
            var entries: [DirectoryEntry] = []
            try reading { () throws(TreeError) in
                try ListReader<DirectorySchema, StoreAccess>(store: access).forEach(of: node) {
                    _, entry in
                    entries.append(entry)
                    return true
                }
            }
            for entry in entries {
                names.append(
                    NameChange(
                        parent: inode, name: entry.name, collision: entry.collision, target: nil))
                candidates.append(entry.inode)
            }
        }
        return gone.sorted()
    }

    private func isLinkedInTarget(_ inode: UInt64) throws(FileError) -> Bool {
        var found = false
        try reading { () throws(TreeError) in
            found =
                try ListReader<LinkedInodesSchema, StoreAccess>(store: access)
                .find(LinkedInodesSchema.key(inode: inode), in: target.linkedInodes) != nil
        }
        return found
    }
}
