import DiskFormat

extension InodeImage {
    /// What of a file is not as another has it, but for content, extended attributes and where a link
    /// leads; nil where all is. In words.
    func difference(from wanted: InodeImage) -> String? {
        let kind = wanted.mode >> 12
        if mode >> 12 != kind { return "it is another kind of file" }
        // A symbolic link's permissions mean nothing.
        if kind != 10, mode & 0o7777 != wanted.mode & 0o7777 { return "its permissions" }
        if owner != wanted.owner || group != wanted.group { return "its owner or group" }
        // What changes in a directory is told itself.
        if kind == 4 { return nil }
        if modificationTime != wanted.modificationTime { return "its time of modification" }
        if kind == 8, size != wanted.size { return "its size" }
        if device?.major != wanted.device?.major || device?.minor != wanted.device?.minor {
            return "its device number"
        }
        return nil
    }

    /// Whether nothing differs but which names the file has.
    func isSameBesideNames(as other: InodeImage) -> Bool {
        difference(from: other) == nil && attributes == other.attributes && content == other.content
    }
}
