import FileModel

/// Why nothing was done about a snapshot. Payloads are names as they were given.
public enum SnapshotError: Error, Equatable, Sendable {
    case noVolume(String)
    case noSnapshot(String)
    /// The volume has a snapshot of that name.
    case exists(String)
    /// Names are `[A-Za-z0-9._+-]{1,128}`, not beginning with a dot or dash; so are tags.
    case badName(String)
    case badTag(String)
    case tooManyTags
    case descriptionTooLong
    /// Of retention or of a schedule.
    case rulesTooLong
    /// Pinned: to be unpinned first.
    case pinned(String)
    /// The store has as many as it can.
    case tooMany
    /// Files have changes that cannot be joined with what lies beneath, which is damaged: a snapshot
    /// would not have them. To be repaired first.
    case unfoldable
    /// The volume is mounted.
    case inUse(String)
    /// The snapshot is mounted by itself.
    case snapshotInUse(String)
    /// The new volume could not be made.
    case volumeList(VolumeListError)
    /// The commit failed, or could not begin.
    case failed(FileError)
}
