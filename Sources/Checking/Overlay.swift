// What the commits since the newest checkpoint change in one volume.
import DiskFormat

/// The pieces on top of a file's content, in order and apart.
struct PieceList {
    private(set) var pieces: [ExtentChange.Piece] = []

    /// Makes `range` consist of `new`, which lies within it; what reaches in from outside is cut.
    mutating func replace(_ range: Range<UInt64>, with new: [ExtentChange.Piece]) {
        let first = firstPiece(endingBehind: range.lowerBound)
        var last = first
        var between: [ExtentChange.Piece] = []
        while last < pieces.count, pieces[last].offset < range.upperBound {
            let piece = pieces[last]
            if piece.offset < range.lowerBound {
                between.append(PieceList.part(piece, piece.offset..<range.lowerBound))
            }
            last += 1
        }
        between += new
        if last > first, let piece = pieces[first..<last].last {
            let end = piece.offset + piece.length
            if end > range.upperBound {
                between.append(PieceList.part(piece, range.upperBound..<end))
            }
        }
        pieces.replaceSubrange(first..<last, with: between)
    }

    private func firstPiece(endingBehind offset: UInt64) -> Int {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].offset + pieces[middle].length <= offset {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// What of a piece lies in `range`, which is a part of it.
    static func part(
        _ piece: ExtentChange.Piece, _ range: Range<UInt64>
    ) -> ExtentChange.Piece {
        var result = piece
        result.offset = range.lowerBound
        result.length = UInt64(range.count)
        if case .data(let name, let chunkBytes, let offset) = piece.source {
            // The piece lies within its chunk, which is below 16 MiB.
            let moved = UInt64(offset) + (range.lowerBound - piece.offset)
            result.source = .data(
                name, chunkBytes: chunkBytes, offset: UInt32(truncatingIfNeeded: moved))
        }
        return result
    }
}

/// Names and inodes as they are now, where they are not as the checkpoint's tree has them. Applying
/// a commit twice does no harm. Memory in proportion to the changes.
struct Overlay {
    enum Change {
        case put(InodeImage)
        case gone
    }

    struct Name {
        var collision: UInt8
        /// nil: gone.
        var target: NameChange.Target?
    }

    private(set) var inodes: [UInt64: Change] = [:]
    /// By directory, then by name.
    private(set) var names: [UInt64: [[UInt8]: Name]] = [:]
    private(set) var pieces: [UInt64: PieceList] = [:]
    /// Trees of directories that a root which is not followed has written anew: as they were below the
    /// root that is. What has changed in them since is among `names`.
    private var treesBefore: [UInt64: ContentKey] = [:]

    var isEmpty: Bool { inodes.isEmpty && names.isEmpty && pieces.isEmpty }

    /// From now on the images of these directories are taken without their trees.
    mutating func keepTrees(_ trees: [UInt64: ContentKey]) {
        treesBefore.merge(trees) { known, _ in known }
    }

    mutating func apply(_ changes: VolumeChanges) {
        for change in changes.inodes {
            switch change {
            case .put(var image):
                if let tree = treesBefore[image.inode] { image.content = tree }
                inodes[image.inode] = .put(image)
            case .gone(let inode):
                inodes[inode] = .gone
                pieces[inode] = nil
            }
        }
        for name in changes.names {
            names[name.parent, default: [:]][name.name] = Name(
                collision: name.collision, target: name.target)
        }
        for extent in changes.extents {
            pieces[extent.inode, default: PieceList()].replace(extent.range, with: extent.pieces)
        }
        for inode in Set(changes.extents.map(\.inode))
        where pieces[inode]?.pieces.isEmpty ?? false {
            pieces[inode] = nil
        }
    }
}
