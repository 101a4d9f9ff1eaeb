import DiskFormat
import FileModel

/// Volumes of which some file's content was received and is not in a commit, and why.
struct LeftOut {
    var reasons: [(volumeID: UniqueID, reason: FileError)] = []

    /// Of whichever volume.
    var first: FileError? { reasons.first?.reason }

    func reason(of volume: Volume) -> FileError? {
        reasons.first { $0.volumeID == volume.volumeID }?.reason
    }
}
