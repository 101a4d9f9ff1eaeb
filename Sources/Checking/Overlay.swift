// What the commits since the newest checkpoint change in one volume.
import DiskFormat

/// The pieces on top of a file's content, in order and apart.
struct PieceList {
    private(set) var pieces: [ExtentChange.Piece] = []

    /// Makes `range` consist of `new`, which lies within it; what reaches in from outside is cut.
    mutating func replace(_ range: Range<UInt64>, with new: [ExtentChange.Piece]) {
        var before: [ExtentChange.Piece] = []
        var after: [ExtentChange.Piece] = []
        for piece in pieces {
            let end = piece.offset + piece.length
            if piece.offset < range.lowerBound {
                before.append(PieceList.part(piece, piece.offset..<min(end, range.lowerBound)))
            }
            if end > range.upperBound {
                after.append(PieceList.part(piece, max(piece.offset, range.upperBound)..<end))
            }
        }
        pieces = before + new + after
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

    var isEmpty: Bool { inodes.isEmpty && names.isEmpty && pieces.isEmpty }

    mutating func apply(_ changes: VolumeChanges) {
        for change in changes.inodes {
            switch change {
            case .put(let image): inodes[image.inode] = .put(image)
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
